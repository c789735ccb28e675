//! Every verdict again, however packets leave.

use std::process::{Command, Stdio};

use banchi_common::abi::Forwarding;

use crate::site::{FORWARDING, forwarding};

/// All tests of this file but this one, with programs that forward like this.
fn again(way: Forwarding) {
    if forwarding() != Forwarding::Stack {
        println!("NOT RUN: these are the tests that it would run");
        return;
    }
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--skip", "forwarding::", "--test-threads", "2"]).env(FORWARDING, way.name());
    let output = tests.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "by {}:\n{text}", way.name());
    let passed = text.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed > 100, "only {passed} tests ran");
}

#[test]
fn over_a_wire() {
    again(Forwarding::Wire);
}

#[test]
fn by_routes() {
    again(Forwarding::Route);
}
