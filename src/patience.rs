//! Patience with a disk that may still appear.

use crate::events::Events;
use ebbtide_init::role::Role;
use std::{
    io,
    time::{Duration, Instant},
};

/// Waits between looks at the machine. The bound begins anew when it is another disk that is waited for.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    events: Option<Events>,
    waiting_for: Option<Role>,
    deadline: Instant,
}

impl Patience {
    /// Returns patience that lasts for `limit` with each disk.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, events: None, waiting_for: None, deadline: Instant::now() }
    }

    /// Waits until it is worth to look again for the disk of `role`; false when the bound has passed.
    ///
    /// Mostly there is nothing to wait for. Where there is, the look that counts comes after the
    /// listening has begun, so nothing is missed between the two. The last look is after the deadline,
    /// whatever the wait ended by.
    ///
    /// # Errors
    /// When the kernel has nothing to listen to.
    pub(crate) fn look_again(&mut self, role: Role) -> io::Result<bool> {
        let Some(events) = &self.events else {
            self.events = Some(Events::listen()?);
            return Ok(true);
        };
        if self.waiting_for != Some(role) {
            log::info!("waiting up to {} s for the {role} disk", self.limit.as_secs());
            self.deadline = Instant::now() + self.limit;
            self.waiting_for = Some(role);
        }
        if Instant::now() >= self.deadline {
            return Ok(false);
        }
        events.wait(self.deadline)?;
        Ok(true)
    }
}
