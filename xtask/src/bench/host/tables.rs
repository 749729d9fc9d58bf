//! Figures flow in, tables and goals flow out.

use super::super::report::Report;
use super::super::sample::Sample;
use super::calls::Operation;
use super::figures::Figures;

/// How many times as fast as the plain protocol, at 10,000 extents.
const FASTER: f64 = 20.0;
/// How many times as long the largest image takes as the smallest, at most; and one of 1,000 VMs as one of 10.
const FLAT: f64 = 2.0;
/// How long a list of 1,000 VMs takes at most, in ms.
const LIST: f64 = 100.0;
/// The images that the goals name.
const SMALLEST: &str = "1g-1";
const MANY: [&str; 3] = ["1g-10k", "10g-10k", "100g-10k"];
const LARGEST: &str = "100g-100k";
/// Numbers of VMs.
const STAGES: [&str; 3] = ["10", "100", "1000"];

/// Shows what templates and their roots cost.
pub(super) fn volumes(report: &mut Report, figures: &Figures) {
    for what in ["root start", "commit"] {
        compare(report, figures, what);
        let ours = |shape: &str| figures.of("ours", shape, what).median();
        let longer = ours(LARGEST) / ours(SMALLEST);
        report.goal(
            longer <= FLAT,
            format!(
                "{what}: {LARGEST} takes {longer:.1} times as long as {SMALLEST}, at most {FLAT}"
            ),
        );
        for shape in MANY {
            let faster = figures.of("plain", shape, what).median() / ours(shape);
            let goal = format!("{what}: {shape} is {faster:.0} times as fast, at least {FASTER}");
            report.goal(faster >= FASTER, goal);
        }
        report.say("");
    }
    for what in [
        "after the commit",
        "root start right after a commit",
        "template start",
        "template start right after a commit",
        "root stop",
    ] {
        compare(report, figures, what);
    }
}

/// Shows one operation for all shapes.
fn compare(report: &mut Report, figures: &Figures, what: &str) {
    let row = |(shape, extents): &(String, u64)| {
        let [ours, plain] = ["ours", "plain"].map(|who| figures.of(who, shape, what));
        vec![shape.clone(), extents.to_string(), cell(&ours), cell(&plain), ours.ratio(&plain)]
    };
    let rows: Vec<_> = figures.extents.iter().map(row).collect();
    report.table(&[what, "extents", "ours", "plain", "times as fast"], &rows);
}

/// Shows what one of many VMs costs.
pub(super) fn many(report: &mut Report, figures: &Figures) {
    let of = |what: &str, stage: &str| figures.of("ours", stage, what);
    let whats = ["create", "prepare", "prepare, those before stay", "release"];
    let lists = ["list", "vm list", "vm list, all prepared"];
    let row = |what: &str| {
        let cells = STAGES.map(|stage| cell(&of(what, stage)));
        std::iter::once(what.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let rows: Vec<_> = whats.iter().chain(&lists).map(|what| row(what)).collect();
    report.table(&["one of so many AppVMs", STAGES[0], STAGES[1], STAGES[2]], &rows);
    for what in whats {
        let longer = of(what, STAGES[2]).median() / of(what, STAGES[0]).median();
        let goal = format!(
            "{what}: one of 1000 takes {longer:.1} times as long as one of 10, at most {FLAT}"
        );
        report.goal(longer <= FLAT, goal);
    }
    for what in &lists[1..] {
        let found = of(what, STAGES[2]).median();
        report.goal(found < LIST, format!("{what}: {found:.0} ms for 1000, less than {LIST}"));
    }
    report.say("");
}

/// Shows the system calls of each operation.
pub(super) fn calls(report: &mut Report, operations: &[Operation]) {
    let row = |operation: &Operation| {
        vec![
            operation.name.clone(),
            operation.calls.total().to_string(),
            operation.calls.flushes().to_string(),
            operation.clones.to_string(),
        ]
    };
    let rows: Vec<_> = operations.iter().map(row).collect();
    report.table(&["operation (1g-1)", "system calls", "flushes", "clones"], &rows);
    for operation in operations {
        report.say(format!("{}: {}", operation.name, operation.calls.listed()));
    }
    report.say("");
}

/// The median and the range, in ms; nothing where nothing was measured.
pub(in super::super) fn cell(sample: &Sample) -> String {
    if sample.is_empty() {
        return "-".into();
    }
    format!("{} ({})", fine(sample.median()), sample.fine_range(fine))
}

/// A number with three digits that mean something.
fn fine(ms: f64) -> String {
    match ms {
        ..1.0 => format!("{ms:.3}"),
        ..10.0 => format!("{ms:.2}"),
        ..100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_times_are_read_alike() {
        assert_eq!([0.0712, 3.456, 41.23, 4100.4].map(fine), ["0.071", "3.46", "41.2", "4100"]);
    }

    #[test]
    fn what_was_not_measured_has_no_time() {
        assert_eq!(cell(&Sample::default()), "-");
        assert_eq!(cell(&[1.5, 0.25, 300.0].into_iter().collect()), "1.50 (0.250–300)");
    }
}
