//! A real gateway, a real anomaly, and somebody who looks.

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent, Mode};
use banchi_tests::lab::{Gateway, Lab};
use banchi_tests::packet::Packet;
use banchi_tests::plant;
use banchi_tests::scenarios::POLICY;
use rustix::process::Signal;

use banchi_tests::screen::Screen;

/// SCADA's packet to the controller from a wrong port.
fn deviate(lab: &Lab, source_port: u16) -> Result<()> {
    let (scada, controller) = (lab.host("scada"), lab.host("controller"));
    let packet = Packet::udp((scada.ipv4(), source_port), (controller.ipv4(), 47808));
    scada.raw("eth0")?.send(&packet.to_mac(lab.gateway_mac("control")).build())
}

/// Whether a line has all these words.
fn line(shown: &str, words: &[&str]) -> bool {
    shown.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn an_engineer_watches_a_gateway() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let controller = lab.host("controller");
    // Takes what arrives, so that nothing answers that nobody listens.
    let _listens = controller.udp((controller.ipv4(), 47808))?;
    // Each event by itself, and not as a count of repeats later.
    let each = ["--suppress", "0"];
    let agent = Agent::start_with(&lab, POLICY, &each)?;
    let screen = Screen::in_lab(&lab, 80, 24)?;
    screen.type_line("banchi top")?;
    let shown = screen.wait("Anomalies")?;
    for words in
        ["generation 1", "ALERT", "bypass off", "island off", "no trial", "deadman quiet", "Conduits"]
    {
        ensure!(shown.contains(words), "no {words}:\n{shown}");
    }
    ensure!(shown.contains("Rules") && shown.contains("Reasons") && shown.contains("quit"), "{shown}");

    // An anomaly, and what it means, in the words of `banchi explain` and of the event.
    deviate(&lab, 40_001)?;
    let shown = screen.wait_for("an anomaly, explained", |shown| {
        line(shown, &["would-drop", "source-port-deviation", ":40001 >"])
            && shown.contains("source port 40001, the rule has")
    })?;
    let events = agent.ask(&["events", "--last", "1", "--json"])?;
    let event: serde_json::Value = serde_json::from_str(events.trim())?;
    let question = format!("udp {}:40001 > {}:47808", lab.host("scada").ipv4(), controller.ipv4());
    let policy = lab.directory().join("policy.yaml");
    let explained = agent::verb(&lab, &["explain", "-p", policy.to_str().unwrap(), &question])?.stdout;
    let misses = explained.lines().find_map(|line| line.trim().strip_prefix("MISSES ")).unwrap();
    ensure!(shown.contains(&misses.split_whitespace().collect::<Vec<_>>().join(" ")), "{misses}\n{shown}");
    ensure!(shown.contains(event["rule"].as_str().unwrap()), "{event}\n{shown}");
    ensure!(shown.contains("PASS, and reported (alert mode"), "{shown}");
    ensure!(shown.contains("look at") && shown.contains("The real device keeps its port"), "{shown}");

    // Counters and modes follow.
    agent.set_mode(Mode::Enforce)?;
    screen.wait("ENFORCE*")?;
    deviate(&lab, 40_002)?;
    screen.wait_for("a packet that was dropped", |shown| line(shown, &["DROP", ":40002 >"]))?;
    agent.set_mode(Mode::Alert)?;
    screen.wait("alert*")?;

    // Keys, and another size.
    screen.press("?")?;
    screen.wait("Help")?;
    screen.press("Escape")?;
    screen.wait_gone("Help")?;
    screen.press("/")?;
    screen.type_line("40001")?;
    screen.wait_for("one of two", |shown| shown.contains("1/2 \"40001\"") && !shown.contains(":40002 >"))?;
    screen.press("Escape")?;
    screen.wait(":40002 >")?;
    screen.press("3")?;
    screen.press("z")?;
    screen.wait_gone("Anomalies")?;
    screen.press("z")?;
    screen.resize(120, 40)?;
    screen.wait_for("a wide screen", |shown| shown.lines().any(|line| line.chars().count() > 100))?;
    screen.resize(30, 8)?;
    screen.wait_for("a narrow one", |shown| shown.contains("ALERT") && shown.contains("Rules"))?;
    screen.resize(80, 24)?;
    screen.wait("Anomalies")?;

    // What is not normal is loud, and stays in sight while the tables stand still.
    screen.press("p")?;
    screen.wait("PAUSED")?;
    deviate(&lab, 40_003)?;
    screen.wait("1 wait")?;
    ensure!(!screen.shown().contains(":40003 >"));
    ensure!(agent::verb(&lab, &["bypass"])?.status.success());
    screen.wait("BYPASS: everything passes")?;
    screen.press("p")?;
    screen.wait(":40003 >")?;
    ensure!(agent::verb(&lab, &["bypass", "--off"])?.status.success());
    screen.wait("bypass off")?;
    ensure!(agent::verb(&lab, &["island"])?.status.success());
    screen.wait("ISLAND: nothing passes")?;
    ensure!(agent::verb(&lab, &["island", "--off"])?.status.success());
    screen.wait("island off")?;
    std::fs::write(&policy, format!("{POLICY}\n# another one\n"))?;
    agent.ask(&["apply", policy.to_str().unwrap(), "--confirm-within", "5m"])?;
    screen.wait_for("a trial", |shown| shown.contains("TRIAL 4:5") && shown.contains("generation 2"))?;
    agent.ask(&["confirm"])?;
    screen.wait("no trial")?;

    // Without its agent: from what is pinned, with the events that wait there.
    agent.end(Signal::KILL)?;
    screen.wait("NO AGENT RUNS: last seen")?;
    deviate(&lab, 40_004)?;
    let shown = screen.wait_for("an event that waits", |shown| line(shown, &["would-drop", ":40004 >"]))?;
    ensure!(shown.contains("NO AGENT") && shown.contains("source port 40004, the rule has"), "{shown}");
    let agent = Agent::start_with(&lab, POLICY, &each)?;
    screen.wait_for("the next agent", |shown| shown.contains("agent ") && !shown.contains("NO AGENT"))?;
    screen.wait_for("what waited", |shown| line(shown, &["would-drop", ":40004 >"]))?;

    // One that hangs is none.
    agent.process().signal(Signal::STOP)?;
    screen.wait("THE AGENT DOES NOT ANSWER")?;
    agent.process().signal(Signal::CONT)?;
    screen.wait_gone("NO AGENT")?;

    // Nothing was changed by looking.
    let status = agent.status()?;
    ensure!(status["bypass"] == false && status["island"] == false, "{status}");
    let written = agent::verb(&lab, &["audit"])?.stdout;
    ensure!(!written.contains("top"), "{written}");

    // The data plane goes, too.
    agent.stop()?;
    screen.wait("NOTHING TO SEE")?;
    screen.press("q")?;
    screen.wait_gone("NOTHING TO SEE")?;
    screen.check_restored()
}
