//! Every reason of a verdict, numbered once and never reused.

/// What a verdict on a packet can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(rename_all = "kebab-case"))]
#[repr(u8)]
#[must_use]
pub enum Verdict {
    /// It goes on.
    Pass = 0,
    /// It goes on, because the mode is alert; enforce would have dropped it.
    WouldDrop = 1,
    /// It ends here.
    Drop = 2,
}

/// Which way a packet goes through the rule that it matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
#[cfg_attr(feature = "std", serde(rename_all = "lowercase"))]
#[repr(u8)]
pub enum Orientation {
    /// It matched no rule.
    #[default]
    None = 0,
    /// Client to server.
    Forward = 1,
    /// Server to client.
    Return = 2,
}

/// The part of a packet that deviates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
#[cfg_attr(feature = "std", serde(rename_all = "kebab-case"))]
pub enum Field {
    /// Nothing deviates.
    None,
    /// The interface or VLAN.
    Vlan,
    /// The source address.
    Source,
    /// The destination address.
    Destination,
    /// Source and destination address together.
    Pair,
    /// The source port.
    SourcePort,
    /// The server's port.
    ServerPort,
    /// Ports and protocol together.
    Service,
    /// Who opens or asks.
    Direction,
    /// The hardware address.
    Mac,
    /// The EtherType.
    Ethertype,
    /// The IP protocol.
    Protocol,
    /// The fragment offset.
    Fragment,
    /// A header or a length.
    Header,
    /// The time.
    Time,
}

/// What is known of a reason.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The reason.
    pub reason: Reason,
    /// Its stable name.
    pub name: &'static str,
    /// The part of the packet that deviates.
    pub field: Field,
    /// What happened, in one sentence for a person.
    pub text: &'static str,
    /// What to look at first.
    pub advice: &'static str,
}

macro_rules! reasons {
    ($( $number:literal $variant:ident $name:literal $field:ident $text:literal $advice:literal )+) => {
        /// Why a packet got its verdict.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Reason { $( #[doc = $text] $variant = $number, )+ }

        /// All reasons, by number.
        pub const REASONS: &[About] = &[ $( About {
            reason: Reason::$variant, name: $name, field: Field::$field, text: $text, advice: $advice,
        }, )+ ];
    };
}

reasons! {
    0 Allowed "allowed" None "A rule of the policy allows the packet." ""
    1 UnknownSource "unknown-source" Source
        "The source address belongs to no asset."
        "Is it a new device, a laptop, or a device with a changed address? Name it as an asset if it may speak."
    2 UnknownDestination "unknown-destination" Destination
        "The destination address belongs to no asset."
        "Somebody looks for a host that the policy does not know: a mistyped address, an old one, or a scan."
    3 UnlistedPair "unlisted-pair" Pair
        "Both hosts are known, but no rule lets them speak with each other."
        "Should these two speak at all? If so, add a rule with the one that asks as the client."
    4 UnlistedService "unlisted-service" Service
        "The two hosts may speak, but not with this protocol and these ports."
        "Compare the ports with the rules between the two hosts."
    5 SourcePortDeviation "source-port-deviation" SourcePort
        "The packet fits a rule but for the client's port, which the rule pins."
        "The real device keeps its port: look for another program or host that speaks in its place."
    6 AddressPortMismatch "address-port-mismatch" ServerPort
        "The server's port is not the one that belongs to its address."
        "A device answers or is asked on its neighbour's port: check for swapped addresses or a wrong station number."
    7 ReversedDirection "reversed-direction" Direction
        "One side opens, asks or answers where only the other side may."
        "A device that should only answer starts conversations: treat it as suspicious until it is explained."
    8 UnsolicitedReply "unsolicited-reply" Direction
        "An answer came without a question, or too late."
        "Spoofed answers look like this; so does a path on which the questions do not cross this gateway."
    9 WrongZone "wrong-zone" Source
        "The source address belongs to another zone than the one that the packet came from."
        "A spoofed address, a device plugged in at the wrong place, or a second path between the zones."
    10 MacMismatch "mac-mismatch" Mac
        "The source hardware address is not the one that the policy binds to the address."
        "The device was replaced, or another one uses its address."
    11 ArpSpoof "arp-spoof" Mac
        "A neighbour announcement claims an address that is not its sender's."
        "Someone may be redirecting traffic: find the port of the switch that the hardware address is on."
    12 UnlistedEthertype "unlisted-ethertype" Ethertype
        "The frame is neither IP, nor ARP, nor one of the protocols that keep a network alive."
        "If the plant needs this protocol across the gateway, list it."
    13 UnlistedProtocol "unlisted-protocol" Protocol
        "No service of the policy uses this IP protocol or this kind of ICMP message."
        "Tunnels and routing protocols show up here: who sends it, and why?"
    14 OrphanFragment "orphan-fragment" Fragment
        "A later fragment came without a first fragment that was allowed."
        "The first fragment was dropped, lost or overtaken; or the fragments hide something."
    15 Malformed "malformed" Header
        "A header is truncated or contradicts itself."
        "A broken device or cable, or a crafted packet: look at the first bytes in the event."
    16 GrantExpired "grant-expired" Time
        "The packet fits a grant whose time is over."
        "Renew the grant if the work goes on."
    17 UnlistedVlan "unlisted-vlan" Vlan
        "The interface or VLAN that the packet came from belongs to no zone."
        "Add the VLAN to a zone, or take it off the trunk."
    18 UnrelatedIcmpError "unrelated-icmp-error" Protocol
        "An ICMP error speaks of a packet that no rule allows."
        "Late errors after a policy change are harmless; floods of them are not."
    19 Survival "survival" None
        "The packet belongs to the protocols that keep a network alive, and always passes." ""
    20 Related "related" None
        "The packet belongs to an allowed one: a later fragment, or an ICMP error about it." ""
    21 ListedEthertype "listed-ethertype" None
        "The conduit lets this protocol below IP cross." ""
    22 AgentLost "agent-lost" None
        "The agent is gone, and the conduit then lets nothing pass that it would allow."
        "Start the agent again (`banchi run`); until then `banchi bypass` lets everything pass."
    23 Island "island" None
        "The gateway is an island: only the survival set and the conduits that were kept pass."
        "`banchi island --off` ends it."
    24 Granted "granted" None
        "A grant allows the packet for a time." ""
}

/// A technique of MITRE ATT&CK for ICS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Technique {
    /// Its number.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// Version of ATT&CK whose numbers [`Reason::technique`] gives.
pub const ATTACK_VERSION: u32 = 14;

/// Room for reasons in tables that are indexed by them.
pub const REASON_ROWS: usize = 32;

impl Reason {
    /// The reason with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        REASONS.get(usize::from(number)).map(|about| about.reason)
    }

    /// What is known of it.
    #[must_use]
    pub fn about(self) -> &'static About {
        // The table is written in the order of the numbers: see the test below.
        REASONS.get(self as usize).unwrap_or(&REASONS[0])
    }

    /// What of ATT&CK for ICS looks like this, at its worst. Most packets with a reason are mistakes, and not attacks;
    /// where no technique is near, there is none.
    #[must_use]
    pub const fn technique(self) -> Option<Technique> {
        let (id, name) = match self {
            Self::UnknownSource => ("T0864", "Transient Cyber Asset"),
            Self::UnknownDestination => ("T0846", "Remote System Discovery"),
            Self::UnlistedPair | Self::UnlistedService => ("T0886", "Remote Services"),
            Self::SourcePortDeviation => ("T0848", "Rogue Master"),
            Self::ReversedDirection => ("T0855", "Unauthorized Command Message"),
            Self::UnsolicitedReply => ("T0856", "Spoof Reporting Message"),
            Self::MacMismatch | Self::ArpSpoof => ("T0830", "Adversary-in-the-Middle"),
            Self::UnlistedProtocol => ("T0884", "Connection Proxy"),
            Self::OrphanFragment => ("T0820", "Exploitation for Evasion"),
            Self::Malformed => ("T0814", "Denial of Service"),
            Self::Allowed
            | Self::AddressPortMismatch
            | Self::WrongZone
            | Self::UnlistedEthertype
            | Self::GrantExpired
            | Self::UnlistedVlan
            | Self::UnrelatedIcmpError
            | Self::Survival
            | Self::Related
            | Self::ListedEthertype
            | Self::AgentLost
            | Self::Island
            | Self::Granted => return None,
        };
        Some(Technique { id, name })
    }

    /// Whether a packet passes for this reason, whatever the mode.
    #[must_use]
    #[inline(always)]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Allowed | Self::Survival | Self::Related | Self::ListedEthertype | Self::Granted)
    }

    /// Whether somebody wants to know: all that does not pass, and what passes for a time only.
    #[must_use]
    #[inline(always)]
    pub const fn is_reported(self) -> bool {
        !self.passes() || matches!(self, Self::Granted)
    }

    /// Whether a rule of the policy or a grant let the packet pass, so that it counts for its rule.
    #[must_use]
    #[inline(always)]
    pub const fn is_by_rule(self) -> bool {
        matches!(self, Self::Allowed | Self::Granted)
    }
}

impl Orientation {
    /// The orientation with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Forward),
            2 => Some(Self::Return),
            _ => None,
        }
    }
}

impl Verdict {
    /// The verdict with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Pass),
            1 => Some(Self::WouldDrop),
            2 => Some(Self::Drop),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions_and_names_are_unique() {
        assert!(REASONS.len() <= REASON_ROWS);
        for (position, about) in REASONS.iter().enumerate() {
            assert_eq!(about.reason as usize, position, "{}", about.name);
            assert_eq!(REASONS.iter().filter(|other| other.name == about.name).count(), 1, "{}", about.name);
            assert_eq!(about.reason.passes(), about.advice.is_empty(), "{}", about.name);
            // What passes is no attack, and a number is the letter T and four digits.
            let Some(technique) = about.reason.technique() else { continue };
            assert!(!about.reason.passes() && technique.id.len() == 5, "{}", about.name);
            assert!(technique.id.starts_with("T0") && !technique.name.is_empty(), "{}", about.name);
        }
    }
}
