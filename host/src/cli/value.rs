//! Values of arguments: text flows in, a value or what is wrong with it flows out.

use ebbtide::{error::Refusal, name::VolumeId};
use ebbtide_format::units::Bytes;

/// Reads a size: `2G`, `512M`, `4096`; at most what a file can have.
pub(crate) fn size(text: &str) -> Result<Bytes, String> {
    const LARGEST: Bytes = Bytes(i64::MAX.unsigned_abs());
    let size = Bytes::parse(text)
        .ok_or("wanted a whole number of bytes, or one with K, M, G or T, such as 2G")?;
    if size > LARGEST {
        return Err(format!("the largest file has {LARGEST}"));
    }
    Ok(size)
}

/// Reads `VM:VOLUME`.
pub(crate) fn volume(text: &str) -> Result<VolumeId, String> {
    text.parse().map_err(said)
}

/// Reads `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.into(), value.into())),
        None => Err("wanted KEY=VALUE, such as memory=1G".into()),
    }
}

/// Returns a refusal as clap shows it.
pub(crate) fn said(refusal: Refusal) -> String {
    match &refusal.hint {
        Some(hint) => format!("{refusal}\nhint: {hint}"),
        None => refusal.text,
    }
}
