//! One question to the kernel over netlink, and all of its answers. Blocking: the kernel answers at once.

use std::fmt::Debug;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

/// Larger than any datagram of a dump, which the kernel fills up to 32 KiB.
const ROOM: usize = 64 << 10;

/// Sends a message and yields what is answered; with `all`, of every object that there is.
///
/// # Errors
/// Where the kernel refuses, or answers something that is no answer.
pub(super) fn ask<M>(protocol: isize, message: NetlinkMessage<M>, all: bool) -> io::Result<Vec<M>>
where
    M: NetlinkSerializable + NetlinkDeserializable + Debug,
{
    exchange(protocol, message, if all { NLM_F_DUMP } else { 0 })
}

/// Sends an order, and waits until it is carried out.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn tell<M>(protocol: isize, message: NetlinkMessage<M>) -> io::Result<()>
where
    M: NetlinkSerializable + NetlinkDeserializable + Debug,
{
    exchange(protocol, message, NLM_F_ACK).map(|_| ())
}

fn exchange<M>(protocol: isize, message: NetlinkMessage<M>, flags: u16) -> io::Result<Vec<M>>
where
    M: NetlinkSerializable + NetlinkDeserializable + Debug,
{
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut message = message;
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut answers = Vec::new();
    loop {
        let mut datagram = Vec::with_capacity(ROOM);
        socket.recv(&mut datagram, 0)?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let answer = NetlinkMessage::<M>::deserialize(rest).map_err(io::Error::other)?;
            match answer.payload {
                NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                NetlinkPayload::Error(error) => {
                    return if error.code.is_some() { Err(error.to_io()) } else { Ok(answers) };
                }
                NetlinkPayload::Done(_) => return Ok(answers),
                _ => {}
            }
            // Messages are aligned to four bytes.
            let length = (answer.header.length as usize).next_multiple_of(4);
            rest = if length == 0 { &[] } else { rest.get(length..).unwrap_or(&[]) };
        }
        if flags == 0 {
            return Ok(answers);
        }
    }
}
