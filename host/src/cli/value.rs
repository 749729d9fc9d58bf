//! Values of arguments: text flows in, a value or what is wrong with it flows out.

use ebbtide_format::units::Bytes;

/// Reads a size: `2G`, `512M`, `4096`.
pub(crate) fn size(text: &str) -> Result<Bytes, String> {
    Bytes::parse(text).ok_or_else(|| {
        "wanted a whole number of bytes, or one with K, M, G or T, such as 2G".to_owned()
    })
}
