//! A VM's place among others, as it is printed.

use super::{context::said, out};
use ebbtide::{
    Result, VmName,
    pool::Pool,
    vm::{Instance, Record, remove, set},
};
use serde::Serialize;

/// Options of verbs that make VMs.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceOptions {
    /// Its disks never change: a start is that of a clone, NAME-instN
    #[arg(long, conflicts_with = "versioned")]
    immutable: bool,
    /// It is worked on as NAME-next, each clean stop makes a version, and NAME means the newest
    #[arg(long)]
    versioned: bool,
}

impl PlaceOptions {
    /// Sets what is given, of a VM that was just made. It is gone again where that is refused.
    pub(crate) fn apply(&self, pool: &Pool, name: &VmName) -> Result<()> {
        let settings =
            [(self.immutable, ("immutable", "yes")), (self.versioned, ("versioned", "auto"))];
        for (_, setting) in settings.into_iter().filter(|(is, _)| *is) {
            match set(pool, name, &[setting]) {
                Ok(sentences) => said(&sentences),
                Err(error) => {
                    if let Err(stays) = remove(pool, name) {
                        out::say(&format!("{name} is made, and stays: {}", stays.chain()));
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// What a record says of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Place<'a> {
    base: Option<&'a VmName>,
    immutable: bool,
    volatile: bool,
    internal: bool,
    instance: Option<Instance>,
    version_of: Option<&'a VmName>,
    versioned: Option<Versioned>,
}

/// When versions are made, and whether older ones stay.
#[derive(Debug, Clone, Copy, Serialize)]
struct Versioned {
    manual: bool,
    history: bool,
}

impl<'a> Place<'a> {
    pub(crate) fn of(record: &'a Record) -> Self {
        let flags = &record.flags;
        Self {
            base: record.base.as_ref(),
            immutable: flags.immutable,
            volatile: flags.volatile,
            internal: flags.internal,
            instance: flags.instance,
            version_of: flags.version_of.as_ref(),
            versioned: record
                .versioned
                .map(|how| Versioned { manual: how.manual, history: how.history }),
        }
    }

    /// Returns a state with what is behind it in a table.
    pub(crate) fn beside(&self, state: &str) -> String {
        let is_going = self.volatile && self.instance.is_none();
        let words = [
            (self.immutable, "immutable"),
            (self.versioned.is_some(), "versioned"),
            (is_going, "to be removed"),
            (self.instance == Some(Instance::Ready), "ready"),
        ];
        let words = words.iter().filter(|(is, _)| *is).map(|(_, word)| format!(", {word}"));
        format!("{state}{}", words.collect::<String>())
    }

    /// Returns the lines of `vm show`.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if let Some(base) = self.base {
            let what = match self.instance {
                Some(Instance::Kept) => "a start of",
                Some(Instance::Disposable | Instance::Ready) => "a disposable of",
                Some(Instance::Seed) => "runs for a savestate of",
                None => "a linked clone of",
            };
            fields.push(("base", format!("{what} {base}")));
        }
        if let Some(of) = self.version_of {
            fields.push(("version of", of.to_string()));
        }
        if let Some(how) = self.versioned {
            let when = if how.manual { "by 'vm commit'" } else { "at each clean stop" };
            let which = if how.history { "all stay" } else { "the newest stays" };
            fields.push(("versions", format!("{when}; {which}")));
        }
        if self.immutable {
            fields
                .push(("immutable", "its disks do not change; a start is that of a clone".into()));
        }
        if self.volatile {
            fields.push(("volatile", "it goes as soon as nothing refers to it".into()));
        }
        fields
    }
}
