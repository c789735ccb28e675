//! Events: what the data plane reports, in words.

mod names;
mod reader;

pub use names::Names;
pub use reader::Reader;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use banchi_common::abi::{CAPTURE, Event, EventKind, Mode};
use banchi_common::direction::Class;
use banchi_common::reason::{Field, Orientation, Reason, Verdict};
use banchi_common::wire::ethertype;
use serde::Serialize;

/// Room for the JSON of most events.
const JSON: usize = 1_280;
/// Room for their line.
const LINE: usize = 192;

/// One event, with names for numbers. Its JSON is one line of `banchi events --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `deviation`: one packet. `repeats`: only a count of packets like it that came since.
    pub kind: Kind,
    /// When, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// Why.
    #[serde(serialize_with = "reason_name")]
    pub reason: Reason,
    /// What became of the packet.
    pub verdict: Verdict,
    /// The mode that decided.
    pub mode: Mode,
    /// The part of the packet that deviates.
    pub field: Field,
    /// Conduit, or null.
    pub conduit: Option<Arc<str>>,
    /// Zone that it came from, or null.
    pub zone: Option<Arc<str>>,
    /// Zone of its destination, or null.
    pub destination_zone: Option<Arc<str>>,
    /// Source address, or null for frames without IP.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// Source port, or null; null in a count of packets from several.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// Protocol: `tcp`, `udp`, `sctp`, `icmp`, `icmpv6`, an IP protocol number, or null.
    pub transport: Option<Cow<'static, str>>,
    /// EtherType, as `0x0800`.
    pub ethertype: Cow<'static, str>,
    /// VIDs, outer first.
    pub vlans: Vec<u16>,
    /// Name of the interface, or its index; null for counts of repeats, which may be of several.
    pub interface: Option<Arc<str>>,
    /// What the payload shows itself as, where a service looks at it, or null.
    pub class: Option<Class>,
    /// Whether it goes from the client of its rule to the server (`forward`), back (`return`), or matches none.
    pub orientation: Orientation,
    /// The rule that fits best, or null.
    pub rule: Option<Arc<str>>,
    /// Line of that rule in the policy, or null.
    pub rule_line: Option<usize>,
    /// The protocol that the service of that rule names, or null where ports and transport are not those of the rule.
    pub protocol: Option<&'static str>,
    /// Packets of this flow and reason that were counted, but not reported, since the last event about them.
    pub repeats: u64,
    /// Length of the packet in bytes.
    pub length: u32,
    /// First bytes of the packet, from the Ethernet header; in hexadecimal.
    #[serde(rename = "data", serialize_with = "hexadecimal")]
    pub frame: Vec<u8>,
    /// What happened, in one sentence.
    pub text: &'static str,
    /// The same time as `time`, nanoseconds since 1970.
    #[serde(skip)]
    pub unix_ns: u64,
}

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A packet deviated.
    Deviation,
    /// Packets like one that was reported before were counted.
    Repeats,
}

/// Whether transport and server port are those of the rule that fits best, so that its protocol may be spoken.
fn speaks_as_ruled(event: &Event, reason: Reason) -> bool {
    event.orientation != Orientation::None as u8 || reason == Reason::SourcePortDeviation
}

fn reason_name<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.about().name)
}

/// The address in two words of an event.
fn address(family: u8, [hi, lo]: [u64; 2]) -> Option<IpAddr> {
    match family {
        4 => Some(Ipv4Addr::from_bits(lo as u32).into()),
        6 => Some(Ipv6Addr::from_bits(u128::from(hi) << 64 | u128::from(lo)).into()),
        _ => None,
    }
}

/// Whether an event is of an ARP message that claims an address.
fn claims_ipv4(event: &Event) -> bool {
    event.ethertype == ethertype::ARP && event.source != [0; 2]
}

fn hexadecimal<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut room = [0; 2 * CAPTURE];
    let digit = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'?');
    for (pair, byte) in room.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    let digits = room.get(..2 * bytes.len()).unwrap_or(&room);
    serializer.serialize_str(std::str::from_utf8(digits).map_err(serde::ser::Error::custom)?)
}

/// Name of an IP protocol.
fn transport(family: u8, protocol: u8) -> Option<Cow<'static, str>> {
    match (family, protocol) {
        (0, _) => None,
        (_, 1) => Some("icmp".into()),
        (_, 6) => Some("tcp".into()),
        (_, 17) => Some("udp".into()),
        (_, 58) => Some("icmpv6".into()),
        (_, 132) => Some("sctp".into()),
        (_, number) => Some(number.to_string().into()),
    }
}

/// An EtherType as people write it. The usual ones are not written anew for each event.
fn ethertype(number: u16) -> Cow<'static, str> {
    match number {
        0x0800 => "0x0800".into(),
        0x0806 => "0x0806".into(),
        0x86dd => "0x86dd".into(),
        _ => format!("{number:#06x}").into(),
    }
}

impl Report {
    /// Gives names to the numbers of an event. `None` where its bytes are none that this version writes.
    pub fn of(event: &Event, names: &Names, clock: &Clock) -> Option<Self> {
        let reason = Reason::from_number(event.reason)?;
        let ports = matches!(event.protocol, 6 | 17 | 132) && event.family != 0;
        let rule = names.rule(event.rule);
        let kind = if event.kind == EventKind::Repeats as u8 { Kind::Repeats } else { Kind::Deviation };
        Some(Self {
            kind,
            time: clock.time(event.time_ns),
            reason,
            verdict: Verdict::from_number(event.verdict)?,
            mode: if event.mode == Mode::Enforce as u8 { Mode::Enforce } else { Mode::Alert },
            field: reason.about().field,
            conduit: names.conduit(event.conduit),
            zone: names.zone(event.zone),
            destination_zone: names.zone(event.destination_zone),
            src: address(if claims_ipv4(event) { 4 } else { event.family }, event.source),
            dst: address(event.family, event.destination),
            // A count of repeats is of packets from many ports, where the port is noise.
            src_port: (ports && !(kind == Kind::Repeats && event.source_port == 0))
                .then_some(event.source_port),
            dst_port: ports.then_some(event.destination_port),
            transport: transport(event.family, event.protocol),
            ethertype: ethertype(event.ethertype),
            vlans: [event.outer_vid, event.inner_vid].into_iter().filter(|vid| *vid != 0).collect(),
            interface: names.interface(event.interface),
            class: Class::from_number(event.class).filter(|class| *class != Class::Undecidable),
            orientation: Orientation::from_number(event.orientation)?,
            rule: rule.map(|rule| Arc::clone(&rule.name)),
            // A grant stands in no file.
            rule_line: rule.map(|rule| rule.line).filter(|line| *line != 0),
            protocol: rule.filter(|_| speaks_as_ruled(event, reason)).and_then(|rule| rule.protocol),
            repeats: event.repeats,
            length: event.length,
            frame: event.bytes().to_vec(),
            text: reason.about().text,
            unix_ns: clock.unix_ns(event.time_ns),
        })
    }

    /// The JSON of the event, with [`Report::line`] in it.
    ///
    /// # Errors
    /// None in practice: every field has a form in JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        // A flattened struct would go through a copy of all its fields.
        let mut json = Vec::with_capacity(JSON);
        serde_json::to_writer(&mut json, self)?;
        json.pop();
        json.extend_from_slice(b",\"line\":");
        serde_json::to_writer(&mut json, &self.line())?;
        json.push(b'}');
        String::from_utf8(json).map_err(serde::ser::Error::custom)
    }

    /// Who sends to whom.
    pub fn packet(&self) -> String {
        packet(
            self.transport.as_deref(),
            (self.src, self.src_port),
            (self.dst, self.dst_port),
            &self.ethertype,
        )
        .to_string()
    }

    /// One line for a person.
    pub fn line(&self) -> String {
        let mut line = String::with_capacity(LINE);
        // Nothing fails that only writes to memory.
        let _ = self.write_line(&mut line);
        line
    }

    fn write_line(&self, line: &mut String) -> fmt::Result {
        // Milliseconds are enough to read.
        line.push_str(self.time.get(..23).unwrap_or(&self.time));
        line.push_str(match self.verdict {
            Verdict::Drop => "Z DROP       ",
            Verdict::WouldDrop => "Z would-drop ",
            Verdict::Pass => "Z pass       ",
        });
        write!(line, "{:<21} ", self.reason.about().name)?;
        let source = (self.src, self.src_port);
        let destination = (self.dst, self.dst_port);
        write!(line, "{}", packet(self.transport.as_deref(), source, destination, &self.ethertype))?;
        let place = self.conduit.as_deref().or(self.zone.as_deref()).unwrap_or("no zone");
        line.extend(["  [", place, "]"]);
        if let Some(class) = self.class {
            line.extend(["  ", class.name()]);
        }
        if let Some(rule) = &self.rule {
            line.extend(["  nearest: ", rule]);
        }
        match (self.kind, self.repeats) {
            (Kind::Repeats, repeats) => write!(line, "  ({repeats} more like it)"),
            (Kind::Deviation, 0) => Ok(()),
            (Kind::Deviation, repeats) => write!(line, "  (+{repeats} before)"),
        }
    }
}

/// Who sends to whom: `udp 10.10.1.5:5009 > 10.20.0.11:6011`; by its EtherType where it is no IP.
pub(crate) fn packet(
    transport: Option<&str>,
    source: (Option<IpAddr>, Option<u16>),
    destination: (Option<IpAddr>, Option<u16>),
    ethertype: &str,
) -> impl fmt::Display {
    let end = move |end| {
        fmt::from_fn(move |f| match end {
            (Some(IpAddr::V6(v6)), Some(port)) => write!(f, "[{v6}]:{port}"),
            (Some(address), Some(port)) => write!(f, "{address}:{port}"),
            (Some(address), None) => write!(f, "{address}"),
            (None, _) => f.write_str(ethertype),
        })
    };
    fmt::from_fn(move |f| write!(f, "{} {} > {}", transport.unwrap_or("l2"), end(source), end(destination)))
}

/// The time of day, RFC 3339 in UTC with microseconds: for people, and for nothing that is decided. Besides
/// [`Clock`] this is the only place that reads the clock which somebody may set.
pub fn time_of_day() -> String {
    time_after(std::time::Duration::ZERO)
}

/// The same, so much later.
pub fn time_after(span: std::time::Duration) -> String {
    let now = jiff::Timestamp::now();
    format!("{:.6}", now.checked_add(span).unwrap_or(now))
}

/// A time without its fraction: who needs that has JSON.
pub fn seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

/// Turns nanoseconds since boot into the time of day.
#[derive(Debug, Clone)]
pub struct Clock {
    /// When it was booted, nanoseconds since 1970.
    boot_ns: i64,
    /// The last minute, since 1970, and how it begins: what most events have in common.
    minute: Cell<(i64, [u8; BEGINNING])>,
}

/// Length of `2026-01-31T12:00:`.
const BEGINNING: usize = 17;

impl Clock {
    /// Reads both clocks now. Do it again after the clock was set.
    pub fn now() -> Self {
        Self::booted(jiff::Timestamp::now() - monotonic())
    }

    /// The clock of a machine that was booted at `unix_ns` nanoseconds since 1970.
    pub fn booted_at(unix_ns: u64) -> Self {
        Self::booted(jiff::Timestamp::UNIX_EPOCH + std::time::Duration::from_nanos(unix_ns))
    }

    fn booted(at: jiff::Timestamp) -> Self {
        let boot_ns = i64::try_from(at.as_nanosecond()).unwrap_or(0);
        Self { boot_ns, minute: Cell::new((-1, [0; BEGINNING])) }
    }

    /// The time of day of a time since boot, RFC 3339 in UTC with microseconds.
    pub fn time(&self, since_boot_ns: u64) -> String {
        let micros = self.at(since_boot_ns).div_euclid(1_000);
        let (minute, rest) = (micros.div_euclid(60_000_000), micros.rem_euclid(60_000_000));
        let (known, mut beginning) = self.minute.get();
        if known != minute {
            let time = jiff::Timestamp::from_second(minute * 60).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            let text = time.to_string();
            beginning.copy_from_slice(text.as_bytes().get(..BEGINNING).unwrap_or(&[b'?'; BEGINNING]));
            self.minute.set((minute, beginning));
        }
        let beginning = std::str::from_utf8(&beginning).unwrap_or_default();
        format!("{beginning}{:02}.{:06}Z", rest / 1_000_000, rest % 1_000_000)
    }

    /// The same, as nanoseconds since 1970.
    pub fn unix_ns(&self, since_boot_ns: u64) -> u64 {
        u64::try_from(self.at(since_boot_ns)).unwrap_or(0)
    }

    fn at(&self, since_boot_ns: u64) -> i64 {
        self.boot_ns.saturating_add(i64::try_from(since_boot_ns).unwrap_or(i64::MAX))
    }
}

/// Time since boot, as the data plane's clock has it.
pub fn monotonic() -> jiff::SignedDuration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    jiff::SignedDuration::new(time.tv_sec, i32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn times_are_those_of_the_library() -> Result<(), jiff::Error> {
        for boot_ns in [0, 951_782_399_999_999_999, 1_800_000_000_000_000_001, 4_102_444_799_123_456_789] {
            let clock = Clock::booted_at(boot_ns);
            for since_ns in
                [0, 999, 1_000, 59_999_999_999, 60_000_000_000, 61_000_001_000, 86_400_000_000_000]
            {
                let time = jiff::Timestamp::from_nanosecond(i128::from(boot_ns + since_ns))?;
                assert_eq!(clock.time(since_ns), format!("{time:.6}"));
                assert_eq!(clock.unix_ns(since_ns), boot_ns + since_ns);
            }
        }
        Ok(())
    }
}
