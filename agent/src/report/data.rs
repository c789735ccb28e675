//! What a report says, for the next one: a block of JSON in the page itself, which `--since` reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Report;
use super::readiness::Verdict;
use super::words;

/// Version of the block; another one is refused.
pub const VERSION: u32 = 1;
/// Flows and hosts that are kept.
const KEPT: usize = 20_000;
/// How the block begins and ends in a page. Within it every `<` is written as an escape.
pub(super) const OPENING: &str = "<script type=\"application/json\" id=\"banchi-report\">";
const CLOSING: &str = "</script>";

/// A report as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// [`VERSION`].
    pub version: u32,
    /// When the report was made, RFC 3339.
    pub made: String,
    /// First and last packet, RFC 3339.
    pub from: String,
    /// See there.
    pub to: String,
    /// The policy, or null for a learnt draft.
    pub policy: Option<String>,
    /// Hosts by address, with the names of their zones; the first 20,000.
    pub hosts: BTreeMap<String, Option<String>>,
    /// Flows by [`key`](FlowData::key); the 20,000 with the most packets.
    pub flows: BTreeMap<String, FlowData>,
    /// Flows that are not in it.
    pub more_flows: usize,
    /// Conduits by name.
    pub conduits: BTreeMap<String, ConduitData>,
    /// Names of the rules, with packets.
    pub rules: BTreeMap<String, u64>,
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowData {
    /// Who asks.
    pub client: String,
    /// Who answers.
    pub server: String,
    /// What carries it.
    pub transport: String,
    /// Its service.
    pub service: String,
    /// Ports from the client's to the server's.
    pub ports: String,
    /// Idiom.
    pub idiom: String,
    /// Packets.
    pub packets: u64,
    /// Packets that would not pass.
    pub dropped: u64,
}

/// A conduit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConduitData {
    /// Its figure.
    pub figure: u32,
    /// What that means.
    pub verdict: Verdict,
    /// Packets that would be dropped.
    pub dropped: u64,
}

/// Why a file is no report.
#[derive(Debug, Error)]
pub enum DataError {
    /// It has no block.
    #[error("is no report of banchi: the block `banchi-report` is not in it")]
    NoReport,
    /// The block is broken.
    #[error("is no report of banchi: {0}")]
    Broken(#[from] serde_json::Error),
    /// The block is of another version.
    #[error("is a report of version {0}, and this banchi reads version {VERSION}")]
    Version(u32),
}

impl Data {
    /// That of a report.
    pub(super) fn of(report: &Report<'_>) -> Self {
        let zone = |at: usize| report.policy.zones.get(at).map(|zone| zone.name.clone());
        let mut data = Self {
            version: VERSION,
            made: report.made.clone(),
            from: crate::learn::flow::time(report.span.0),
            to: crate::learn::flow::time(report.span.1),
            policy: report.policy_name.clone(),
            hosts: BTreeMap::new(),
            flows: BTreeMap::new(),
            more_flows: report.gathered.lines.len().saturating_sub(KEPT),
            conduits: BTreeMap::new(),
            rules: BTreeMap::new(),
        };
        for line in report.gathered.lines.iter().take(KEPT) {
            let ends = [(line.flow.client, line.zones[0]), (line.flow.server, line.zones[1])];
            for (address, home) in ends {
                if data.hosts.len() < KEPT && !(line.flow.to_group && address == line.flow.server) {
                    data.hosts.insert(address.to_string(), home.and_then(zone));
                }
            }
            let row = FlowData {
                client: line.flow.client.to_string(),
                server: line.flow.server.to_string(),
                transport: line.flow.transport.name().to_owned(),
                service: report.service(line),
                ports: words::relation(&line.flow),
                idiom: line.flow.idiom.name().to_owned(),
                packets: line.flow.packets,
                dropped: line.dropped(),
            };
            let kept = data.flows.entry(row.key()).or_insert_with(|| FlowData {
                packets: 0,
                dropped: 0,
                ..row.clone()
            });
            kept.packets += row.packets;
            kept.dropped += row.dropped;
        }
        for (conduit, ready) in report.policy.conduits.iter().zip(&report.readiness) {
            let row = ConduitData {
                figure: ready.figure,
                verdict: ready.verdict,
                dropped: ready.drops.iter().sum(),
            };
            data.conduits.insert(conduit.name.clone(), row);
        }
        for (rule, count) in report.policy.rules.iter().zip(&report.gathered.rules) {
            data.rules.insert(rule.name.clone(), count.packets);
        }
        data
    }

    /// Reads the block of a page, or the block alone.
    ///
    /// # Errors
    /// Where there is none, or one that this version cannot read.
    pub fn read(text: &str) -> Result<Self, DataError> {
        let block = if text.trim_start().starts_with('{') {
            text
        } else {
            let (_, rest) = text.split_once(OPENING).ok_or(DataError::NoReport)?;
            rest.split_once(CLOSING).ok_or(DataError::NoReport)?.0
        };
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_str(block)?;
        if head.version != VERSION {
            return Err(DataError::Version(head.version));
        }
        Ok(serde_json::from_str(block)?)
    }

    /// As text that no page takes for markup.
    pub(super) fn block(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        let mut text = String::with_capacity(json.len());
        for character in json.chars() {
            match character {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    text.push_str(&format!("\\u{:04x}", u32::from(character)));
                }
                other => text.push(other),
            }
        }
        text
    }
}

impl FlowData {
    /// What it is known by: both hosts, what carries it and the server's ports. A client's port may change, and names of
    /// services are a policy's.
    pub fn key(&self) -> String {
        let server = self.ports.split_once(" → ").map_or(self.ports.as_str(), |(_, server)| server);
        format!("{} > {} {} {}", self.client, self.server, self.transport, server)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a broken expectation should stop the test")]
mod tests {
    use super::{CLOSING, Data, DataError, OPENING, VERSION};

    fn data(host: &str) -> Data {
        Data {
            version: VERSION,
            made: String::new(),
            from: String::new(),
            to: String::new(),
            policy: None,
            hosts: [(host.to_owned(), None)].into(),
            flows: [].into(),
            more_flows: 0,
            conduits: [].into(),
            rules: [].into(),
        }
    }

    #[test]
    fn a_block_comes_back_whatever_stands_in_it() {
        for host in ["10.0.0.1", "</script><script>alert(1)</script>", "<!--", "a&amp;b\u{2028}\"\\"] {
            let data = data(host);
            let block = data.block();
            assert!(!block.contains('<') && !block.contains('&'), "{block}");
            let page = format!("<html>{OPENING}{block}{CLOSING}</html>");
            assert_eq!(Data::read(&page).unwrap(), data);
            assert_eq!(Data::read(&block).unwrap(), data);
        }
    }

    #[test]
    fn what_is_no_report_says_so() {
        assert!(matches!(Data::read("<html></html>"), Err(DataError::NoReport)));
        assert!(matches!(Data::read("{"), Err(DataError::Broken(_))));
        let other = data("a").block().replace("\"version\":1", "\"version\":9");
        assert!(matches!(Data::read(&other), Err(DataError::Version(9))));
    }
}
