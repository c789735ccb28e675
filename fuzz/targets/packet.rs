//! A frame of any bytes: it is parsed without a panic, what was parsed lies within it, and no payload makes the protocols
//! stumble.
#![no_main]

use banchi_common::direction::{PROTOCOLS, Payload, classify};
use banchi_common::wire::{Bytes, Content, Headers, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let frame = Bytes(bytes);
    let mut headers = Headers::default();
    let content = parse(&frame, &mut headers);
    if content == Content::Flow {
        assert!(headers.l3() <= bytes.len() && headers.l4() <= bytes.len());
        let payload = Payload::of(&frame, &headers);
        for about in PROTOCOLS {
            for transport in 0..2 {
                let _ = classify(&payload, transport, about.protocol as u8, u32::MAX);
            }
        }
    }
});
