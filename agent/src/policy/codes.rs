//! Every diagnostic that a policy can cause, once.
//!
//! Codes are stable: scripts and runbooks name them. `docs/policy.md` is tested against this table.

use super::diagnostic::Severity;

/// One kind of diagnostic.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable name.
    pub name: &'static str,
    /// Error or warning, always the same for one code.
    pub severity: Severity,
    /// One sentence for the reference.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($constant:ident $severity:ident $name:literal $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub static $constant: Code =
                Code { name: $name, severity: Severity::$severity, meaning: $meaning };
        )*

        /// All codes, errors first.
        pub static ALL: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    YAML_SYNTAX Error "yaml-syntax" "The file is not valid YAML.";
    UNSUPPORTED_VERSION Error "unsupported-version" "`version` is not 1.";
    UNKNOWN_KEY Error "unknown-key" "A key that does not exist in this place.";
    MISSING_KEY Error "missing-key" "A key that must be given is not.";
    DUPLICATE_KEY Error "duplicate-key" "The same key stands twice in one mapping.";
    DUPLICATE_NAME Error "duplicate-name" "Two zones, assets, services, conduits or rules have one name.";
    CONFLICTING_KEYS Error "conflicting-keys" "Two keys that exclude each other.";
    KEY_NOT_APPLICABLE Error "key-not-applicable" "A key that has no meaning for this transport, or beside the other keys.";
    WRONG_TYPE Error "wrong-type" "A list where one value is expected, or the like.";
    INVALID_VALUE Error "invalid-value" "A value that is none of those allowed.";
    INVALID_NAME Error "invalid-name" "A name with characters that are not allowed, or too long.";
    RESERVED_NAME Error "reserved-name" "The name `gateway` stands for the gateway itself.";
    INVALID_ADDRESS Error "invalid-address" "Not an address, range or network.";
    HOST_BITS_SET Error "host-bits-set" "A network whose address has bits beyond the prefix length.";
    REVERSED_RANGE Error "reversed-range" "A range whose first value is above its last.";
    INVALID_PORT Error "invalid-port" "Not a port from 1 to 65535, or not a range of them.";
    INVALID_VLAN Error "invalid-vlan" "Not a VLAN from 1 to 4094, not two of them, and not `untagged`.";
    INVALID_MAC Error "invalid-mac" "Not a hardware address of one station.";
    INVALID_DURATION Error "invalid-duration" "Not a time such as `500ms`, `30s` or `5m`.";
    EMPTY_SET Error "empty-set" "A list or mapping without anything in it.";
    EMPTY_POLICY Error "empty-policy" "A policy without any rule.";
    UNKNOWN_NAME Error "unknown-name" "A zone, asset or service that is not defined, nor in the catalogue.";
    INTERFACE_IN_TWO_ZONES Error "interface-in-two-zones" "One interface and VLAN belongs to two zones.";
    INVALID_WIRE Error "invalid-wire" "A wire that does not join two different interfaces.";
    INTERFACE_IN_TWO_WIRES Error "interface-in-two-wires" "One interface is an end of two wires.";
    WIRE_WITHOUT_ZONE Error "wire-without-zone" "An end of a wire is an interface that no zone has.";
    OVERLAPPING_NETWORKS Error "overlapping-networks" "Networks of two zones have addresses in common.";
    ADDRESS_OUTSIDE_ZONE Error "address-outside-zone" "An asset's address is in no network of its zone.";
    ADDRESS_IN_TWO_ZONES Error "address-in-two-zones" "One address belongs to assets of different zones.";
    CONFLICTING_MAC Error "conflicting-mac" "Two assets give one address different hardware addresses.";
    MAC_NEEDS_HOST Error "mac-needs-host" "A hardware address on an asset of more than one address.";
    LINKED_PORT_RANGE Error "linked-port-range" "An address-linked port leaves 1-65535 for a server.";
    LINKED_OCTET Error "linked-octet" "An address-linked port names a byte that the address does not have.";
    NOT_IN_TABLE Error "not-in-table" "A server has no entry in the `by_address` table of its service.";
    CONDUIT_WITHIN_ZONE Error "conduit-within-zone" "Both ends of a conduit are the same zone.";
    DUPLICATE_CONDUIT Error "duplicate-conduit" "Two conduits for the same zones.";
    WRONG_CONDUIT Error "wrong-conduit" "A rule's clients or servers are not in the zones of its conduit.";
    MIXED_ZONES Error "mixed-zones" "The clients, or the servers, of one rule are in different zones.";
    MULTICAST_CLIENT Error "multicast-client" "A group or broadcast address cannot ask.";
    REPLY_TO_HOST Error "reply-to-host" "`reply_to` names an address that is neither a group nor a broadcast address.";
    CONTRADICTION Error "contradiction" "An earlier rule covers everything in this rule, with another effect.";
    CLOSED_IN_ALERT Warning "closed-in-alert" "A reaction to the loss of the agent that closes nothing, since the mode is `alert`.";
    PARTIAL_CONTRADICTION Warning "partial-contradiction" "An earlier rule covers a part of this rule, with another effect.";
    SHADOWED_RULE Warning "shadowed-rule" "Earlier rules cover everything in this rule, with the same effect.";
    UNWIRED_INTERFACE Warning "unwired-interface" "With `forwarding: wire`, an interface of a zone that is an end of no wire.";
    BROAD_SERVICE Warning "broad-service" "A service with any port or more than 1000 ports.";
    BROAD_ASSET Warning "broad-asset" "An asset that is larger than its zone, or that takes in the gateway.";
    BROAD_RULE Warning "broad-rule" "A rule whose clients are all of a zone.";
    UNUSED Warning "unused" "A zone, asset or service that no conduit or rule names.";
    UNUSED_TABLE_ENTRY Warning "unused-table-entry" "A `by_address` entry for an address that is no server of that service.";
    REPEATED_ITEM Warning "repeated-item" "The same item stands twice in one list.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_errors_come_first() {
        let mut names: Vec<_> = ALL.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.is_sorted_by_key(|code| code.severity));
    }
}
