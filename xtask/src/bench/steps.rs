//! How long each step took: lines of the kernel log flow in, times between them flow out.

use super::sample::Sample;

/// Times of steps over many runs of one plan, in milliseconds.
#[derive(Default)]
pub(crate) struct Steps(Vec<(String, Sample)>);

impl Steps {
    /// Adds the log of a run: `[    2.341871] ebbtide: step 1/11 claim vdb`. A step lasts until the next line.
    pub(crate) fn add(&mut self, log: &str) {
        let lines: Vec<(f64, &str)> = log.lines().filter_map(parse).collect();
        for (at, pair) in lines.windows(2).enumerate() {
            let [(from, text), (until, _)] = pair else { continue };
            if at == self.0.len() {
                self.0.push(((*text).to_owned(), Sample::default()));
            }
            self.0[at].1.add((until - from) * 1e3);
        }
    }

    /// Returns the steps and the median of each.
    pub(crate) fn medians(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, sample)| (name.as_str(), sample.median()))
    }
}

fn parse(line: &str) -> Option<(f64, &str)> {
    let (time, text) = line.strip_prefix('[')?.split_once("] ebbtide: ")?;
    Some((time.trim().parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_lasts_until_the_next_line() {
        let mut steps = Steps::default();
        for tenth in [0.1, 0.3, 0.2] {
            steps.add(&format!(
                "[  1.000000] ebbtide: step 1/1 x\nother\n[  {:.6}] ebbtide: ready",
                1.0 + tenth
            ));
        }
        let medians: Vec<_> = steps.medians().collect();
        assert_eq!(medians.len(), 1);
        assert_eq!(medians[0].0, "step 1/1 x");
        assert!((medians[0].1 - 200.0).abs() < 1e-6);
    }
}
