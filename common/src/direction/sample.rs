//! Messages with the class that they must get. Written from the specifications, none from a capture.

use super::{Class, Protocol};
use crate::abi::Transport;

/// A message and what it is.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The protocol that it belongs to, or pretends to.
    pub protocol: Protocol,
    /// What carries it.
    pub transport: Transport,
    /// What it is, for a person.
    pub what: &'static str,
    /// The class that it must get.
    pub class: Class,
    /// Length of the shortest prefix that has the class already. Shorter ones are undecidable. 0 where the
    /// whole is.
    pub needed: usize,
    /// The payload.
    pub bytes: &'static [u8],
    /// Where the bytes are from.
    pub source: &'static str,
}

/// `Transport Class needed "what" "hex bytes"` each.
macro_rules! samples_of {
    ($protocol:ident, $source:literal; $( $transport:ident $class:ident $needed:literal $what:literal $hex:literal )+) => {
        #[cfg(any(test, feature = "std"))]
        pub(super) const SAMPLES: &[crate::direction::Sample] = &[ $( crate::direction::Sample {
            protocol: crate::direction::Protocol::$protocol,
            transport: crate::abi::Transport::$transport,
            what: $what,
            class: crate::direction::Class::$class,
            needed: $needed,
            bytes: &{
                const BYTES: [u8; crate::direction::sample::count($hex)] = crate::direction::sample::bytes($hex);
                BYTES
            },
            source: $source,
        }, )+ ];
    };
}
pub(super) use samples_of;

/// How many bytes the digits make.
pub(super) const fn count(hex: &str) -> usize {
    let hex = hex.as_bytes();
    let (mut at, mut digits) = (0, 0);
    while at < hex.len() {
        digits += hex[at].is_ascii_hexdigit() as usize;
        at += 1;
    }
    digits / 2
}

/// The bytes that the digits make; whatever is no digit only parts them. Runs while compiling.
pub(super) const fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let hex = hex.as_bytes();
    let mut bytes = [0; N];
    let (mut at, mut digits) = (0, 0);
    while at < hex.len() {
        let value = match hex[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            b' ' | b'\n' => 16,
            _ => panic!("samples are lower-case digits, apart by spaces"),
        };
        if value < 16 {
            bytes[digits / 2] = bytes[digits / 2] << 4 | value;
            digits += 1;
        }
        at += 1;
    }
    bytes
}
