//! What others do meanwhile, and what cannot be kept.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::thread::{JoinHandle, spawn};

use super::*;

#[test]
fn what_others_write_meanwhile_is_neither_lost_nor_asked_about() {
    let desk = Rc::new(Desk::with(&SERVICES));
    let ids = desk.ids();
    let other = {
        let (desk, id) = (Rc::clone(&desk), ids[1].clone());
        move || desk.verb(&["accept", &id, "--into", "POLICY", "--by", "bob", "--reason", "first"])
    };
    let mut turns = types(&["a"]);
    turns.push(Turn::Meanwhile(Box::new(other)));
    // The reason is given too late; the change is shown again, and accepted under the file as it is then.
    turns.extend(types(&["mine", "a", "mine"]));
    let (text, end) = desk.walk_with(&["--into", "POLICY", "--by", "alice"], turns);
    assert_eq!(end, End::Done);
    assert!(text.contains("was changed meanwhile; nothing was written"), "{text}");
    assert!(text.contains(&format!("{} passes by the policy as it is now", &ids[1][..8])), "{text}");
    assert!(text.contains("1 accepted, 1 settled"), "{text}");
    let policy = desk.policy();
    assert!(policy.contains("# first (bob, ") && policy.contains("# mine (alice, "), "{policy}");

    // Decided by somebody else, and a file that somebody broke.
    let desk = Rc::new(Desk::with(&SERVICES));
    let act = |act: Box<dyn Fn(&Desk)>| {
        let desk = Rc::clone(&desk);
        Turn::Meanwhile(Box::new(move || act(&desk)))
    };
    let id = ids[1].clone();
    let turns = vec![
        act(Box::new(|desk| fs::write(desk.file("policy.yaml"), "version: 1\nzones: [\n").unwrap())),
        Turn::Types("a"),
        Turn::Types("because"),
        act(Box::new(move |desk| {
            fs::write(desk.file("policy.yaml"), POLICY).unwrap();
            desk.verb(&["dismiss", &id, "--policy", "POLICY", "--by", "bob", "--reason", "known"]);
        })),
        Turn::Types("a"),
        Turn::Types("because"),
    ];
    let (text, _) = desk.walk_with(&["--into", "POLICY"], turns);
    assert!(text.contains("was decided meanwhile: dismissed by bob"), "{text}");
    assert!(text.contains("1 accepted, 1 decided by others"), "{text}");
}

/// Somebody else dismisses a change.
fn dismisses(desk: &Rc<Desk>, id: &str) -> Turn {
    let (desk, id) = (Rc::clone(desk), id.to_owned());
    let words = ["--policy", "POLICY", "--by", "bob", "--reason", "known"];
    Turn::Meanwhile(Box::new(move || desk.verb(&[&["dismiss", &id], &words[..]].concat())))
}

#[test]
fn a_decision_of_somebody_else_is_not_written_over() {
    for (key, is_late) in [("a", true), ("d", true), ("m", true), ("a", false), ("d", false), ("m", false)] {
        let desk = Rc::new(Desk::with(&SERVICES[..1]));
        let id = desk.ids().remove(0);
        // While the reason is asked for, or before that: then it is not.
        let turns = if is_late {
            vec![Turn::Types(key), dismisses(&desk, &id), Turn::Types("mine")]
        } else {
            vec![dismisses(&desk, &id), Turn::Types(key)]
        };
        let (text, end) = desk.walk_with(&["--into", "POLICY", "--by", "alice"], turns);
        assert_eq!(end, End::Done, "{text}");
        assert!(text.contains("somebody else decided meanwhile: dismissed by bob (known)"), "{text}");
        assert!(text.contains("1 decided by others"), "{text}");
        let (policy, memory, audit) = desk.outcome();
        assert_eq!(policy, POLICY);
        let kept = &memory["decisions"][&id];
        assert!(kept["verdict"] == "dismissed" && kept["by"] == "bob", "{kept:#}");
        let results: Vec<_> = audit.iter().map(|entry| entry["result"].as_str().unwrap()).collect();
        assert_eq!(results, if is_late { &["done", "failed"][..] } else { &["done"][..] }, "{audit:#?}");
    }
}

#[test]
fn only_the_decision_that_was_shown_is_taken_back_or_replaced() {
    let desk = Rc::new(Desk::with(&SERVICES[..1]));
    let id = desk.ids().remove(0);
    desk.verb(&["dismiss", &id, "--policy", "POLICY", "--by", "alice", "--reason", "mine"]);
    let mut turns = types(&["f"]);
    turns.push(dismisses(&desk, &id));
    // Shown again, it is taken back as it is now; then somebody else is first again.
    turns.extend(types(&["not yours", "d", "it is mine"]));
    let (text, _) = desk.walk_with(&["--all", "--into", "POLICY", "--by", "alice"], turns);
    assert!(text.contains("somebody else decided meanwhile: dismissed by bob (known)"), "{text}");
    assert!(text.contains("dismissed by bob at ") && text.contains("1 dismissed"), "{text}");
    assert_eq!(desk.outcome().1["decisions"][&id]["by"], "alice");

    let other = Rc::clone(&desk);
    let forgets = move || other.verb(&["forget", &id, "--by", "bob", "--reason", "never"]);
    let mut turns = types(&["m"]);
    turns.push(Turn::Meanwhile(Box::new(forgets)));
    turns.extend(types(&["nobody knows it", "q"]));
    let (text, _) = desk.walk_with(&["--all", "--into", "POLICY"], turns);
    assert!(text.contains("somebody else took back meanwhile what was decided"), "{text}");
    assert_eq!(desk.outcome().1["decisions"], serde_json::json!({}));
}

#[test]
fn what_was_decided_here_is_passed_by_in_silence() {
    let desk = Desk::with(&[SERVICES[0], SERVICES[1], "\"src\":\"10.10.9.99\""]);
    let (text, _) = desk.walk(&["d", "one", "a", "two", "b", "b", "s", "s"]);
    assert_eq!(titles(&text).len(), 6, "{text}");
    assert!(!text.contains("meanwhile") && !text.contains("passes by"), "{text}");
    assert!(text.contains("3: 1 accepted, 1 dismissed, 1 skipped"), "{text}");
}

#[test]
fn what_a_rule_makes_another_change_of_is_asked_about_at_the_end() {
    let asked = EVENTS.lines().find(|line| line.contains(SERVICES[1])).unwrap();
    // An answer of another PLC, of which nobody heard the question: who asks is a guess, until the port is a service.
    let mut answer: Value = serde_json::from_str(asked).unwrap();
    for (key, value) in [
        ("src", "10.20.0.12"),
        ("dst", "10.10.1.6"),
        ("orientation", "none"),
        ("interface", "line-a"),
        ("zone", "line-a"),
        ("destination_zone", "control"),
    ] {
        answer[key] = value.into();
    }
    (answer["src_port"], answer["dst_port"]) = (6012.into(), 45_001.into());
    let (from, to) = ("65a40a0a01050a14000b1770177c0008bbc4", "65a20a14000c0a0a0106177cafc900082369");
    let frame = answer["data"].as_str().unwrap().replace(from, to);
    assert!(frame.contains(to));
    answer["data"] = frame.into();
    let desk = Desk::new(POLICY, &format!("{asked}\n{answer}\n"));
    let found = desk.changes();
    let is_first = found[0].title.contains("6012");
    let accept = ["a", "two PLCs swapped"];
    // What is no change any more is not asked about.
    let lines =
        if is_first { [&accept[..], &["s"]].concat() } else { [&["s"], &accept[..], &["s"]].concat() };
    let (text, end) = desk.walk(&lines);
    assert_eq!((end, found.len()), (End::Done, 2), "{text}");
    assert!(text.contains("1 more to decide about, by the policy as it is now"), "{text}");
    assert!(text.contains("(3/3)"), "{text}");
    let last = titles(&text).pop().unwrap().to_owned();
    assert!(last.contains("workstation > 10.20.0.12 udp/6012"), "{text}");
}

/// Grants what it is asked for, so many times; returns what that was.
fn agent(desk: &Desk, times: usize) -> JoinHandle<Vec<Value>> {
    let listener = UnixListener::bind(desk.file("none.sock")).unwrap();
    spawn(move || {
        let answer = |_| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            writeln!(stream, "{{\"reply\":\"grants\",\"grants\":[]}}").unwrap();
            serde_json::from_str(&line).unwrap()
        };
        (0..times).map(answer).collect()
    })
}

#[test]
fn a_grant_is_asked_for_once_and_for_a_time_that_can_be() {
    for is_kept in [true, false] {
        let mut desk = Desk::with(&SERVICES);
        if !is_kept {
            // There is no decision, and there can be none.
            symlink("nowhere", desk.file("gone")).unwrap();
            desk.memory = "gone/review.json";
        }
        let agent = agent(&desk, 1);
        let lines = ["g", "for ever", "g", "25h", "g", "2h", "firmware", "b", "s", "s"];
        let (text, end) = desk.walk_with(&["--policy", "POLICY", "--by", "alice"], types(&lines));
        assert_eq!(end, End::Done, "{text}");
        assert_eq!(text.matches("is not a time between 1ms and 24h").count(), 2, "{text}");
        assert_eq!(
            text.matches("it passes, but the decision is not kept").count(),
            usize::from(!is_kept),
            "{text}"
        );
        assert!(text.contains("1 granted, 1 skipped"), "{text}");
        let wishes = agent.join().unwrap();
        assert_eq!(wishes[0]["wishes"][0]["seconds"], 7_200, "{wishes:#?}");
        assert_eq!(desk.file("review.json").exists(), is_kept);
    }
}

#[test]
fn a_rule_that_is_written_is_that_whether_the_decision_is_kept_or_not() {
    let mut desk = Desk::with(&SERVICES);
    symlink("nowhere", desk.file("gone")).unwrap();
    desk.memory = "gone/review.json";
    let (text, end) = desk.walk(&["a", "because", "d", "known", "s"]);
    assert_eq!(end, End::Done, "{text}");
    assert!(text.contains("policy.yaml was written, but the decision is not kept: cannot write"), "{text}");
    // To dismiss is nothing but to keep it.
    assert!(text.contains("banchi: cannot write") && text.contains("1 accepted, 1 skipped"), "{text}");
    assert!(text.contains("nothing decides differently until `banchi apply"), "{text}");
    assert_eq!(desk.policy().matches("# because (").count(), 1);
    let audit = fs::read_to_string(desk.file("audit.jsonl")).unwrap();
    let results = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["result"].take());
    assert_eq!(results.collect::<Vec<_>>(), ["done", "failed"]);
}
