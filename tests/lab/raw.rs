//! Packet sockets: whole frames out and in, tags included.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The most that a frame in the lab has; GRO may join segments up to this.
const LARGEST: usize = 65_536 + 64;

/// A packet socket on one interface. It receives what arrives there, not what is sent.
#[derive(Debug)]
pub struct RawSocket {
    fd: OwnedFd,
}

impl RawSocket {
    /// Opens it in the namespace of the calling thread.
    pub(crate) fn open(interface: &str) -> Result<Self> {
        // SAFETY: no pointers are involved; the result is checked before it is used as a descriptor.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error()).context("a packet socket");
        }
        // SAFETY: `socket` just returned this descriptor and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let index = rustix::net::netdevice::name_to_index(&fd, interface)?;
        set_option(&fd, libc::PACKET_AUXDATA)?;
        set_option(&fd, libc::PACKET_IGNORE_OUTGOING)?;
        let socket = Self { fd };
        socket.bind(index)?;
        Ok(socket)
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    /// If the interface refuses it.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = rustix::net::send(&self.fd, frame, rustix::net::SendFlags::empty())?;
        anyhow::ensure!(sent == frame.len(), "only {sent} of {} bytes were sent", frame.len());
        Ok(())
    }

    /// The next frame, or nothing if none arrives in time.
    ///
    /// # Errors
    /// If the socket fails.
    pub fn receive(&self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        let limit =
            Timespec { tv_sec: timeout.as_secs().cast_signed(), tv_nsec: timeout.subsec_nanos().into() };
        if poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&limit))? == 0 {
            return Ok(None);
        }
        self.receive_now().map(Some).context("receiving a frame")
    }

    /// Waits for a frame, passing over all others.
    ///
    /// # Errors
    /// If none arrives in time.
    pub fn wait_for(&self, wanted: impl Fn(&[u8]) -> bool, timeout: Duration) -> Result<Vec<u8>> {
        let mut frames = self.receive_until(wanted, timeout)?;
        frames.pop().context("the wanted frame is the last")
    }

    /// All frames up to and including the first that is `last`. The way to show that something did *not* arrive:
    /// send a frame that must arrive after it, and look at what came before.
    ///
    /// # Errors
    /// If the last one does not arrive in time.
    pub fn receive_until(&self, last: impl Fn(&[u8]) -> bool, timeout: Duration) -> Result<Vec<Vec<u8>>> {
        let deadline = Instant::now() + timeout;
        let mut frames: Vec<Vec<u8>> = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(frame) = self.receive(left)? else {
                let heads: Vec<_> =
                    frames.iter().map(|f| format!("\n{:02x?}", &f[..f.len().min(60)])).collect();
                bail!(
                    "the frame did not arrive within {timeout:?}; these {} did:{}",
                    heads.len(),
                    heads.concat()
                );
            };
            let done = last(&frame);
            frames.push(frame);
            if done {
                return Ok(frames);
            }
        }
    }

    fn bind(&self, index: u32) -> Result<()> {
        // SAFETY: all fields are integers, for which zero bytes are a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index.cast_signed();
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the pointer is to an address of exactly this length, which lives until the call returns.
        let bound = unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), length) };
        if bound < 0 { Err(io::Error::last_os_error()).context("binding a packet socket") } else { Ok(()) }
    }

    fn receive_now(&self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0_u8; LARGEST];
        let mut control = [0_u64; 16];
        let mut data = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
        // SAFETY: null pointers and zero lengths are a valid header.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut data;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control);
        // SAFETY: the header points to buffers of the lengths given, which outlive the call.
        let length = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        frame.truncate(length);
        if let Some(tag) = stripped_tag(&header) {
            frame.splice(12..12, tag);
        }
        Ok(frame)
    }
}

/// The kernel takes the outer tag out of a frame before any socket sees it, and tells it on the side.
fn stripped_tag(header: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the kernel has filled the control buffer of this header and set its length.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole message header inside the buffer.
        let (level, kind) = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
        if (level, kind) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
            // SAFETY: the data of a message of this level and type is this structure, perhaps unaligned.
            let aux = unsafe { libc::CMSG_DATA(message).cast::<libc::tpacket_auxdata>().read_unaligned() };
            if aux.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
                let [tpid, tci] = [aux.tp_vlan_tpid.to_be_bytes(), aux.tp_vlan_tci.to_be_bytes()];
                return Some([tpid[0], tpid[1], tci[0], tci[1]]);
            }
        }
        // SAFETY: `message` is a message of this header.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

fn set_option(fd: &OwnedFd, option: libc::c_int) -> Result<()> {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the pointer is to a value of exactly this length, which lives until the call returns.
    let set =
        unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, option, (&raw const on).cast(), length) };
    if set < 0 { Err(io::Error::last_os_error()).context("an option of a packet socket") } else { Ok(()) }
}
