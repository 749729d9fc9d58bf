//! What every driver of volumes keeps to.
//!
//! Each case is a property, over a [`Place`]: a fresh pool directory with a driver, and a hand that writes to images as
//! a guest does. [`CASES`] has all of them; with `#[macro_use] mod contract`, `every_case!` makes a test of each.

#![allow(
    dead_code,
    unused_macros,
    missing_docs,
    clippy::unwrap_used,
    reason = "tests; each program uses what it needs"
)]

mod life;
mod names;
pub(crate) mod on_disk;
mod versions;

use ebbtide::{
    name::VolumeId,
    pool::{
        driver::{Access, Commit, Disk, Ending, Outcome, Retention, Volume},
        store::Store,
    },
    volume::{Files, Revision, Role},
};
use ebbtide_format::units::Bytes;
use std::path::{Path, PathBuf};

/// A fresh pool directory.
pub(crate) trait Place {
    /// Its driver.
    fn driver(&self) -> &dyn Commit;
    /// Its files.
    fn store(&self) -> &dyn Store;
    /// Writes to a started disk, as a guest does.
    fn write(&self, disk: &Path, offset: u64, bytes: &[u8]);
    /// Reads from a started disk, or from whatever an export gives; past its end there is nothing.
    fn read(&self, disk: &Path, offset: u64, count: usize) -> Vec<u8>;
    /// Returns the first four bytes of the current version, or of a kept one.
    fn version(&self, volume: &Volume, of: Option<Revision>) -> Vec<u8>;
    /// Returns the files of which the one that is `clean` is what is replaced by each version.
    fn versions(&self, volume: &Volume) -> Files {
        volume.files.clone()
    }
    /// Tells whether each version is a whole file of its own, so that other volumes can share it and the next image can
    /// be made beforehand.
    fn has_whole_versions(&self) -> bool {
        true
    }
    /// Makes a file outside of the pool, that begins with these bytes.
    fn outside(&self, name: &str, size: Bytes, bytes: &[u8]) -> PathBuf;
}

/// A property.
pub(crate) type Case = fn(&dyn Place);

/// Gives all cases to another macro, `life::case_name, …`.
macro_rules! every_case {
    ($to:ident) => {
        $to! {
            life::an_empty_volume_has_its_size,
            life::what_is_written_is_the_new_version_after_a_stop,
            life::a_start_and_stop_without_a_write_pushes_nothing_out,
            life::what_was_written_goes_on_after_a_cut,
            life::what_was_written_is_dropped_when_that_is_said,
            life::a_volatile_volume_is_empty_at_every_start,
            life::a_template_s_version_is_shared_and_stays_while_it_is_used,
            life::a_copy_of_a_template_s_version_is_forgotten,
            life::a_root_of_its_own_is_the_template_s_at_first,
            life::a_stop_repeats,
            life::a_next_image_is_taken_by_the_next_start,
            life::a_next_image_of_an_old_version_is_not_taken,
            versions::old_versions_go_and_pinned_ones_stay,
            versions::what_is_pruned_is_freed_in_the_background,
            versions::keeping_none_keeps_none,
            versions::a_revert_destroys_nothing,
            versions::a_revert_to_the_current_version_changes_nothing,
            versions::a_revert_with_something_uncommitted_is_refused,
            versions::shrinking_is_refused,
            versions::growing_never_cuts_off,
            versions::a_stopped_volume_grows_as_a_new_version,
            versions::a_running_volume_grows_in_what_it_writes,
            versions::an_import_replaces_content_and_size,
            versions::an_image_of_nothing_is_not_imported,
            versions::an_import_into_a_running_volume_is_refused,
            versions::a_start_during_an_import_loses_neither,
            versions::a_failed_import_leaves_nothing,
            versions::an_export_stays_one_version,
            versions::an_export_to_a_file_leaves_nothing_in_the_pool,
            versions::a_clone_shares_and_is_its_own,
            versions::a_commit_cut_in_the_middle_pushes_nothing_out,
            names::names_that_begin_alike_are_told_apart,
            names::long_and_odd_names_work,
            names::what_is_not_ours_survives_everything,
            names::a_directory_with_an_image_s_name_is_not_ours,
        }
    };
}

macro_rules! list {
    ($($module:ident::$name:ident),* $(,)?) => {
        /// All properties, with their names.
        pub(crate) const CASES: &[(&str, Case)] = &[$((stringify!($name), $module::$name)),*];
    };
}

every_case!(list);

/// Returns the place's directories made: one template, `debian`, and two VMs, `work` and `play`.
pub(crate) fn directories(place: &dyn Place) {
    for dir in ["vm-templates", "vm-templates/debian", "appvms", "appvms/work", "appvms/play"] {
        place.store().make_dir(Path::new(dir)).unwrap();
    }
}

/// Returns a volume, `debian:root` in `vm-templates/debian`.
pub(crate) fn volume(dir: &str, name: &str, role: Role) -> Volume {
    let vm = Path::new(dir).file_name().unwrap().to_str().unwrap();
    let files = Files::new(Path::new(dir), name.parse().unwrap());
    let source = role
        .source()
        .map(|of| Files::new(&Path::new("vm-templates").join(of.vm.as_str()), of.volume.clone()));
    Volume {
        id: format!("{vm}:{name}").parse().unwrap(),
        files,
        role,
        source,
        size: Bytes::mib(1),
        retention: Retention { keep: 2, ..Retention::default() },
    }
}

/// Returns the root of the template.
pub(crate) fn template() -> Volume {
    volume("vm-templates/debian", "root", Role::Origin)
}

/// Returns the disk of VM `work` that is kept.
pub(crate) fn private() -> Volume {
    volume("appvms/work", "private", Role::Origin)
}

/// Returns the root of VM `work`, which is the template's.
pub(crate) fn app_root() -> Volume {
    volume("appvms/work", "root", Role::Snapshot { of: debian_root() })
}

/// Returns `debian:root`.
pub(crate) fn debian_root() -> VolumeId {
    "debian:root".parse().unwrap()
}

/// Starts a volume, writes these bytes at its beginning, and stops it.
pub(crate) fn run(place: &dyn Place, volume: &Volume, bytes: &[u8]) -> Outcome {
    let disk = start(place, volume);
    place.write(&disk.path, 0, bytes);
    place.driver().stop(volume, Ending::Commit).unwrap()
}

/// Starts a volume, read-only when it is another's.
pub(crate) fn start(place: &dyn Place, volume: &Volume) -> Disk {
    let disk = place.driver().start(volume, Access::Shared).unwrap();
    assert_eq!(disk.id, volume.id);
    disk
}

/// Returns what a commit kept its predecessor as.
pub(crate) fn kept(outcome: Outcome) -> Revision {
    match outcome {
        Outcome::Committed(Some(revision)) => revision,
        other => panic!("a kept predecessor was wanted, found {other:?}"),
    }
}

/// Returns the numbers of the kept versions.
pub(crate) fn numbers(place: &dyn Place, volume: &Volume) -> Vec<u64> {
    let state = place.driver().state(volume).unwrap();
    state.revisions.iter().filter_map(|(revision, _)| revision.number).collect()
}

/// Returns the first four bytes of the current version.
pub(crate) fn current(place: &dyn Place, volume: &Volume) -> Vec<u8> {
    place.version(volume, None)
}

/// Returns the names in a volume's directory, without locks.
pub(crate) fn names_beside(place: &dyn Place, volume: &Volume) -> Vec<String> {
    let names = place.store().names(&volume.files.dir).unwrap().into_iter();
    names.map(|name| name.into_string().unwrap()).filter(|name| !name.ends_with(".lock")).collect()
}
