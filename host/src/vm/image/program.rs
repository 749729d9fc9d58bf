//! Programs that unpack and convert images.

use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::store::Progress,
};
use ebbtide_format::units::Bytes;
use serde_json::json;
use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, Read, Seek as _, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};

/// How much is read at once, and the least hole: what file systems take for a hole of their own.
const PIECE: usize = 64 << 10;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// Unpacks a file into an empty one, leaving holes for zeros.
pub(super) fn unpack(
    packed: &Path,
    packer: &'static str,
    to: &Path,
    progress: &mut dyn Progress,
) -> Result<()> {
    let doing = |what: &str, path: &Path| Error::doing(format!("{what} {}", path.display()));
    let mut input = File::open(packed).map_err(doing("open", packed))?;
    let size = input.metadata().map_err(doing("look at", packed))?.len();
    // The program reads by the same opening, so where that is tells how far it is.
    let stdin = input.try_clone().map_err(doing("open", packed))?;
    let mut output = OpenOptions::new().write(true).open(to).map_err(doing("open", to))?;
    log::info!("unpack {} to {} by {packer}", packed.display(), to.display());
    let mut command = Command::new(packer);
    command.arg("-dc").stdin(stdin);
    run(packer, &mut command, |stdout| {
        let mut piece = [0; PIECE];
        let mut done = 0;
        loop {
            let count = fill(stdout, &mut piece)?;
            match &piece[..count] {
                [] => break,
                zeros if *zeros == ZEROS[..count] => {
                    output.seek_relative(count as i64)?;
                }
                data => output.write_all(data)?,
            }
            done += count as u64;
            progress.bytes(Bytes(input.stream_position()?.min(size)), Bytes(size));
        }
        output.set_len(done)
    })
}

/// Reads until the buffer is full or the input ends; returns how much.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match input.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Converts an image of a known format, which nobody else writes to, into an empty raw one. The format is not guessed
/// again, and no backing file is followed.
pub(super) fn convert(
    image: &Path,
    format: &str,
    to: &Path,
    progress: &mut dyn Progress,
) -> Result<()> {
    let Some(name) = image.to_str() else {
        let text = format!("the name of {} is no UTF-8, as qemu-img wants it", image.display());
        return Err(Refusal::new(RefusalKind::Invalid, text).into());
    };
    let size = std::fs::metadata(image).map_or(0, |image| image.len());
    let mut source = json!({ "driver": format, "file": { "driver": "file", "filename": name } });
    if matches!(format, "qcow2" | "vmdk") {
        source["backing"] = serde_json::Value::Null;
    }
    log::info!("convert {name} from {format} to {}", to.display());
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-p", "-O", "raw"]).arg(format!("json:{source}")).arg(to);
    command.stdin(Stdio::null());
    run("qemu-img", &mut command, |stdout| {
        // It prints `    (12.50/100%)` and a carriage return now and then.
        let mut line = Vec::new();
        let mut byte = [0];
        while fill(stdout, &mut byte)? == 1 {
            if byte[0] != b'\r' {
                line.push(byte[0]);
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            let percent = text.trim().strip_prefix('(').and_then(|text| text.split('/').next());
            if let Some(percent) = percent.and_then(|text| text.parse::<f64>().ok()) {
                progress.bytes(Bytes((percent / 100.0 * size as f64) as u64), Bytes(size));
            }
            line.clear();
        }
        Ok(())
    })
}

/// Runs a program, does something with its output, and waits for it.
fn run(
    program: &str,
    command: &mut Command,
    consume: impl FnOnce(&mut ChildStdout) -> io::Result<()>,
) -> Result<()> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| missing(program, error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // What it complains about is read beside its output, or it would wait for that with a full pipe.
    let said = thread::spawn(move || {
        let mut said = String::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(1 << 20).read_to_string(&mut said);
        }
        said
    });
    let consumed = match stdout {
        Some(mut stdout) => consume(&mut stdout),
        None => Ok(()),
    };
    if consumed.is_err() {
        stop(&mut child);
    }
    let ended = child.wait().map_err(Error::doing(format!("wait for {program}")))?;
    let said = said.join().unwrap_or_default();
    consumed.map_err(Error::doing(format!("take what {program} gives")))?;
    if ended.success() {
        return Ok(());
    }
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    let said = last.map_or_else(|| format!("it ended with {ended}"), String::from);
    Err(Error::Program { program: program.into(), said })
}

/// Ends a program whose output nobody takes.
fn stop(child: &mut Child) {
    if let Err(error) = child.kill() {
        log::warn!("cannot stop process {}: {error}", child.id());
    }
}

fn missing(program: &str, error: io::Error) -> Error {
    if error.kind() != io::ErrorKind::NotFound {
        return Error::doing(format!("run {}", OsStr::new(program).display()))(error);
    }
    let package = match program {
        "qemu-img" => "qemu-utils",
        "xz" => "xz-utils",
        other => other,
    };
    Refusal::new(RefusalKind::Unable, format!("this image needs {program}, which is not installed"))
        .hint(format!("install it (on Debian: {package}), or give a raw image"))
        .into()
}
