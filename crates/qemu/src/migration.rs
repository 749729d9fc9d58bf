//! A machine's memory, and the state of its devices: written to an open file, and read from one.

use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::monitor::Monitor;

/// What QEMU knows the file by.
const NAME: &str = "memory";
/// Bytes a second: QEMU's own limit is for networks.
const BANDWIDTH: u64 = 1 << 40;
/// How often QEMU is asked whether it is done, at first and at last.
const OFTEN: Duration = Duration::from_millis(1);
const SELDOM: Duration = Duration::from_millis(50);

impl Monitor {
    /// Writes the memory of a machine that stands still to `file`. The machine stands still afterwards, too, and may go on
    /// whether this succeeds or not.
    ///
    /// # Errors
    /// QEMU refuses, as where a device has a state that cannot be written, or says why it cannot write; it has ended; it
    /// needs longer than the deadline.
    pub fn save(&self, file: impl AsFd, deadline: Deadline) -> Result<()> {
        self.execute("migrate-set-parameters", &json!({"max-bandwidth": BANDWIDTH}))?;
        self.give(NAME, file)?;
        let begun = self.execute("migrate", &json!({"uri": format!("fd:{NAME}")}));
        if let Err(error) = begun {
            // It has it still.
            let _ = self.execute("closefd", &json!({"fdname": NAME}));
            return Err(error);
        }
        let answer = self.until(deadline, "query-migrate", |found| match text(found, "status") {
            "completed" => Some(Ok(())),
            "failed" | "cancelled" => Some(Err(match text(found, "error-desc") {
                "" => "the memory could not be written".into(),
                why => why.to_owned(),
            })),
            _ => None,
        });
        let answer = answer.unwrap_or_else(|error| Err(error.to_string()));
        answer.map_err(|answer| {
            let _ = self.execute("migrate_cancel", &json!({}));
            Error::Monitor { command: "migrate".into(), answer }
        })
    }

    /// Reads what [`Monitor::save`] has written, in a QEMU that was started with `-incoming defer`. The machine stands still
    /// then.
    ///
    /// # Errors
    /// QEMU refuses; it ends when it does not understand what it reads, with its reason on standard error; it needs longer
    /// than the deadline.
    pub fn load(&self, file: impl AsFd, deadline: Deadline) -> Result<()> {
        self.give(NAME, file)?;
        self.execute("migrate-incoming", &json!({"uri": format!("fd:{NAME}")}))?;
        self.until(deadline, "query-status", |found| {
            (text(found, "status") != "inmigrate").then_some(())
        })
    }

    /// Asks again and again, until `look` finds what it wants in an answer.
    pub(crate) fn until<T>(
        &self,
        deadline: Deadline,
        command: &str,
        mut look: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T> {
        let mut pause = OFTEN;
        loop {
            if let Some(found) = look(&self.execute(command, &json!({}))?) {
                return Ok(found);
            }
            if deadline.left().is_none() {
                let answer = format!("not done after {} s", deadline.waited().as_secs());
                return Err(Error::Monitor { command: command.into(), answer });
            }
            thread::sleep(pause);
            pause = (pause * 2).min(SELDOM);
        }
    }

    /// Returns the version of QEMU, as `7.2.0`.
    ///
    /// # Errors
    /// As for [`Monitor::execute`].
    pub fn version(&self) -> Result<String> {
        let found = self.execute("query-version", &json!({}))?;
        let number = |part: &str| found["qemu"][part].as_u64().unwrap_or_default();
        Ok(format!("{}.{}.{}", number("major"), number("minor"), number("micro")))
    }
}

fn text<'a>(found: &'a Value, member: &str) -> &'a str {
    found[member].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::monitor::tests::played;

    use super::*;

    fn soon() -> Deadline {
        Deadline::exactly(Duration::from_secs(10))
    }

    #[test]
    fn a_memory_is_written_when_qemu_says_so() {
        let (monitor, qemu) = played(&[
            "{\"return\":{},\"id\":1}\n",
            "{\"return\":{},\"id\":2}\n",
            "{\"return\":{},\"id\":3}\n",
            "{\"return\":{\"status\":\"active\"},\"id\":4}\n",
            "{\"return\":{\"status\":\"completed\"},\"id\":5}\n",
        ]);
        monitor.save(tempfile::tempfile().unwrap(), soon()).unwrap();
        let heard = qemu.join().unwrap();
        assert!(heard[1].contains("getfd") && heard[2].contains("fd:memory"), "{heard:?}");
    }

    #[test]
    fn a_memory_that_cannot_be_written_has_a_reason() {
        let (monitor, qemu) = played(&[
            "{\"return\":{},\"id\":1}\n",
            "{\"return\":{},\"id\":2}\n",
            "{\"return\":{},\"id\":3}\n",
            "{\"return\":{\"status\":\"failed\",\"error-desc\":\"no room\"},\"id\":4}\n",
            "{\"return\":{},\"id\":5}\n",
        ]);
        let error = monitor.save(tempfile::tempfile().unwrap(), soon()).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused migrate: no room");
        assert!(qemu.join().unwrap()[4].contains("migrate_cancel"));
    }

    #[test]
    fn a_refused_migration_takes_its_descriptor_back() {
        let (monitor, qemu) = played(&[
            "{\"return\":{},\"id\":1}\n",
            "{\"return\":{},\"id\":2}\n",
            "{\"error\":{\"desc\":\"a device cannot\"},\"id\":3}\n",
            "{\"return\":{},\"id\":4}\n",
        ]);
        let error = monitor.save(tempfile::tempfile().unwrap(), soon()).unwrap_err();
        assert!(error.to_string().contains("a device cannot"), "{error}");
        assert!(qemu.join().unwrap()[3].contains("closefd"));
    }

    #[test]
    fn what_is_not_understood_ends_qemu() {
        let (monitor, _qemu) = played(&[
            "{\"return\":{},\"id\":1}\n",
            "{\"return\":{},\"id\":2}\n",
            "{\"return\":{\"status\":\"inmigrate\"},\"id\":3}\n",
        ]);
        assert!(monitor.load(tempfile::tempfile().unwrap(), soon()).is_err());
        assert!(monitor.is_closed());
    }

    #[test]
    fn a_version_has_three_numbers() {
        let (monitor, _qemu) = played(&[
            "{\"return\":{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":22},\"package\":\"x\"},\"id\":1}\n",
        ]);
        assert_eq!(monitor.version().unwrap(), "7.2.22");
    }
}
