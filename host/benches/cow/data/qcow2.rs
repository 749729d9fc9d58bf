//! What was written as an image of QEMU over the same backing, made by QEMU's own tools with their defaults.

use crate::{
    Result,
    case::Case,
    random::{Of, fill},
    run,
};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// Writes the image of `case`, whose backing is there already. `pieces` is a directory for what is written.
pub(crate) fn make(path: &Path, case: &Case, backing: &Path, pieces: &Path) -> Result<()> {
    let mut create = Command::new("qemu-img");
    create.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(backing).arg(path);
    run::quietly(&mut create)?;
    fs::create_dir_all(pieces)?;
    // The tool fills what it writes from a file.
    let (mut script, mut buffer) = (String::new(), Vec::new());
    for (number, piece) in case.as_written().enumerate() {
        let file = pieces.join(number.to_string());
        buffer.resize((piece.end - piece.start) as usize, 0);
        fill(&mut buffer, piece.start, Of::Written);
        fs::write(&file, &buffer)?;
        writeln!(script, "write -q -s {} {} {}", file.display(), piece.start, buffer.len())?;
    }
    let mut io = Command::new("qemu-io");
    io.args(["-f", "qcow2"]).arg(path).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = io.spawn().map_err(|error| format!("cannot start qemu-io: {error}"))?;
    let mut stdin = child.stdin.take().ok_or("qemu-io takes no commands")?;
    stdin.write_all(script.as_bytes())?;
    drop(stdin);
    if !child.wait()?.success() {
        return Err("qemu-io failed".into());
    }
    fs::remove_dir_all(pieces)?;
    Ok(File::open(path)?.sync_all()?)
}
