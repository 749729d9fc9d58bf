//! Exception stores that a real kernel wrote: they are merged to exactly what device-mapper itself shows.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod bench;
mod guest;
#[path = "../kernels/mod.rs"]
mod kernels;

use bench::{Bench, SECTORS, Store};
use kernels::{Pieces, refuses, same, text};
use vmtest::{Result, require};

/// What the guest runs; here it does nothing.
#[test]
fn writer() {
    kernels::write_in_the_guest();
}

/// One boot. Under a writer a store holds what is new, and a merge makes what the snapshot shows. Small chunks fill
/// several areas; the last chunk is a partial one. A store of `PO` that was too small keeps what it took; one of `P`
/// is lost.
#[test]
fn stores_under_a_writer_merge_to_what_the_snapshot_shows() -> Result<()> {
    let both = |chunk| ["P", "PO"].map(|kind| Store::ample(chunk, kind));
    let mut stores: Vec<Store> = [1, 8, 16, 32, 256].into_iter().flat_map(both).collect();
    stores.extend([Store::small(8, "PO"), Store::small(32, "PO"), Store::small(8, "P")]);
    let mut bench = Bench::new(1, stores);
    let vm = require!(bench.start());
    let (pieces, file) = bench.pieces(500, 60);
    let mut whole = bench.folder.read("origin");
    pieces.onto(&mut whole);

    let mut script = "set -e\n".to_owned();
    for store in &bench.stores {
        script += &bench.create(store);
        script += Pieces::written(&file, &store.device()).trim_end();
        let is_full = store.room < SECTORS;
        script += if is_full { " && exit 1\n" } else { "\n" };
    }
    script += "dmsetup status\n";
    for store in &bench.stores[..bench.stores.len() - 1] {
        script += &bench.shown(store);
    }
    let status = vm.run(&script)?;
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.and_then(|line| line.rsplit("snapshot ").next()).unwrap_or("missing").to_owned()
    };
    vm.power_off()?;
    assert_eq!(
        [of("PO8small"), of("PO32small"), of("P8small")],
        ["Overflow", "Overflow", "Invalid"]
    );
    // The header is a chunk of the metadata, and so is each area.
    for (name, chunk) in [("P1", 1), ("PO8", 8), ("P16", 16)] {
        let metadata: u64 = of(name).rsplit(' ').next().unwrap().parse().unwrap();
        assert!(metadata >= 3 * chunk, "{name} has no second area: {status}");
    }

    let (lost, kept) = bench.stores.split_last().unwrap();
    for store in kept {
        let shown = bench.merges_to_what_was_shown(store);
        let is_full = store.room < SECTORS;
        assert_eq!(shown == whole, !is_full, "{}: what was written", store.name());
    }
    let (origin, lost) = (bench.folder.at("origin"), bench.folder.at(&lost.name()));
    let out = bench.folder.at("merged");
    let words = ["cow", "merge", "--backing", text(&origin), text(&lost)];
    refuses(&[&words[..], &[text(&out)]].concat(), &["gave up"]);
    refuses(&[&words[..], &["--in-place"]].concat(), &["gave up"]);
    assert!(!out.exists());
    Ok(())
}

/// One boot. Beside an origin that is written to, a store holds what was there before, and a merge brings it back.
#[test]
fn stores_beside_an_origin_merge_to_what_it_was() -> Result<()> {
    let stores = [Store::ample(1, "PO"), Store::ample(8, "P"), Store::ample(64, "PO")];
    let mut bench = Bench::new(2, stores.into());
    let before = bench.folder.read("origin");
    let vm = require!(bench.start());
    let (pieces, file) = bench.pieces(300, 40);
    let map_origin =
        format!("dmsetup create base --table '0 {SECTORS} snapshot-origin /dev/ubda'\n");
    let mut script = "set -e\n".to_owned();
    bench.stores.iter().for_each(|store| script += &bench.create(store));
    // Last: it learns the size of chunks when it is resumed.
    script += &map_origin;
    script += &Pieces::written(&file, "/dev/mapper/base");
    bench.stores.iter().for_each(|store| script += &bench.shown(store));
    vm.run(&script)?;
    vm.power_off()?;
    let mut after = before.clone();
    pieces.onto(&mut after);
    same("the origin", &bench.folder.read("origin"), &after);
    for store in &bench.stores {
        same("what was", &bench.merges_to_what_was_shown(store), &before);
    }
    Ok(())
}

/// Two boots. The kernel is killed while it writes to two snapshots; what the next one finds in the stores is what a
/// merge finds.
#[test]
fn stores_of_a_kernel_that_was_killed_merge_to_what_the_next_one_shows() -> Result<()> {
    let mut bench = Bench::new(3, vec![Store::ample(8, "P"), Store::ample(32, "PO")]);
    let vm = require!(bench.start());
    // Enough for the plug to be pulled in the middle.
    let (pieces, file) = bench.pieces(4000, 16);
    let mut script = "set -e\n".to_owned();
    for store in &bench.stores {
        script += &bench.create(store);
        let write = Pieces::written(&file, &store.device());
        script += &format!("({}) </dev/null >/dev/null 2>&1 &\n", write.trim_end());
    }
    // Until both have written something.
    for store in &bench.stores {
        let (name, none) = (store.name(), 2 * store.chunk);
        script += &format!(
            "until [ \"$(dmsetup status {name} | sed 's|.*snapshot \\([0-9]*\\)/.*|\\1|')\" -gt {none} ]; do :; done\n"
        );
    }
    vm.run(&script)?;
    vm.pull_the_plug();
    let merged: Vec<Vec<u8>> = bench.stores.iter().map(|store| bench.merged(store)).collect();

    let vm = bench.start()?;
    let mut script = "set -e\n".to_owned();
    for store in &bench.stores {
        script += &bench.create(store);
        script += &bench.shown(store);
    }
    vm.run(&script)?;
    vm.power_off()?;
    let origin = bench.folder.read("origin");
    let mut whole = origin.clone();
    pieces.onto(&mut whole);
    for (store, merged) in bench.stores.iter().zip(merged) {
        let shown = bench.merges_to_what_was_shown(store);
        same(&store.name(), &merged, &shown);
        assert!(shown != origin, "{}: nothing was written", store.name());
        assert!(shown != whole, "{}: all was written", store.name());
    }
    Ok(())
}
