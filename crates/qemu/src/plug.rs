//! Devices that come and go while a machine runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::monitor::Monitor;

/// Where QEMU has the devices that were given an id.
const DEVICES: &str = "/machine/peripheral";
/// How often a guest is looked at that is to give up a device.
const OFTEN: Duration = Duration::from_millis(2);

impl Monitor {
    /// Gives the machine a device.
    ///
    /// # Errors
    /// As for [`Monitor::execute`].
    pub fn plug(&self, device: &Value) -> Result<()> {
        self.execute("device_add", device).map(drop)
    }

    /// Has the guest give up a device, and waits until it is gone. A guest that does not hear of it may give it up later.
    ///
    /// # Errors
    /// The guest does not give it up before the deadline.
    pub fn unplug(&self, id: &str, deadline: Deadline) -> Result<()> {
        self.execute("device_del", &json!({"id": id}))?;
        while self.has(id)? {
            if deadline.left().is_none() {
                let answer = format!(
                    "the guest has not given up {id} within {} s",
                    deadline.waited().as_secs()
                );
                return Err(Error::Monitor { command: "device_del".into(), answer });
            }
            std::thread::sleep(OFTEN);
        }
        Ok(())
    }

    /// Returns whether the machine has a device.
    ///
    /// # Errors
    /// As for [`Monitor::execute`].
    pub fn has(&self, id: &str) -> Result<bool> {
        let found = self.execute("qom-list", &json!({"path": DEVICES}))?;
        Ok(found.as_array().is_some_and(|found| found.iter().any(|device| device["name"] == id)))
    }
}

#[cfg(test)]
mod tests {
    use crate::monitor::tests::played;

    use super::*;

    #[test]
    fn a_device_is_gone_when_the_guest_has_given_it_up() {
        let (monitor, _qemu) = played(&[
            "{\"return\":{},\"id\":1}\n",
            "{\"return\":[{\"name\":\"type\"},{\"name\":\"nic\"}],\"id\":2}\n",
            "{\"return\":[{\"name\":\"type\"}],\"id\":3}\n",
        ]);
        monitor.unplug("nic", Deadline::exactly(Duration::from_secs(10))).unwrap();
    }

    #[test]
    fn a_guest_that_keeps_a_device_is_not_waited_for_for_ever() {
        let (monitor, _qemu) =
            played(&["{\"return\":{},\"id\":1}\n", "{\"return\":[{\"name\":\"nic\"}],\"id\":2}\n"]);
        let error = monitor.unplug("nic", Deadline::exactly(Duration::ZERO)).unwrap_err();
        assert!(error.to_string().contains("has not given up nic"), "{error}");
    }
}
