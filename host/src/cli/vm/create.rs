//! `ebbtide vm create`.

use crate::cli::{Context, engine::EngineOptions, place::PlaceOptions, value};
use clap::ValueEnum;
use ebbtide::{
    Result, VmName,
    vm::{NewVm, create, record::RootCow},
};
use ebbtide_format::units::Bytes;

/// Make a VM that boots from a template
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Its name
    name: VmName,
    /// The template
    #[arg(long, value_name = "TEMPLATE")]
    template: VmName,
    /// Size of its private disk, the one that is kept; 0 for none [default: 2G]
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    private: Option<Bytes>,
    /// Room for swap on its volatile disk [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    swap: Option<Bytes>,
    /// Who keeps what it writes to its root until it stops
    #[arg(long, value_enum, default_value_t = Cow::Guest, conflicts_with = "own_root")]
    root_cow: Cow,
    /// Its root is the template's at the first start only, and its own from then on
    #[arg(long)]
    own_root: bool,
    /// How many versions of each disk are kept beside the current one, if not as the pool says
    #[arg(long, value_name = "N")]
    keep: Option<u32>,
    #[command(flatten)]
    engine: EngineOptions,
    #[command(flatten)]
    place: PlaceOptions,
}

/// Who keeps what is written to the root.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cow {
    /// The guest, with ebbtide-init: the root is given to it read-only
    Guest,
    /// The host: the root is a writable copy
    Host,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let mut new = NewVm::new(options.template.clone());
    new.private = options.private.unwrap_or(new.private);
    new.swap = options.swap.unwrap_or(new.swap);
    new.root_cow = match options.root_cow {
        Cow::Guest => RootCow::Guest,
        Cow::Host => RootCow::Host,
    };
    new.own_root = options.own_root;
    new.keep = options.keep;
    if options.engine.is_any() {
        let mut engine = pool.vm(&options.template)?.record.engine;
        options.engine.apply(&mut engine);
        // What the template's kernel is told is the template's.
        engine.cmdline = None;
        new.engine = Some(engine);
    }
    create(&pool, &options.name, &new)?;
    options.place.apply(&pool, &options.name)
}
