//! What events are grouped into, and what is said of each group; and that what is accepted changes no other byte.
//!
//! `review/events.jsonl` is what an agent said of real packets. The texts are in `review/expected.txt`. After an intended
//! change: `BLESS=1 cargo test -p banchi --test review`, and read the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use banchi::policy::load;
use banchi::policy::model::Policy;
use banchi::review::memory::{Decision, Memory, Verdict, culprit};
use banchi::review::{Change, Heap, changes, find, read};
use similar::{ChangeTag, TextDiff};

const POLICY: &str = include_str!("review/policy.yaml");
const EVENTS: &str = include_str!("review/events.jsonl");

fn policy(text: &str) -> Policy {
    let loaded = load("policy.yaml", text);
    loaded.policy.unwrap_or_else(|| panic!("{:?}\n{text}", loaded.diagnostics))
}

fn found(events: &str, text: &str) -> Vec<Change> {
    let mut heap = Heap::default();
    let unread = read(events.as_bytes(), |event| heap.add(event)).unwrap();
    assert_eq!(unread.0, 0);
    changes(heap, &policy(text)).unwrap()
}

fn say(change: &Change, text: &mut String) {
    text.push_str(&format!("{} {} {}\n  {}\n", change.id, change.kind.name(), change.title, change.text));
    text.push_str(&format!(
        "  {} asked, {} answered, {} conversations, {} to {}{}\n",
        change.asked,
        change.answered,
        change.conversations,
        &change.first[11..19],
        &change.last[11..19],
        if change.once { ", once" } else { "" }
    ));
    text.push_str(&format!("  {}: {}\n", change.reasons.join(", "), change.deviates));
    if let Some(why) = change.who_asks {
        text.push_str(&format!("  who asks: {}\n", why.text()));
    }
    if let Some(nearest) = &change.nearest {
        text.push_str(&format!(
            "  nearest: {} ({}): {}\n",
            nearest.rule,
            nearest.line,
            nearest.misses.join("; ")
        ));
    }
    match (&change.plan, &change.refuses) {
        (Some(plan), _) => {
            text.push_str(&format!("  writes {}\n  admits {}\n", plan.text(), change.admits.join("; ")));
        }
        (None, why) => text.push_str(&format!("  refused: {}\n", why.as_deref().unwrap_or_default())),
    }
    if !change.members.is_empty() {
        text.push_str(&format!("  {} parts, the first of them\n", change.members.len()));
    }
}

#[test]
fn events_are_grouped_and_said_as_before() {
    let mut text = String::new();
    for change in &found(EVENTS, POLICY) {
        say(change, &mut text);
        if let Some(member) = change.members.first() {
            say(member, &mut text);
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/review/expected.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap());
}

#[test]
fn a_change_is_the_same_one_in_any_order_and_under_any_policy() {
    let ids = |changes: &[Change]| {
        let mut ids: Vec<String> = changes.iter().map(|change| change.id.clone()).collect();
        ids.sort();
        ids
    };
    let expected = ids(&found(EVENTS, POLICY));
    let mut turned: Vec<&str> = EVENTS.lines().collect();
    turned.reverse();
    assert_eq!(ids(&found(&turned.join("\n"), POLICY)), expected);
    let renamed = POLICY.replace("scada", "server-1").replace("polling", "p").replace("plcs", "controllers");
    assert_eq!(ids(&found(EVENTS, &renamed)), expected);
    // Twice the same events are the same changes, with twice the packets.
    let twice = found(&format!("{EVENTS}{EVENTS}"), POLICY);
    assert_eq!(ids(&twice), expected);
    assert_eq!(twice[0].asked, 2 * found(EVENTS, POLICY)[0].asked);
}

/// The same policy as people write it.
fn styles() -> Vec<(&'static str, String)> {
    let lists_at_margin = POLICY
        .replace("\n  - between", "\n- between")
        .replace("\n    ", "\n  ")
        .replace("\n      -", "\n    -");
    let wide = POLICY
        .lines()
        .map(|line| {
            let blanks = line.len() - line.trim_start().len();
            format!("{}{}\n", " ".repeat(blanks), line.trim_start())
        })
        .collect::<String>();
    vec![
        ("as it is", POLICY.to_owned()),
        ("with the ends of another system", POLICY.replace('\n', "\r\n")),
        ("without an end of the last line", POLICY.trim_end().to_owned()),
        ("with comments at the end", format!("{POLICY}\n# the end\n      # of it\n\n\n")),
        ("with comments between", POLICY.replace("\n      - {", "\n\n      # why\n      - {")),
        ("with blanks at the ends of lines", POLICY.replace("}\n", "}  \n")),
        ("with lists at the margin", lists_at_margin),
        ("with other sections last", {
            let (head, conduits) = POLICY.split_once("conduits:").unwrap();
            let (rest, services) = head.split_once("services:").unwrap();
            format!("{rest}conduits:{conduits}\nservices:{services}")
        }),
        ("in German, and with a mark", format!("# Maschinenhalle Süd, Förderband – 番地\n{wide}")),
    ]
}

#[test]
fn what_is_accepted_is_added_and_no_other_byte_changes() {
    let mut written = 0;
    for (style, text) in styles() {
        let policy = policy(&text);
        let all = found(EVENTS, &text);
        let parts = all.iter().flat_map(|change| &change.members);
        for change in all.iter().chain(parts) {
            let Some(plan) = &change.plan else { continue };
            let new = plan
                .write("policy.yaml", &text, &policy, change, "because (alice)")
                .unwrap_or_else(|error| panic!("{style}, {}: {error}", change.title));
            written += 1;
            let diff = TextDiff::from_lines(&text, &new);
            let of = |tag: ChangeTag| -> Vec<String> {
                diff.iter_all_changes()
                    .filter(|one| one.tag() == tag)
                    .map(|one| one.value().to_owned())
                    .collect()
            };
            let (removed, added) = (of(ChangeTag::Delete), of(ChangeTag::Insert));
            let context = format!("{style}, {}: - {removed:?} + {added:?}", change.title);
            if plan.text().starts_with("mac:") {
                assert_eq!((removed.len(), added.len()), (1, 1), "{context}");
                let mac = plan.text()[6..23].to_owned();
                assert_eq!(removed[0].replace("00:80:f4:0a:0b:0c", &mac), added[0], "{context}");
                continue;
            }
            // A last line without an end gets one where something goes behind it.
            let is_end = |line: &String| {
                added.iter().any(|added| added.trim_end() == line) && text.ends_with(line.as_str())
            };
            assert!(removed.iter().all(is_end), "{context}");
            assert!(added.iter().any(|line| line.trim() == "# because (alice)"), "{context}");
            let ends = if text.contains("\r\n") { "\r\n" } else { "\n" };
            assert!(added.iter().all(|line| line.ends_with(ends)), "{context}");
            if style != styles()[0].0 {
                continue;
            }
            // What was seen passes now, so that it is settled; accepting it again is not offered.
            let again = found(EVENTS, &new);
            assert!(find(&again, &change.id).map_or(true, |change| change.settled), "{context}");
        }
    }
    assert!(written >= 9 * 20, "only {written}");
}

#[test]
fn what_cannot_be_written_line_by_line_is_refused() {
    let (head, _) = POLICY.split_once("    allow:\n").unwrap();
    let text = format!("{head}    allow: [{{ client: scada, server: plcs, service: modbus }}]\n");
    let all = found(EVENTS, &text);
    let change = all.iter().find(|change| change.title.ends_with("tcp/8080")).unwrap();
    let error = change.plan.as_ref().unwrap().write("p", &text, &policy(&text), change, "why").unwrap_err();
    assert!(error.to_string().contains("`allow` is written in brackets"), "{error}");
}

#[test]
fn decisions_are_kept_and_what_is_malicious_stays_so() {
    let all = found(EVENTS, POLICY);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/review.json");
    assert_eq!(Memory::read(&file).unwrap(), Memory::default());
    let scan = all.iter().find(|change| change.title.contains("hosts or ports")).unwrap();
    let decision = |verdict, change: &Change| Decision {
        verdict,
        by: "alice".to_owned(),
        time: "2026-11-24T17:00:00.000000Z".to_owned(),
        reason: "nobody knows it".to_owned(),
        what: change.title.clone(),
        source: culprit(change),
    };
    Memory::change(&file, |memory| memory.decide(scan, decision(Verdict::Malicious, scan))).unwrap();
    let memory = Memory::read(&file).unwrap();
    // Neither the scan nor anything that it is made of, also where too few events are left to call it one.
    assert!(memory.forbids(scan).is_some() && scan.members.iter().all(|part| memory.forbids(part).is_some()));
    let few: Vec<&str> = EVENTS
        .lines()
        .filter(|line| !line.contains("10.10.9.98") || line.contains("> 10.20.0.11:3"))
        .collect();
    let few = found(&few.join("\n"), POLICY);
    let part = few.iter().find(|change| change.title.starts_with("10.10.9.98")).unwrap();
    assert!(part.plan.is_some() && memory.forbids(part).is_some(), "{part:?}");
    let other = all.iter().find(|change| change.title.ends_with("tcp/8080")).unwrap();
    assert!(memory.forbids(other).is_none());
    // Whoever uses another's address says nothing of that host.
    let device = all.iter().find(|change| change.title.starts_with("controller at")).unwrap();
    assert_eq!(culprit(device), None);

    let (id, gone) = Memory::change(&file, |memory| memory.forget(&scan.id[..8])).unwrap().unwrap();
    assert_eq!((id.as_str(), gone.verdict), (scan.id.as_str(), Verdict::Malicious));
    assert!(Memory::change(&file, |memory| memory.forget(&scan.id)).unwrap().is_err());
    std::fs::write(&file, "{\"version\":99,\"decisions\":{}}").unwrap();
    assert!(Memory::read(&file).unwrap_err().to_string().contains("version 99"));
    assert!(Memory::change(&file, |_| ()).is_err());
}
