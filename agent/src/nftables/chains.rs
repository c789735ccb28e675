//! Chains that elements of maps lead to: what becomes of a question, of an answer, and of what deviates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::quoted;
use crate::policy::model::{Class, Mode, Policy, Reply, Rule, Service, Transport};

/// Questions that are remembered at a time, for each kind of set.
const REMEMBERED: u32 = 65_536;
/// What is written to the kernel's log of one chain, a second.
const LOGGED: u32 = 10;

/// What of a question counts when its answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    /// The client may be another one: answers go to a group.
    pub(super) any_client: bool,
    /// Answers come from other ports.
    pub(super) any_port: bool,
    /// The question may have gone to a group.
    pub(super) groups: bool,
}

/// Chains by name, and the sets that they need.
#[derive(Debug, Default)]
pub(super) struct Chains {
    bodies: BTreeMap<String, String>,
    sets: BTreeSet<(bool, Kind)>,
    /// Versions of IP that assets have.
    versions: Vec<bool>,
    /// Whether there are groups, of IPv4 and of IPv6.
    groups: [bool; 2],
}

/// The version of IP as it stands before a field.
pub(super) fn ip(v6: bool) -> &'static str {
    if v6 { "ip6" } else { "ip" }
}

/// The number that ends the name of what is of a version of IP.
pub(super) fn version(v6: bool) -> &'static str {
    if v6 { "6" } else { "4" }
}

/// Whether an answer needs a question that can be told without the payload.
pub(super) fn window(service: &Service) -> Option<Duration> {
    let strict = match service.reply {
        Reply::Window(window) => return service.direction.is_none().then_some(window),
        Reply::Strict(window) => window,
        Reply::Free | Reply::None => return None,
    };
    let unasked = [Class::Request, Class::Notification].iter().any(|class| service.server_may.holds(*class));
    (service.direction.is_none() || !unasked).then_some(strict)
}

impl Chains {
    pub(super) fn of(versions: Vec<bool>, groups: [bool; 2]) -> Self {
        Self { versions, groups, ..Self::default() }
    }

    /// What becomes of a question that a rule allows.
    pub(super) fn question(&mut self, service: &Service, kind: Kind) -> String {
        // Also where the payload would tell: an answer may come by another rule, which does not look.
        let (Reply::Window(window) | Reply::Strict(window)) = service.reply else {
            return "accept".to_owned();
        };
        let name = format!("asks-{}ms{}", window.as_millis(), kind.suffix());
        let mut body = String::new();
        for v6 in self.versions.clone() {
            let note = |kind: Kind| {
                let (set, key) = (kind.set(v6), kind.key(v6, true));
                format!("{}update @{set} {{ {key} timeout {}ms }}\n", kind.family(v6), window.as_millis())
            };
            let [v4_groups, v6_groups] = self.groups;
            if kind.groups && if v6 { v6_groups } else { v4_groups } {
                let ip = ip(v6);
                let _ = write!(body, "\t\t{ip} daddr @groups{} {}", version(v6), note(kind));
                self.sets.insert((v6, kind));
            }
            let own = Kind { groups: false, ..kind };
            let _ = write!(body, "\t\t{}", note(own));
            self.sets.insert((v6, own));
        }
        body += "\t\taccept\n";
        self.bodies.insert(name.clone(), body);
        format!("goto {name}")
    }

    /// What becomes of an answer.
    pub(super) fn answer(&mut self, policy: &Policy, rule: &Rule, service: &Service, kind: Kind) -> String {
        let deviates = self.deviates(policy, rule.conduit, rule.mode);
        let (name, body) = match service.transport {
            Transport::Tcp => (
                format!("tcp-{deviates}"),
                // A segment that opens, or belongs to no connection, is no answer.
                "\t\ttcp flags & ack == ack accept\n\t\ttcp flags & (syn | rst) == rst accept\n".to_owned(),
            ),
            Transport::Udp if service.reply == Reply::None => return format!("goto {deviates}"),
            Transport::Udp if window(service).is_some() => {
                let mut body = String::new();
                for v6 in self.versions.clone() {
                    for kind in [Kind { groups: false, ..kind }, kind] {
                        let line = format!(
                            "\t\t{}{} @{} accept\n",
                            kind.family(v6),
                            kind.key(v6, false),
                            kind.set(v6)
                        );
                        if !body.contains(&line) {
                            body += &line;
                        }
                        self.sets.insert((v6, kind));
                    }
                }
                (format!("udp{}-{deviates}", kind.suffix()), body)
            }
            Transport::Udp | Transport::Sctp | Transport::Icmp => return "accept".to_owned(),
        };
        self.bodies.insert(name.clone(), format!("{body}\t\tgoto {deviates}\n"));
        format!("goto {name}")
    }

    /// The chain of what deviates, in the mode of the rule or of the conduit; `None` is what belongs to none.
    pub(super) fn deviates(&mut self, policy: &Policy, conduit: usize, own: Option<Mode>) -> String {
        let Some(conduit) = policy.conduits.get(conduit) else { return self.deviates_from_none(policy) };
        let mode = own.unwrap_or(conduit.mode);
        let suffix = if mode == conduit.mode {
            ""
        } else if mode == Mode::Alert {
            "-alert"
        } else {
            "-enforce"
        };
        let name = format!("deviates-{}{suffix}", conduit.name);
        self.bodies.insert(name.clone(), ends(&conduit.name, mode));
        name
    }

    /// The chain of what belongs to no conduit.
    pub(super) fn deviates_from_none(&mut self, policy: &Policy) -> String {
        let name = "deviates".to_owned();
        self.bodies.insert(name.clone(), ends("no conduit", policy.default_mode));
        name
    }

    /// Adds a chain.
    pub(super) fn add(&mut self, name: String, body: String) {
        self.bodies.insert(name, body);
    }

    /// Declares the sets of questions.
    pub(super) fn sets(&self) -> String {
        let mut text = String::new();
        for (v6, kind) in &self.sets {
            let _ = writeln!(text, "\tset {} {{", kind.set(*v6));
            let _ = writeln!(
                text,
                "\t\ttype {}\n\t\tsize {REMEMBERED}\n\t\tflags dynamic, timeout",
                kind.types(*v6)
            );
            text += "\t}\n";
        }
        text
    }

    /// Writes the chains, those first that others lead to.
    pub(super) fn write(&self) -> String {
        let mut text = String::new();
        for (name, body) in &self.bodies {
            let _ = write!(text, "\tchain {name} {{\n{body}\t}}\n");
        }
        text
    }
}

/// Counts, says so in the kernel's log, and drops or lets pass.
fn ends(of: &str, mode: Mode) -> String {
    let (word, verdict) = match mode {
        Mode::Alert => ("would-drop", "accept"),
        Mode::Enforce => ("drop", "drop"),
    };
    let prefix = quoted(&format!("banchi {word} {of}: "));
    format!("\t\tlimit rate {LOGGED}/second log prefix {prefix}\n\t\tcounter {verdict}\n")
}

impl Kind {
    fn suffix(self) -> String {
        let words =
            [(self.any_client, "-any-client"), (self.any_port, "-any-port"), (self.groups, "-groups")];
        words.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect()
    }

    fn set(self, v6: bool) -> String {
        format!("asked{}{}", version(v6), self.suffix())
    }

    /// Ports alone say nothing of the version of IP.
    fn family(self, v6: bool) -> String {
        if self.any_client && self.groups { format!("meta protocol {} ", ip(v6)) } else { String::new() }
    }

    /// Fields of a question, or of its answer.
    fn key(self, v6: bool, question: bool) -> String {
        let ip = ip(v6);
        let (client, server) = if question { ("s", "d") } else { ("d", "s") };
        let fields = [
            (!self.any_client, format!("{ip} {client}addr")),
            (true, format!("udp {client}port")),
            (!self.groups, format!("{ip} {server}addr")),
            (!self.any_port, format!("udp {server}port")),
        ];
        let counting: Vec<String> =
            fields.into_iter().filter(|(counts, _)| *counts).map(|(_, field)| field).collect();
        counting.join(" . ")
    }

    fn types(self, v6: bool) -> String {
        let address = if v6 { "ipv6_addr" } else { "ipv4_addr" };
        let fields = [
            (!self.any_client, address),
            (true, "inet_service"),
            (!self.groups, address),
            (!self.any_port, "inet_service"),
        ];
        let counting: Vec<&str> =
            fields.into_iter().filter(|(counts, _)| *counts).map(|(_, field)| field).collect();
        counting.join(" . ")
    }
}
