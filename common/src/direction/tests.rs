//! Every sample at every length, and the table of protocols.

use std::vec::Vec;

use super::*;
use crate::abi::Transport;
use crate::wire::Bytes;

const ALL: u32 = u32::MAX;
/// Where a payload begins in a frame with Ethernet, IPv4 and UDP.
const START: usize = 42;

/// Class of a payload within a frame whose bytes go on behind it.
fn class_of(protocol: u8, transport: Transport, payload: &[u8], trailer: &[u8]) -> Class {
    let frame = [[0x55; START].as_slice(), payload, trailer].concat();
    let packet = Bytes(&frame);
    let payload = Payload::new(&packet, START, START + payload.len());
    classify(&payload, transport as u8, protocol, ALL)
}

#[test]
fn samples_are_decided_at_the_byte_that_they_name() {
    let mut wrong = Vec::new();
    for sample in samples() {
        let bytes = sample.bytes;
        for length in 0..=bytes.len() {
            let decided = sample.class != Class::Undecidable && length >= sample.needed;
            let expected = if decided { sample.class } else { Class::Undecidable };
            let (payload, rest) = bytes.split_at(length);
            for trailer in [&[], rest, &[0; 64], &[0xff; 64]] {
                let given = class_of(sample.protocol as u8, sample.transport, payload, trailer);
                if given != expected {
                    let name = sample.protocol.about().name;
                    wrong.push(std::format!(
                        "{name}: {}: {given:?} at {length}/{}",
                        sample.what,
                        bytes.len()
                    ));
                }
            }
        }
        let undecidable = sample.class == Class::Undecidable;
        if undecidable != (sample.needed == 0) || sample.needed > bytes.len() {
            wrong.push(std::format!("{}: {} of {}", sample.what, sample.needed, bytes.len()));
        }
        assert!(sample.source.starts_with("synthetic, "), "{}", sample.what);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_and_numbers_are_unique_and_lead_back() {
    for about in PROTOCOLS {
        assert_eq!(PROTOCOLS.iter().filter(|other| other.name == about.name).count(), 1, "{}", about.name);
        assert_eq!(Protocol::from_name(about.name), Some(about.protocol));
        assert_eq!(Protocol::from_number(about.protocol as u8), Some(about.protocol));
        assert_eq!(about.protocol.about().name, about.name);
        assert!((1..32).contains(&(about.protocol as u8)), "{}: one bit of the setting each", about.name);
        assert!(!about.title.is_empty() && !about.rule.is_empty() && !about.source.is_empty());
    }
    assert_eq!(Protocol::from_number(0), None);
    assert_eq!(Protocol::from_number(255), None);
    for number in 0..4 {
        assert_eq!(Class::from_number(number).map(|class| class as u8), Some(number));
    }
    assert_eq!(Class::from_number(4), None);
}

#[test]
fn every_protocol_shows_what_its_table_claims() {
    for about in PROTOCOLS {
        let of_protocol = || samples().filter(|sample| sample.protocol == about.protocol);
        let both = about.client.with(about.server);
        for class in [Class::Request, Class::Response, Class::Notification] {
            let shown = of_protocol().any(|sample| sample.class == class);
            assert!(shown || class == Class::Notification && !both.holds(class), "{}: {class:?}", about.name);
        }
        for transport in about.transports {
            let undecidable = of_protocol()
                .filter(|sample| sample.transport == *transport && sample.class == Class::Undecidable)
                .count();
            assert!(undecidable >= 2, "{} over {transport:?}", about.name);
        }
        assert!(of_protocol().all(|sample| about.transports.contains(&sample.transport)), "{}", about.name);
    }
}

#[test]
fn a_set_holds_its_classes_and_never_the_undecidable() {
    let all = Classes::REQUEST.with(Classes::RESPONSE).with(Classes::NOTIFY);
    for number in 0..4 {
        let class = Class::from_number(number).unwrap_or_default();
        assert_eq!(all.holds(class), class != Class::Undecidable);
        assert!(!Classes::NONE.holds(class));
    }
    assert!(!Classes(u8::MAX).holds(Class::Undecidable));
}

#[test]
fn what_the_policy_does_not_use_is_undecidable() {
    for sample in samples() {
        let packet = Bytes(sample.bytes);
        let payload = Payload::new(&packet, 0, sample.bytes.len());
        let others = !(1 << sample.protocol as u8);
        let class = |transport, protocols| classify(&payload, transport, sample.protocol as u8, protocols);
        assert_eq!(class(sample.transport as u8, others), Class::Undecidable);
        assert_eq!(class(sample.transport as u8, !others), sample.class, "{}", sample.what);
        assert_eq!(class(Transport::Sctp as u8, ALL), Class::Undecidable);
    }
}

/// Bytes of a sample with noise in them, which come further than noise alone, and now and then that.
fn noisy(random: &mut impl FnMut() -> usize) -> Vec<u8> {
    let sample = samples().nth(random() % (samples().count() * 5 / 4));
    let noise = || (0..random() % 301).map(|_| random() as u8).collect();
    let mut bytes: Vec<u8> = sample.map_or_else(noise, |sample| sample.bytes.to_vec());
    for _ in 0..random() % 4 {
        let at = random() % (bytes.len() + 1);
        let noise = random() as u8;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = noise;
        }
    }
    bytes
}

fn randomness() -> impl FnMut() -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as usize
    }
}

#[test]
fn nothing_panics() {
    let mut random = randomness();
    for _ in 0..20_000 {
        let bytes = noisy(&mut random);
        let packet = Bytes(&bytes);
        let cut = random() % 400;
        for number in 0..=255 {
            for transport in [Transport::Tcp, Transport::Udp] {
                for (start, end) in [(0, bytes.len()), (0, cut), (cut, bytes.len()), (usize::MAX, usize::MAX)]
                {
                    let payload = Payload::new(&packet, start, end);
                    let _ = classify(&payload, transport as u8, number, ALL);
                }
            }
        }
    }
}

#[test]
fn more_bytes_never_change_a_decision_into_another() {
    let mut random = randomness();
    for _ in 0..2_000 {
        let bytes = noisy(&mut random);
        let packet = Bytes(&bytes);
        for about in PROTOCOLS {
            for transport in about.transports {
                let mut decided = Class::Undecidable;
                for length in 0..=bytes.len() {
                    let payload = Payload::new(&packet, 0, length);
                    let class = classify(&payload, *transport as u8, about.protocol as u8, ALL);
                    if class != Class::Undecidable {
                        assert!(
                            decided == Class::Undecidable || decided == class,
                            "{}: {bytes:02x?}",
                            about.name
                        );
                        decided = class;
                    }
                }
            }
        }
    }
}

#[test]
fn reads_stay_inside() {
    let packet = Bytes(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let payload = Payload::new(&packet, 2, 6);
    assert_eq!((payload.len(), payload.is_empty()), (4, false));
    assert_eq!((payload.u8(3), payload.u8(4)), (Some(6), None));
    assert_eq!((payload.u16(2), payload.u16(3), payload.u16_le(0)), (Some(0x0506), None, Some(0x0403)));
    assert_eq!((payload.u32(0), payload.u32(1)), (Some(0x0304_0506), None));
    assert_eq!(payload.u32_le(0), Some(0x0605_0403));
    assert_eq!(payload.u8(usize::MAX), None);
    assert_eq!(Payload::new(&packet, 6, 20).u32(0), None);
    assert!(Payload::new(&packet, 6, 2).is_empty());
}
