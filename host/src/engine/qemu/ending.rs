//! What becomes of a VM's volumes, decided from how QEMU ended.

use crate::pool::driver::Ending;
use std::process::ExitStatus;

/// QEMU's reason when its monitor was told to quit.
pub(super) const FORCED: &str = "host-qmp-quit";

/// What was seen of QEMU's end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Whether the machine was ever let run.
    pub(super) ran: bool,
    /// Why QEMU said that the machine shuts down, if it did.
    pub(super) reason: Option<&'a str>,
    /// Which write to a kept disk the guest was told has failed, if one has.
    pub(super) lost: Option<&'a str>,
    /// How its process ended; `None` when nobody knows.
    pub(super) status: Option<ExitStatus>,
    /// Whether somebody who still waits has asked to drop what was written.
    pub(super) discard: bool,
}

/// Returns what to do with what was written, and why the VM counts as cut off, if it does.
///
/// A clean end is one that the guest itself came to: a version that others boot from must not be whatever was on the
/// disk when somebody pulled the plug. Nor must it lack a write that failed: what a guest makes of that, nobody knows.
pub(super) fn decide(seen: Seen<'_>) -> (Ending, Option<String>) {
    let cut = why_cut(seen);
    let ending = match (seen.discard && seen.ran, &cut) {
        (true, _) => Ending::Discard,
        (false, None) => Ending::Commit,
        (false, Some(_)) => Ending::Keep,
    };
    (ending, cut)
}

fn why_cut(seen: Seen<'_>) -> Option<String> {
    if !seen.ran {
        return Some("it was never let run".into());
    }
    how_ended(seen)
}

/// Returns how QEMU ended, whether its machine was let run or not; `None` when it ended well.
pub(super) fn how_ended(seen: Seen<'_>) -> Option<String> {
    match (seen.status, seen.reason) {
        (Some(status), Some("guest-shutdown")) if status.success() => seen.lost.map(str::to_owned),
        (Some(status), _) if !status.success() => Some(format!("QEMU ended with {status}")),
        (_, Some("guest-panic")) => Some("the guest's kernel panicked".into()),
        (_, Some(FORCED)) => Some("it was stopped by force".into()),
        (_, Some("host-signal")) => Some("QEMU was told to end by a signal".into()),
        (_, Some(reason)) => Some(format!("QEMU ended it for the reason {reason}")),
        (_, None) => Some("QEMU ended without a word".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const CLEAN: Seen<'static> = Seen {
        ran: true,
        reason: Some("guest-shutdown"),
        lost: None,
        status: None,
        discard: false,
    };

    fn exit(raw: i32) -> Option<ExitStatus> {
        Some(ExitStatus::from_raw(raw))
    }

    #[test]
    fn only_what_the_guest_itself_ended_is_a_version() {
        let clean = Seen { status: exit(0), ..CLEAN };
        assert_eq!(decide(clean), (Ending::Commit, None));
        for (reason, raw, why) in [
            (Some("guest-shutdown"), 9, "signal: 9"),
            (Some("guest-shutdown"), 1 << 8, "exit status: 1"),
            (None, 9, "signal: 9"),
            (None, 0, "without a word"),
            (Some("guest-panic"), 0, "panicked"),
            (Some(FORCED), 0, "by force"),
            (Some("host-signal"), 0, "by a signal"),
            (Some("guest-reset"), 0, "guest-reset"),
        ] {
            let (ending, cut) = decide(Seen { reason, status: exit(raw), ..CLEAN });
            assert_eq!(ending, Ending::Keep, "{reason:?} {raw}");
            assert!(cut.as_ref().is_some_and(|text| text.contains(why)), "{cut:?}");
        }
        let lost = Some("a write to private failed: Input/output error");
        assert_eq!(decide(Seen { lost, ..clean }), (Ending::Keep, lost.map(str::to_owned)));
        assert_eq!(decide(CLEAN).0, Ending::Keep, "nobody saw how the process ended");
    }

    #[test]
    fn how_one_ended_that_was_never_let_run_is_known_too() {
        let killed = Seen { ran: false, reason: None, status: exit(9), ..CLEAN };
        assert_eq!(decide(killed).1.unwrap(), "it was never let run");
        assert!(how_ended(killed).unwrap().contains("signal: 9"));
    }

    #[test]
    fn who_asks_to_discard_is_believed_unless_the_machine_never_ran() {
        for status in [exit(0), exit(9)] {
            assert_eq!(decide(Seen { discard: true, status, ..CLEAN }).0, Ending::Discard);
        }
        let never = Seen { discard: true, ran: false, status: exit(9), ..CLEAN };
        assert_eq!(decide(never).0, Ending::Keep, "an earlier run may have written");
    }
}
