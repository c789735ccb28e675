//! Real protocol stacks and rogues, first in alert, then in enforce.

use anyhow::Result;
use banchi_tests::agent::{Agent, Mode};
use banchi_tests::lab::{Gateway, Lab};
use banchi_tests::plant;
use banchi_tests::scenarios::{POLICY, SCENARIOS};
use banchi_tests::stage::{Observation, Stage};

#[test]
fn real_stacks_go_on_and_rogues_are_reported_in_alert_and_stopped_in_enforce() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let stage = Stage::new(&lab, SCENARIOS)?;
    let agent = Agent::start(&lab, POLICY)?;
    let events = stage.follow(&agent)?;
    let before = super::attached(&lab)?;
    assert_eq!(before.len(), 2, "{before:?}");
    let mut wrong = Vec::new();
    for mode in [Mode::Alert, Mode::Enforce] {
        agent.set_mode(mode)?;
        let observed = stage.play(SCENARIOS, mode, &events, |_| ())?;
        for (scenario, observed) in SCENARIOS.iter().zip(observed) {
            let expected = Observation::expected(scenario, mode);
            if observed != expected {
                wrong.push(format!("{} in {mode:?}: {observed}; expected {expected}", scenario.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(super::attached(&lab)?, before, "the mode changes without re-attaching");

    // The counters agree with what was reported.
    let status = agent.status()?;
    for report in status["reports"].as_array().into_iter().flatten() {
        let reason = report["reason"].as_str().unwrap_or_default();
        let sum: u64 = super::reports_of(&status, reason).iter().sum();
        assert_eq!(sum, super::packets_of(&status, reason), "{reason}: {status:#}");
    }
    for rule in status["rules"].as_array().into_iter().flatten() {
        assert!(rule["forward_packets"].as_u64() > Some(0), "{rule}");
        assert!(rule["return_packets"].as_u64() > Some(0), "{rule}");
    }
    agent.stop()
}
