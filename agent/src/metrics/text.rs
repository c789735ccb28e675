//! The text of Prometheus from that of OpenMetrics, for scrapers that do not ask for the latter.

use std::collections::BTreeSet;

/// The same metrics in the text format of Prometheus, version 0.0.4: a counter is called there what its sample is called.
pub fn classic(openmetrics: &str) -> String {
    let typed = |line: &str| -> Option<String> {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        (kind == "counter").then(|| name.to_owned())
    };
    let counters: BTreeSet<String> = openmetrics.lines().filter_map(typed).collect();
    let mut text = String::with_capacity(openmetrics.len() + openmetrics.len() / 8);
    for line in openmetrics.lines() {
        let comment =
            ["# HELP ", "# TYPE "].into_iter().find_map(|head| Some((head, line.strip_prefix(head)?)));
        match comment {
            Some((head, rest)) => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let suffix = if counters.contains(name) { "_total" } else { "" };
                text.push_str(&format!("{head}{name}{suffix} {rest}\n"));
            }
            None if line.starts_with('#') => {}
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}
