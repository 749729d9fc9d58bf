//! `ebbtide vm show`.

use crate::cli::{Context, human, out, place::Place, shown, table, volumes};
use ebbtide::{
    Result, VmName,
    engine::qemu,
    pool::Pool,
    vm::{
        Listed, PREPARE, Record, Status, look,
        record::{Network, RootCow},
    },
};
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf};
use uuid::Uuid;

/// Show a VM or a template: its settings, its disks, and who runs it
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
}

/// A VM; sizes in bytes.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a VmName,
    uuid: Uuid,
    kind: String,
    template: Option<&'a VmName>,
    created: jiff::Timestamp,
    dir: PathBuf,
    state: &'static str,
    run: Option<Run<'a>>,
    outdated: bool,
    uncommitted: bool,
    root_cow: &'static str,
    own_root: bool,
    keep: u32,
    swap: u64,
    memory: u64,
    cpus: u32,
    network: &'static str,
    cmdline: Option<&'a str>,
    args: &'a [String],
    volumes: Vec<volumes::VolumeShown>,
    hot: Option<String>,
    ready: u32,
    /// How many of these stand ready.
    standing: usize,
    /// What went wrong when they, or the savestate, were last made.
    ahead_failed: Option<String>,
    #[serde(flatten)]
    place: Place<'a>,
}

/// Who runs it.
#[derive(Debug, Serialize)]
struct Run<'a> {
    engine: &'a str,
    pid: Option<u32>,
    since: jiff::Timestamp,
    sockets: &'a BTreeMap<String, PathBuf>,
    paused: Option<String>,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let listed = look(&pool, pool.vm(&options.name)?)?;
    let shown = show(&pool, &listed)?;
    if context.json { out::json(&shown) } else { out::text(&text(&shown, &listed.vm.record)) }
}

fn show<'a>(pool: &Pool, listed: &'a Listed) -> Result<Shown<'a>> {
    let record = &listed.vm.record;
    let volumes = listed.volumes.iter().map(|(name, state)| {
        let volume = listed.vm.volume(pool, name)?;
        Ok(volumes::VolumeShown::new(pool, &volume, state))
    });
    Ok(Shown {
        name: &listed.vm.name,
        uuid: record.uuid,
        kind: record.kind.to_string(),
        template: record.template.as_ref(),
        created: record.created,
        dir: pool.store().real(&listed.vm.dir),
        state: shown::state(&listed.status),
        run: engine(&listed.status),
        outdated: listed.outdated,
        uncommitted: listed.uncommitted,
        root_cow: match record.root.cow {
            RootCow::Guest => "guest",
            RootCow::Host => "host",
        },
        own_root: record.root.own,
        keep: record.keep.unwrap_or(pool.keep()),
        swap: record.volatile.swap.0,
        memory: record.engine.memory.0,
        cpus: record.engine.cpus,
        network: match record.engine.network {
            Network::None => "none",
            Network::User => "user",
        },
        cmdline: record.engine.cmdline.as_deref(),
        args: &record.engine.args,
        volumes: volumes.collect::<Result<_>>()?,
        hot: record.ahead.hot.map(|hot| hot.to_string()),
        ready: record.ahead.ready,
        standing: qemu::count_ready(pool, &listed.vm.name)?,
        ahead_failed: qemu::last_failure(pool, &listed.vm),
        place: Place::of(record),
    })
}

/// Says when a hot savestate is taken.
fn when(hot: &str) -> String {
    match hot {
        "agent" => "when the guest's agent answers".into(),
        time => format!("after {time}"),
    }
}

fn engine(status: &Status) -> Option<Run<'_>> {
    let (run, paused) = match status {
        Status::Running(run) => (run, qemu::paused(run)),
        Status::Prepared(run) | Status::Elsewhere(run) | Status::CutOff(run) => (run, None),
        Status::Stopped | Status::Busy { .. } => return None,
    };
    let (engine, sockets) = (run.engine.as_str(), &run.sockets);
    Some(Run { engine, pid: run.pid, since: run.since, sockets, paused })
}

fn text(shown: &Shown<'_>, record: &Record) -> String {
    let state = shown::state_cell(shown.state, shown.uncommitted);
    let state = match &shown.run {
        Some(run) if run.engine == PREPARE => format!("{state} since {}", human::time(run.since)),
        Some(run) => {
            let pid = run.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            let paused = run.paused.as_ref().map(|why| format!("; it stands still: {why}"));
            let (since, paused) = (human::time(run.since), paused.unwrap_or_default());
            format!("{state}, {}{pid} since {since}{paused}", run.engine)
        }
        None => state,
    };
    let mut fields = vec![("name", shown.name.to_string()), ("uuid", shown.uuid.to_string())];
    if let Some(template) = shown.template {
        let outdated = if shown.outdated { ", which has another version now" } else { "" };
        fields.push(("template", format!("{template}{outdated}")));
        let root = match (record.root.own, record.root.cow) {
            (true, _) => "its own from the first start on",
            (false, RootCow::Guest) => "read-only; the guest keeps what it writes until it stops",
            (false, RootCow::Host) => "a writable copy until it stops",
        };
        fields.push(("root", root.into()));
    }
    fields.extend(shown.place.fields());
    fields.extend(shown.hot.iter().map(|hot| ("savestate", format!("hot, taken {}", when(hot)))));
    if shown.ready > 0 {
        fields.push(("ready", format!("{} of {} disposables", shown.standing, shown.ready)));
    }
    fields.extend(shown.ahead_failed.iter().map(|why| ("failed", why.replace('\n', "; "))));
    fields.extend([
        ("created", human::time(shown.created)),
        ("directory", shown.dir.display().to_string()),
        ("state", state),
        ("keeps", format!("{} versions of each disk", shown.keep)),
        ("swap", human::size(record.volatile.swap)),
        ("memory", human::size(record.engine.memory)),
        ("cpus", shown.cpus.to_string()),
        ("network", shown.network.into()),
    ]);
    fields.extend(shown.cmdline.map(|cmdline| ("cmdline", cmdline.into())));
    if !shown.args.is_empty() {
        fields.push(("args", shown.args.join(" ")));
    }
    format!("{}\n{}", table::fields(&fields), volumes::table(&shown.volumes))
}
