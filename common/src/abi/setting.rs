//! Read-only settings of a generation: one array of words that the verifier sees as constants.
//!
//! Because they are constants at load time, code that a policy does not need (IPv6, prefixes, double tags)
//! is removed by the verifier before the program is compiled.

/// How many different prefix lengths a policy may use for each address family.
pub const PREFIX_LENGTHS: usize = 16;

/// Number of words in the settings array.
pub const SETTINGS: usize = 64;

/// Index of a word in the settings array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Setting {
    /// [`super::VERSION`].
    Version = 0,
    /// Bits of [`Feature`].
    Features = 1,
    /// Buckets of the index.
    IndexBuckets = 2,
    /// Seed of the index.
    IndexSeed = 3,
    /// Buckets of the IPv6 address index.
    Index6Buckets = 4,
    /// Server class of an ICMP echo.
    EchoClass = 5,
    /// Milliseconds between two events of one kind about one flow; 0 reports every packet.
    SuppressMs = 6,
    /// Events of one reason a second and CPU before they are counted only.
    EventsPerSecond = 7,
    /// 1: write each decision to the trace map. For tests and proofs.
    Trace = 8,
    /// Seed of the IPv6 address index.
    Index6Seed = 9,
    /// 1: tell the agent's log what becomes of every packet. For debugging only.
    Log = 10,
    /// Bit 1 << [`crate::direction::Protocol`] for each protocol that a service uses; bit 0 for a byte of its own.
    Protocols = 11,
    /// Buckets of the conversation table.
    ConversationBuckets = 12,
    /// Secret of the conversation table, drawn when the program is loaded.
    ConversationSecret = 13,
    /// 1: the time is what stands in the clock map. For tests and proofs.
    TestClock = 14,
    /// Number of the generation, which its events carry.
    Generation = 15,
    /// First of [`PREFIX_LENGTHS`] words: IPv4 prefix lengths + 1, longest first, 0 ends the list.
    Prefix4 = 16,
    /// 1: packets of interfaces that the policy does not name pass, as if nothing were attached there. Another policy
    /// that shares the root program names them.
    PassOthers = 48,
    /// [`super::Forwarding`].
    Forwarding = 49,
    /// Zone of the gateway's own addresses, where they are on a wire; 0 is none.
    GatewayZone = 50,
    /// First of [`PREFIX_LENGTHS`] words: IPv6 prefix lengths + 1, longest first, 0 ends the list.
    Prefix6 = 32,
}

/// What a policy uses. What it does not use is compiled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Feature {
    /// Some asset or network is IPv6.
    Ipv6 = 1,
    /// Some zone is a VLAN.
    Vlan = 2,
    /// Some zone is a double-tagged VLAN.
    DoubleVlan = 4,
    /// Some rule is too wide for exact tuples.
    Classes = 8,
    /// Some service has a port relation that is checked at run time.
    Relations = 16,
    /// Some asset has a hardware address.
    Mac = 32,
    /// Some rule is an exact tuple.
    Exact = 64,
    /// Some rule's answers need a question.
    Windows = 128,
    /// Some of them are noted in the conversation table.
    Conversations = 256,
    /// Some conduit lets protocols below IP cross.
    Ethertypes = 512,
    /// Some conduit has its own way when the agent is gone.
    AgentLoss = 1024,
    /// Some rule is a grant.
    Grants = 2048,
}
