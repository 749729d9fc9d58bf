//! The story as it is told: claims with their proofs flow in, numbered lines with OK or FAILED flow out.

use std::fmt::Display;
use std::time::Instant;

use vmtest::Vm;

use crate::failure::{Context, Result};

/// Counts the claims.
#[derive(Default)]
pub(crate) struct Story {
    claims: usize,
    failed: usize,
}

/// What is shown for one claim.
pub(crate) struct Proof<'a> {
    vm: &'a Vm,
    lines: Vec<String>,
    holds: bool,
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
        vm: &Vm,
        prove: impl FnOnce(&mut Proof<'_>) -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        let mut proof = Proof { vm, lines: Vec::new(), holds: true };
        let asked = prove(&mut proof);
        let holds = proof.holds && asked.is_ok();
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

impl Proof<'_> {
    /// Runs `script` in the guest and shows what it says, whatever that is.
    pub(crate) fn show(&mut self, script: &str) -> Result<String> {
        let said = self.ask(script)?;
        self.lines.push(format!("$ {script}"));
        self.lines.extend(said.lines().map(|line| format!("  {line}")));
        Ok(said)
    }

    /// Runs `script` in the guest; it has to say `wanted`, errors included.
    pub(crate) fn says(&mut self, script: &str, wanted: &str) -> Result<()> {
        let said = self.show(script)?;
        if said != wanted {
            self.fails(&format!("it should say: {wanted}"));
        }
        Ok(())
    }

    /// Shows something seen from the host, which has to be true.
    pub(crate) fn seen(&mut self, what: impl Display, holds: bool) {
        self.lines.push(what.to_string());
        if !holds {
            self.fails("this should not be so");
        }
    }

    fn fails(&mut self, why: &str) {
        self.holds = false;
        self.lines.push(format!("^ {why}"));
    }

    /// Returns what the guest says, its exit status left out: a refusal is an answer as well.
    fn ask(&self, script: &str) -> Result<String> {
        let reply =
            self.vm.try_run(script).context(|| format!("the guest does not answer `{script}`"))?;
        Ok(reply.text().trim_end().to_owned())
    }
}
