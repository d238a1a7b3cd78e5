//! A packet socket that taps a namespace's traffic, as tcpdump's does.

use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use nix::{net::if_::if_nametoindex, sys::prctl};

use super::{LabError, Netns, sockopt};

/// A packet socket on every protocol. What it taps is never read: its small buffer fills and
/// further packets are dropped there, but the tap has its effect on the sender all the same.
#[derive(Debug)]
pub struct Sniffer {
    _socket: OwnedFd,
}

impl Sniffer {
    /// Taps one device of `netns`, or all of them.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or when there is no such device.
    pub fn open(netns: &Netns, device: Option<&str>) -> Result<Self, LabError> {
        netns.run(|| Self::open_here(device))?
    }

    /// As [`Sniffer::open`], but it ignores what is sent (PACKET_IGNORE_OUTGOING).
    ///
    /// # Errors
    /// As [`Sniffer::open`].
    pub fn incoming(netns: &Netns, device: Option<&str>) -> Result<Self, LabError> {
        netns.run(|| Self::with(device, true))?
    }

    /// As [`Sniffer::open`], in the calling thread's namespace.
    ///
    /// # Errors
    /// As [`Sniffer::open`].
    pub fn open_here(device: Option<&str>) -> Result<Self, LabError> {
        Self::with(device, false)
    }

    fn with(device: Option<&str>, incoming_only: bool) -> Result<Self, LabError> {
        let socket = tap(device, incoming_only).map_err(LabError::system(format!(
            "open a packet socket on {}",
            device.unwrap_or("every device")
        )))?;
        Ok(Self { _socket: socket })
    }
}

/// Gives the calling thread a name; the main thread's is the process's, as `ps` and zcwatch
/// show it. At most 15 bytes count.
///
/// # Errors
/// When the name contains a zero byte.
pub fn set_comm(name: &str) -> Result<(), LabError> {
    let failed = LabError::system::<io::Error>;
    CString::new(name)
        .map_err(io::Error::from)
        .and_then(|name| Ok(prctl::set_name(&name)?))
        .map_err(failed(format!("take the name {name:?}")))
}

fn tap(device: Option<&str>, incoming_only: bool) -> io::Result<OwnedFd> {
    let index = device.map_or(Ok(0), if_nametoindex)?;
    // With protocol 0 it taps nothing until it is bound, so never another device.
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    sockopt::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 4096)?;
    if incoming_only {
        sockopt::set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
    }

    // SAFETY: a sockaddr_ll is integers: zeroes are valid.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index.cast_signed();
    // SAFETY: the pointer and the length are those of one live address.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of_val(&address) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}
