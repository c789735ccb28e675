//! Stand-in.
use crate::abi::Transport;
use crate::wire::{OFFSET_MASK, Packet};
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
#[cfg_attr(feature = "std", serde(rename_all = "kebab-case"))]
#[repr(u8)]
pub enum Class {
    #[default]
    Undecidable = 0,
    Request = 1,
    Response = 2,
    Notification = 3,
}
#[allow(missing_docs)]
impl Class {
    pub const fn from_number(n: u8) -> Option<Self> {
        match n {
            0 => Some(Self::Undecidable),
            1 => Some(Self::Request),
            2 => Some(Self::Response),
            3 => Some(Self::Notification),
            _ => None,
        }
    }
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undecidable => "undecidable",
            Self::Request => "request",
            Self::Response => "response",
            Self::Notification => "notification",
        }
    }
}
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes(pub u8);
#[allow(missing_docs)]
impl Classes {
    pub const NONE: Self = Self(0);
    pub const REQUEST: Self = Self(2);
    pub const RESPONSE: Self = Self(4);
    pub const NOTIFY: Self = Self(8);
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    #[inline(always)]
    pub const fn holds(self, class: Class) -> bool {
        !matches!(class, Class::Undecidable) && self.0 >> (class as u8) & 1 != 0
    }
}
#[allow(missing_docs)]
pub struct Payload<'p, P> {
    packet: &'p P,
    start: usize,
    end: usize,
}
#[allow(missing_docs)]
impl<'p, P: Packet> Payload<'p, P> {
    #[inline(always)]
    pub fn new(packet: &'p P, start: usize, end: usize) -> Self {
        Self { packet, start: start & OFFSET_MASK, end }
    }
    #[inline(always)]
    pub fn u8(&self, at: usize) -> Option<u8> {
        if self.start + at >= self.end {
            return None;
        }
        self.packet.u8(self.start + at)
    }
}
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Protocol {
    Bacnet = 1,
    Slmp = 2,
}
#[allow(missing_docs)]
#[derive(Debug)]
pub struct About {
    pub protocol: Protocol,
    pub name: &'static str,
    pub title: &'static str,
    pub transports: &'static [Transport],
    pub client: Classes,
    pub server: Classes,
    pub rule: &'static str,
    pub undecidable: &'static str,
    pub source: &'static str,
}
#[allow(missing_docs)]
pub const PROTOCOLS: &[About] = &[
    About {
        protocol: Protocol::Bacnet,
        name: "bacnet",
        title: "",
        transports: &[Transport::Udp],
        client: Classes::RESPONSE,
        server: Classes::NOTIFY,
        rule: "",
        undecidable: "",
        source: "",
    },
    About {
        protocol: Protocol::Slmp,
        name: "slmp",
        title: "",
        transports: &[Transport::Udp],
        client: Classes::NONE,
        server: Classes::NONE,
        rule: "",
        undecidable: "",
        source: "",
    },
];
#[allow(missing_docs)]
impl Protocol {
    pub fn from_name(n: &str) -> Option<Self> {
        PROTOCOLS.iter().find(|a| a.name == n).map(|a| a.protocol)
    }
    pub fn about(self) -> &'static About {
        &PROTOCOLS[self as usize - 1]
    }
}
#[allow(missing_docs)]
#[inline(always)]
pub fn classify<P: Packet>(payload: &Payload<'_, P>, _transport: u8, protocol: u8, protocols: u32) -> Class {
    if protocols & (1 << (protocol & 31)) == 0 {
        return Class::Undecidable;
    }
    match payload.u8(0) {
        Some(x) if x & 0x80 != 0 => Class::Response,
        Some(_) => Class::Request,
        None => Class::Undecidable,
    }
}
