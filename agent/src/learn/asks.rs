//! Answers that do not go the way of their question: from another port, after a question to a group, or to a group.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use banchi_common::abi::Transport;
use banchi_common::direction::Class;
use banchi_common::wire::Address;
use serde::{Deserialize, Serialize};

use super::key::{End, Key};
use super::ports::{is_clients, is_set};

/// Longest time in nanoseconds from a question to an answer that is taken for its.
pub(super) const LATEST: u64 = 2_000_000_000;

/// Where the question went that a packet answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// How.
    pub how: How,
    /// Who asked.
    pub asker: Address,
    /// Whom it asked.
    pub of: Address,
    /// Packets.
    pub count: u32,
}

/// How an answer differs from its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// The same host was asked on this port.
    OtherPort(u16),
    /// This group was asked.
    AskedGroup(Address),
    /// The answer goes to a group, on the port that the asker asked from.
    ToGroup,
}

/// A question that waits for its answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Asked {
    by: Address,
    of: Address,
    port: u16,
    at: u64,
}

/// Questions over UDP that nobody answered where they were asked.
#[derive(Serialize, Deserialize)]
pub(super) struct Asks {
    /// By asker's end, and who was asked.
    hosts: HashMap<(End, Address), Asked>,
    /// By family, the asker's port and the port that was asked at a group.
    groups: HashMap<(u8, u16, u16), Asked>,
    found: HashMap<(Key, usize), Elsewhere>,
    limit: usize,
}

impl Asks {
    pub(super) fn new(limit: usize) -> Self {
        Self { hosts: HashMap::new(), groups: HashMap::new(), found: HashMap::new(), limit }
    }

    /// Takes a packet of a side; `alone` says that the other side has not sent any.
    pub(super) fn packet(
        &mut self,
        key: &Key,
        side: usize,
        class: Class,
        at: u64,
        alone: bool,
        to_group: bool,
    ) {
        if !alone {
            return;
        }
        let (from, to) = (key.end(side), key.end(1 - side));
        let may_answer = matches!(class, Class::Response | Class::Undecidable);
        let recent = |asked: &&Asked| at.saturating_sub(asked.at) <= LATEST;
        let group = self.groups.get(&(key.family, to.port, from.port)).filter(recent);
        let answered = if !may_answer {
            None
        } else if to_group {
            // Two stations that look for others look the same as one that answers, unless the payload tells, or a port
            // that was drawn for the question comes back.
            let told = class == Class::Response || !is_clients(Transport::Udp, to.port) && !is_set(to.port);
            group.filter(|asked| told && asked.by != from.address).map(|asked| (How::ToGroup, *asked))
        } else if let Some(asked) = group.filter(|asked| asked.by == to.address) {
            Some((How::AskedGroup(asked.of), *asked))
        } else {
            let asked = self.hosts.get(&(to, from.address)).filter(recent);
            asked.filter(|asked| asked.port != from.port).map(|asked| (How::OtherPort(asked.port), *asked))
        };
        if let Some((how, asked)) = answered {
            if self.found.len() < self.limit || self.found.contains_key(&(*key, side)) {
                let row = self.found.entry((*key, side)).or_insert(Elsewhere {
                    how,
                    asker: asked.by,
                    of: asked.of,
                    count: 0,
                });
                row.count = row.count.saturating_add(1);
            }
            return;
        }
        if matches!(class, Class::Request | Class::Undecidable) {
            let asked = Asked { by: from.address, of: to.address, port: to.port, at };
            if to_group {
                self.groups.insert((key.family, from.port, to.port), asked);
            } else if self.hosts.len() < self.limit || self.hosts.contains_key(&(from, to.address)) {
                self.hosts.insert((from, to.address), asked);
            }
        }
    }

    /// Questions that were answered elsewhere: asker and its port, who was asked and on which port.
    pub(super) fn answered(&self) -> BTreeSet<(Address, u16, Address, u16)> {
        let rows = self.found.iter().map(|((key, side), found)| {
            let port = match found.how {
                How::OtherPort(port) => port,
                How::AskedGroup(_) | How::ToGroup => key.port(*side),
            };
            (found.asker, key.port(1 - side), found.of, port)
        });
        rows.collect()
    }

    pub(super) fn finish(self) -> BTreeMap<(Key, usize), Elsewhere> {
        self.found.into_iter().collect()
    }
}
