//! What an engine is told of a new VM, as options.

use super::value;
use clap::ValueEnum;
use ebbtide::vm::record::{Engine, Network};
use ebbtide_format::units::Bytes;

/// Options of verbs that make VMs.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineOptions {
    /// Memory of the guest
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    memory: Option<Bytes>,
    /// Number of its processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cpus: Option<u32>,
    /// Its network
    #[arg(long, value_enum)]
    network: Option<NetworkName>,
}

/// The network of a guest.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum NetworkName {
    /// None
    None,
    /// The engine's own: out, and not in
    User,
}

impl EngineOptions {
    /// Returns whether any of them is given.
    pub(crate) fn is_any(&self) -> bool {
        self.memory.is_some() || self.cpus.is_some() || self.network.is_some()
    }

    /// Sets what is given.
    pub(crate) fn apply(&self, engine: &mut Engine) {
        engine.memory = self.memory.unwrap_or(engine.memory);
        engine.cpus = self.cpus.unwrap_or(engine.cpus);
        engine.network = match self.network {
            Some(NetworkName::None) => Network::None,
            Some(NetworkName::User) => Network::User,
            None => engine.network,
        };
    }
}
