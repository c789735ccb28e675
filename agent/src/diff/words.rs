//! A difference for people.

use std::fmt::Write as _;

use super::{Change, Diff, Kind, What};

/// Widest line.
const WIDTH: usize = 100;

pub(super) fn text(diff: &Diff) -> String {
    let mut text = String::new();
    if diff.changes.is_empty() {
        text.push_str("no difference in meaning: no packet is judged differently\n");
    } else {
        diff.changes.iter().for_each(|change| line(&mut text, change));
        let _ = writeln!(text, "\n{}", summary(&diff.changes));
    }
    if !diff.notes.is_empty() {
        text.push_str("\nwritten differently (what it changes is said above):\n");
        diff.notes.iter().for_each(|change| line(&mut text, change));
    }
    text
}

fn line(text: &mut String, change: &Change) {
    let what = match change.what {
        What::Forwarding => "forwarding".to_owned(),
        What::Defaults => "defaults".to_owned(),
        What::Zone => format!("zone `{}`", change.name),
        What::Conduit => format!("conduit `{}`", change.name),
        What::Addresses => format!("addresses {}", change.name),
        What::Rule => format!("rule `{}`", change.name),
        What::Service => format!("service `{}`", change.name),
        What::Asset => format!("asset `{}`", change.name),
    };
    let became = match (change.kind, &change.was) {
        (Kind::Renamed, Some(was)) => format!("was called `{was}`"),
        (kind, Some(was)) => format!("{} (was called `{was}`)", word(kind)),
        (kind, None) => word(kind).to_owned(),
    };
    let mut head = format!("{what}: {became}");
    match change.details.as_slice() {
        [] => {}
        [one] if head.chars().count() + one.chars().count() + 2 <= WIDTH => {
            let _ = write!(head, ": {one}");
        }
        many => {
            for detail in many {
                let _ = write!(head, "\n    {detail}");
            }
        }
    }
    let _ = writeln!(text, "{head}");
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Added => "ADDED",
        Kind::Removed => "REMOVED",
        Kind::Widened => "WIDENED",
        Kind::Narrowed => "NARROWED",
        Kind::Changed => "CHANGED",
        Kind::Mode => "MODE",
        Kind::Moved => "MOVED",
        Kind::Renamed => "renamed",
    }
}

fn summary(changes: &[Change]) -> String {
    let rules =
        |kind: Kind| changes.iter().filter(|change| change.what == What::Rule && change.kind == kind).count();
    let counts = [
        (rules(Kind::Added), "added"),
        (rules(Kind::Removed), "removed"),
        (rules(Kind::Widened), "widened"),
        (rules(Kind::Narrowed), "narrowed"),
        (rules(Kind::Changed), "changed"),
        (rules(Kind::Mode), "in another mode"),
        (rules(Kind::Moved), "moved"),
    ];
    let said: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let others = changes.iter().filter(|change| change.what != What::Rule).count();
    match (said.is_empty(), others) {
        (false, 0) => format!("rules: {}", said.join(", ")),
        (false, others) => format!("rules: {}; {others} other differences", said.join(", ")),
        (true, others) => format!("no rule differs; {others} other differences"),
    }
}
