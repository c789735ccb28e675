//! Words of the policy that travel as one byte.

/// What happens to a packet that the policy does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "std", serde(rename_all = "lowercase"))]
#[repr(u8)]
pub enum Mode {
    /// It passes and is reported with the verdict that `enforce` would have given.
    #[default]
    Alert = 0,
    /// It is dropped and reported.
    Enforce = 1,
}

/// What the data plane does with a conduit when the agent is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "std", serde(rename_all = "kebab-case"))]
#[repr(u8)]
pub enum OnAgentLoss {
    /// Go on as before.
    #[default]
    Keep = 0,
    /// Drop nothing more.
    Open = 1,
    /// Let nothing pass any more but the survival set.
    Closed = 2,
}

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema))]
#[cfg_attr(feature = "std", serde(rename_all = "lowercase"))]
#[repr(u8)]
pub enum Transport {
    /// TCP, IP protocol 6.
    Tcp = 0,
    /// UDP, IP protocol 17.
    Udp = 1,
    /// SCTP, IP protocol 132.
    Sctp = 2,
    /// Echo of ICMP (IP protocol 1) and ICMPv6 (58): the client asks, the server answers. Has no ports.
    Icmp = 3,
}

impl Transport {
    /// Its word in a policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Icmp => "icmp",
        }
    }
}
