//! Walks with answers from a list.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod others;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::rc::Rc;

use clap::Parser;
use serde_json::Value;
use tempfile::TempDir;

use super::keyboard::{Typed, Typist};
use super::outcome::End;
use super::round::Round;
use super::*;
use crate::review::Change;

const POLICY: &str = include_str!("../../../../tests/review/policy.yaml");
const EVENTS: &str = include_str!("../../../../tests/review/events.jsonl");

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    review: super::super::Args,
}

/// What comes of waiting for a line; before that somebody else may do something.
enum Turn {
    Types(&'static str),
    Presses(Typed),
    Meanwhile(Box<dyn Fn()>),
}

/// What stands on the terminal.
#[derive(Clone, Default)]
struct Shown(Rc<RefCell<Vec<u8>>>);

impl Shown {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl io::Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Script(VecDeque<Turn>, Shown);

impl Typist for &mut Script {
    fn line(&mut self) -> io::Result<Typed> {
        loop {
            match self.0.pop_front() {
                Some(Turn::Types(line)) => {
                    // As a terminal shows it; controls are its own affair.
                    writeln!(self.1, "{}", line.escape_default())?;
                    return Ok(Typed::Line(format!("{line}\n")));
                }
                Some(Turn::Presses(typed)) => return Ok(typed),
                Some(Turn::Meanwhile(act)) => act(),
                None => return Ok(Typed::Closed),
            }
        }
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn walk_of(line: &Line) -> &Walk {
    match &line.review.what {
        Some(super::super::What::Walk(args)) => args,
        other => panic!("{other:?}"),
    }
}

fn types(lines: &[&'static str]) -> Vec<Turn> {
    lines.iter().map(|line| Turn::Types(line)).collect()
}

/// A place with a policy, events, and whatever is decided.
struct Desk {
    folder: TempDir,
    /// Where decisions are kept.
    memory: &'static str,
}

impl Desk {
    fn new(policy: &str, events: &str) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), memory: "review.json" };
        fs::write(desk.file("policy.yaml"), policy).unwrap();
        fs::write(desk.file("events.jsonl"), events).unwrap();
        desk
    }

    /// With the changes whose events have one of these in them.
    fn with(parts: &[&str]) -> Self {
        let of = |line: &&str| parts.iter().any(|part| line.contains(part));
        let events: Vec<&str> = EVENTS.lines().filter(of).collect();
        assert!(!events.is_empty());
        Self::new(POLICY, &events.join("\n"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn arguments(&self, words: &[&str]) -> Line {
        let file = |name: &str| self.file(name).display().to_string();
        let places = [
            ("--events", "events.jsonl"),
            ("--memory", self.memory),
            ("--audit", "audit.jsonl"),
            ("--socket", "none.sock"),
            ("--pins", "none"),
        ];
        let places = places.into_iter().flat_map(|(option, name)| [option.to_owned(), file(name)]);
        let words =
            words.iter().map(|word| if *word == "POLICY" { file("policy.yaml") } else { (*word).to_owned() });
        Line::try_parse_from(["review".to_owned()].into_iter().chain(words).chain(places)).unwrap()
    }

    /// What a verb does.
    fn verb(&self, words: &[&str]) {
        let line = self.arguments(words);
        assert_eq!(super::super::run(&line.review), ExitCode::SUCCESS, "{words:?}");
    }

    fn walk_with(&self, words: &[&str], turns: Vec<Turn>) -> (String, End) {
        let line = self.arguments(&[&["walk"], words].concat());
        let args = walk_of(&line);
        let ground = args.ground().unwrap();
        let (heap, from) = args.sources.heap().unwrap();
        let shown = Shown::default();
        let mut script = Script(turns.into(), shown.clone());
        let end = Round::new(args, ground, heap, &mut script, shown.clone()).unwrap().walk(&from).unwrap();
        assert!(script.0.is_empty(), "{} answers were not asked for", script.0.len());
        let text = shown.text();
        // Lines of a policy and paths are shown as they are.
        let is_own = |part: &&str| ["change ", "all "].iter().any(|label| part.starts_with(label));
        let own = text.split("\n\n").filter(is_own).flat_map(str::lines);
        for line in own.filter(|line| !line.contains("policy.yaml")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        (text, end)
    }

    fn walk(&self, lines: &[&'static str]) -> (String, End) {
        self.walk_with(&["--into", "POLICY", "--by", "alice"], types(lines))
    }

    fn policy(&self) -> String {
        fs::read_to_string(self.file("policy.yaml")).unwrap()
    }

    /// In the order of the list.
    fn changes(&self) -> Vec<Change> {
        let line = self.arguments(&["walk", "--into", "POLICY"]);
        let args = walk_of(&line);
        let policy = args.ground().unwrap();
        crate::review::changes(args.sources.heap().unwrap().0, policy.policy()).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        self.changes().into_iter().map(|change| change.id).collect()
    }

    /// Policy, decisions and log, with the times taken out.
    fn outcome(&self) -> (String, Value, Vec<Value>) {
        let mut memory: Value = serde_json::from_slice(&fs::read(self.file("review.json")).unwrap()).unwrap();
        for decision in memory["decisions"].as_object_mut().unwrap().values_mut() {
            decision["time"].take();
        }
        let audit = fs::read_to_string(self.file("audit.jsonl")).unwrap();
        let audit = audit.lines().map(|line| {
            let mut entry: Value = serde_json::from_str(line).unwrap();
            for key in ["time", "previous", "pid", "command"] {
                entry.as_object_mut().unwrap().remove(key);
            }
            entry
        });
        (self.policy(), memory, audit.collect())
    }
}

fn titles(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("change ")).map(str::trim).collect()
}

const SERVICES: [&str; 2] = ["\"dst_port\":8080", "\"dst_port\":6012"];

#[test]
fn an_answer_does_what_the_verb_does() {
    let desk = Desk::new(POLICY, EVENTS);
    let ids = desk.ids();
    // The first three are of devices, the fourth of who asks that should not; a scan, a new host and others follow.
    let said = ["a", "replaced", "d", "moved on purpose", "malicious", "nobody knows it"];
    let (text, end) = desk.walk(&[&said[..], &["s", "q"]].concat());
    assert_eq!(end, End::Done, "{text}");
    assert!(text.contains("1 accepted, 1 dismissed, 1 malicious, 1 skipped"), "{text}");
    let walked = desk.outcome();
    assert_ne!(walked.0, POLICY);
    for name in ["review.json", "audit.jsonl"] {
        fs::remove_file(desk.file(name)).unwrap();
    }
    fs::write(desk.file("policy.yaml"), POLICY).unwrap();
    let by = ["--by", "alice", "--reason"];
    desk.verb(&[&["accept", &ids[0], "--into", "POLICY"], &by[..], &["replaced"]].concat());
    desk.verb(&[&["dismiss", &ids[1], "--policy", "POLICY"], &by[..], &["moved on purpose"]].concat());
    desk.verb(&[&["malicious", &ids[2], "--policy", "POLICY"], &by[..], &["nobody knows it"]].concat());
    assert_eq!(walked, desk.outcome());
}

/// Accepts whatever may be, and looks at the question for that.
struct Eager(Shown);

impl Typist for Eager {
    fn line(&mut self) -> io::Result<Typed> {
        let shown = self.0.text();
        let answer = match shown.lines().last().unwrap_or_default() {
            why if why.starts_with("why") => "because",
            what if what.contains("[a,") => "a",
            _ => "s",
        };
        writeln!(self.0, "{answer}")?;
        Ok(Typed::Line(answer.to_owned()))
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn everything_that_can_be_is_accepted_one_after_the_other() {
    let desk = Desk::new(POLICY, EVENTS);
    let line = desk.arguments(&["walk", "--into", "POLICY"]);
    let args = walk_of(&line);
    let (heap, from) = args.sources.heap().unwrap();
    let shown = Shown::default();
    let eager = Eager(shown.clone());
    let end =
        Round::new(args, args.ground().unwrap(), heap, eager, shown.clone()).unwrap().walk(&from).unwrap();
    let text = shown.text();
    assert_eq!(end, End::Done, "{text}");
    assert!(text.contains("nothing decides differently until `banchi apply"), "{text}");
    let (policy, memory, audit) = desk.outcome();
    let rules = policy.matches("# because (").count();
    let accepted = memory["decisions"].as_object().unwrap().len();
    assert!(
        rules >= 5 && accepted > rules && audit.len() == accepted,
        "{rules} {accepted} {} {text}",
        audit.len()
    );
    assert!(crate::policy::load("policy.yaml", &policy).policy.is_some(), "{policy}");
    let (again, _) = desk.walk(&["q"]);
    assert!(!again.contains("[a,"), "{again}");
}

#[test]
fn what_cannot_be_done_is_said_and_the_question_stays() {
    let desk = Desk::with(&SERVICES);
    let first = desk.ids().remove(0);
    let (text, end) = desk.walk(&[
        "",          // the keys
        "accept it", // no answer
        "a",
        " \u{1b} ", // no reason
        "g",        // by no policy that decides
        "b",        // nothing is before it
        "p",        // nor a part of it
        "f",        // nor was it decided
        "m",
        "who is that",
        "b",
        "a", // which it must not be any more
        "d",
        "g",
        "f",
        "it is the vendor",
        "s",
    ]);
    assert_eq!(end, End::Done, "{text}");
    assert!(text.contains("a  accept: write the rule that is shown"), "{text}");
    assert!(text.contains("nothing was decided"), "{text}");
    assert!(text.contains("there is no change before it") && text.contains("it has no parts"), "{text}");
    assert!(text.contains(&format!("nothing was decided about `{first}`")), "{text}");
    assert_eq!(text.matches("only `banchi review forget").count(), 3, "{text}");
    assert_eq!(text.matches("banchi: no data plane is pinned at").count(), 1, "{text}");
    // Nobody is asked for a reason in vain.
    assert_eq!(text.matches("why (an").count(), 3, "{text}");
    assert!(text.contains("1 open again") && text.contains("1 skipped"), "{text}");
    assert_eq!(desk.policy(), POLICY);
    let (_, memory, audit) = desk.outcome();
    assert_eq!(memory["decisions"], serde_json::json!({}));
    let results: Vec<&str> = audit.iter().filter_map(|entry| entry["result"].as_str()).collect();
    assert_eq!(results, ["done", "done"], "{audit:#?}");
}

#[test]
fn what_is_malicious_takes_its_host_with_it() {
    let desk = Desk::with(&["10.10.9.98"]);
    let (text, _) = desk.walk(&["p", "m", "nobody knows it", "a", "q"]);
    assert!(text.contains("another change of the same host is malicious"), "{text}");
    assert!(text.contains("beware"), "{text}");
    assert_eq!(desk.policy(), POLICY);
    // The scan itself and its parts, of which one was decided about.
    let count = titles(&text).len();
    assert!(count == 3, "{text}");
}

#[test]
fn whoever_leaves_keeps_what_was_decided() {
    for (typed, end) in [(Typed::Closed, End::Closed), (Typed::Interrupted, End::Interrupted)] {
        let desk = Desk::with(&SERVICES);
        let mut turns = types(&["d", "known", "a"]);
        turns.push(Turn::Presses(typed));
        let (text, ended) = desk.walk_with(&["--into", "POLICY"], turns);
        assert_eq!(ended, end);
        assert!(text.contains("1 dismissed, 1 left open"), "{text}");
        assert_eq!((desk.policy().as_str(), desk.outcome().2.len()), (POLICY, 1));
        let (text, _) = desk.walk(&["s"]);
        assert!(text.contains("1 change(s)"), "only the other one is asked about again: {text}");
    }
}

#[test]
fn without_a_file_no_rule_is_written() {
    let desk = Desk::with(&SERVICES);
    let (text, _) = desk.walk_with(&["--policy", "POLICY"], types(&["a", "d", "known", "q"]));
    assert!(text.contains("no rule can be written without `--into POLICY`"), "{text}");
    assert!(!text.contains("[a,") && !text.contains("banchi apply"), "{text}");
    let text =
        Line::try_parse_from(["review", "walk", "--into", "a", "--policy", "b"]).unwrap_err().to_string();
    assert!(text.contains("cannot be used with"), "{text}");
    assert!(Line::try_parse_from(["review", "walk", "--json"]).is_err());
}

#[test]
fn names_from_elsewhere_are_spelt_out() {
    let line = EVENTS.lines().find(|line| line.contains(SERVICES[0])).unwrap();
    let mut event: Value = serde_json::from_str(line).unwrap();
    for key in ["conduit", "rule", "interface", "class"] {
        event[key] = "\u{1b}[2J\u{202e}x\r\nchange forged".into();
    }
    let policy = POLICY.replace("# The policy", "# \u{202e}The policy");
    let desk = Desk::new(&policy, &event.to_string());
    let (text, _) = desk.walk(&["a", "\u{1b}[31mred\u{202e} \u{2028}- {"]);
    assert!(!text.chars().any(|c| crate::review::is_hidden(c) && c != '\n'), "{text:?}");
    assert!(text.contains("\\u{1b}[2J\\u{202e}x"), "{text}");
    assert_eq!(titles(&text).len(), 1, "{text}");
    assert!(desk.policy().contains("# [31mred - { ("), "{}", desk.policy());
}
