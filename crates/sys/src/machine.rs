//! What a process can ask of the machine that it runs on.

/// Returns the size of a page in bytes, from the auxiliary vector.
#[must_use]
pub fn page_size() -> u32 {
    // SAFETY: getauxval only looks a number up.
    let size = unsafe { libc::getauxval(libc::AT_PAGESZ) };
    u32::try_from(size).unwrap_or(4096).max(4096)
}

/// Fills `bytes` with random bytes good enough for identifiers, never for keys.
///
/// Does not wait: early in a boot without a hardware source the kernel's random source needs about
/// a second to become ready, and an identifier is not worth that second (`GRND_INSECURE`, Linux
/// 5.6).
///
/// # Errors
/// `EINVAL` on a kernel that is older.
pub fn random_identifier(bytes: &mut [u8]) -> std::io::Result<()> {
    // SAFETY: the kernel writes at most `len` bytes to the slice.
    let got =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_INSECURE) };
    match usize::try_from(got) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Err(_) => Err(std::io::Error::last_os_error()),
    }
}
