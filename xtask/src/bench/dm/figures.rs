//! Lines of `host/benches/dm` flow in, figures by what they are of flow out.

use std::collections::BTreeMap;

use super::super::sample::Sample;
use crate::failure::{Failure, Result};

/// All that was measured.
#[derive(Default)]
pub(super) struct Figures {
    /// In ms, by who, how many around, and what.
    took: BTreeMap<(String, usize, String), Sample>,
    wrote: BTreeMap<(usize, usize, String), Wrote>,
    read: BTreeMap<(usize, usize), Sample>,
    /// When, and what the kernel said, in the order in which it was said.
    pub(super) memory: Vec<(String, Memory)>,
}

/// A load: amounts in bytes.
#[derive(Default, Clone)]
pub(super) struct Wrote {
    pub(super) guest: Sample,
    pub(super) base: Sample,
    pub(super) stores: Sample,
    pub(super) space: Sample,
    pub(super) ms: Sample,
}

/// In KiB, and numbers of devices.
pub(super) struct Memory {
    pub(super) available: i64,
    pub(super) cached: i64,
    pub(super) buffers: i64,
    pub(super) slab: i64,
    pub(super) loops: u64,
    pub(super) devices: u64,
}

impl Figures {
    /// Reads the lines `took`, `wrote`, `read` and `memory`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut figures = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let read = figures.line(line);
            read.ok_or_else(|| Failure::new(format!("dm said what nobody reads: {line}")))?;
        }
        Ok(figures)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |text: &str| text.parse::<f64>().ok();
        match words.as_slice() {
            ["took", who, disks, around, what, nanoseconds] => {
                let key = (format!("{who} {disks}"), around.parse().ok()?, (*what).to_owned());
                self.took.entry(key).or_default().add(number(nanoseconds)? / 1e6);
            }
            ["wrote", chunk, versions, load, guest, base, stores, space, nanoseconds] => {
                let key = (chunk.parse().ok()?, versions.parse().ok()?, (*load).to_owned());
                let wrote = self.wrote.entry(key).or_default();
                wrote.guest.add(number(guest)?);
                wrote.base.add(number(base)?);
                wrote.stores.add(number(stores)?);
                wrote.space.add(number(space)?);
                wrote.ms.add(number(nanoseconds)? / 1e6);
            }
            ["read", chunk, versions, _, nanoseconds] => {
                let key = (chunk.parse().ok()?, versions.parse().ok()?);
                self.read.entry(key).or_default().add(number(nanoseconds)? / 1e6);
            }
            ["memory", when, available, cached, buffers, slab, loops, devices] => {
                let memory = Memory {
                    available: available.parse().ok()?,
                    cached: cached.parse().ok()?,
                    buffers: buffers.parse().ok()?,
                    slab: slab.parse().ok()?,
                    loops: loops.parse().ok()?,
                    devices: devices.parse().ok()?,
                };
                self.memory.push(((*when).to_owned(), memory));
            }
            _ => return None,
        }
        Some(())
    }

    /// Returns what an operation took; nothing when it was not measured.
    pub(super) fn took(&self, who: &str, around: usize, what: &str) -> Sample {
        self.took.get(&(who.into(), around, what.into())).cloned().unwrap_or_default()
    }

    /// Returns what a load came to.
    pub(super) fn wrote(&self, chunk: usize, versions: usize, load: &str) -> Wrote {
        self.wrote.get(&(chunk, versions, load.into())).cloned().unwrap_or_default()
    }

    /// Returns how long reading took.
    pub(super) fn read(&self, chunk: usize, versions: usize) -> Sample {
        self.read.get(&(chunk, versions)).cloned().unwrap_or_default()
    }
}

impl Wrote {
    /// Returns the bytes below for each one of the guest.
    pub(super) fn amplification(&self) -> f64 {
        (self.base.median() + self.stores.median()) / self.guest.median()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_measured() {
        let text = "took script root 200 first-start 3000000\n\
                    took script root 200 first-start 5000000\n\
                    wrote 16 3 random 1000 1000 2500 4096 2000000\n\
                    read 16 3 1048576 7000000\n\n\
                    memory one 9 8 7 6 2 1";
        let figures = Figures::parse(text).unwrap();
        assert_eq!(figures.took("script root", 200, "first-start").median(), 4.0);
        assert_eq!(figures.wrote(16, 3, "random").amplification(), 3.5);
        assert_eq!(figures.read(16, 3).median(), 7.0);
        assert_eq!(figures.memory[0].1.loops, 2);
        assert!(figures.took("driver root", 200, "first-start").is_empty());
    }

    #[test]
    fn a_line_that_nobody_reads_is_no_figure() {
        for line in ["took script root 200 first-start soon", "wrote 8 1 random", "hello"] {
            assert!(Figures::parse(line).is_err(), "{line}");
        }
    }
}
