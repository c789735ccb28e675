//! Community ID, version 1: one name for a flow in the data of many tools.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// Types of ICMP messages that belong together, as (question, answer).
const ICMP: &[(u8, u8)] = &[(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)];
const ICMPV6: &[(u8, u8)] = &[(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)];

/// Community ID of a flow, with seed 0. `protocol` is the IP protocol number; `ports` are those of TCP, UDP and SCTP, and
/// type and code of ICMP. `None` where the addresses are of two families.
pub fn community_id(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: Option<(u16, u16)>,
) -> Option<String> {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (from, to) = (octets(source), octets(destination));
    if from.len() != to.len() {
        return None;
    }
    let (ports, is_one_way) = match (protocol, ports) {
        (1, Some(message)) => pair(ICMP, message),
        (58, Some(message)) => pair(ICMPV6, message),
        (_, ports) => (ports, false),
    };
    let (first, last) = match ports {
        Some((out, back)) => ((from, Some(out)), (to, Some(back))),
        None => ((from, None), (to, None)),
    };
    // Both directions of a flow have one name, so the smaller end comes first.
    let (first, last) = if is_one_way || first <= last { (first, last) } else { (last, first) };
    let mut hash = Sha1::new();
    hash.update(0_u16.to_be_bytes());
    hash.update(&first.0);
    hash.update(&last.0);
    hash.update([protocol, 0]);
    for port in [first.1, last.1].into_iter().flatten() {
        hash.update(port.to_be_bytes());
    }
    Some(format!("1:{}", STANDARD.encode(hash.finalize())))
}

/// What stands for ports, of type and code, and whether the message has no counterpart.
fn pair(known: &[(u8, u8)], (kind, code): (u16, u16)) -> (Option<(u16, u16)>, bool) {
    for (question, answer) in known {
        let (question, answer) = (u16::from(*question), u16::from(*answer));
        if kind == question {
            return (Some((question, answer)), false);
        }
        if kind == answer {
            return (Some((answer, question)), false);
        }
    }
    (Some((kind, code)), true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Values that tshark computes, too: see the test of the outputs.
    #[test]
    fn both_directions_have_the_published_name() {
        let cases = [
            ("128.232.110.120", "66.35.250.204", 6, Some((34855, 80)), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("192.168.1.52", "8.8.8.8", 17, Some((54585, 53)), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        ];
        for (source, destination, protocol, ports, expected) in cases {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let back = ports.map(|(a, b)| (b, a));
            assert_eq!(community_id(source, destination, protocol, ports).unwrap(), expected);
            assert_eq!(community_id(destination, source, protocol, back).unwrap(), expected);
        }
    }

    #[test]
    fn an_echo_and_its_answer_are_one_flow() {
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let asked = community_id(a, b, 1, Some((8, 0)));
        assert_eq!(asked, community_id(b, a, 1, Some((0, 0))));
        assert_ne!(asked, community_id(a, b, 1, Some((3, 1))));
        assert_ne!(community_id(a, b, 1, Some((3, 1))), community_id(b, a, 1, Some((3, 1))));
        assert_eq!(community_id(a, "::1".parse().unwrap(), 6, None), None);
    }
}
