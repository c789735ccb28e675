//! Drivers, offloads and queues: what `ethtool` shows, by the same calls, since a gateway may not have it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketType, socket};
use serde::Serialize;

// Commands and sizes of `linux/ethtool.h`. Every structure of these commands is a row of words.
const GET_DRIVER_INFO: u32 = 0x3;
const GET_STRINGS: u32 = 0x1b;
const GET_COUNT_OF_STRINGS: u32 = 0x37;
const GET_FEATURES: u32 = 0x3a;
const GET_CHANNELS: u32 = 0x3c;
/// `ETH_SS_FEATURES`: the names of features.
const SET_FEATURES: u32 = 4;
/// Bytes of a name.
const NAME: usize = 32;
/// Words of `struct ethtool_drvinfo`.
const DRIVER_WORDS: usize = 49;
/// More features than any kernel has; what it says is checked against this.
const MOST_FEATURES: u32 = 1024;

/// An offload of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// Whether it is on.
    pub is_on: bool,
    /// Whether nobody can change that.
    pub is_fixed: bool,
}

/// Queues of an interface. A queue that does both counts as both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Queues {
    /// That receive.
    pub receive: u32,
    /// That send.
    pub send: u32,
    /// That could receive.
    pub most: u32,
}

/// Driver of an interface, where it has one. It is asked itself, because `/sys` may show the interfaces of another
/// network namespace and has no driver for virtual ones.
pub fn driver(interface: &str) -> Option<String> {
    let mut words = vec![0; DRIVER_WORDS];
    ask(interface, GET_DRIVER_INFO, &mut words).ok()?;
    names(words.get(1..1 + NAME / 4)?).into_iter().next().filter(|name| !name.is_empty())
}

/// Every offload by the kernel's name, as `rx-lro`.
///
/// # Errors
/// Where the kernel does not tell.
pub fn features(interface: &str) -> io::Result<BTreeMap<String, Feature>> {
    let strange = || io::Error::from(io::ErrorKind::InvalidData);
    // Command, reserved, a mask of sets in two words, a count for each set asked for.
    let mut words = vec![0, 0, 1 << SET_FEATURES, 0, 0];
    ask(interface, GET_COUNT_OF_STRINGS, &mut words)?;
    let count = words.last().copied().filter(|count| *count <= MOST_FEATURES).ok_or_else(strange)?;
    // Command, set, length, the names.
    let mut words = vec![0; 3 + count as usize * NAME / 4];
    words.splice(1..3, [SET_FEATURES, count]);
    ask(interface, GET_STRINGS, &mut words)?;
    let names = names(words.get(3..).ok_or_else(strange)?);
    // Command, blocks, and in each block: available, requested, active, never changed.
    let blocks = count.div_ceil(32);
    let mut words = vec![0; 2 + blocks as usize * 4];
    words.splice(1..2, [blocks]);
    ask(interface, GET_FEATURES, &mut words)?;
    let blocks: Vec<&[u32]> = words.get(2..).ok_or_else(strange)?.chunks(4).collect();
    let feature = |at: usize| {
        let bit = |part: usize| blocks.get(at / 32)?.get(part).map(|word| word >> (at % 32) & 1 == 1);
        Some(Feature { is_on: bit(2)?, is_fixed: !bit(0)? || bit(3)? })
    };
    let named = names.into_iter().enumerate().filter(|(_, name)| !name.is_empty());
    Ok(named.filter_map(|(at, name)| Some((name, feature(at)?))).collect())
}

/// Queues of an interface, where its driver tells.
pub fn queues(interface: &str) -> Option<Queues> {
    // Command; at most: receiving, sending, other, both; now: the same.
    let mut words = vec![0; 9];
    ask(interface, GET_CHANNELS, &mut words).ok()?;
    let [_, most_receive, _, _, most_both, receive, send, _, both] = words.as_slice() else { return None };
    let sum = |one: &u32, other: &u32| one.saturating_add(*other);
    Some(Queues { receive: sum(receive, both), send: sum(send, both), most: sum(most_receive, most_both) })
}

/// Names in fields of equal length, each ended by zeros.
fn names(words: &[u32]) -> Vec<String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let text = |field: &[u8]| {
        let text: Vec<u8> = field.iter().copied().take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&text).into_owned()
    };
    bytes.chunks(NAME).map(text).collect()
}

/// Asks a driver. The words are the whole structure of the command, whose first word is the command itself.
fn ask(interface: &str, command: u32, words: &mut [u32]) -> io::Result<()> {
    if let Some(first) = words.first_mut() {
        *first = command;
    }
    let socket: OwnedFd = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: zero bytes are a value of this structure of integers and pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: the request and the words are those of this call, and outlive it. The kernel writes no more than the
    // structure of the command, or as many names and blocks as the words say that they have room for; the names of
    // features are as many as it said itself, since their number does not change while a kernel runs.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_loopback_has_features_and_no_queues() {
        let features = features("lo").unwrap();
        // The kernel gives the loopback this one for good, and no card for it.
        let loopback = features.get("loopback").unwrap();
        assert!(loopback.is_on && loopback.is_fixed, "{features:?}");
        assert!(!features.get("rx-lro").unwrap().is_on);
        assert_eq!(queues("lo"), None);
        assert!(features.contains_key("rx-vlan-hw-parse") && features.contains_key("rx-gro-hw"));
    }

    #[test]
    fn what_is_not_there_has_nothing() {
        assert_eq!(driver("nowhere0"), None);
        assert!(self::features("nowhere0").is_err());
    }
}
