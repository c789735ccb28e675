//! Alerts in the words of Suricata's EVE, for what reads those.

use std::net::IpAddr;

use banchi_common::reason::{Orientation, Reason, Verdict};
use serde_json::{Map, Value, json};

use super::community::community_id;
use super::meaning;
use crate::events::{Kind, Report};

/// Numbers of signatures: this, and the number of the reason. Suricata leaves 1000000 to 1999999 to local rules.
const SIGNATURES: u32 = 1_917_000;

/// The event as an EVE record of type `alert`. Keys that Suricata does not have stand below `banchi`.
pub fn alert(report: &Report) -> Value {
    let about = report.reason.about();
    let mut record = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            record.insert(key.to_owned(), value);
        }
    };
    let timestamp = eve_time(&report.time);
    let icmp = icmp_of(report);
    let protocol = report.transport.as_deref().and_then(protocol_number);
    let community = report.src.zip(report.dst).zip(protocol).and_then(|((src, dst), protocol)| {
        let ports = report.src_port.zip(report.dst_port);
        let ports = ports.or(icmp.map(|(kind, code)| (u16::from(kind), u16::from(code))));
        // Without the ports that a flow has, this would be the name of another flow.
        let complete = ports.is_some() || !matches!(protocol, 1 | 6 | 17 | 58 | 132);
        complete.then(|| community_id(src, dst, protocol, ports)).flatten()
    });
    set("timestamp", json!(timestamp));
    set("event_type", json!("alert"));
    set("flow_id", json!(flow_id(report)));
    set("in_iface", json!(report.interface));
    set("vlan", if report.vlans.is_empty() { Value::Null } else { json!(report.vlans) });
    set("src_ip", json!(report.src));
    set("src_port", json!(report.src_port));
    set("dest_ip", json!(report.dst));
    set("dest_port", json!(report.dst_port));
    set("proto", json!(report.transport.as_deref().map(eve_protocol)));
    set("icmp_type", json!(icmp.map(|(kind, _)| kind)));
    set("icmp_code", json!(icmp.map(|(_, code)| code)));
    set("ip_v", json!(report.src.map(|src| if src.is_ipv4() { 4 } else { 6 })));
    set("community_id", json!(community));
    set("app_proto", json!(report.protocol));
    set(
        "direction",
        match report.orientation {
            Orientation::Forward => json!("to_server"),
            Orientation::Return => json!("to_client"),
            Orientation::None => Value::Null,
        },
    );
    set("ether", ether(report));
    set("alert", {
        json!({
            "action": if report.verdict == Verdict::Drop { "blocked" } else { "allowed" },
            "gid": 1,
            "signature_id": SIGNATURES + u32::from(report.reason as u8),
            "rev": 1,
            "signature": format!("banchi {}: {}", about.name, about.text),
            "category": meaning::category(report.reason),
            "severity": meaning::severity(report.reason),
            "metadata": metadata(report.reason),
        })
    });
    set("verdict", {
        let action = match report.verdict {
            Verdict::Drop => "drop",
            Verdict::WouldDrop => "alert",
            Verdict::Pass => "pass",
        };
        json!({ "action": action })
    });
    set("flow", flow(report, &timestamp));
    set("banchi", {
        let mut own = serde_json::to_value(report).unwrap_or_default();
        if let Some(own) = own.as_object_mut() {
            // What stands above, or is of no use without a packet.
            for key in
                ["time", "src", "dst", "src_port", "dst_port", "vlans", "interface", "data", "protocol"]
            {
                own.remove(key);
            }
            own.retain(|_, value| !value.is_null());
        }
        own
    });
    Value::Object(record)
}

/// The reason, and under the keys that rules of Emerging Threats have the technique of ATT&CK that it may be.
fn metadata(reason: Reason) -> Value {
    let mut metadata = json!({ "banchi_reason": [reason.about().name] });
    if let (Some(metadata), Some(technique)) = (metadata.as_object_mut(), reason.technique()) {
        metadata.insert("mitre_technique_id".to_owned(), json!([technique.id]));
        metadata.insert("mitre_technique_name".to_owned(), json!([technique.name.replace(' ', "_")]));
    }
    metadata
}

/// `2026-01-02T03:04:05.678901+0000`.
fn eve_time(time: &str) -> String {
    format!("{}+0000", time.strip_suffix('Z').unwrap_or(time))
}

/// As Suricata writes them: known ones in capitals, others as three digits.
fn eve_protocol(transport: &str) -> String {
    match transport {
        "icmpv6" => "IPv6-ICMP".to_owned(),
        known if known.starts_with(|c: char| c.is_ascii_alphabetic()) => known.to_uppercase(),
        number => format!("{number:0>3}"),
    }
}

fn protocol_number(transport: &str) -> Option<u8> {
    match transport {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "icmpv6" => Some(58),
        "sctp" => Some(132),
        number => number.parse().ok(),
    }
}

/// A number that both directions of a flow share, below 2^53 so that no reader of JSON rounds it.
fn flow_id(report: &Report) -> u64 {
    use sha2::{Digest as _, Sha256};
    let end = |address: Option<IpAddr>, port: Option<u16>| format!("{address:?} {port:?}");
    let mut ends = [end(report.src, report.src_port), end(report.dst, report.dst_port)];
    ends.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(ends.join(" ").as_bytes());
    hash.update(report.transport.as_deref().unwrap_or(&report.ethertype).as_bytes());
    if report.src.is_none() {
        hash.update(report.frame.get(..12).unwrap_or_default());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, ..] = digest;
    u64::from_be_bytes([0, a, b, c, d, e, f, g]) >> 3
}

fn ether(report: &Report) -> Value {
    let address = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    match (report.frame.get(..6), report.frame.get(6..12)) {
        (Some(dest), Some(src)) => json!({ "src_mac": address(src), "dest_mac": address(dest) }),
        _ => Value::Null,
    }
}

/// What is known of the flow: the packet of the event, or the count of packets like it.
fn flow(report: &Report, timestamp: &str) -> Value {
    let packets = if report.kind == Kind::Repeats { report.repeats } else { 1 };
    let bytes = if report.kind == Kind::Repeats { 0 } else { report.length };
    let back = report.orientation == Orientation::Return;
    let [to_server, to_client] = if back { [(0, 0), (packets, bytes)] } else { [(packets, bytes), (0, 0)] };
    let mut flow = json!({
        "pkts_toserver": to_server.0,
        "pkts_toclient": to_client.0,
        "bytes_toserver": to_server.1,
        "bytes_toclient": to_client.1,
        "start": timestamp,
    });
    let (mut from, mut to) =
        ((json!(report.src), json!(report.src_port)), (json!(report.dst), json!(report.dst_port)));
    if back {
        std::mem::swap(&mut from, &mut to);
    }
    if let Some(flow) = flow.as_object_mut() {
        for (key, value) in [("src_ip", from.0), ("src_port", from.1), ("dest_ip", to.0), ("dest_port", to.1)]
        {
            if !value.is_null() {
                flow.insert(key.to_owned(), value);
            }
        }
    }
    flow
}

/// Type and code of an ICMP message, of a whole packet or a first fragment.
fn icmp_of(report: &Report) -> Option<(u8, u8)> {
    let at = |offset: usize| report.frame.get(offset).copied();
    let ethertype = |offset: usize| Some(u16::from_be_bytes([at(offset)?, at(offset + 1)?]));
    let mut l3 = 14;
    while l3 <= 22 && matches!(ethertype(l3 - 2)?, 0x8100 | 0x88a8 | 0x9100) {
        l3 += 4;
    }
    let l4 = match report.transport.as_deref()? {
        "icmp" if u16::from_be_bytes([at(l3 + 6)?, at(l3 + 7)?]) & 0x1fff == 0 => {
            l3 + usize::from(at(l3)? & 0x0f) * 4
        }
        "icmpv6" if at(l3 + 6)? == 58 => l3 + 40,
        _ => return None,
    };
    Some((at(l4)?, at(l4 + 1)?))
}
