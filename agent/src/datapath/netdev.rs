//! What a driver says it can do with XDP, without attaching anything: the kernel's `netdev` family, since Linux 6.3.

use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NetlinkMessage, Nla, NlasIterator, Parseable, ParseableParametrized,
    parse_u64,
};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use netlink_sys::protocols::NETLINK_GENERIC;

use super::netlink::ask;

/// Name of the family; this and the numbers below are of `linux/netdev.h`.
const FAMILY: &str = "netdev";
/// `NETDEV_CMD_DEV_GET`.
const DEV_GET: u8 = 1;
/// `NETDEV_A_DEV_IFINDEX`.
const IFINDEX: u16 = 1;
/// `NETDEV_A_DEV_XDP_FEATURES`.
const XDP_FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_BASIC`: pass, drop, abort and send back.
const ACT_BASIC: u64 = 1;
/// `NETDEV_XDP_ACT_NDO_XMIT`: sends what another interface redirects to it.
const ACT_NDO_XMIT: u64 = 4;

/// Whether the driver of an interface takes XDP programs as such; `None` where the kernel does not tell.
pub fn has_native_xdp(index: u32) -> Option<bool> {
    let features = features(index).ok()??;
    Some(features & ACT_BASIC != 0)
}

/// Whether an interface sends what a native program redirects to it, as it stands now; `None` where the kernel does not
/// tell. A veth does where its other end has GRO, or a program.
pub fn takes_redirects(index: u32) -> Option<bool> {
    let features = features(index).ok()??;
    Some(features & ACT_NDO_XMIT != 0)
}

fn features(index: u32) -> io::Result<Option<u64>> {
    let mut question = GenlMessage::from_payload(Device { attributes: vec![number(IFINDEX, index)] });
    question.set_resolved_family_id(family()?);
    question.finalize();
    let answers = ask(NETLINK_GENERIC, NetlinkMessage::from(question), false)?;
    let attributes = answers.iter().flat_map(|answer| &answer.payload.attributes);
    let mut found = attributes.filter(|attribute| attribute.kind() == XDP_FEATURES);
    Ok(found.find_map(|attribute| {
        let mut value = vec![0; attribute.value_len()];
        attribute.emit_value(&mut value);
        parse_u64(&value).ok()
    }))
}

/// The number that the kernel has given to the family.
fn family() -> io::Result<u16> {
    let mut question = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY.to_owned())],
    });
    question.finalize();
    let answers = ask(NETLINK_GENERIC, NetlinkMessage::from(question), false)?;
    let attributes = answers.iter().flat_map(|answer| &answer.payload.nlas);
    let mut ids = attributes.filter_map(|attribute| match attribute {
        GenlCtrlAttrs::FamilyId(id) => Some(*id),
        _ => None,
    });
    ids.next().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

/// A question about a device, or what is answered.
#[derive(Debug)]
struct Device {
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for Device {
    fn family_name() -> &'static str {
        FAMILY
    }

    fn command(&self) -> u8 {
        DEV_GET
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Device {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Device {
    fn parse_with_param(payload: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        let attributes = NlasIterator::new(payload).map(|part| DefaultNla::parse(&part?));
        Ok(Self { attributes: attributes.collect::<Result<_, _>>()? })
    }
}
