//! How allowed packets leave the gateway, and what became of them on the way.

/// How allowed packets leave the gateway: [`super::Setting::Forwarding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "std", serde(rename_all = "kebab-case"))]
#[repr(u8)]
pub enum Forwarding {
    /// The kernel's own stack routes or bridges them.
    #[default]
    Stack = 0,
    /// The program routes them by the kernel's tables, and leaves to the stack what it cannot.
    Route = 1,
    /// They cross to the other end of a wire, as they are.
    Wire = 2,
}

impl Forwarding {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Stack, Self::Route, Self::Wire];

    /// Its word in a policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Route => "route",
            Self::Wire => "wire",
        }
    }
}

/// What became of a packet that passes, where the program forwards: sent on, or left to the stack for a cause. Row of
/// the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Onward {
    /// Routed by the program. Packets that cross a wire are not counted.
    Routed = 0,
    /// Left to the stack: not IP.
    NotIp = 1,
    /// Left to the stack: it has a VLAN tag.
    Tagged = 2,
    /// Left to the stack: not for the gateway's hardware address.
    OtherHardware = 3,
    /// Left to the stack: options of IPv4, or hop-by-hop options of IPv6.
    Options = 4,
    /// Left to the stack: TTL or hop limit is used up.
    Expiring = 5,
    /// Left to the stack: larger than the MTU of its route.
    TooLarge = 6,
    /// Left to the stack: the hardware address of the next hop is not known.
    Unresolved = 7,
    /// Left to the stack: for the gateway itself, for a group, or without a route.
    NotForwarded = 8,
    /// Left to the stack: its route is a blackhole, unreachable or prohibited.
    Forbidden = 9,
    /// Left to the stack: forwarding is off where it came in.
    ForwardingOff = 10,
    /// Left to the stack: its route is of a kind that a program cannot take.
    Unsupported = 11,
    /// Left to the stack: it leaves by an interface that has no zone.
    OtherInterface = 12,
    /// Left to the stack: it leaves by the interface that it came in by.
    SameInterface = 13,
    /// Left to the stack: its source is no address of a host.
    StrangeSource = 14,
    /// Left to the stack, one in a while to each neighbour, so that the kernel goes on asking who has its address.
    Confirming = 15,
    /// Left to the stack: on a wire, and for an address of the gateway.
    ForGateway = 16,
    /// Left to the stack: there is no other end of a wire.
    NoWire = 17,
}

impl Onward {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Routed,
        Self::NotIp,
        Self::Tagged,
        Self::OtherHardware,
        Self::Options,
        Self::Expiring,
        Self::TooLarge,
        Self::Unresolved,
        Self::NotForwarded,
        Self::Forbidden,
        Self::ForwardingOff,
        Self::Unsupported,
        Self::OtherInterface,
        Self::SameInterface,
        Self::StrangeSource,
        Self::Confirming,
        Self::ForGateway,
        Self::NoWire,
    ];

    /// Its word in what people and programs read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::NotIp => "not-ip",
            Self::Tagged => "tagged",
            Self::OtherHardware => "other-hardware-address",
            Self::Options => "ip-options",
            Self::Expiring => "ttl-expiring",
            Self::TooLarge => "too-large",
            Self::Unresolved => "unresolved-neighbour",
            Self::NotForwarded => "local-or-no-route",
            Self::Forbidden => "forbidden-route",
            Self::ForwardingOff => "forwarding-off",
            Self::Unsupported => "unsupported-route",
            Self::OtherInterface => "other-interface",
            Self::SameInterface => "same-interface",
            Self::StrangeSource => "strange-source",
            Self::Confirming => "confirming-neighbour",
            Self::ForGateway => "for-gateway",
            Self::NoWire => "no-wire",
        }
    }

    /// What it means, in one sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Routed => "Sent on by the program.",
            Self::NotIp => "ARP and the like.",
            Self::Tagged => "It has a VLAN tag: its interface is one of the kernel's.",
            Self::OtherHardware => "Broadcast, multicast, or for another station.",
            Self::Options => "Options of IPv4 or hop-by-hop options of IPv6, which the kernel acts on.",
            Self::Expiring => "TTL or hop limit is used up: the kernel answers with time exceeded.",
            Self::TooLarge => {
                "Larger than the MTU of its route: the kernel fragments it, or answers that it is too large."
            }
            Self::Unresolved => {
                "The hardware address of the next hop is not known yet: the kernel asks for it."
            }
            Self::NotForwarded => "For the gateway itself, for a group, or without a route.",
            Self::Forbidden => "Its route is a blackhole, unreachable or prohibited.",
            Self::ForwardingOff => "Forwarding is off on the interface that it came in by.",
            Self::Unsupported => "Its route is of a kind that a program cannot take, a tunnel for one.",
            Self::OtherInterface => {
                "It leaves by an interface that has no zone, or that is a VLAN or a bridge."
            }
            Self::SameInterface => {
                "It leaves by the interface that it came in by: the kernel tells its sender."
            }
            Self::StrangeSource => "Its source is no address of a host.",
            Self::Confirming => {
                "One in 17 seconds to each next hop, so that the kernel asks whether it is still there."
            }
            Self::ForGateway => "On a wire, and for an address of the gateway.",
            Self::NoWire => "Its interface is an end of no wire, or the other end is gone.",
        }
    }
}

/// Rows of the counters.
pub const ONWARDS: u32 = 32;

/// Rows of the table of neighbours that were confirmed.
pub const NEIGHBOURS: u32 = 1024;

/// Key of an interface in the wires of the root program, for a slot of its programs.
#[must_use]
#[inline(always)]
pub const fn wire_key(slot: u32, interface: u32) -> u32 {
    slot << 31 | interface
}

/// Entries of the wires of the root program.
pub const WIRES: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_the_order_of_their_numbers() {
        for (number, what) in (0..).zip(Onward::ALL) {
            assert_eq!(what as u32, number);
            assert!(number < ONWARDS && what.meaning().ends_with('.'));
        }
        for (number, way) in (0..).zip(Forwarding::ALL) {
            assert_eq!(way as u8, number);
        }
    }

    #[test]
    fn keys_of_slots_are_apart() {
        assert_ne!(wire_key(0, 7), wire_key(1, 7));
        assert_eq!(wire_key(0, 7), 7);
    }
}
