//! The story as it is told: claims with their proofs flow in, numbered lines with OK or FAILED flow out.

use std::fmt::Display;
use std::time::Instant;

use vmtest::Guest;

use super::host::Host;
use crate::failure::{Context, Result};

/// Counts the claims.
#[derive(Default)]
pub(crate) struct Story {
    claims: usize,
    failed: usize,
}

/// What is shown for one claim.
#[derive(Default)]
pub(crate) struct Proof {
    lines: Vec<String>,
    fails: bool,
}

impl Story {
    /// Does something that needs no proof, and prints how long it took.
    pub(crate) fn part<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let done = work()?;
        println!("{:>7.1} s  {what}", start.elapsed().as_secs_f64());
        Ok(done)
    }

    /// Proves a claim and prints both. A claim that fails does not end the story; a guest that does not answer does.
    pub(crate) fn claim(
        &mut self,
        claim: &str,
        prove: impl FnOnce(&mut Proof) -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        let mut proof = Proof::default();
        let asked = prove(&mut proof);
        let holds = !proof.fails && asked.is_ok();
        self.claims += 1;
        self.failed += usize::from(!holds);
        let word = if holds { "OK" } else { "FAILED" };
        let took = start.elapsed().as_secs_f64();
        println!("\n{}. {claim:<78} {word:>6} {took:>5.1} s", self.claims);
        proof.lines.iter().for_each(|line| println!("     {line}"));
        asked
    }

    /// Returns how many claims were made.
    pub(crate) fn claims(&self) -> usize {
        self.claims
    }

    /// Returns how many of them failed.
    pub(crate) fn failed(&self) -> usize {
        self.failed
    }
}

impl Proof {
    /// Runs `script` in a guest and shows what it says, whatever that is.
    pub(crate) fn show(&mut self, (name, guest): (&str, &Guest), script: &str) -> Result<String> {
        // A refusal is an answer as well, so the status is left out.
        let reply =
            guest.try_run(script).context(|| format!("{name} does not answer `{script}`"))?;
        Ok(self.told(&format!("{name}$ {script}"), &reply.text()))
    }

    /// Runs `script` in a guest; it has to say `wanted`, errors included.
    pub(crate) fn says(&mut self, guest: (&str, &Guest), script: &str, wanted: &str) -> Result<()> {
        let said = self.show(guest, script)?;
        if said != wanted {
            self.wrong(&format!("it should say: {wanted}"));
        }
        Ok(())
    }

    /// Runs `ebbtide`, shows what it says and returns that; it has to succeed.
    pub(crate) fn ebbtide(&mut self, host: &Host, words: &[&str]) -> Result<String> {
        let said = host.ebbtide(words)?;
        let text = self.told(&format!("$ ebbtide {}", words.join(" ")), &said.text);
        if !said.done {
            self.wrong("it should succeed");
        }
        Ok(text)
    }

    /// Runs `ebbtide`, which has to refuse with a text that has `wanted` in it.
    pub(crate) fn refuses(&mut self, host: &Host, words: &[&str], wanted: &str) -> Result<()> {
        let said = host.ebbtide(words)?;
        self.told(&format!("$ ebbtide {}", words.join(" ")), &said.text);
        if said.done || !said.text.contains(wanted) {
            self.wrong(&format!("it should be refused: {wanted}"));
        }
        Ok(())
    }

    /// Runs a line of shell in the pool and shows it.
    pub(crate) fn shell(&mut self, host: &Host, line: &str) -> Result<String> {
        let said = host.shell(line)?;
        Ok(self.told(&format!("$ {line}"), &said.text))
    }

    /// Shows something seen from the host, which has to be true.
    pub(crate) fn seen(&mut self, what: impl Display, holds: bool) {
        self.lines.push(what.to_string());
        if !holds {
            self.wrong("this should not be so");
        }
    }

    fn told(&mut self, command: &str, said: &str) -> String {
        self.lines.push(command.to_owned());
        self.lines.extend(said.lines().map(|line| format!("  {line}")));
        said.trim_end().to_owned()
    }

    fn wrong(&mut self, why: &str) {
        self.fails = true;
        self.lines.push(format!("^ {why}"));
    }
}
