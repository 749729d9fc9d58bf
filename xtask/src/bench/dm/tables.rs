//! Figures flow in, tables and goals flow out.

use super::super::host::calls::Operation;
use super::super::report::Report;
use super::super::syscalls::Syscalls;
use super::figures::Figures;

/// How many times as fast as the script.
const FASTER: f64 = 5.0;
/// How many times as long where many run as where one does.
const FLAT: f64 = 2.0;
const CONTESTANTS: [(&str, &str); 3] =
    [("driver root", "script root"), ("library all", "script all"), ("program all", "script all")];
/// All contestants.
pub(super) const ALL: [&str; 5] =
    ["driver root", "script root", "library all", "program all", "script all"];
const OPERATIONS: [&str; 6] = [
    "first-start",
    "second-start",
    "second-stop",
    "last-stop",
    "start-of-one-more",
    "stop-of-one-more",
];
const LOADS: [&str; 4] = ["upgrade", "random", "synchronous", "sequential"];

/// Shows starts and stops.
pub(super) fn starts(
    report: &mut Report,
    figures: &Figures,
    operations: &[Operation],
    around: &[usize],
) {
    let calls = |who: &str, around: usize, what: &str| {
        let name = format!("{who} {around} {what}");
        operations.iter().find(|operation| operation.name == name).map(|found| &found.calls)
    };
    for (ours, script) in CONTESTANTS {
        let mut rows = Vec::new();
        for what in OPERATIONS {
            for count in around {
                let mut row = vec![format!("{what}, {count} around")];
                for who in [ours, script] {
                    let took = figures.took(who, *count, what);
                    let found = calls(who, *count, what);
                    let count = |of: &dyn Fn(&Syscalls) -> u64| {
                        found.map_or("-".into(), |calls| of(calls).to_string())
                    };
                    row.push(format!("{:.1}", took.median()));
                    row.push(took.fine_range(|ms| format!("{ms:.1}")));
                    row.push(count(&Syscalls::forks));
                    row.push(count(&Syscalls::execs));
                    row.push(count(&Syscalls::total));
                }
                let ms = |who| figures.took(who, *count, what);
                row.push(ms(ours).ratio(&ms(script)));
                rows.push(row);
            }
        }
        report.say(format!("{ours} (left), {script} (right): ms, forks, execs, system calls"));
        let half = ["ms", "range", "forks", "execs", "calls"];
        let mut head = vec![""];
        head.extend(half.iter().chain(&half).copied());
        head.push("times as fast");
        report.table(&head, &rows);
        for what in OPERATIONS {
            let ms = |who: &str, count: usize| figures.took(who, count, what).median();
            for count in around {
                let faster = ms(script, *count) / ms(ours, *count);
                let goal = format!(
                    "{ours}: {what}, {count} around, is {faster:.1} times as fast, at least {FASTER}"
                );
                report.goal(faster >= FASTER, goal);
            }
            if let [few, .., many] = around {
                let longer = ms(ours, *many) / ms(ours, *few);
                let goal = format!(
                    "{ours}: {what}, {many} around takes {longer:.1} times as long as {few}, at most {FLAT}"
                );
                report.goal(longer <= FLAT, goal);
            }
        }
        report.say("");
    }
    for operation in operations {
        report.say(format!("{}: {}", operation.name, operation.calls.listed()));
    }
    report.say("");
}

/// Shows what writes come to.
pub(super) fn loads(report: &mut Report, figures: &Figures, chunks: &[usize], versions: &[usize]) {
    let plain = |load: &str| figures.wrote(chunks[0], 0, load);
    for load in LOADS {
        let raw = plain(load);
        let mib = raw.guest.median() / f64::from(1 << 20);
        report.say(format!(
            "{load}: {mib:.1} MiB of the guest, {:.0} ms without a version",
            raw.ms.median()
        ));
        let mut rows = Vec::new();
        for chunk in chunks {
            for versions in versions {
                let found = figures.wrote(*chunk, *versions, load);
                let times = |part: f64| format!("{:.2}", part / found.guest.median());
                rows.push(vec![
                    format!("{chunk} sectors, {versions}"),
                    times(found.base.median()),
                    times(found.stores.median()),
                    format!("{:.2}", found.amplification()),
                    times(found.space.median()),
                    raw.ms.ratio_to(&found.ms),
                ]);
            }
        }
        report.table(
            &["chunk, versions", "base", "stores", "both", "room of one store", "time"],
            &rows,
        );
    }
    let raw = figures.read(chunks[0], 0);
    let row = |chunk: &usize| {
        let found = versions.iter().map(|versions| figures.read(*chunk, *versions));
        let cells = found.map(|found| raw.ratio_to(&found));
        std::iter::once(format!("{chunk} sectors")).chain(cells).collect::<Vec<_>>()
    };
    report.say("Reading a version from one end to the other, time × the loop device's:");
    let numbers: Vec<String> = versions.iter().map(|count| format!("{count} in use")).collect();
    let mut head = vec!["chunk"];
    head.extend(numbers.iter().map(String::as_str));
    report.table(&head, &chunks.iter().map(row).collect::<Vec<_>>());
}

/// Shows what AppVMs of one version have in common.
pub(super) fn memory(report: &mut Report, figures: &Figures) {
    let mib = |kib: i64| format!("{:.1}", kib as f64 / 1024.0);
    let row = |(when, found): &(String, super::figures::Memory)| {
        vec![
            when.clone(),
            mib(found.available),
            mib(found.cached),
            mib(found.buffers),
            mib(found.slab),
            found.loops.to_string(),
            found.devices.to_string(),
        ]
    };
    let rows: Vec<_> = figures.memory.iter().map(row).collect();
    report.say(
        "AppVMs with all their disks, and, beside one of these, the roots of 200 of one version of 128 MiB; in MiB:",
    );
    report.table(
        &["when", "available", "cached", "buffers", "slab", "loop devices", "mapped devices"],
        &rows,
    );
}
