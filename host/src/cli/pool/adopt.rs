//! `ebbtide pool adopt`.

use crate::cli::{Context, out, table::Table, value};
use ebbtide::{
    Result, VmName,
    pool::adopt::{Adopt, AdoptedVm, adopt},
    vm::Kind,
};
use serde::Serialize;
use std::path::PathBuf;

/// Make a pool of the tree of a Qubes file-reflink pool: records are added, and no image is touched
///
/// What cannot be told from the files has to be said: the template of an AppVM where there are several, and which roots
/// are their own. An adoption that was cut off is finished by the same command.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The tree
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The template of an AppVM
    #[arg(long, value_name = "VM=TEMPLATE", value_parser = vm_and_template)]
    template: Vec<(VmName, VmName)>,
    /// An AppVM whose root is its own (a standalone VM)
    #[arg(long, value_name = "VM")]
    own_root: Vec<VmName>,
    /// An AppVM whose root a run has left: the next start drops it
    #[arg(long, value_name = "VM")]
    drop_root: Vec<VmName>,
    /// Take copies where files cannot be cloned
    #[arg(long)]
    allow_copy: bool,
    /// How many versions of each disk are kept beside the current one
    #[arg(long, value_name = "N", default_value_t = Adopt::default().keep)]
    keep: u32,
}

fn vm_and_template(text: &str) -> Result<(VmName, VmName), String> {
    let (vm, template) = text.split_once('=').ok_or("wanted VM=TEMPLATE, such as work=debian")?;
    Ok((vm.parse().map_err(value::said)?, template.parse().map_err(value::said)?))
}

/// What an adoption came to.
#[derive(Debug, Serialize)]
struct Adopted {
    vms: Vec<VmShown>,
    left: Vec<Left>,
}

/// A VM of the tree.
#[derive(Debug, Serialize)]
struct VmShown {
    name: VmName,
    dir: PathBuf,
    kind: String,
    already: bool,
    template: Option<VmName>,
    own_root: bool,
    versions: usize,
    uncommitted: Vec<String>,
    of_run: Vec<PathBuf>,
}

/// What is not adopted.
#[derive(Debug, Serialize)]
struct Left {
    path: PathBuf,
    why: &'static str,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let wanted = Adopt {
        templates: options.template.iter().cloned().collect(),
        own_root: options.own_root.iter().cloned().collect(),
        drop_root: options.drop_root.iter().cloned().collect(),
        allow_copy: options.allow_copy,
        keep: options.keep,
    };
    let adopted = adopt(&options.dir, &wanted)?;
    let adopted = Adopted {
        vms: adopted.vms.into_iter().map(show).collect(),
        left: adopted
            .left
            .into_iter()
            .map(|left| Left { path: left.path, why: left.why })
            .collect(),
    };
    if context.json { out::json(&adopted) } else { out::text(&text(&adopted)) }
}

fn show(vm: AdoptedVm) -> VmShown {
    VmShown {
        name: vm.name,
        dir: vm.dir,
        kind: match vm.kind {
            Kind::Template => "template".into(),
            Kind::AppVm => "appvm".into(),
        },
        already: vm.already,
        template: vm.template,
        own_root: vm.own_root,
        versions: vm.versions,
        uncommitted: vm.uncommitted.iter().map(ToString::to_string).collect(),
        of_run: vm.of_run,
    }
}

/// Returns whose root it is; of those that have been adopted before the record says that.
fn root(vm: &VmShown) -> &'static str {
    match (vm.already, vm.own_root || vm.template.is_none()) {
        (true, _) => "",
        (false, true) => "its own",
        (false, false) => "the template's",
    }
}

fn text(adopted: &Adopted) -> String {
    let mut table = Table::new(["NAME", "KIND", "TEMPLATE", "ROOT", "KEPT", "UNCOMMITTED", ""]);
    for vm in &adopted.vms {
        table.row([
            vm.name.to_string(),
            vm.kind.clone(),
            vm.template.as_ref().map(ToString::to_string).unwrap_or_default(),
            root(vm).into(),
            vm.versions.to_string(),
            vm.uncommitted.join(", "),
            if vm.already { "already adopted" } else { "" }.into(),
        ]);
    }
    let left = adopted.left.iter().map(|left| format!("{}: {}\n", left.path.display(), left.why));
    table.text() + &left.collect::<String>()
}
