//! What happens inside a run of the stage, ours and the script's: the log, tools and system calls flow in, tables out.

use super::report::Report;
use super::root::{CONTESTANTS, STATIC, STATIC_QUIET, Stage, Times};
use super::sample::Sample;
use super::steps::Steps;
use super::syscalls::Syscalls;
use crate::failure::Result;

/// Adds where the time of our own goes: from the first start of the program to its end.
pub(super) fn steps(
    report: &mut Report,
    [start, plan]: &[Sample; 2],
    [loud, quiet]: &[Steps; 2],
    all: &[Times],
) {
    let number = |ms: f64| format!("{ms:.1}");
    let sum = |steps: &Steps| steps.medians().map(|(_, ms)| ms).sum::<f64>();
    let rest = |steps: &Steps, at: usize| number(all[at].root.median() - sum(steps));
    let mut rows = vec![
        vec!["start alone (--version)".to_owned(), String::new(), number(start.median())],
        vec!["start, observe, plan (plan)".to_owned(), String::new(), number(plan.median())],
        vec![
            "all before the first line and after the last".to_owned(),
            rest(loud, STATIC),
            rest(quiet, STATIC_QUIET),
        ],
    ];
    for ((name, loud), (_, quiet)) in loud.medians().zip(quiet.medians()) {
        rows.push(vec![name.to_owned(), number(loud), number(quiet)]);
    }
    report.say("Where the time of the static one goes, ms; steps by the times of the kernel log");
    report.table(&["", "console at info", "quiet"], &rows);
}

/// Adds what each tool of the script takes.
pub(super) fn tools(report: &mut Report, stage: &Stage) -> Result<()> {
    // The clock writes to the standard output, which the script throws away for mkswap.
    let said = stage.run(
        "",
        "sed 's, >/dev/null,,' /bench/root.sh >/run/root.sh; TIMED=/bench/clock dash -e /run/root.sh",
    )?;
    let tools = said.lines().filter_map(|line| line.strip_prefix("clock ")?.split_once(' '));
    let ms = |(name, ns): (&str, &str)| {
        Some(vec![name.to_owned(), format!("{:.0}", ns.parse::<f64>().ok()? / 1e6)])
    };
    let rows: Vec<_> = tools.filter(|(name, _)| *name != "total").filter_map(ms).collect();
    report.say("The tools of the script in turn, one start, each with a clock of its own");
    report.table(&["", "ms"], &rows);
    Ok(())
}

/// Adds how many programs, processes and system calls each takes.
pub(super) fn calls(report: &mut Report, stage: &Stage) -> Result<()> {
    let mut rows = Vec::new();
    let mut lists = Vec::new();
    for contestant in CONTESTANTS.iter().take(STATIC_QUIET) {
        let command = contestant.command;
        let script = format!("strace -f -c -o /run/calls {command} && cat /run/calls");
        let calls = Syscalls::parse(&stage.run("", &script)?);
        let numbers = [calls.execs(), calls.forks(), calls.total()].map(|n| n.to_string());
        rows.push(std::iter::once(contestant.name.to_owned()).chain(numbers).collect());
        if contestant.name == CONTESTANTS[STATIC].name {
            let found = (calls.execs(), calls.forks());
            report.goal(found == (1, 0), format!("{} exec, {} forks: 1 and 0", found.0, found.1));
        }
        lists.push(format!("{}: {}", contestant.name, calls.listed()));
    }
    report.say("");
    report.table(&["counted by strace -f -c", "execs", "forks", "system calls"], &rows);
    lists.iter().for_each(|list| report.say(list));
    report.say("");
    Ok(())
}
