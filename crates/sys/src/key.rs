//! Random bytes for a key, and their end.

use crate::alarm::Alarm;
use std::{
    io,
    time::{Duration, Instant},
};

/// A key of `N` random bytes in memory that the caller lends, so that it is never moved and no copy
/// stays behind. Dropping it wipes that memory.
pub struct Key<'a, const N: usize>(&'a mut [u8; N]);

impl<'a, const N: usize> Key<'a, N> {
    /// Draws a key from the kernel's random source, waiting at most `patience` until that has been
    /// seeded: early in a boot it may not be.
    ///
    /// # Errors
    /// `TimedOut` when it was not seeded by then.
    pub fn draw(room: &'a mut [u8; N], patience: Duration) -> io::Result<Self> {
        // A key from here on, so that a part of one is wiped too.
        let key = Self(room);
        match fill(key.0, libc::GRND_NONBLOCK) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            decided => return decided.map(|()| key),
        }
        let deadline = Instant::now() + patience;
        let _alarm = Alarm::ring_from(patience)?;
        loop {
            // A call that waits does the seeding too, from jitter, where nothing else does.
            match fill(key.0, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if Instant::now() >= deadline {
                        let text = "the kernel's random source has not been seeded for";
                        let text = format!("{text} {} s", patience.as_secs());
                        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                    }
                }
                decided => return decided.map(|()| key),
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0
    }
}

impl<const N: usize> Drop for Key<'_, N> {
    fn drop(&mut self) {
        // SAFETY: the memory is borrowed for as long as the key lives, all N bytes of it.
        unsafe { libc::explicit_bzero(self.0.as_mut_ptr().cast(), N) }
    }
}

fn fill(bytes: &mut [u8], flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the kernel writes at most `len` bytes to the slice.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), flags) };
    match usize::try_from(got) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_random_while_it_lives_and_gone_afterwards() {
        let mut rooms = [[0; 64]; 2];
        let [one, other] = &mut rooms;
        let keys = [one, other].map(|room| Key::draw(room, Duration::ZERO).unwrap());
        assert_ne!(keys[0].bytes(), keys[1].bytes());
        for part in keys.iter().flat_map(|key| key.bytes().chunks(16)) {
            assert_ne!(part, [0; 16]);
        }
        drop(keys);
        assert_eq!(rooms, [[0; 64]; 2]);
    }
}
