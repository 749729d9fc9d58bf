//! Figures flow in, tables and goals flow out.

use super::super::report::Report;
use super::super::sample::Sample;
use super::figures::{Case, Figures};
use super::trace::Trace;

const MIB: f64 = (1 << 20) as f64;
/// How many times as long as the limit a merge takes at most.
const COPYING: f64 = 1.25;
const CLONING: [(&str, f64); 2] = [("btrfs", 0.8), ("xfs", 1.3)];
/// What of ours is beside what of others, and how many times as long they take at least.
const PEERS: [(&str, &str, f64); 3] = [
    ("ours, copying", "qemu-img commit", 1.2),
    ("ours, copying", "uml_moo -d", 1.2),
    ("ours, new file", "uml_moo, new file", 5.0),
];
/// The case that is small: its goals are shown, but what a program costs to start and to sync is most of it.
const TINY: &str = "tiny";
/// How much memory a merge takes at most.
const MEMORY: u64 = 64 << 20;

/// Shows the times of one file system.
pub(super) fn times(report: &mut Report, kind: &str, figures: &Figures) {
    for case in &figures.cases {
        one(report, kind, figures, case);
    }
}

fn one(report: &mut Report, kind: &str, figures: &Figures, case: &Case) {
    let Case { name, size, pieces, bytes } = case;
    let head = format!("{kind}, {name}");
    report.say(format!(
        "{head}: {:.2} MiB in {pieces} pieces over {:.0} MiB",
        *bytes as f64 / MIB,
        *size as f64 / MIB
    ));
    let row = |(who, limit): &(&str, &str)| {
        let times = figures.times(name, who, limit);
        let (took, times) = (figures.took(name, who), shown(&times, |value| format!("{value:.2}")));
        vec![
            (*who).to_owned(),
            shown(&took, fine),
            times,
            goal(kind, who).map_or(String::new(), |goal| format!("≤ {goal}")),
        ]
    };
    let turns = figures.of(name);
    let rows: Vec<_> = turns.iter().map(row).collect();
    report.table(&[&head, "ms to synced", "× its limit", "goal"], &rows);
    if name == TINY {
        return;
    }
    for (who, limit) in turns {
        let times = figures.times(name, who, limit).median();
        if let Some(goal) = goal(kind, who) {
            report.goal(
                times <= goal,
                format!("{head}: {who} takes {times:.2} of {limit}, at most {goal}"),
            );
        }
    }
    for (ours, peer, goal) in PEERS {
        let times = figures.times(name, peer, ours);
        if !times.is_empty() {
            let times = times.median();
            let text =
                format!("{head}: {peer} takes {times:.1} times as long as {ours}, at least {goal}");
            report.goal(times >= goal, text);
        }
    }
    report.say("");
}

/// Returns how many times as long as its limit one of ours takes at most.
fn goal(kind: &str, who: &str) -> Option<f64> {
    if who.starts_with("ours") && who.ends_with("copying") {
        return Some(COPYING);
    }
    let clones = CLONING.iter().find(|(name, _)| *name == kind).map(|(_, goal)| *goal);
    match who {
        // Where nothing can be cloned, its limit writes the whole file.
        "ours, new file" => clones.or(Some(COPYING)),
        _ if who.starts_with("ours") => clones,
        _ => None,
    }
}

/// Shows the system calls and the memory of each merge.
pub(super) fn calls(report: &mut Report, kind: &str, merges: &[(String, Trace, u64)]) {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB);
    let row = |(who, trace, memory): &(String, Trace, u64)| {
        let counts = [trace.calls.total(), trace.clones, trace.calls.flushes()]
            .map(|count| count.to_string());
        let mut row = vec![who.clone()];
        row.extend(counts);
        row.extend([trace.read, trace.written, *memory].map(mib));
        row
    };
    let rows: Vec<_> = merges.iter().map(row).collect();
    let head = format!("{kind}, scattered");
    let names =
        [&head, "system calls", "clones", "flushes", "MiB read", "MiB written", "MiB of memory"];
    report.table(&names, &rows);
    for (who, trace, _) in merges {
        report.say(format!("{who}: {}", trace.calls.listed()));
    }
    report.say("");
    for (who, _, memory) in merges {
        limited(report, &format!("2 GiB: {who}"), *memory);
    }
}

/// Shows the memory of 16 TiB.
pub(super) fn large(report: &mut Report, memory: &[(String, u64)]) {
    for (what, bytes) in memory {
        limited(report, &format!("16 TiB: {what}"), *bytes);
    }
    report.say("");
}

fn limited(report: &mut Report, what: &str, memory: u64) {
    let (found, goal) = (memory as f64 / MIB, MEMORY >> 20);
    report.goal(memory <= MEMORY, format!("{what} takes {found:.1} MiB of memory, at most {goal}"));
}

/// The median and the range; nothing where nothing was measured.
fn shown(sample: &Sample, show: impl Fn(f64) -> String) -> String {
    if sample.is_empty() {
        return "-".into();
    }
    format!("{} ({})", show(sample.median()), sample.fine_range(show))
}

/// A number with three digits that mean something.
fn fine(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.2}"),
        ..100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_ours_has_the_goal_of_its_file_system() {
        let goals = [
            ("btrfs", "ours, copying", Some(1.25)),
            ("btrfs", "ours, cloning", Some(0.8)),
            ("xfs", "ours, store of 4 KiB, cloning", Some(1.3)),
            ("ext4", "ours, new file", Some(1.25)),
            ("xfs", "ours, new file", Some(1.3)),
            ("xfs", "qemu-img commit", None),
            ("xfs", "limit", None),
        ];
        for (kind, who, wanted) in goals {
            assert_eq!(goal(kind, who), wanted, "{kind} {who}");
        }
    }
}
