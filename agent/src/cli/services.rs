//! `banchi services`: which services does banchi know without a definition, and what is known of them?

use std::process::ExitCode;

use serde_json::{Value, json};

use super::table::{paragraphs, table};
use super::{fail, print};
use crate::policy::catalogue::{Entry, entries, find, nearest};
use crate::policy::describe;
use crate::policy::model::Direction;

/// Shows the catalogue: services of OT protocols that a policy may name without defining them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say everything about this one
    name: Option<String>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let Some(name) = &args.name else {
        print(&if args.json { pretty(&entries().iter().map(to_json).collect()) } else { overview() });
        return ExitCode::SUCCESS;
    };
    let Some(entry) = find(name) else {
        let meant = nearest(name).map_or_else(String::new, |name| format!(" did you mean `{name}`?"));
        return fail(
            2,
            format!("the catalogue has no service `{name}`;{meant} `banchi services` lists them"),
        );
    };
    print(&if args.json { pretty(&to_json(entry)) } else { details(entry) });
    ExitCode::SUCCESS
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn to_json(entry: &Entry) -> Value {
    let mut value = json!(entry);
    if let Some(object) = value.as_object_mut() {
        object.insert("definition".to_owned(), json!(describe::definition(&entry.service)));
    }
    value
}

fn overview() -> String {
    let rows: Vec<Vec<String>> = entries()
        .iter()
        .map(|entry| {
            let service = &entry.service;
            vec![
                service.name.clone(),
                service.transport.name().to_owned(),
                describe::relation(service),
                entry.idiom.name().to_owned(),
                describe::direction(service).to_owned(),
                entry.evidence.name().to_owned(),
            ]
        })
        .collect();
    let mut text = table(&["name", "over", "client > server", "idiom", "direction", "evidence"], &rows);
    text.push_str("\n`banchi services NAME` says everything about one of them.\n");
    text
}

fn details(entry: &Entry) -> String {
    let service = &entry.service;
    let mut lines = vec![
        ("ports", format!("{} {} (client > server)", service.transport.name(), describe::relation(service))),
        ("idiom", format!("{}: {}", entry.idiom.name(), entry.idiom.text())),
    ];
    match &service.direction {
        Some(Direction::Named(protocol)) => {
            let about = protocol.about();
            lines.push(("clients", format!("may send {}.", describe::may_send(service.client_may))));
            lines.push(("servers", format!("may send {}.", describe::may_send(service.server_may))));
            lines.push(("direction", format!("{}: {}", about.name, about.rule)));
            lines.push(("undecided", about.undecidable.to_owned()));
        }
        Some(Direction::Custom { .. }) => lines.push(("direction", "A byte of the payload.".to_owned())),
        None => lines.push(("direction", "Not read from the payload: ports decide who asks.".to_owned())),
    }
    lines.extend([
        ("answers", describe::answers(service)),
        ("note", entry.note.clone()),
        ("evidence", format!("{}: {}", entry.evidence.name(), entry.evidence.text())),
        ("source", entry.source.clone()),
    ]);
    lines.retain(|(_, text)| !text.trim().is_empty());
    let name = &service.name;
    format!(
        "{name}: {}\n\n{}\nA policy names it without defining it. To change something, write\n\
         `like: {name}` and what differs, or copy:\n\nservices:\n{}",
        entry.title,
        paragraphs(&lines),
        describe::definition(service)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn everything_fits_a_hundred_columns() {
        for text in entries().iter().map(details).chain([overview()]) {
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
            assert!(!text.contains('…'), "{text}");
        }
    }

    #[test]
    fn json_has_what_people_read() {
        let entry = find("hart-ip-udp").unwrap();
        let value = to_json(entry);
        assert_eq!(value["service"]["name"], "hart-ip-udp");
        assert_eq!(value["idiom"], "wandering-answer");
        assert_eq!(value["evidence"], "captured");
        let definition = value["definition"].as_str().unwrap();
        assert!(definition.contains("reply_from: 5095"), "{definition}");
    }
}
