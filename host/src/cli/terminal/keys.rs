//! What keys mean while a guest's console is in the terminal: bytes go in, text and wishes come out.

/// Ctrl-], as terminals send it.
const LEAVE: u8 = 0x1d;

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// For the guest.
    Text(Vec<u8>),
    /// The key to leave: the person wants to know what can be done.
    Menu,
    /// The guest's power button is to be pressed.
    PowerButton,
    /// The person leaves.
    Leave,
}

/// What was typed so far.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Whether the last key was the one to leave.
    chooses: bool,
}

impl Keys {
    /// Divides what was typed next.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        for &byte in bytes {
            match (self.chooses, byte) {
                (false, LEAVE) => typed.push(Typed::Menu),
                (true, b'd' | b'D') => typed.push(Typed::Leave),
                (true, b'p' | b'P') => typed.push(Typed::PowerButton),
                (true, LEAVE) | (false, _) => match typed.last_mut() {
                    Some(Typed::Text(text)) => text.push(byte),
                    _ => typed.push(Typed::Text(vec![byte])),
                },
                (true, _) => {}
            }
            self.chooses = !self.chooses && byte == LEAVE;
        }
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Typed {
        Typed::Text(bytes.into())
    }

    #[test]
    fn every_byte_but_one_is_the_guest_s() {
        let all: Vec<u8> = (0..=255).filter(|&byte| byte != LEAVE).collect();
        assert_eq!(Keys::default().feed(&all), [text(&all)]);
    }

    #[test]
    fn the_key_to_leave_and_the_choice_may_come_apart() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"a\x1d"), [text(b"a"), Typed::Menu]);
        assert_eq!(keys.feed(b"d"), [Typed::Leave]);
        assert_eq!(keys.feed(b"\x1dpd"), [Typed::Menu, Typed::PowerButton, text(b"d")]);
    }

    #[test]
    fn twice_sends_the_key_and_any_other_goes_back() {
        assert_eq!(Keys::default().feed(b"\x1d\x1dd"), [Typed::Menu, text(b"\x1dd")]);
        assert_eq!(Keys::default().feed(b"\x1dxd"), [Typed::Menu, text(b"d")]);
    }
}
