//! What `ebbtide-init status` says, for people and as JSON.
//!
//! In: the store, and the texts of `/proc/self/mountinfo` and [`BINDS`]. Out: lines, or one object:
//!
//! | key | value |
//! |---|---|
//! | `root` | `snapshot`, `writable`, or `other` when `root=` does not name dmroot |
//! | `store` | `null` unless `root` is `snapshot` |
//! | `store.type` | `N`, `P` or `PO` |
//! | `store.health` | `fine`, `full` (writes fail) or `invalid` (reads fail too) |
//! | `store.can_fill` | whether there is less room than rewriting all of the root takes |
//! | `store.encrypted` | whether what it holds is encrypted |
//! | `store.chunk_bytes` | unit of copying |
//! | `store.used_bytes` `.total_bytes` `.metadata_bytes` | metadata is part of used |
//! | `store.used_percent` | in tenths, rounded down |
//! | `store.grown_bytes` | data copied since the start |
//! | `store.bytes_per_hour` | used, on average since the start |
//! | `store.seconds_to_full` | at that pace; `null` where it cannot fill or does not grow |
//! | `uptime_seconds` | time since the start |
//! | `private` | `null`, or an object: `place`, `device`, `type`, `read_only` |
//! | `binds` | a list of objects: `path`, `source`, `declared_by`, `state` |
//!
//! Numbers that device-mapper no longer gives, of a store that is full, are `null`. A bind's `state`
//! is `bound`, `not mounted` when it was bound and is no longer, or the reason why it is not.

use crate::{
    json::Object,
    mountinfo::{self, Mount},
    usage::{Health, Room, Span, Usage},
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, time::Duration};
use ebbtide_format::units::Bytes;

/// Where the binds that were made stand, one a line: path, source, where it is declared, what came of
/// it, and the path without links, with tabs between.
pub const BINDS: &str = "/run/ebbtide/binds";
const BOUND: &str = "bound";

/// Everything that is told.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the root is.
    pub root: Root,
    /// Time since the machine started.
    pub uptime: Duration,
    /// The private disk, where it is mounted.
    pub private: Option<Mount>,
    /// What is bound from it.
    pub binds: Vec<Bind>,
}

/// What the root is.
#[derive(Clone, Debug)]
pub enum Root {
    /// A snapshot.
    Snapshot {
        /// Its store.
        usage: Usage,
        /// Whether the store is encrypted.
        encrypted: bool,
    },
    /// It is written to directly.
    Writable {
        /// Its name below `/dev`.
        device: String,
    },
    /// The kernel command line does not ask for us.
    Other,
}

/// Something bound from the private disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Where it is seen.
    pub path: String,
    /// Where it is kept.
    pub source: String,
    /// The options, or a file and a line.
    pub declared_by: String,
    /// What came of it.
    pub state: String,
}

/// Reads what was bound, and looks whether it still is: what is seen there lies in a mount of the private
/// disk. What is nested in a bind needs no mount of its own.
#[must_use]
pub fn binds(record: &str, mountinfo: &str, private: Option<&Mount>) -> Vec<Bind> {
    let bind = |line: &str| {
        let mut fields = line.split('\t').map(str::to_string);
        let mut next = || fields.next();
        let mut bind =
            Bind { path: next()?, source: next()?, declared_by: next()?, state: next()? };
        let resolved = next().unwrap_or_else(|| bind.path.clone());
        let there = mountinfo::around(mountinfo, &resolved).filter(|mount| mount.place != "/");
        let same = there.zip(private).is_some_and(|(there, kept)| there.number == kept.number);
        if bind.state == BOUND && !same {
            bind.state = "not mounted".into();
        }
        Some(bind)
    };
    record.lines().filter_map(bind).collect()
}

impl Report {
    /// Returns the object on one line.
    #[must_use]
    pub fn json(&self) -> String {
        Object::line(|o| {
            let (root, store) = match &self.root {
                Root::Snapshot { usage, encrypted } => ("snapshot", Some((usage, *encrypted))),
                Root::Writable { .. } => ("writable", None),
                Root::Other => ("other", None),
            };
            o.text("root", Some(root));
            match store {
                Some((usage, encrypted)) => o.object("store", |o| write_store(o, usage, encrypted)),
                None => o.text("store", None),
            }
            o.number("uptime_seconds", Some(self.uptime.as_secs()));
            match &self.private {
                Some(private) => o.object("private", |o| write_private(o, private)),
                None => o.text("private", None),
            }
            o.list("binds", &self.binds, |bind, o| {
                o.text("path", Some(&bind.path));
                o.text("source", Some(&bind.source));
                o.text("declared_by", Some(&bind.declared_by));
                o.text("state", Some(&bind.state));
            });
        })
    }
}

fn write_store(o: &mut Object<'_>, usage: &Usage, encrypted: bool) {
    let room = usage.room();
    let number = |part: fn(Room) -> Bytes| room.map(|room| part(room).0);
    o.text("type", Some(usage.kind.word()));
    o.text("health", Some(health_word(usage.health)));
    o.flag("can_fill", usage.can_fill);
    o.flag("encrypted", encrypted);
    o.number("chunk_bytes", Some(usage.chunk.0));
    o.number("used_bytes", number(|room| room.used));
    o.number("total_bytes", number(|room| room.total));
    o.number("metadata_bytes", number(|room| room.metadata));
    o.tenths("used_percent", room.map(Room::permille));
    o.number("grown_bytes", usage.grown().map(|b| b.0));
    o.number("bytes_per_hour", usage.per_hour().map(|b| b.0));
    o.number("seconds_to_full", usage.to_full().map(|d| d.as_secs()));
}

fn write_private(o: &mut Object<'_>, private: &Mount) {
    o.text("place", Some(&private.place));
    o.text("device", Some(&private.source));
    o.text("type", Some(&private.kind));
    o.flag("read_only", private.read_only);
}

const fn health_word(health: Health) -> &'static str {
    match health {
        Health::Fine(_) => "fine",
        Health::Full => "full",
        Health::Invalid => "invalid",
    }
}

/// Lines for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Snapshot { usage, encrypted } => tell_store(f, usage, *encrypted)?,
            Root::Writable { device } => {
                writeln!(f, "root       {device}, a writable root: no copy-on-write store")?;
            }
            Root::Other => {
                return f.write_str(
                    "nothing to tell: root= on the kernel command line does not name dmroot\n",
                );
            }
        }
        match &self.private {
            Some(Mount { place, source, kind, read_only, .. }) => {
                let access = if *read_only { "read-only" } else { "writable" };
                writeln!(f, "private    {place}: {source}, {kind}, {access}")?;
            }
            None => writeln!(f, "private    not mounted")?,
        }
        tell_binds(f, &self.binds)
    }
}

fn tell_store(f: &mut fmt::Formatter<'_>, usage: &Usage, encrypted: bool) -> fmt::Result {
    let (kind, chunk) = (usage.kind.word(), usage.chunk);
    writeln!(f, "root       dmroot, a snapshot with store {kind} and chunks of {chunk}")?;
    let room = match usage.health {
        Health::Fine(room) => room,
        Health::Full => return writeln!(f, "store      full: the root is read-only, reads go on"),
        Health::Invalid => return writeln!(f, "store      invalid: every read of the root fails"),
    };
    let [used, total, metadata] = [room.used, room.total, room.metadata].map(Bytes::rounded);
    let percent = room.permille();
    write!(f, "store      {}.{} % full: {used} of {total}", percent / 10, percent % 10)?;
    writeln!(f, ", {metadata} of it metadata")?;
    let grown = usage.grown().unwrap_or_default().rounded();
    write!(f, "growth     {grown} since the start {} ago", Span(usage.uptime))?;
    if let Some(pace) = usage.per_hour() {
        write!(f, ", {} an hour", pace.rounded())?;
    }
    match usage.to_full() {
        Some(time) => writeln!(f, "; full in about {}", Span(time))?,
        None if usage.can_fill => writeln!(f)?,
        None => writeln!(f, "; cannot fill")?,
    }
    writeln!(f, "encrypted  {}", if encrypted { "yes" } else { "no" })
}

fn tell_binds(f: &mut fmt::Formatter<'_>, binds: &[Bind]) -> fmt::Result {
    let width = |of: fn(&Bind) -> &String| binds.iter().map(|b| of(b).chars().count()).max();
    let path = width(|b| &b.path).unwrap_or(0);
    let source = width(|b| &b.source).unwrap_or(0);
    for bind in binds {
        write!(f, "bind       {:path$}  {:source$}  ", bind.path, bind.source)?;
        writeln!(f, "{}, by {}", bind.state, bind.declared_by)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::tests::used_mib;
    use serde_json::{Value, json};

    const MOUNTS: &str = "\
30 22 254:32 / /rw rw,nosuid - ext4 /dev/vdb rw
31 22 254:32 /home /home rw,nosuid - ext4 /dev/vdb rw
32 22 0:44 / /usr/local rw - tmpfs none rw
";
    const RECORD: &str = "/home\t/rw/home\toptions\tbound
/usr/local\t/rw/usrlocal\toptions\tbound
/srv\t/rw/bind-dirs/srv\t/rw/config/ebbtide-binds.d/x.conf:3\tno such folder
half a line\n";

    fn report(root: Root) -> Report {
        let private = mountinfo::at(MOUNTS, "/rw");
        let binds = binds(RECORD, MOUNTS, private.as_ref());
        Report { root, uptime: Duration::from_secs(3600), private, binds }
    }

    fn snapshot() -> Report {
        report(Root::Snapshot { usage: used_mib(250, 1000), encrypted: true })
    }

    #[test]
    fn a_bind_is_there_where_its_links_lead_or_in_the_one_around_it() {
        let state = |line: &str, mounts: &str| {
            let private = mountinfo::at(mounts, "/rw");
            let found = binds(line, mounts, private.as_ref());
            found.into_iter().map(|bind| bind.state).collect::<String>()
        };
        let linked = "/link\t/rw/home\toptions\tbound\t/home\n";
        assert_eq!(state(linked, MOUNTS), "bound");
        assert_eq!(state("/home/a/b\t/rw/x\toptions\tbound\t/home/a/b\n", MOUNTS), "bound");
        assert_eq!(state("/srv/a\t/rw/x\toptions\tbound\t/srv/a\n", MOUNTS), "not mounted");
        // Even where the root is the private disk.
        let root = "22 1 254:32 / / rw - ext4 /dev/vdb rw\n".to_string() + MOUNTS;
        assert_eq!(state("/srv/a\t/rw/x\toptions\tbound\t/srv/a\n", &root), "not mounted");
        assert_eq!(
            state("/usr/local/x\t/rw/x\toptions\tbound\t/usr/local/x\n", MOUNTS),
            "not mounted"
        );
        assert_eq!(
            state("/link\t/rw/home\toptions\tno such folder\t/home\n", MOUNTS),
            "no such folder"
        );
    }

    #[test]
    fn tells_people() {
        assert_eq!(
            snapshot().to_string(),
            "\
root       dmroot, a snapshot with store PO and chunks of 4 KiB
store      25.0 % full: 250 MiB of 1000 MiB, 8 KiB of it metadata
growth     249 MiB since the start 1 h 0 min ago, 250 MiB an hour; full in about 3 h 0 min
encrypted  yes
private    /rw: /dev/vdb, ext4, writable
bind       /home       /rw/home           bound, by options
bind       /usr/local  /rw/usrlocal       not mounted, by options
bind       /srv        /rw/bind-dirs/srv  no such folder, by /rw/config/ebbtide-binds.d/x.conf:3
"
        );
    }

    #[test]
    fn the_json_has_the_same() {
        let value: Value = serde_json::from_str(&snapshot().json()).unwrap();
        let store = json!({
            "type": "PO", "health": "fine", "can_fill": true, "encrypted": true,
            "chunk_bytes": 4096, "used_bytes": 250 << 20, "total_bytes": 1000 << 20,
            "metadata_bytes": 8192, "used_percent": 25.0, "grown_bytes": (250 << 20) - 8192,
            "bytes_per_hour": 250 << 20, "seconds_to_full": 3 * 3600,
        });
        assert_eq!(value["store"], store);
        assert_eq!(value["private"]["device"], "/dev/vdb");
        assert_eq!(value["binds"][1]["state"], "not mounted");
        assert_eq!(value["binds"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn other_roots_have_no_store() {
        let writable = report(Root::Writable { device: "vda".into() });
        assert!(
            writable.to_string().starts_with("root       vda, a writable root: no copy-on-write")
        );
        let other = report(Root::Other);
        let value: Value = serde_json::from_str(&other.json()).unwrap();
        assert_eq!((&value["root"], &value["store"]), (&json!("other"), &Value::Null));
        assert_eq!(other.to_string().lines().count(), 1);
    }

    #[test]
    fn a_full_store_has_no_numbers() {
        let usage = Usage { health: Health::Full, ..used_mib(1, 2) };
        let full = report(Root::Snapshot { usage, encrypted: false });
        let value: Value = serde_json::from_str(&full.json()).unwrap();
        assert_eq!(
            (&value["store"]["health"], &value["store"]["used_bytes"]),
            (&json!("full"), &Value::Null)
        );
        assert!(full.to_string().contains("store      full: the root is read-only"));
    }
}
