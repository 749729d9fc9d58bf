//! The terminal in raw mode, and as it was before on every way out: a return, a panic, also one that aborts.

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::{
    io::{self, IsTerminal as _},
    panic,
    sync::{Mutex, Once, PoisonError},
};

/// Undoes what a guest's programs may have set: the other screen, a hidden cursor, reports of the mouse and of what is
/// pasted, a part that scrolls, colours.
const PLAIN: &[u8] = b"\x1b[?1049l\x1b[?25h\x1b[?1000;1002;1003;1006;2004l\x1b[r\x1b[0m";
/// The terminal as it was, while it is raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A raw terminal, until this is dropped.
#[derive(Debug)]
pub(super) struct Raw(());

impl Raw {
    /// Makes the terminal of standard input raw; `None` when it is none.
    pub(super) fn of_stdin() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        HOOK.call_once(restore_before_a_panic_is_told);
        let guard = Self(());
        tcsetattr(&stdin, SetArg::TCSADRAIN, &raw)?;
        Ok(Some(guard))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// A program that aborts at a panic drops nothing; and what a panic says needs a terminal that is not raw.
fn restore_before_a_panic_is_told() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        restore();
        tell(what);
    }));
}

fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        if io::stdout().is_terminal() {
            let _ = nix::unistd::write(io::stdout(), PLAIN);
        }
        // There is nobody left to be told.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &before);
    }
}
