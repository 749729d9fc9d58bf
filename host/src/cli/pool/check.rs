//! `ebbtide pool check`.

use crate::cli::{Context, out};
use ebbtide::{
    Result, VmName,
    error::{Refusal, RefusalKind},
    pool::{
        Pool,
        check::{Finding, Remedy, Severity, check},
        repair::repair,
    },
};
use serde::Serialize;
use std::path::PathBuf;

/// Look for everything that is inconsistent in the pool; exit status 1 where something is
///
/// Notes are good to know and no fault. It may run beside everything else.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Mend what needs no decision; nothing is removed that is not ebbtide's or is in no version
    #[arg(long)]
    repair: bool,
}

/// What a check came to.
#[derive(Debug, Serialize)]
struct Report {
    clean: bool,
    vms: usize,
    in_use: Vec<VmName>,
    findings: Vec<FindingShown>,
    repaired: Vec<String>,
    skipped: Vec<Skipped>,
}

/// Something that is not as it should be, or that is good to know.
#[derive(Debug, Serialize)]
struct FindingShown {
    at: PathBuf,
    problem: &'static str,
    severity: &'static str,
    text: String,
    to_do: Option<String>,
}

/// A VM that was not touched.
#[derive(Debug, Serialize)]
struct Skipped {
    dir: PathBuf,
    why: String,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let report = look(&pool, options.repair)?;
    if context.json {
        out::json(&report)?;
    } else {
        out::text(&text(&report))?;
    }
    verdict(&pool, &report)
}

fn look(pool: &Pool, mend: bool) -> Result<Report> {
    let (repaired, skipped) = if mend {
        let repaired = repair(pool)?;
        (repaired.done, repaired.skipped)
    } else {
        Default::default()
    };
    let report = check(pool)?;
    Ok(Report {
        clean: report.is_clean(),
        vms: report.vms,
        findings: report.findings.iter().map(show).collect(),
        in_use: report.in_use,
        repaired,
        skipped: skipped.into_iter().map(|(dir, why)| Skipped { dir, why }).collect(),
    })
}

fn show(finding: &Finding) -> FindingShown {
    FindingShown {
        at: finding.at.clone(),
        problem: finding.problem.name(),
        severity: match finding.severity() {
            Severity::Note => "note",
            Severity::Mendable => "mendable",
            Severity::Human => "decide",
        },
        text: finding.problem.to_string(),
        to_do: match &finding.remedy {
            Remedy::Note => None,
            Remedy::Steps(_) => Some("'ebbtide pool check --repair' removes it".into()),
            Remedy::Devices => Some("'ebbtide pool check --repair' puts it right".into()),
            Remedy::Settle => Some("the next command that changes the VM settles it".into()),
            Remedy::Human(to_do) => Some(to_do.clone()),
        },
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for sentence in &report.repaired {
        text += &format!("{sentence}\n");
    }
    for Skipped { dir, why } in &report.skipped {
        text += &format!("{}: not touched: {why}\n", dir.display());
    }
    for finding in &report.findings {
        text += &format!("{}: {}: {}\n", finding.severity, finding.at.display(), finding.text);
        if let Some(to_do) = &finding.to_do {
            text += &format!("  {to_do}\n");
        }
    }
    let found = match (report.findings.len(), report.clean) {
        (0, _) => "nothing is wrong".into(),
        (1, true) => "nothing is wrong, 1 note".into(),
        (notes, true) => format!("nothing is wrong, {notes} notes"),
        (_, false) => return text,
    };
    text + &format!("{} VMs and templates: {found}\n", report.vms)
}

/// Returns whether the pool is as it should be, as an exit status.
fn verdict(pool: &Pool, report: &Report) -> Result<()> {
    if report.clean {
        return Ok(());
    }
    let count = |severity: &str| {
        report.findings.iter().filter(|finding| finding.severity == severity).count()
    };
    let (mendable, decide) = (count("mendable"), count("decide"));
    let found = match mendable + decide {
        1 => "1 thing is not as it should be".into(),
        found => format!("{found} things are not as they should be"),
    };
    let text = format!("{}: {found}", pool.dir().display());
    let refusal = Refusal::new(RefusalKind::Rule, text);
    Err(match (mendable, decide) {
        (0, _) => refusal,
        (_, 0) => refusal.hint("'ebbtide pool check --repair' mends it"),
        _ => refusal.hint("'ebbtide pool check --repair' mends what needs no decision"),
    }
    .into())
}
