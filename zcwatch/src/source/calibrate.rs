//! Which callers of `consume_skb` hand a notification to the application?
//!
//! A notification that was read and a completion that was merged look alike in `consume_skb`,
//! but for the instruction that called it. Its address could be looked up by name, where
//! kallsyms shows addresses; but it can also be found by doing it once: a datagram to ourselves,
//! its notification read, and the caller noted. That needs no privilege and no symbol.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use aya::maps::{Array, HashMap, MapData, RingBuf};
use nix::{
    getsockopt_impl,
    poll::{PollFd, PollFlags, poll},
    setsockopt_impl, sockopt_impl,
    sys::socket::{GetSockOpt, MsgFlags, SetSockOpt, recv, send},
};
use zcwatch_common::{Completed, Socket, kind, state};

use super::record;
use crate::probe::{ProbeError, maps::blank};

sockopt_impl!(
    /// SO_ZEROCOPY.
    Zerocopy,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_ZEROCOPY,
    bool
);
sockopt_impl!(
    /// SO_COOKIE.
    Cookie,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_COOKIE,
    u64
);

/// How long one notification may take to arrive. It is there when the send returns.
const PATIENCE_MS: u16 = 500;

/// Fills `readers` for both address families, and leaves no trace in `sockets`.
///
/// # Errors
/// When not even IPv4 loopback can be used.
pub fn learn(
    sockets: &mut HashMap<MapData, u64, Socket>,
    readers: &mut Array<MapData, u64>,
    ring: &mut RingBuf<MapData>,
) -> Result<(), ProbeError> {
    let families: [SocketAddr; 2] =
        [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
    for (i, addr) in (0..).zip(families) {
        let location = Sample::bind(addr).and_then(|s| s.reader(sockets, ring));
        match location {
            Ok(location) => readers.set(i, location, 0).map_err(|e| failed(&e))?,
            // A host without IPv6 has no IPv6 reader to tell apart.
            Err(_) if i > 0 => {}
            Err(e) => return Err(failed(&e)),
        }
    }
    Ok(())
}

fn failed(e: &dyn std::fmt::Display) -> ProbeError {
    ProbeError::Loopback(e.to_string())
}

struct Sample {
    socket: UdpSocket,
}

impl Sample {
    fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(addr)?;
        socket.connect(socket.local_addr()?)?;
        Zerocopy.set(&socket, &true)?;
        Ok(Self { socket })
    }

    /// Sends, reads the notification, and returns who called `consume_skb` for it. The queue was
    /// empty, so nothing was merged, and there is one such call only.
    fn reader(
        &self,
        sockets: &mut HashMap<MapData, u64, Socket>,
        ring: &mut RingBuf<MapData>,
    ) -> io::Result<u64> {
        let cookie = Cookie.get(&self.socket)?;
        let watched = Socket { base: 0, state: state::BASED, ..blank() };
        sockets.insert(cookie, watched, 0).map_err(io::Error::other)?;
        let seen = self.exchange().and_then(|()| find(cookie, ring));
        let _ = sockets.remove(&cookie);
        seen
    }

    fn exchange(&self) -> io::Result<()> {
        let fd = self.socket.as_raw_fd();
        send(fd, b"zcwatch", MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY))?;
        // An error queue that is not empty shows as POLLERR, which needs no asking for.
        let mut wait = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        poll(&mut wait, PATIENCE_MS)?;
        recv(fd, &mut [0; 64], MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }
}

fn find(cookie: u64, ring: &mut RingBuf<MapData>) -> io::Result<u64> {
    let deadline = Instant::now() + Duration::from_millis(PATIENCE_MS.into());
    while Instant::now() < deadline {
        while let Some(item) = ring.next() {
            if let Some(done) = record::read::<Completed>(&item)
                && done.head.kind == kind::PIECE
                && done.head.cookie == cookie
            {
                return Ok(done.location);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(io::ErrorKind::TimedOut.into())
}
