//! Network interfaces as the kernel sees them now, and word of their changes.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use serde::{Deserialize, Serialize};

use super::attach::XdpMode;
use super::netlink::ask;

/// `RTMGRP_LINK` of `rtnetlink(7)`.
const GROUP_LINK: u32 = 1;

/// An interface of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Index: it stays when the name changes.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Largest packet that it sends, in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Whether somebody has set it up.
    pub is_up: bool,
    /// Whether there is a carrier.
    pub has_carrier: bool,
    /// What it is where it is virtual, as `veth` or `bridge`.
    pub kind: Option<String>,
    /// Index of the interface that it stands on, or of the other end of a pair, where that is in this namespace.
    pub lower: Option<u32>,
    /// Whether it was told to take frames that are for others.
    pub is_promiscuous: bool,
    /// Its Ethernet address, where it has one.
    pub hardware: Option<[u8; 6]>,
    /// The XDP program on it.
    pub xdp: Option<Attached>,
}

/// An XDP program on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// Id of the program.
    pub program: u32,
    /// Where it really runs.
    pub runs: Runs,
}

/// Where in the kernel a program really runs, whatever was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runs {
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
    /// On the network card.
    Offloaded,
    /// More than one program, in several places.
    Several,
}

impl Runs {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
            Self::Several => "several",
        }
    }

    /// Whether this is what was asked for.
    pub fn is(self, asked: XdpMode) -> bool {
        matches!((self, asked), (Self::Native, XdpMode::Native) | (Self::Generic, XdpMode::Generic))
    }
}

/// Every interface of this network namespace, by ascending index.
///
/// # Errors
/// Where the kernel does not answer.
pub fn links() -> io::Result<Vec<Link>> {
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let mut links = read(ask(NETLINK_ROUTE, NetlinkMessage::from(question), true)?);
    links.sort_by_key(|link| link.index);
    Ok(links)
}

/// An interface by index; `None` where there is none.
///
/// # Errors
/// Where the kernel does not answer.
pub fn link(index: u32) -> io::Result<Option<Link>> {
    let mut question = LinkMessage::default();
    question.header.index = index;
    let question = RouteNetlinkMessage::GetLink(question);
    match ask(NETLINK_ROUTE, NetlinkMessage::from(question), false) {
        Ok(answers) => Ok(read(answers).pop()),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(answers: Vec<RouteNetlinkMessage>) -> Vec<Link> {
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(message) => Some(of(&message)),
        _ => None,
    });
    links.collect()
}

fn of(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        is_up: message.header.flags.contains(LinkFlags::Up),
        has_carrier: message.header.flags.contains(LinkFlags::LowerUp),
        kind: None,
        lower: None,
        is_promiscuous: message.header.flags.contains(LinkFlags::Promisc),
        hardware: None,
        xdp: None,
    };
    let mut is_elsewhere = false;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(address) => link.hardware = address.as_slice().try_into().ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Link(lower) => link.lower = Some(*lower),
            LinkAttribute::LinkNetNsId(_) => is_elsewhere = true,
            LinkAttribute::Xdp(xdp) => link.xdp = attached(xdp),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    if is_elsewhere {
        link.lower = None;
    }
    link
}

fn attached(xdp: &[LinkXdp]) -> Option<Attached> {
    let mode = xdp.iter().find_map(|part| match part {
        LinkXdp::Attached(mode) => Some(*mode),
        _ => None,
    })?;
    let runs = match mode {
        XdpAttached::None => return None,
        XdpAttached::Driver => Runs::Native,
        XdpAttached::SocketBuffer => Runs::Generic,
        XdpAttached::Hardware => Runs::Offloaded,
        _ => Runs::Several,
    };
    let program = xdp.iter().find_map(|part| match part {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => {
            Some(*id).filter(|id| *id != 0)
        }
        _ => None,
    });
    Some(Attached { program: program.unwrap_or(0), runs })
}

/// Becomes readable when an interface of this network namespace changes.
pub struct Watch {
    socket: Socket,
}

impl Watch {
    /// Watches from now on.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUP_LINK))?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Throws away what was said. Who was woken looks at the interfaces themselves, so that no message that was lost
    /// for want of room matters.
    ///
    /// # Errors
    /// Would block where nothing is left; and whatever else the kernel says.
    pub fn drain(&self) -> io::Result<()> {
        loop {
            match self.socket.recv(&mut Vec::with_capacity(64 << 10), 0) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
