//! The smallest packet that asks the question.

use std::net::IpAddr;

use banchi_common::abi::Transport;

use super::question::Question;
use crate::policy::model::{Addresses, Policy, Vlan};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Bytes from the Ethernet header on. Checksums are zero: nothing here looks at them. The source hardware
/// address is the question's, else the one that the policy binds to the source address.
pub(crate) fn build(policy: &Policy, question: &Question, vlan: Vlan) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1];
    frame.extend(question.mac.unwrap_or_else(|| bound_mac(policy, question.source)));
    let mut tag = |vid: u16| {
        frame.extend([0x81, 0x00]);
        frame.extend(vid.to_be_bytes());
    };
    match vlan {
        Vlan::Untagged => {}
        Vlan::Tagged(vid) => tag(vid),
        Vlan::Double(outer, inner) => {
            tag(outer);
            tag(inner);
        }
    }
    let payload = transport(question);
    match (question.source, question.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((20 + payload.len() as u16).to_be_bytes());
            frame.extend([0, 0, 0, 0, 64, protocol(question), 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        (from, to) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V6(v6) => v6.octets(),
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((payload.len() as u16).to_be_bytes());
            frame.extend([protocol(question), 64]);
            frame.extend(octets(from));
            frame.extend(octets(to));
        }
    }
    frame.extend(payload);
    frame
}

fn protocol(question: &Question) -> u8 {
    match question.transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
        Transport::Sctp => 132,
        Transport::Icmp if question.source.is_ipv4() => 1,
        Transport::Icmp => 58,
    }
}

fn transport(question: &Question) -> Vec<u8> {
    let mut bytes = Vec::new();
    if question.transport != Transport::Icmp {
        bytes.extend(question.source_port.to_be_bytes());
        bytes.extend(question.destination_port.to_be_bytes());
    }
    match question.transport {
        Transport::Tcp => {
            bytes.extend([0; 8]);
            bytes.extend([0x50, if question.opens { SYN } else { ACK }, 0xff, 0xff, 0, 0, 0, 0]);
        }
        Transport::Udp => {
            bytes.extend((8 + question.payload.len() as u16).to_be_bytes());
            bytes.extend([0, 0]);
        }
        Transport::Sctp => bytes.extend([0; 8]),
        Transport::Icmp => {
            let kind = match (question.source.is_ipv4(), question.opens) {
                (true, true) => 8,
                (true, false) => 0,
                (false, true) => 128,
                (false, false) => 129,
            };
            bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        }
    }
    bytes.extend(&question.payload);
    bytes
}

fn bound_mac(policy: &Policy, address: IpAddr) -> [u8; 6] {
    let holder = policy
        .assets
        .iter()
        .find(|asset| asset.mac.is_some() && asset.addresses.contains(&Addresses::Host(address)));
    holder.and_then(|asset| asset.mac).unwrap_or([0x02, 0, 0, 0, 0, 2])
}
