//! Who is at the other end of a control socket.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use tokio::net::UnixStream;

/// A process at the other end, as the kernel noted it when the process connected. What becomes of the process later,
/// or of its number, changes nothing about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Effective user.
    pub uid: u32,
    /// Effective group and supplementary ones.
    pub groups: Vec<u32>,
    /// Process, where the kernel tells it.
    pub pid: Option<i32>,
}

impl Peer {
    /// Asks the kernel.
    ///
    /// # Errors
    /// Where the kernel does not say, which is no reason to trust anybody.
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        use std::os::fd::AsFd as _;
        let credentials = stream.peer_cred()?;
        let mut groups = supplementary(stream.as_fd())?;
        groups.push(credentials.gid());
        Ok(Self { uid: credentials.uid(), groups, pid: credentials.pid() })
    }
}

/// `SO_PEERGROUPS` of `unix(7)`. Neither the group database nor `/proc` would do: the first says who belongs to a group
/// by now, whatever the process has, and the second is about whoever has the number of the process by now.
fn supplementary(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; 64];
    loop {
        let mut length = (groups.len() * size_of::<u32>()) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to the buffer, which has that many, and any bytes are
        // numbers; `length` outlives the call.
        let done = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let error = io::Error::last_os_error();
        let count = length as usize / size_of::<u32>();
        if done == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}
