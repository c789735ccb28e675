//! The ends of wires take frames that are for others: a card drops those unless it is told not to. That outlives the agent
//! as the program does, and is taken back where banchi did it and needs it no more.

use std::collections::BTreeSet;
use std::io;

use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::error::DatapathError;
use super::links::{Link, links};
use super::netlink::tell;
use super::store::Store;

/// Makes these interfaces promiscuous that are not, notes which, and takes it back from others that are noted. Yields the
/// names of those that were made so.
///
/// # Errors
/// Where the kernel refuses, or the note cannot be written.
pub fn keep_promiscuous(
    store: &Store,
    wanted: &BTreeSet<u32>,
    links: &[Link],
) -> Result<Vec<String>, DatapathError> {
    let before = store.promiscuous();
    let missing: Vec<&Link> =
        links.iter().filter(|link| wanted.contains(&link.index) && !link.is_promiscuous).collect();
    let kept: BTreeSet<u32> = before.iter().copied().filter(|index| wanted.contains(index)).collect();
    let noted: BTreeSet<u32> = kept.iter().copied().chain(missing.iter().map(|link| link.index)).collect();
    for link in links.iter().filter(|link| before.contains(&link.index) && !wanted.contains(&link.index)) {
        set(link, false)?;
    }
    if noted != before {
        store.note_promiscuous(&noted)?;
    }
    missing.iter().try_for_each(|link| set(link, true))?;
    Ok(missing.iter().map(|link| link.name.clone()).collect())
}

/// Takes back what is noted, as far as it can.
pub(super) fn release(store: &Store) {
    if store.promiscuous().is_empty() {
        return;
    }
    let released = links()
        .map_err(|e| DatapathError::other("look at the interfaces", e))
        .and_then(|links| keep_promiscuous(store, &BTreeSet::new(), &links));
    if let Err(error) = released {
        log::warn!("some interfaces stay promiscuous: {error}");
    }
}

fn set(link: &Link, on: bool) -> Result<(), DatapathError> {
    let mut message = LinkMessage::default();
    message.header.index = link.index;
    message.header.flags = if on { LinkFlags::Promisc } else { LinkFlags::empty() };
    message.header.change_mask = LinkFlags::Promisc;
    match tell(NETLINK_ROUTE, NetlinkMessage::from(RouteNetlinkMessage::SetLink(message))) {
        Ok(()) => Ok(()),
        // It is gone, and so is what it was.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        Err(error) => Err(failed(&link.name, on, error)),
    }
}

fn failed(name: &str, on: bool, error: io::Error) -> DatapathError {
    let (word, undo) = if on { ("make", "") } else { ("stop", " being") };
    DatapathError::other(format!("{word} {name}{undo} promiscuous"), error)
}
