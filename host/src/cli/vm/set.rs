//! `ebbtide vm set`.

use crate::cli::{Context, background, context::said, value};
use ebbtide::{
    Result, VmName,
    vm::{KEYS, set},
};

/// Change settings of a VM or a template; its next start has them
#[derive(Debug, clap::Args)]
#[command(after_help = keys())]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
    /// A setting and its value
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = value::pair)]
    settings: Vec<(String, String)>,
}

/// Returns the list of settings.
fn keys() -> String {
    let width = KEYS.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let lines = KEYS.iter().map(|(key, wanted)| format!("\n  {key:<width$}  {wanted}"));
    format!("Settings:{}", lines.collect::<String>())
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    said(&set(&pool, &options.name, &options.settings)?);
    background::refresh(&pool, &options.name);
    Ok(())
}
