//! Which protocol a tuple speaks, found by what its payloads look like where its ports do not say.
//!
//! Every protocol of the data plane's own table reads the first payloads. One is chosen if it decides most of them, and
//! if they make sense as a conversation: one side's requests are the other's responses.

use std::sync::LazyLock;

use banchi_common::abi::Transport;
use banchi_common::direction::{Class, PROTOCOLS, Payload, Protocol, classify};
use banchi_common::wire::Bytes;
use serde::{Deserialize, Serialize};

use crate::policy::catalogue;
use crate::policy::model::{Direction, ServerPort};

/// Payloads that are looked at.
pub(super) const PROBES: u32 = 24;
/// Widest range of the catalogue that says something of a port.
const WIDEST: u16 = 100;
/// Rows for numbers of protocols from 1.
const ROWS: usize = 32;

/// Protocols whose mark is one or two bits, so that chance shows them too: they need more payloads.
const FAINT: &[Protocol] =
    &[Protocol::Fins, Protocol::HartIp, Protocol::Ntp, Protocol::Toyopuc, Protocol::SBus];

/// Classes of the first payloads for each protocol: `[protocol][side][class]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Probe([[[u8; 4]; 2]; ROWS]);

impl Probe {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self([[[0; 4]; 2]; ROWS]))
    }

    /// Looks at one payload of a side.
    pub(super) fn look(&mut self, payload: &Payload<'_, Bytes<'_>>, transport: u8, side: usize) {
        for about in PROTOCOLS {
            let class = classify(payload, transport, about.protocol as u8, u32::MAX);
            let row = self.0.get_mut(about.protocol as usize).and_then(|sides| sides.get_mut(side));
            if let Some(count) = row.and_then(|classes| classes.get_mut(class as usize)) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// The protocol that fits best, and its classes.
    pub(super) fn best(&self) -> Option<(Protocol, [[u8; 4]; 2])> {
        let fitting = PROTOCOLS.iter().filter_map(|about| {
            let rows = self.0.get(about.protocol as usize)?;
            let score = fit(about.protocol, rows)?;
            Some((score, about.protocol, *rows))
        });
        fitting
            .max_by_key(|(score, protocol, _)| (*score, u8::MAX - *protocol as u8))
            .map(|(_, p, rows)| (p, rows))
    }
}

/// How many payloads a protocol decides, if it may be the one.
fn fit(protocol: Protocol, [low, high]: &[[u8; 4]; 2]) -> Option<u32> {
    let count = |side: &[u8; 4], class: Class| u32::from(side.get(class as usize).copied().unwrap_or(0));
    let sum = |class: Class| count(low, class) + count(high, class);
    let (asked, answered, told) = (sum(Class::Request), sum(Class::Response), sum(Class::Notification));
    let decided = asked + answered + told;
    let all = decided + sum(Class::Undecidable);
    let low_asks = count(low, Class::Request) + count(high, Class::Response);
    let high_asks = count(high, Class::Request) + count(low, Class::Response);
    let faint = FAINT.contains(&protocol);
    let fewest = if faint { 8 } else { 2 };
    let sense = low_asks.min(high_asks) * 10 <= low_asks.max(high_asks);
    let both = !faint || (asked > 1 && answered > 1);
    (decided >= fewest && decided * 10 >= all * 7 && sense && both && asked + answered > 0).then_some(decided)
}

/// The protocol of which a port is a server's, by the catalogue; 0 is none.
pub(super) fn of_port(transport: u8, port: u16) -> u8 {
    static PORTS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
        let mut ports = [vec![0; 1 << 16], vec![0; 1 << 16]];
        for entry in catalogue::entries() {
            let service = &entry.service;
            let (Some(Direction::Named(protocol)), ServerPort::Set(ranges)) =
                (&service.direction, &service.port)
            else {
                continue;
            };
            let place = match service.transport {
                Transport::Tcp => 0,
                Transport::Udp => 1,
                _ => continue,
            };
            for range in ranges.iter().filter(|range| range.last - range.first < WIDEST) {
                for port in range.first..=range.last {
                    if let Some(row) =
                        ports.get_mut(place).and_then(|rows: &mut Vec<u8>| rows.get_mut(usize::from(port)))
                    {
                        *row = *protocol as u8;
                    }
                }
            }
        }
        ports
    });
    let rows = PORTS.get(usize::from(transport));
    rows.and_then(|rows| rows.get(usize::from(port))).copied().unwrap_or(0)
}
