//! Figures flow in, tables and goals flow out.

use super::super::host::figures::Figures;
use super::super::host::tables::cell;
use super::super::report::Report;

/// How many times as long the largest image takes as the smallest, at most.
const FLAT: f64 = 2.0;
/// How long a command over 1,000 snapshots takes at most, in ms.
const LIST: f64 = 200.0;
/// How much of the space of a linked clone may be anything but metadata: none, and metadata is at most this, in KiB.
const CLONE: f64 = 64.0;
/// What is done to one root.
const WHATS: [&str; 7] = [
    "snapshot create",
    "snapshot of one that runs",
    "of that it stands still",
    "snapshot clone",
    "vm clone",
    "snapshot revert",
    "snapshot remove",
];

/// Shows what each operation costs for roots of each size.
pub(super) fn sizes(report: &mut Report, figures: &Figures) {
    for group in figures.extents.chunks(3) {
        let shapes: Vec<&str> = group.iter().map(|(shape, _)| shape.as_str()).collect();
        let head: Vec<&str> = std::iter::once("root").chain(shapes.iter().copied()).collect();
        let row = |what: &&str| {
            let cells = shapes.iter().map(|shape| cell(&figures.of("ours", shape, what)));
            std::iter::once((*what).to_owned()).chain(cells).collect::<Vec<_>>()
        };
        report.table(&head, &WHATS.iter().map(row).collect::<Vec<_>>());
        let (Some(smallest), Some(largest)) = (shapes.first(), shapes.last()) else { continue };
        for what in ["snapshot create", "of that it stands still", "snapshot clone", "vm clone"] {
            let of = |shape: &str| figures.of("ours", shape, what).median();
            let longer = of(largest) / of(smallest);
            let goal = format!(
                "{what}: {largest} takes {longer:.1} times as long as {smallest}, at most {FLAT}"
            );
            report.goal(longer <= FLAT, goal);
        }
        report.say("");
    }
}

/// Shows what linked clones take.
pub(super) fn clones(report: &mut Report, figures: &Figures) {
    let (data, count) = (figures.bytes("data of the base"), figures.bytes("clones"));
    let taken = figures.bytes("taken by all clones");
    let each = taken as f64 / 1024.0 / count.max(1) as f64;
    let goal = format!(
        "{count} linked clones of a root with {:.1} MiB of data take {:.2} MiB: {each:.1} KiB each, at most {CLONE}",
        data as f64 / f64::from(1 << 20),
        taken as f64 / f64::from(1 << 20)
    );
    report.goal(each <= CLONE, goal);
    report.say("");
}

/// Shows whole commands over 1,000 snapshots.
pub(super) fn tree(report: &mut Report, figures: &Figures) {
    let whats = [
        "snapshot list",
        "snapshot list work",
        "snapshot list --json",
        "snapshot tree",
        "snapshot tree --json",
        "snapshot tree --svg",
    ];
    let shapes = ["tree", "chain"];
    let of = |what: &str, shape: &str| figures.of("ours", shape, what);
    let row = |what: &&str| {
        let cells = shapes.map(|shape| cell(&of(what, shape)));
        std::iter::once((*what).to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let rows: Vec<_> = whats.iter().map(row).collect();
    report.table(&["1,000 snapshots", "ways of 50", "one after the other"], &rows);
    for shape in shapes {
        for what in ["snapshot list", "snapshot tree"] {
            let found = of(what, shape).median();
            report.goal(found < LIST, format!("{what}, {shape}: {found:.0} ms, less than {LIST}"));
        }
    }
    let [first, last] = ["first-ten", "last-ten"].map(|stage| of("snapshot create", stage));
    report.say(format!(
        "snapshot create: the first ten {}, the last ten of 1,000 {}",
        cell(&first),
        cell(&last)
    ));
    report.say("");
}
