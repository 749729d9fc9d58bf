//! A guest that writes out its file systems, and writes no more, for the moment in which an instant of its disks is taken.

use super::told;
use qemu::{Agent, Deadline};
use serde_json::json;
use std::{path::Path, thread, time::Duration};

/// How long a guest may take to write out what it has, and to go on.
const LIMIT: Duration = Duration::from_secs(10);
/// How long one that does not answer is told to go on.
const AT_LAST: Duration = Duration::from_secs(600);

/// A guest that was told to write no more.
#[derive(Debug)]
pub(super) struct Frozen(Agent);

impl Frozen {
    /// Has the guest write no more, as far as its agent answers. `None` when it has certainly not been told. Why it does not is
    /// said by `say`.
    pub(super) fn freeze(socket: &Path, say: &mut dyn FnMut(String)) -> Option<Self> {
        let mut not_held = |error| {
            say(format!("the guest does not hold its file systems: {}", told(error).chain()));
        };
        let deadline = Deadline::after(LIMIT);
        let answers = Agent::connect(socket).and_then(|mut agent| {
            agent.wait(deadline)?;
            Ok(agent)
        });
        let mut agent = answers.map_err(&mut not_held).ok()?;
        if let Err(error) = agent.freeze(deadline) {
            // It may do so later.
            not_held(error);
        }
        Some(Self(agent))
    }

    /// Lets the guest write. One that does not answer is told again and again, while others go on.
    pub(super) fn thaw(mut self) {
        let Err(error) = self.0.thaw(Deadline::after(LIMIT)) else { return };
        log::error!("the guest may hold its file systems still: {}", told(error).chain());
        let again = thread::Builder::new().name("thaw".into());
        let begun = again.spawn(move || {
            if let Err(error) = self.0.thaw(Deadline::after(AT_LAST)) {
                log::error!("the guest holds its file systems, or has ended: {error}");
            }
        });
        if let Err(error) = begun {
            log::error!("nobody tells the guest to go on: {error}");
        }
    }
}

/// Lets a guest write that somebody who is gone may have told to hold its file systems.
pub(super) fn thaw_left(socket: &Path) {
    let thawed =
        Agent::connect(socket).and_then(|mut agent| agent.thaw(Deadline::after(LIMIT / 10)));
    if let Err(error) = thawed {
        log::info!("no agent lets the guest go on: {error}");
    }
}

/// Tells a guest what time it is, in the background: it stood still for nobody knows how long.
pub(super) fn set_clock(socket: &Path) {
    let socket = socket.to_path_buf();
    let set = move || {
        let mut agent = Agent::connect(&socket)?;
        agent.wait(Deadline::after(LIMIT))?;
        let now = jiff::Timestamp::now().as_nanosecond();
        let now = json!({"time": i64::try_from(now).unwrap_or(i64::MAX)});
        agent.execute("guest-set-time", &now, Deadline::after(LIMIT)).map(drop)
    };
    let begun = thread::Builder::new().name("clock".into()).spawn(move || {
        if let Err(error) = set() {
            log::warn!("the guest's clock is not set: {error}");
        }
    });
    if let Err(error) = begun {
        log::warn!("the guest's clock is not set: {error}");
    }
}
