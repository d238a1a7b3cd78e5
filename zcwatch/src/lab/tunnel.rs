//! tun and tap devices, with the descriptor that their packets come out of.

use std::{
    fs::{File, OpenOptions},
    io::{self, PipeReader, Read},
    os::fd::{AsFd, AsRawFd},
    os::unix::fs::OpenOptionsExt,
    sync::Arc,
};

use super::{LabError, Netns, ifreq, poll, set_up, worker::Worker};

/// What a [`Tunnel`] carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// IP packets: tun.
    Packets,
    /// Ethernet frames: tap.
    Frames,
}

/// A tun or tap device whose descriptor this process holds, as a VPN's daemon does. The device
/// goes with it. What it is sent waits in its queue until somebody reads.
#[derive(Debug)]
pub struct Tunnel {
    file: Arc<File>,
    reader: Option<Worker>,
}

impl Tunnel {
    /// Makes a device, holds its descriptor, and brings it up.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN or /dev/net/tun, or when the name is taken.
    pub fn open(netns: &Netns, device: &str, kind: TunnelKind) -> Result<Self, LabError> {
        let file = attach(netns, device, kind, false)?;
        set_up(netns, device)?;
        Ok(Self { file: Arc::new(file), reader: None })
    }

    /// Makes a device that stays though nobody holds its descriptor, so that it has no carrier,
    /// and brings it up.
    ///
    /// # Errors
    /// As [`Tunnel::open`].
    pub fn unopened(netns: &Netns, device: &str, kind: TunnelKind) -> Result<(), LabError> {
        drop(attach(netns, device, kind, true)?);
        set_up(netns, device)
    }

    /// Reads and discards what comes, from now on.
    ///
    /// # Errors
    /// When the thread can't be made.
    pub fn read(&mut self) -> Result<(), LabError> {
        let file = Arc::clone(&self.file);
        let reader = Worker::start(move |stop| discard(&file, stop))
            .map_err(LabError::system("read what a tunnel is sent"))?;
        self.reader = Some(reader);
        Ok(())
    }

    /// Leaves what comes in the device's queue, from now on.
    pub fn stop_reading(&mut self) {
        self.reader = None;
    }
}

fn attach(
    netns: &Netns,
    device: &str,
    kind: TunnelKind,
    persistent: bool,
) -> Result<File, LabError> {
    let action = match kind {
        TunnelKind::Packets => format!("make the tun device {device}"),
        TunnelKind::Frames => format!("make the tap device {device}"),
    };
    // A tun belongs to the namespace that /dev/net/tun was opened in.
    netns.run(|| attach_here(device, kind, persistent))?.map_err(LabError::system(action))
}

fn attach_here(device: &str, kind: TunnelKind, persistent: bool) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    let mut request = ifreq::named(device)?;
    let carries = match kind {
        TunnelKind::Packets => libc::IFF_TUN,
        TunnelKind::Frames => libc::IFF_TAP,
    };
    request.ifr_ifru.ifru_flags = (carries | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request lives on this stack frame, and is what TUNSETIFF reads and writes.
    let attached = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if attached < 0 {
        return Err(io::Error::last_os_error());
    }
    // Otherwise the device offers no checksums, and datagrams are copied for want of those.
    // SAFETY: the argument is an integer.
    let offers = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::TUN_F_CSUM) };
    if offers < 0 {
        return Err(io::Error::last_os_error());
    }
    if persistent {
        // SAFETY: the argument is an integer.
        let kept = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETPERSIST, 1) };
        if kept < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(file)
}

fn discard(mut file: &File, stop: &PipeReader) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let ready = poll::readable(&[stop.as_fd(), file.as_fd()], None)?;
        if ready[0] {
            return Ok(());
        }
        while file.read(&mut buffer).is_ok() {}
    }
}
