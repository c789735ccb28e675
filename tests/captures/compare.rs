//! Three answers to who asks, side by side.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use banchi::datapath::Outcome;
use banchi_common::direction::Class;
use banchi_common::reason::Reason;

use crate::dissector;
use crate::table::{By, Capture, Explained};

/// How often each combination of answers was seen, and where first.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) packets: usize,
    classes: BTreeMap<Class, usize>,
    /// What the policy would not allow.
    reported: BTreeMap<(Reason, Class), Vec<usize>>,
    by_ports: Answers,
    by_tshark: Answers,
}

/// What the program says, what another says, and the frames.
type Answers = BTreeMap<(Class, Option<Class>), Vec<usize>>;

impl Tally {
    /// `ports` is `None` where both ports are the server's; `tshark` is `None` where it was not asked.
    pub(crate) fn add(
        &mut self,
        frame: usize,
        outcome: &Outcome,
        ports: Option<Class>,
        tshark: Option<Option<Class>>,
    ) {
        let class = outcome.class;
        self.packets += 1;
        if outcome.reason != Reason::Allowed {
            self.reported.entry((outcome.reason, class)).or_default().push(frame);
        }
        *self.classes.entry(class).or_default() += 1;
        if let Some(ports) = ports {
            self.by_ports.entry((class, Some(ports))).or_default().push(frame);
        }
        if let Some(tshark) = tshark {
            self.by_tshark.entry((class, tshark)).or_default().push(frame);
        }
    }

    /// What is not as the table of captures has it.
    pub(crate) fn problems(&self, capture: &Capture, tshark: bool) -> String {
        let mut wrong = String::new();
        if self.packets != capture.packets {
            let _ = writeln!(wrong, "  {} packets, not {}", self.packets, capture.packets);
        }
        for ((reason, class), frames) in &self.reported {
            let first = &frames[..frames.len().min(12)];
            let _ = writeln!(wrong, "  {reason:?}, {class:?}: {} packets; frames {first:?}", frames.len());
        }
        let silent = self.by_tshark.get(&(Class::Undecidable, None)).map_or(0, Vec::len);
        if tshark && (silent > 0) == capture.left.is_empty() {
            let _ = writeln!(wrong, "  {silent} packets of which nobody says anything");
        }
        let mut explained: Vec<&Explained> = capture.explained.iter().collect();
        for (by, answers) in [(By::Ports, &self.by_ports), (By::Tshark, &self.by_tshark)] {
            for ((here, there), frames) in
                answers.iter().filter(|((here, there), _)| differ(by, *here, *there))
            {
                let known = |e: &&Explained| (e.by, e.here, e.there) == (by, *here, *there);
                let is = explained.iter().position(known).map(|at| explained.remove(at).count);
                if is != Some(frames.len()) {
                    let first = &frames[..frames.len().min(12)];
                    let _ = writeln!(
                        wrong,
                        "  {by:?}: here {here:?}, there {there:?}: {} packets, explained are {}; frames {first:?}",
                        frames.len(),
                        is.unwrap_or(0)
                    );
                }
            }
        }
        for Explained { by, here, there, count, .. } in explained {
            if tshark || *by == By::Ports {
                let _ =
                    writeln!(wrong, "  {by:?}: here {here:?}, there {there:?}: none, explained are {count}");
            }
        }
        wrong
    }

    /// Its row of the document.
    pub(crate) fn row(&self, capture: &Capture) -> String {
        let ports = capture.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let count = |class| self.classes.get(&class).copied().unwrap_or(0);
        format!(
            "| {} | `{}` | {} {ports} | {} | {} | {} | {} | {} | {} | {} |\n",
            capture.file,
            capture.protocol,
            capture.carrier.word().to_uppercase(),
            self.packets,
            count(Class::Request),
            count(Class::Response),
            count(Class::Notification),
            count(Class::Undecidable),
            self.ports_cell(),
            self.tshark_cell(capture),
        )
    }

    fn ports_cell(&self) -> String {
        if self.by_ports.is_empty() {
            return "same port".to_owned();
        }
        cell(By::Ports, &self.by_ports)
    }

    fn tshark_cell(&self, capture: &Capture) -> String {
        if !dissector::knows(capture.protocol) {
            return "no dissector".to_owned();
        }
        cell(By::Tshark, &self.by_tshark)
    }
}

fn cell(by: By, answers: &Answers) -> String {
    let sum = |f: &dyn Fn(Class, Option<Class>) -> bool| -> usize {
        answers.iter().filter(|((here, there), _)| f(*here, *there)).map(|(_, frames)| frames.len()).sum()
    };
    let silent = |class: Class| class == Class::Undecidable;
    let agreeing = sum(&|here, there| !silent(here) && !differ(by, here, there));
    let only_here = sum(&|here, there| !silent(here) && there.is_none());
    let only_there = sum(&|here, there| silent(here) && differ(by, here, there));
    let contradicting = sum(&|here, there| !silent(here) && there.is_some() && differ(by, here, there));
    let parts = [
        (agreeing, "agree"),
        (contradicting, "contradict"),
        (only_here, "only here"),
        (only_there, "only there"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let text = parts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "both silent".to_owned() } else { text }
}

/// Whether an answer wants an explanation: two contradict each other, or only one says something.
fn differ(by: By, here: Class, there: Option<Class>) -> bool {
    match by {
        // Ports tell who sends. A server may notify; and it is no contradiction to say nothing.
        By::Ports => match here {
            Class::Undecidable => false,
            Class::Notification => there != Some(Class::Response),
            here => Some(here) != there,
        },
        By::Tshark => there.unwrap_or_default() != here,
    }
}

/// What is to be said about single captures, below the table.
pub(crate) fn explanations(captures: &[Capture]) -> String {
    let mut text = String::new();
    for capture in captures {
        let about = format!("- **{}, `{}`**:", capture.file, capture.protocol);
        for Explained { by, here, there, count, why } in capture.explained {
            let whom = match by {
                By::Ports => "the ports say",
                By::Tshark => "tshark says",
            };
            let there = there.map_or("nothing", Class::name);
            let are = if *count == 1 { "packet is" } else { "packets are" };
            let _ = writeln!(text, "{about} {count} {are} {} here, and {whom} {there}. {why}", here.name());
        }
        if !capture.left.is_empty() {
            let _ = writeln!(text, "{about} undecidable, and tshark says nothing either. {}", capture.left);
        }
    }
    text
}
