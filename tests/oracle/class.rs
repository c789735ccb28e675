//! What a payload shows itself as.

use banchi::policy::model::{Class, Direction, Service};
use banchi_common::direction::{Payload, classify};
use banchi_common::wire::Bytes;

/// The class of a payload, as far as the service says how to tell.
pub(super) fn class_of(service: &Service, payload: &[u8]) -> Class {
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
            let bytes = Bytes(payload);
            let payload = Payload::new(&bytes, 0, payload.len());
            classify(&payload, service.transport as u8, *protocol as u8, u32::MAX)
        }
    }
}
