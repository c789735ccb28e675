//! Results: one row each, as a table for people and as JSON for programs.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::measure::Rounds;
use crate::traffic::Forwarding;

/// One figure.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    /// The part of the benchmark.
    pub(crate) bench: &'static str,
    /// Who was measured.
    pub(crate) subject: String,
    /// Doing what.
    pub(crate) case: String,
    /// How banchi forwards; null of others.
    pub(crate) forwarding: Option<&'static str>,
    /// Mode of banchi's conduits; null of others.
    pub(crate) mode: Option<&'static str>,
    /// Tuples of the policy, or rules of a list.
    pub(crate) tuples: Option<u32>,
    /// Whether one tuple is used, or all of them.
    pub(crate) distribution: Option<&'static str>,
    /// The median of the rounds.
    pub(crate) value: f64,
    /// What it counts.
    pub(crate) unit: &'static str,
    /// The subject that it is held against.
    pub(crate) baseline: Option<String>,
    /// Its value by that of the baseline, round by round.
    pub(crate) ratio: Option<f64>,
    /// The middle half of the rounds, as a part of the value; null where there was one.
    pub(crate) spread: Option<f64>,
    /// Part of the packets that were to arrive and did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) loss: Option<f64>,
}

impl Row {
    /// A row of a part.
    pub(crate) fn new(bench: &'static str, subject: impl Into<String>, case: impl Into<String>) -> Self {
        Self { bench, subject: subject.into(), case: case.into(), ..Self::default() }
    }

    /// How banchi forwards, and in which mode.
    #[must_use]
    pub(crate) fn by(mut self, forwarding: Forwarding, mode: &'static str) -> Self {
        (self.forwarding, self.mode) = (Some(forwarding.name), Some(mode));
        self
    }

    /// Tuples of the policy.
    #[must_use]
    pub(crate) fn tuples(mut self, tuples: u32) -> Self {
        self.tuples = Some(tuples);
        self
    }

    /// The values, and what they count.
    #[must_use]
    pub(crate) fn values(mut self, rounds: &Rounds, unit: &'static str) -> Self {
        (self.value, self.spread, self.unit) = (rounds.median(), rounds.spread(), unit);
        self
    }

    /// What they are held against.
    #[must_use]
    pub(crate) fn against(mut self, subject: &str, own: &Rounds, baseline: &Rounds) -> Self {
        (self.baseline, self.ratio) = (Some(subject.to_owned()), Some(own.ratio(baseline)));
        self
    }

    fn cells(&self) -> [String; 8] {
        let by = [self.forwarding, self.mode].into_iter().flatten().collect::<Vec<_>>().join("/");
        let tuples = self.tuples.map_or_else(String::new, |tuples| {
            format!("{}{}", short(tuples), if self.distribution == Some("uniform") { " all" } else { "" })
        });
        [
            self.case.clone(),
            self.subject.clone(),
            by,
            tuples,
            format!("{} {}", number(self.value), self.unit),
            self.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            self.spread.map_or_else(String::new, |spread| format!("{:.0}%", spread * 100.0)),
            self.loss.map_or_else(String::new, |loss| format!("{:.2}%", loss * 100.0)),
        ]
    }
}

/// All results so far.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether this was a short run, with fewer cases and rounds.
    quick: bool,
    /// Where it ran, and beside what.
    machine: Machine,
    /// The figures.
    pub(crate) results: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Machine {
    kernel: String,
    processor: String,
    processors: usize,
    load: String,
}

impl Report {
    /// A report without results.
    pub(crate) fn new(quick: bool) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let machine = Machine {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: processor.map_or_else(|| "?".to_owned(), |(_, name)| name.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load: read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        };
        Self { quick, machine, results: Vec::new() }
    }

    /// Adds the rows of a part, and shows them.
    pub(crate) fn add(&mut self, rows: Vec<Row>) -> Result<()> {
        let mut out = std::io::stdout().lock();
        write!(out, "\n{}", table(&rows))?;
        out.flush()?;
        self.results.extend(rows);
        Ok(())
    }

    /// Writes all of them.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
    }
}

/// Rows below a heading that says what the columns are, those without any value left out.
fn table(rows: &[Row]) -> String {
    let bench = rows.first().map_or("", |row| row.bench);
    let head = [bench, "subject", "by", "tuples", "value", "ratio", "spread", "loss"].map(str::to_owned);
    let cells: Vec<[String; 8]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |at: usize| {
        let column = || cells.iter().filter_map(move |row| row.get(at)).map(|cell| cell.chars().count());
        if column().skip(1).all(|width| width == 0) { 0 } else { column().max().unwrap_or(0) }
    };
    let widths: Vec<usize> = (0..8).map(width).collect();
    let mut text = String::new();
    for row in &cells {
        let columns = row.iter().zip(&widths).enumerate().filter(|(_, (_, width))| **width > 0);
        let columns = columns.map(|(at, (cell, width))| match at {
            0..=2 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += columns.collect::<Vec<_>>().join(" ").trim_end();
        text.push('\n');
    }
    text
}

/// Three digits or more, and no more than people read.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A number of tuples: `10`, `1k`, `64k`, `1M`.
pub(crate) fn short(tuples: u32) -> String {
    match tuples {
        65_536 => "64k".to_owned(),
        1_000_000.. => format!("{}M", tuples / 1_000_000),
        1_000.. => format!("{}k", tuples / 1_000),
        _ => tuples.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_documented() {
        let rounds: Rounds = [21.0, 21.0, 22.0].into_iter().collect();
        let peer: Rounds = [42.0, 42.0, 44.0].into_iter().collect();
        let row = Row { distribution: Some("hot"), ..Row::new("program", "banchi", "udp-same-port") };
        let row = row.tuples(1_000_000).values(&rounds, "ns").against("xdp-filter", &rounds, &peer);
        let json = serde_json::to_value(&row).unwrap_or_default();
        let wanted = serde_json::json!({
            "bench": "program", "subject": "banchi", "case": "udp-same-port", "forwarding": null, "mode": null,
            "tuples": 1_000_000, "distribution": "hot", "value": 21.0, "unit": "ns", "baseline": "xdp-filter",
            "ratio": 0.5, "spread": 0.5 / 21.0,
        });
        assert_eq!(json, wanted);
        let table = table(&[row]);
        assert_eq!(
            table,
            "program       subject tuples   value ratio spread\n\
             udp-same-port banchi      1M 21.0 ns  0.50     2%\n"
        );
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([3.456, 34.56, 3456.7].map(number), ["3.46", "34.6", "3457"]);
        assert_eq!([10, 1000, 65_536, 100_000, 1_000_000].map(short), ["10", "1k", "64k", "100k", "1M"]);
    }
}
