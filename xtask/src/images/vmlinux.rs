//! The kernel without its decompressor: a bzImage flows in, the ELF file inside flows out.
//!
//! QEMU boots an ELF kernel by its PVH note, and an emulated CPU takes seconds to unpack a bzImage.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Result};
use crate::process;

/// How a payload begins, and the program that unpacks it and does not mind what follows it.
const FORMATS: [(&[u8], &[&str]); 4] = [
    (b"\xfd7zXZ\0", &["xz", "--single-stream", "-dc"]),
    (b"\x28\xb5\x2f\xfd", &["zstd", "-dc"]),
    (b"\x02\x21\x4c\x18", &["lz4", "-dc"]),
    (b"\x1f\x8b\x08", &["gzip", "-dc"]),
];

const ELF: &[u8] = b"\x7fELF";

/// Returns the kernel inside `image`.
///
/// # Errors
/// No payload of a known format unpacks to an ELF file.
pub(crate) fn extract(image: &[u8]) -> Result<Vec<u8>> {
    for (magic, command) in FORMATS {
        if process::find(command[0]).is_none() {
            continue;
        }
        for offset in offsets(image, magic) {
            let kernel = unpack(&image[offset..], command)?;
            if kernel.starts_with(ELF) {
                return Ok(kernel);
            }
        }
    }
    Err(Failure::new("the kernel image holds no ELF file packed by xz, zstd, lz4 or gzip"))
}

fn offsets(image: &[u8], magic: &[u8]) -> Vec<usize> {
    let windows = image.windows(magic.len()).enumerate();
    windows.filter(|(_, window)| *window == magic).map(|(offset, _)| offset).collect()
}

/// Returns what `command` makes of `packed`; its exit status says nothing, since more follows the payload.
fn unpack(packed: &[u8], command: &[&str]) -> Result<Vec<u8>> {
    let cannot = || format!("cannot run {}", command.join(" "));
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context(cannot)?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let mut unpacked = Vec::new();
    let read = std::thread::scope(|scope| {
        // The program may stop reading at the payload's end, which breaks the pipe.
        scope.spawn(|| input.map(|mut pipe| pipe.write_all(packed)));
        output.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut unpacked))
    });
    read.and_then(|_| child.wait()).context(cannot)?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_payload_behind_false_beginnings_and_before_garbage() {
        let inner = [ELF, &[7; 100_000]].concat();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("inner");
        std::fs::write(&file, &inner).unwrap();
        let packed = Command::new("gzip").arg("-c").arg(&file).output().unwrap().stdout;
        let image = [b"\x1f\x8b\x08not really".as_slice(), &packed, &[0; 4096]].concat();
        assert_eq!(extract(&image).unwrap(), inner);
    }

    #[test]
    fn refuses_an_image_without_a_kernel() {
        assert!(extract(b"MZ and nothing else").is_err());
    }
}
