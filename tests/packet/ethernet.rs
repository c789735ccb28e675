//! Ethernet headers and VLAN tags.

use crate::lab::Mac;

/// EtherTypes.
pub mod ethertype {
    #![allow(missing_docs, reason = "the names are those of the protocols")]
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const PROFINET: u16 = 0x8892;
    pub const ETHERCAT: u16 = 0x88a4;
    pub const SERVICE_VLAN: u16 = 0x88a8;
    pub const GOOSE: u16 = 0x88b8;
    pub const SAMPLED_VALUES: u16 = 0x88ba;
    pub const LLDP: u16 = 0x88cc;
    pub const PTP: u16 = 0x88f7;
}

/// A VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// What announces it: 0x8100, 0x88a8 or another.
    pub ethertype: u16,
    /// Priority, 0 to 7.
    pub priority: u8,
    /// Drop eligible.
    pub drop_eligible: bool,
    /// VLAN id; 0 means that only the priority counts.
    pub id: u16,
}

impl Tag {
    /// An 802.1Q tag (C-tag).
    pub fn customer(id: u16) -> Self {
        Self { ethertype: ethertype::VLAN, priority: 0, drop_eligible: false, id }
    }

    /// An 802.1ad tag (S-tag), outside another.
    pub fn service(id: u16) -> Self {
        Self { ethertype: ethertype::SERVICE_VLAN, ..Self::customer(id) }
    }

    /// A tag for priority alone, as GOOSE and PROFINET have it.
    pub fn priority(priority: u8) -> Self {
        Self { priority, ..Self::customer(0) }
    }

    fn control(self) -> u16 {
        assert!(self.id < 0x1000 && self.priority < 8, "no such tag: {self:?}");
        u16::from(self.priority) << 13 | u16::from(self.drop_eligible) << 12 | self.id
    }
}

pub(super) fn header(destination: Mac, source: Mac, tags: &[Tag], ethertype: u16) -> Vec<u8> {
    let mut bytes = [destination.0, source.0].concat();
    for tag in tags {
        bytes.extend_from_slice(&tag.ethertype.to_be_bytes());
        bytes.extend_from_slice(&tag.control().to_be_bytes());
    }
    bytes.extend_from_slice(&ethertype.to_be_bytes());
    bytes
}
