//! The demo: a plant in network namespaces, its real protocols and some rogues, and banchi between the zones.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use banchi_tests::agent::{Agent, Mode};
use banchi_tests::lab::{Gateway, Lab};
use banchi_tests::plant;
use banchi_tests::scenarios::{SCENARIOS, Scenario, policy};
use banchi_tests::stage::{Observation, Stage};
use clap::Parser;

/// Shows what banchi does, in a plant made of network namespaces on this machine.
///
/// First in alert mode, where everything passes and deviations are reported, then in enforce mode. What is shown is
/// observed: answers at the clients, packets at the servers, events of the agent. Exit code 0: everything was as
/// expected. 1: something was not. 2: the demo could not run.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Options {
    /// Print the result as one JSON document on standard output; the story goes to standard error.
    #[arg(long)]
    json: bool,
    /// How what is allowed leaves the gateway: `stack`, `route`, or `wire`, where no address of it is needed.
    #[arg(long, default_value = "stack", value_parser = ["stack", "route", "wire"])]
    forwarding: String,
}

/// One line of the result.
struct Row {
    scenario: &'static Scenario,
    mode: Mode,
    expected: Observation,
    observed: Observation,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options.forwarding) {
        Ok(rows) => {
            if options.json {
                println!("{:#}", json(&rows));
            } else {
                print!("{}", table(&rows));
            }
            if rows.iter().all(Row::ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(forwarding: &str) -> Result<Vec<Row>> {
    let began = Instant::now();
    say(
        "Building a plant: zone control (SCADA, workstation, laptop), zone line-a (3 PLCs, controller), a gateway.",
    );
    let gateway = if forwarding == "wire" { Gateway::Isolates } else { Gateway::Routes };
    let lab = Lab::new(gateway, &plant::zones())?;
    let stage = Stage::new(&lab, SCENARIOS)?;

    say(
        "Starting banchi on the gateway, in alert mode: nothing is dropped, everything that deviates is reported.",
    );
    let agent = Agent::start(&lab, &policy(forwarding)?)?;
    let events = stage.follow(&agent)?;

    let mut rows = Vec::new();
    for mode in [Mode::Alert, Mode::Enforce] {
        if mode == Mode::Enforce {
            say("banchi mode enforce --all: what deviates is dropped, what is allowed goes on.");
            agent.set_mode(mode)?;
        }
        let observations =
            stage.play(SCENARIOS, mode, &events, |scenario| say(&format!("  {}", scenario.story)))?;
        rows.extend(SCENARIOS.iter().zip(observations).map(|(scenario, observed)| {
            let expected = Observation::expected(scenario, mode);
            Row { scenario, mode, expected, observed }
        }));
    }
    agent.stop()?;
    say(&format!("Done in {:.0} s.", began.elapsed().as_secs_f32()));
    Ok(rows)
}

/// The story goes to standard error, so that standard output is the result alone.
fn say(line: &str) {
    eprintln!("{line}");
}

impl Row {
    fn ok(&self) -> bool {
        self.expected == self.observed
    }
}

fn json(rows: &[Row]) -> serde_json::Value {
    let scenarios: Vec<_> = rows
        .iter()
        .map(|row| {
            serde_json::json!({
                "name": row.scenario.name,
                "story": row.scenario.story,
                "mode": row.mode.name(),
                "expected": row.expected.to_string(),
                "observed": row.observed.to_string(),
                "ok": row.ok(),
            })
        })
        .collect();
    serde_json::json!({ "scenarios": scenarios })
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.scenario.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for mode in [Mode::Alert, Mode::Enforce] {
        text += &format!("\n{:7}  {:width$}  observed\n", mode.name(), "scenario");
        for row in rows.iter().filter(|row| row.mode == mode) {
            let mark = if row.ok() { "ok" } else { "DIFFERS" };
            text += &format!("{mark:7}  {:width$}  {}\n", row.scenario.name, row.observed);
            if !row.ok() {
                text += &format!("{:7}  {:width$}  expected: {}\n", "", "", row.expected);
            }
        }
    }
    let ok = rows.iter().filter(|row| row.ok()).count();
    text + &format!("\n{ok} of {} as expected\n", rows.len())
}
