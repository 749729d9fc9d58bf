//! The record of what is bound, for `status`.
//!
//! A line each in `/run/ebbtide/binds`: path, place on the private disk, where it is declared,
//! `bound` or why it is not, and the path without links, with tabs between.

use super::job::Job;
use crate::root::named;
use ebbtide_init::step::MARKERS;
use std::{
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

/// Writes the record; the private disk is mounted at `rw`.
///
/// # Errors
/// With the path, when it cannot be written.
pub(crate) fn write(jobs: &[Job], rw: &str) -> io::Result<()> {
    let mut text = String::new();
    for job in jobs {
        let (bind, source) = (&job.bind, &job.source);
        let _ = write!(text, "{}\t{rw}/{source}\t{}\t", bind.path, bind.by);
        match &job.failed {
            None => text.push_str("bound"),
            // Paths have no control characters; what a file system says may.
            Some(why) => text.extend(why.chars().map(|c| if c.is_control() { ' ' } else { c })),
        }
        text.push('\t');
        text.push_str(&job.path);
        text.push('\n');
    }
    let folder = Path::new(MARKERS);
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(named(folder, &error));
        }
        _ => {}
    }
    let path: PathBuf = folder.join("binds");
    fs::write(&path, text).map_err(|error| named(&path, &error))
}
