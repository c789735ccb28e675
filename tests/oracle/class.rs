//! What a payload shows itself as.

use banchi::policy::model::{Class, Direction, Service};
use banchi_common::direction::{Payload, classify};
use banchi_common::wire::{Bytes, FIRST_FRAGMENT, Headers};

/// The class of a payload, as far as the service says how to tell. Of a datagram in fragments, `whole` says how many
/// bytes the UDP header claims for it.
pub(super) fn class_of(service: &Service, payload: &[u8], whole: Option<u16>) -> Class {
    match &service.direction {
        None => Class::Undecidable,
        Some(Direction::Custom { at, mask, request, response }) => {
            let Some(byte) = payload.get(usize::from(*at)) else { return Class::Undecidable };
            if byte & mask == request & mask {
                Class::Request
            } else if byte & mask == response & mask {
                Class::Response
            } else {
                Class::Undecidable
            }
        }
        // Protocols have tests of their own: here they are taken as they are.
        Some(Direction::Named(protocol)) => {
            let class = |payload| classify(payload, service.transport as u8, *protocol as u8, u32::MAX);
            let Some(whole) = whole else {
                let bytes = Bytes(payload);
                return class(&Payload::new(&bytes, 0, payload.len()));
            };
            // As it stands behind its UDP header.
            let datagram = [&[0; 4], whole.to_be_bytes().as_slice(), &[0; 2], payload].concat();
            let headers = Headers {
                payload: 8,
                end: datagram.len() as u32,
                fragment: FIRST_FRAGMENT,
                protocol: 17,
                ..Headers::default()
            };
            let bytes = Bytes(&datagram);
            class(&Payload::of(&bytes, &headers))
        }
    }
}
