//! `cargo xtask bench disposables`: how long until a disposable answers a command, started from the beginning, from a hot
//! savestate, and handed over where one stood ready. The same machine, a Debian, in turns.
//!
//! Every time is from the start of the command line's program to the answer of the guest's shell, on the console.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::report::Report;
use super::sample::Sample;
use crate::demo::{Host, Place};
use crate::failure::{Context, Failure, Result};
use crate::images;

/// Starts of each kind.
const ROUNDS: usize = 5;
/// The image that becomes the template.
const IMAGE: &str = "debian-boot";
/// What a disposable from a hot savestate, and one that stood ready, are to be faster than a boot.
const GOALS: [f64; 2] = [8.0, 40.0];
/// How long something in the background, or a boot, may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Has a shell of the guest read commands on its console, which every machine has, when the boot is over.
const SHELL_ON_CONSOLE: &str = "\
cat > /etc/systemd/system/console-shell.service <<'END'
[Unit]
After=multi-user.target
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
[Service]
ExecStart=/bin/sh -c 'exec </dev/ttyS0 >/dev/ttyS0; stty raw -echo clocal; echo shell is ready; while read -r line; do eval \"$line\"; done'
[Install]
WantedBy=multi-user.target
END
systemctl --quiet enable console-shell.service && sync";

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    let rounds = rounds.unwrap_or(ROUNDS);
    images::ensure(&[IMAGE])?;
    let (place, _) = Place::make()?;
    let host = Host::new(place, images::base())?;
    let measured = measure(&host, rounds);
    host.clear();
    let [cold, hot, ready] = measured?;
    let mut report = Report::new("disposables");
    report.say(format!("Under emulation ratios alone mean something. Rounds: {rounds}."));
    report.say("");
    let row = |name: &str, sample: &Sample| {
        vec![name.into(), sample.to_string(), sample.range(), sample.ratio(&cold)]
    };
    let rows = [
        row("from the beginning", &cold),
        row("from a hot savestate", &hot),
        row("stood ready", &ready),
    ];
    report.table(&["disposable", "ms", "range", "as fast"], &rows);
    for (name, sample, goal) in
        [("from a hot savestate", &hot, GOALS[0]), ("that stood ready", &ready, GOALS[1])]
    {
        let ratio = cold.median() / sample.median();
        report.goal(
            ratio >= goal,
            format!(
                "a disposable {name} answers {ratio:.1} times as fast as a boot, wanted {goal}"
            ),
        );
    }
    report.save()
}

/// Makes the VM, and measures starts in turn.
fn measure(host: &Host, rounds: usize) -> Result<[Sample; 3]> {
    let pool = host.pool().display().to_string();
    host.must(&["pool", "create", &pool])?;
    host.must(&["template", "create", "debian", "--from-recipe", IMAGE])?;
    let template = host.start("debian")?;
    let doing = || "the template cannot be edited".to_owned();
    template.run(SHELL_ON_CONSOLE).context(doing)?;
    host.must(&["stop", "debian"])?;
    host.must(&["vm", "create", "work", "--template", "debian", "--private", "64M"])?;
    let mut samples = [Sample::default(), Sample::default(), Sample::default()];
    // Its first boot formats its private disk and makes the home, which no other does.
    host.must(&["start", "work"])?;
    answer(&console(host, "work")?, true).context(|| "work does not come up".to_owned())?;
    host.must(&["stop", "work"])?;
    for round in 0..=rounds {
        host.must(&["vm", "set", "work", "ready=0", "hot=no"])?;
        let cold = start(host, true)?;
        end(host, &cold)?;
        host.must(&["vm", "set", "work", "hot=30s"])?;
        until(|| Ok(host.must(&["savestate", "list", "work"])?.contains("hot")))?;
        let hot = start(host, false)?;
        end(host, &hot)?;
        host.must(&["vm", "set", "work", "ready=1"])?;
        until(|| Ok(host.must(&["vm", "list", "--all"])?.contains("ready")))?;
        let ready = start(host, false)?;
        end(host, &ready)?;
        // The first round finds nothing in the page cache.
        if round > 0 {
            for (sample, one) in samples.iter_mut().zip([&cold, &hot, &ready]) {
                sample.add(one.milliseconds);
            }
        }
        eprintln!(
            "round {round}: {:.0}, {:.0} and {:.0} ms",
            cold.milliseconds, hot.milliseconds, ready.milliseconds
        );
    }
    Ok(samples)
}

/// A disposable that has answered.
struct Answered {
    name: String,
    milliseconds: f64,
}

/// Starts a disposable and has it answer. One that `boots` says first that it takes commands.
fn start(host: &Host, boots: bool) -> Result<Answered> {
    let begun = Instant::now();
    let said = host.must(&["start", "work", "--disposable"])?;
    let name = said.lines().last().unwrap_or_default().to_owned();
    let socket = console(host, &name)?;
    answer(&socket, boots).context(|| format!("{name} does not answer"))?;
    Ok(Answered { name, milliseconds: begun.elapsed().as_secs_f64() * 1000.0 })
}

/// Has the guest's shell answer.
fn answer(console: &Path, boots: bool) -> io::Result<()> {
    let mut stream = UnixStream::connect(console)?;
    if boots {
        hear(&mut stream, "shell is ready")?;
    }
    stream.write_all(b"echo it is $((6 * 7))\n")?;
    hear(&mut stream, "it is 42")
}

/// Waits until the guest has said something.
fn hear(stream: &mut UnixStream, text: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&heard).contains(text) {
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => heard.extend_from_slice(&piece[..length]),
        }
    }
    Ok(())
}

/// Returns the socket of a machine's console.
fn console(host: &Host, name: &str) -> Result<PathBuf> {
    let shown = host.must(&["vm", "show", name, "--json"])?;
    let shown: serde_json::Value =
        serde_json::from_str(&shown).context(|| format!("{name} is not shown"))?;
    let socket = shown["run"]["sockets"]["console"].as_str();
    socket.map(PathBuf::from).ok_or_else(|| Failure::new(format!("{name} has no console")))
}

fn end(host: &Host, one: &Answered) -> Result<()> {
    host.must(&["stop", &one.name, "--force"]).map(drop)
}

/// Waits for something that is done in the background.
fn until(mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > LIMIT {
            return Err(Failure::new("what is made in the background is not there"));
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
