//! Opening a sender's socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::sys::{
    socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getpeername, getsockname,
        setsockopt, socket, sockopt as typed,
    },
    time::TimeVal,
};

use super::{
    super::{LabError, sockopt},
    ExtensionHeader, Options, Protocol, Timestamps,
};

/// A socket, and where its messages go.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) fd: OwnedFd,
    pub(super) destinations: Vec<SockaddrStorage>,
    /// Then the messages name no destination.
    pub(super) connected: bool,
}

/// Opens a socket in the calling thread's namespace, and connects it where it has one
/// destination.
pub(super) fn open(options: &Options) -> Result<Open, LabError> {
    let destinations = destinations(options);
    let action = format!("open a {:?} socket to {}", options.protocol, destinations[0]);
    let fd = open_to(options, &destinations).map_err(LabError::system(action))?;
    Ok(adopt(options, fd))
}

/// Takes a socket that was opened by the same options.
pub(super) fn adopt(options: &Options, fd: OwnedFd) -> Open {
    let destinations = destinations(options).into_iter().map(SockaddrStorage::from).collect();
    Open { fd, destinations, connected: is_connected(options) }
}

fn destinations(options: &Options) -> Vec<SocketAddr> {
    let to = options.destinations.iter();
    to.map(|&to| if options.v4_mapped { mapped(to) } else { to }).collect()
}

fn is_connected(options: &Options) -> bool {
    options.destinations.len() == 1 && !options.unconnected
}

fn open_to(options: &Options, destinations: &[SocketAddr]) -> io::Result<OwnedFd> {
    let family = if destinations[0].is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let kind = match options.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if !options.no_so_zerocopy {
        sockopt::set(fd.as_fd(), libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1)?;
    }
    if options.recverr {
        let (level, name) = match family {
            AddressFamily::Inet6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
            _ => (libc::IPPROTO_IP, libc::IP_RECVERR),
        };
        sockopt::set(fd.as_fd(), level, name, 1)?;
    }
    if options.protocol == Protocol::Tcp {
        // A small last segment must not wait for the acknowledgement of the one before.
        setsockopt(&fd, typed::TcpNoDelay, &true)?;
    }
    stamp(fd.as_fd(), options.timestamps)?;
    if let Some(header) = options.extension_header {
        extend(fd.as_fd(), header)?;
    }
    setsockopt(&fd, typed::SendTimeout, &timeval(options.patience))?;

    if is_connected(options) {
        connect(fd.as_raw_fd(), &SockaddrStorage::from(destinations[0]))?;
    }
    Ok(fd)
}

/// Asks for a time by software for each packet that leaves.
fn stamp(fd: BorrowedFd<'_>, timestamps: Timestamps) -> io::Result<()> {
    let payload = match timestamps {
        Timestamps::Off => return Ok(()),
        Timestamps::WithPayload => 0,
        Timestamps::Only => libc::SOF_TIMESTAMPING_OPT_TSONLY,
    };
    let flags = libc::SOF_TIMESTAMPING_TX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE | payload;
    sockopt::set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, flags.cast_signed())
}

/// Puts an extension header without any options into each packet.
fn extend(fd: BorrowedFd<'_>, header: ExtensionHeader) -> io::Result<()> {
    // `struct ipv6_opt_hdr`: the kernel fills in what follows; eight bytes in all. Then PadN.
    const PADDING: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];
    let name = match header {
        ExtensionHeader::HopByHop => libc::IPV6_HOPOPTS,
        ExtensionHeader::Destination => libc::IPV6_DSTOPTS,
    };
    sockopt::set_bytes(fd, libc::IPPROTO_IPV6, name, &PADDING)
}

/// ::ffff:a.b.c.d for an IPv4 address.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

fn timeval(duration: Duration) -> TimeVal {
    TimeVal::new(duration.as_secs().cast_signed(), duration.subsec_micros().into())
}

/// The socket's own address.
pub(super) fn local(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    plain(&address).ok_or_else(|| io::Error::other("the socket is of neither IPv4 nor IPv6"))
}

/// The other end's address, where the socket is connected.
pub(super) fn remote(fd: BorrowedFd<'_>) -> Option<SocketAddr> {
    getpeername(fd.as_raw_fd()).ok().and_then(|address| plain(&address))
}

fn plain(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|&v4| SocketAddr::V4(v4.into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|&v6| SocketAddr::V6(v6.into())))
}
