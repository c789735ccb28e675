//! Rounds, medians and spreads.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// How often a series may have been disturbed.
const TRIES: usize = 5;

/// Values of one subject, one for each round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    /// Adds the value of a round.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value in the middle.
    pub(crate) fn median(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    /// The largest value.
    pub(crate) fn max(&self) -> f64 {
        quantile(&self.0, 1.0)
    }

    /// The middle half of the values, as a part of the median: 0 is always the same. One value has none.
    pub(crate) fn spread(&self) -> Option<f64> {
        let half = quantile(&self.0, 0.75) - quantile(&self.0, 0.25);
        (self.0.len() > 1).then(|| half / self.median())
    }

    /// The median of the rounds' ratios to another subject's: what slows a round down is in both.
    pub(crate) fn ratio(&self, baseline: &Self) -> f64 {
        let ratios: Vec<f64> = self.0.iter().zip(&baseline.0).map(|(own, other)| own / other).collect();
        quantile(&ratios, 0.5)
    }

    /// Values of the same rounds, put together.
    pub(crate) fn with(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| f(*own, *other)).collect())
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The value below which this part of all values is, between two of them where it has to be. Not a number of none.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = part * (sorted.len().saturating_sub(1)) as f64;
    let value = |at: f64| sorted.get(at as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (value(at.floor()), value(at.ceil()));
    below + (above - below) * at.fract()
}

/// Keeps the calling thread, and those that it starts from now on, on the last CPU that it may use.
pub(crate) fn pin() -> Result<()> {
    let allowed = sched_getaffinity(None).context("ask for the CPUs")?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).context("there is no CPU")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).context("stay on one CPU")
}

/// Lets the calling thread go before all processes that are not of real time themselves.
pub(crate) fn go_first() -> Result<()> {
    let thread = rustix::thread::gettid().to_string();
    let done = Command::new("chrt").args(["--fifo", "--pid", "50", &thread]).status().context("run chrt")?;
    ensure!(done.success(), "chrt: {done}");
    Ok(())
}

/// The CPUs that there are; where `is_apart`, without the one of [`pin`].
pub(crate) fn cpus(is_apart: bool) -> Result<CpuSet> {
    let mut allowed = sched_getaffinity(Pid::from_raw(1)).context("ask for the CPUs")?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).context("there is no CPU")?;
    if is_apart {
        allowed.unset(last);
    }
    Ok(allowed)
}

/// Lets all threads of a process run on these CPUs and no others.
pub(crate) fn move_to(pid: i32, cpus: &CpuSet) -> Result<()> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
        sched_setaffinity(thread, cpus).context("choose the CPUs")?;
    }
    Ok(())
}

/// Time that the calling thread has had on a CPU.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Nanoseconds of one of `runs`, by the times of a tenth of them and of all in a row: what a series costs besides its
/// runs is in both. Where the tenth took longer, since the machine had something else to do, it is measured again.
pub(crate) fn slope(runs: u32, mut series: impl FnMut(u32) -> Result<Duration>) -> Result<f64> {
    let few = runs / 10;
    for _ in 0..TRIES {
        let (short, long) = (series(few)?, series(runs)?);
        if long > short {
            return Ok((long - short).as_nanos() as f64 / f64::from(runs - few));
        }
    }
    bail!("{few} runs took longer than {runs}, {TRIES} times in a row")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn quantiles_lie_between_values() {
        close(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        close(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.5);
        close(quantile(&[1.0, 2.0, 3.0, 4.0], 0.0), 1.0);
        close(quantile(&[1.0, 2.0, 3.0, 4.0], 1.0), 4.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn ratios_are_those_of_rounds() {
        let (own, other): (Rounds, Rounds) =
            ([10.0, 40.0, 20.0].into_iter().collect(), [5.0, 20.0, 10.0].into_iter().collect());
        close(own.ratio(&other), 2.0);
        close(own.median(), 20.0);
        close(own.spread().unwrap_or_default(), 0.75);
        assert_eq!(Rounds::from_iter([1.0]).spread(), None);
        close(own.with(&other, |a, b| a - b).median(), 10.0);
    }

    #[test]
    fn a_slope_knows_no_constant_cost() {
        let each = slope(1_000, |runs| Ok(Duration::from_millis(5) + Duration::from_micros(2) * runs));
        close(each.unwrap_or_default(), 2_000.0);
        assert!(slope(1_000, |_| Ok(Duration::from_millis(5))).is_err(), "no run may take no time");
        let mut disturbed = [9, 5, 1, 5].into_iter();
        let once = slope(1_000, |_| Ok(Duration::from_millis(disturbed.next().unwrap_or_default())));
        close(once.unwrap_or_default(), 4e6 / 900.0);
    }
}
