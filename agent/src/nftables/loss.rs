//! What a ruleset does otherwise than banchi, said as it is.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use banchi_common::reason::Reason;
use serde::{Serialize, Serializer};

use crate::policy::model::{Mode, Policy, Reply};

/// One thing that is lost.
#[derive(Debug, Clone, Serialize)]
pub struct Loss {
    /// Its stable name.
    pub code: &'static str,
    /// Which way the ruleset differs.
    pub effect: Effect,
    /// What banchi says of the packets that differ. Empty where that may be anything, or where no packet differs.
    #[serde(serialize_with = "names")]
    pub reasons: Vec<Reason>,
    /// The rules that it is about; empty where it is about all.
    pub rules: Vec<String>,
    /// What it means, for a person.
    pub text: &'static str,
}

/// Which way a ruleset differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It lets pass what banchi drops.
    PassesMore,
    /// It lets pass what banchi drops, or the other way round.
    Either,
    /// No packet has another verdict.
    Operation,
}

impl Effect {
    fn text(self) -> &'static str {
        match self {
            Self::PassesMore => "passes more",
            Self::Either => "passes more or less",
            Self::Operation => "operation",
        }
    }
}

fn names<S: Serializer>(reasons: &[Reason], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(reasons.iter().map(|reason| reason.about().name))
}

/// Losses of one policy, as they are found.
#[derive(Debug, Default)]
pub(super) struct Losses {
    mixed_modes: bool,
    windows: bool,
    payload: BTreeSet<String>,
    relation: BTreeSet<String>,
    unheard: BTreeSet<String>,
}

impl Losses {
    /// Those that the policy shows by itself.
    pub(super) fn of(policy: &Policy) -> Self {
        let own = policy.rules.iter().filter_map(|rule| rule.mode);
        let modes = own.chain(policy.conduits.iter().map(|conduit| conduit.mode));
        let mut enforced: Vec<bool> =
            modes.chain([policy.default_mode]).map(|mode| mode == Mode::Enforce).collect();
        enforced.sort_unstable();
        enforced.dedup();
        let waits = |reply| matches!(reply, Reply::Window(_) | Reply::Strict(_));
        let windows = policy
            .rules
            .iter()
            .any(|rule| policy.services.get(rule.service).is_some_and(|service| waits(service.reply)));
        Self { mixed_modes: enforced.len() > 1, windows, ..Self::default() }
    }

    /// A rule whose packets show by their payload who asks.
    pub(super) fn payload(&mut self, rule: &str) {
        self.payload.insert(rule.to_owned());
    }

    /// A rule whose ports hang on each other, or on addresses, in more ways than are written.
    pub(super) fn relation(&mut self, rule: &str) {
        self.relation.insert(rule.to_owned());
    }

    /// A rule whose clients may ask in frames with two tags.
    pub(super) fn unheard(&mut self, rule: &str) {
        self.unheard.insert(rule.to_owned());
    }

    /// All, in a fixed order.
    pub(super) fn finish(self) -> Vec<Loss> {
        use Effect::{Either, Operation, PassesMore};
        let loss = |code, effect, reasons: &[Reason], text| Loss {
            code,
            effect,
            reasons: reasons.to_vec(),
            rules: Vec::new(),
            text,
        };
        let of = |rules: BTreeSet<String>, loss: Loss| {
            (!rules.is_empty()).then(|| Loss { rules: rules.into_iter().collect(), ..loss })
        };
        let about_rules = [
            of(
                self.payload,
                loss(
                    "payload",
                    PassesMore,
                    &[Reason::ReversedDirection, Reason::UnsolicitedReply, Reason::Malformed],
                    "The payload is not read: a server may ask and command over the ports on which it answers, and \
                     unless the service is `strict`, without a question before.",
                ),
            ),
            of(
                self.relation,
                loss(
                    "port-relation",
                    PassesMore,
                    &[
                        Reason::AddressPortMismatch,
                        Reason::SourcePortDeviation,
                        Reason::ReversedDirection,
                        Reason::UnlistedService,
                        Reason::UnsolicitedReply,
                    ],
                    "Ports that hang on each other or on an address are written tuple by tuple, and this rule has too \
                     many: any of its ports passes between any of its hosts.",
                ),
            ),
            of(
                self.unheard,
                loss(
                    "unheard-questions",
                    PassesMore,
                    &[Reason::UnsolicitedReply],
                    "Questions in frames with two VLAN tags are not read, so answers to such a zone need none.",
                ),
            ),
        ];
        let mixed_modes = self.mixed_modes.then(|| {
            loss(
                "mixed-modes",
                Either,
                &[
                    Reason::WrongZone,
                    Reason::MacMismatch,
                    Reason::AddressPortMismatch,
                    Reason::SourcePortDeviation,
                    Reason::ReversedDirection,
                    Reason::UnlistedService,
                ],
                "Modes differ, and what deviates has the mode of the conduit to where it goes, not that of the rule \
                 which it nearly fits.",
            )
        });
        let always = [
            loss(
                "malformed",
                Either,
                &[Reason::Malformed],
                "Headers are judged as far as nftables reads them: lengths that contradict each other may pass.",
            ),
            loss(
                "later-fragments",
                PassesMore,
                &[
                    Reason::OrphanFragment,
                    Reason::UnknownSource,
                    Reason::UnknownDestination,
                    Reason::WrongZone,
                    Reason::MacMismatch,
                ],
                "Later fragments pass from zones with rules, whatever became of the first one.",
            ),
            loss(
                "icmp-errors",
                PassesMore,
                &[
                    Reason::UnrelatedIcmpError,
                    Reason::UnknownSource,
                    Reason::UnknownDestination,
                    Reason::WrongZone,
                    Reason::MacMismatch,
                ],
                "ICMP errors pass from zones with rules, whatever packet they quote.",
            ),
            loss(
                "two-tags",
                Either,
                &[],
                "Of a frame with two VLAN tags only the tags are looked at: from a zone it passes unread.",
            ),
        ];
        let windows = self.windows.then(|| {
            loss(
                "windows",
                Operation,
                &[],
                "65,536 questions are remembered at a time, each as long as its own rule says. A flood of them from \
                 hosts that may ask pushes none out, but later ones are not noted. Loading the ruleset forgets them.",
            )
        });
        let operation = [
            loss(
                "reasons",
                Operation,
                &[],
                "No packet gets a reason, and there are no events: chains count and log what deviates, by conduit.",
            ),
            loss(
                "control",
                Operation,
                &[],
                "There is no deadline that falls back, no reaction to the loss of an agent, no island, no bypass and \
                 no grant. Load another ruleset instead.",
            ),
        ];
        let packets = about_rules.into_iter().flatten().chain(mixed_modes).chain(always);
        packets.chain(windows).chain(operation).collect()
    }
}

/// Comments at the head of a ruleset.
pub(super) fn head(name: &str, losses: &[Loss]) -> String {
    let mut text = format!(
        "#!/usr/sbin/nft -f\n# The policy {name}, as near as nftables comes to it. Check with `nft -c -f FILE`.\n\
         # It judges where packets come in; the kernel has to route or bridge what passes.\n#\n\
         # What is lost, compared with banchi:\n"
    );
    for line in lines(losses).lines() {
        let _ = writeln!(text, "# {line}");
    }
    text
}

/// Losses for people.
#[must_use]
pub fn lines(losses: &[Loss]) -> String {
    let mut text = String::new();
    for loss in losses {
        let _ = writeln!(text, "{} ({}): {}", loss.code, loss.effect.text(), loss.text);
        if !loss.rules.is_empty() {
            let _ = writeln!(text, "    rules: {}", loss.rules.join("; "));
        }
    }
    text
}
