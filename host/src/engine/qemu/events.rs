//! What QEMU says of a machine while it runs: logged within a bound, and kept as far as somebody has to act on it.

use super::{args::AGENT, child::MOST_LINES};
use jiff::Timestamp;
use qemu::Event;

/// What is known of a machine from its events.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The nodes whose content outlives the run.
    kept: Vec<String>,
    /// How many were logged.
    logged: usize,
    /// Why QEMU said that the machine shuts down, if it did.
    pub(super) reason: Option<String>,
    /// The first write to a kept disk that the guest was told has failed.
    pub(super) lost: Option<String>,
    /// Why the machine stands still, if it does because of a disk.
    pub(super) paused: Option<String>,
    /// Whether the guest's agent has its port open.
    pub(super) agent: bool,
}

impl Events {
    /// Begins with the nodes whose content outlives the run.
    pub(super) fn new(kept: Vec<String>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Takes in what happens next.
    pub(super) fn hear(&mut self, event: &Event) {
        self.log(event);
        match event.name.as_str() {
            "BLOCK_IO_ERROR" => self.hear_failure(event),
            "RESUME" => self.paused = None,
            "VSERPORT_CHANGE" if event.data["id"] == AGENT => {
                self.agent = event.data["open"].as_bool().unwrap_or(false);
            }
            _ => {}
        }
        if let Some(reason) = event.shutdown_reason() {
            self.reason = Some(reason.to_owned());
        }
    }

    fn hear_failure(&mut self, event: &Event) {
        let text = |member: &str| event.data[member].as_str().unwrap_or_default();
        let (node, operation, reason) = (text("node-name"), text("operation"), text("reason"));
        if text("action") == "stop" {
            // QEMU has kept the request, and repeats it when the machine goes on.
            self.paused = Some(match event.data["nospace"].as_bool() {
                Some(true) => format!("no space on the host for {node}"),
                _ => format!("a {operation} of {node} failed: {reason}"),
            });
        } else if operation == "write" && self.kept.iter().any(|kept| kept == node) {
            self.lost.get_or_insert_with(|| format!("a write to {node} failed: {reason}"));
        }
    }

    /// Logs an event, unless there were too many: a guest can cause as many as it likes.
    fn log(&mut self, event: &Event) {
        let level = match event.name.as_str() {
            "BLOCK_IO_ERROR" | "BLOCK_IMAGE_CORRUPTED" | "GUEST_PANICKED" => log::Level::Warn,
            "SHUTDOWN" | "RESET" | "STOP" | "RESUME" | "POWERDOWN" => log::Level::Info,
            _ => return,
        };
        self.logged += 1;
        let time = Timestamp::now();
        if self.logged <= MOST_LINES {
            log::log!(level, "{time:.0} {}: {}", event.name, event.data);
        } else if self.logged == MOST_LINES + 1 {
            log::warn!("{time:.0} there were {MOST_LINES} events; more are not logged");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn event(name: &str, data: Value) -> Event {
        Event { name: name.into(), data }
    }

    fn failure(node: &str, operation: &str, action: &str, full: bool) -> Event {
        let reason = if full { "No space left on device" } else { "Input/output error" };
        let data = json!({"device": "", "node-name": node, "operation": operation, "action": action,
            "nospace": full, "reason": reason});
        event("BLOCK_IO_ERROR", data)
    }

    fn after(all: &[Event]) -> Events {
        let mut events = Events::new(vec!["private".into()]);
        all.iter().for_each(|event| events.hear(event));
        events
    }

    #[test]
    fn a_full_host_pauses_until_the_machine_goes_on_and_loses_nothing() {
        let full = failure("private", "write", "stop", true);
        let events = after(std::slice::from_ref(&full));
        assert_eq!(events.paused.as_deref(), Some("no space on the host for private"));
        assert_eq!(events.lost, None, "QEMU repeats the write");
        let on = after(&[full.clone(), event("STOP", Value::Null), event("RESUME", Value::Null)]);
        assert_eq!(on.paused, None);
        let again = after(&[full.clone(), event("RESUME", Value::Null), full]);
        assert!(again.paused.is_some());
    }

    #[test]
    fn a_write_that_failed_is_remembered_for_what_is_kept() {
        let events = after(&[failure("private", "write", "report", false)]);
        assert_eq!(events.lost.as_deref(), Some("a write to private failed: Input/output error"));
        assert_eq!(events.paused, None);
        for other in [
            failure("volatile", "write", "report", false),
            failure("private", "read", "report", false),
        ] {
            assert_eq!(after(&[other]).lost, None);
        }
    }

    #[test]
    fn an_agent_is_there_while_it_has_its_port_open() {
        let port = |id: &str, open: bool| event("VSERPORT_CHANGE", json!({"id": id, "open": open}));
        assert!(!after(&[]).agent);
        assert!(!after(&[port("other", true)]).agent);
        assert!(after(&[port(AGENT, true), port("other", false)]).agent);
        assert!(!after(&[port(AGENT, true), port(AGENT, false)]).agent);
    }

    #[test]
    fn a_guest_that_resets_for_ever_fills_no_log_and_its_end_is_still_seen() {
        let mut events = after(&vec![event("RESET", Value::Null); 3 * MOST_LINES]);
        assert_eq!(events.logged, 3 * MOST_LINES);
        events.hear(&event("SHUTDOWN", json!({"reason": "guest-shutdown"})));
        assert_eq!(events.reason.as_deref(), Some("guest-shutdown"));
    }
}
