//! Device features, by the ethtool ioctl.

use std::{io, net::UdpSocket, os::fd::AsRawFd};

use super::{LabError, Netns, ifreq};

/// A feature of a device, named as ethtool(8) names it in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `sg`: scatter-gather. Off, it takes `tso` with it.
    ScatterGather,
    /// `tx`: the device fills checksums in. Off, it takes `tso` with it.
    TxChecksum,
    /// `tso`: TCP segmentation by the device.
    Tso,
    /// `gso`: segmentation put off until the device.
    Gso,
}

impl Feature {
    /// The commands of linux/ethtool.h that ask for it and set it.
    fn commands(self) -> (u32, u32) {
        match self {
            Self::ScatterGather => (0x18, 0x19), // ETHTOOL_GSG, ETHTOOL_SSG
            Self::TxChecksum => (0x16, 0x17),    // ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM
            Self::Tso => (0x1e, 0x1f),           // ETHTOOL_GTSO, ETHTOOL_STSO
            Self::Gso => (0x23, 0x24),           // ETHTOOL_GGSO, ETHTOOL_SGSO
        }
    }
}

/// Switches a device's feature.
///
/// # Errors
/// When there is no such device, it can't do without the feature, or without CAP_NET_ADMIN.
pub fn set_feature(
    netns: &Netns,
    device: &str,
    feature: Feature,
    on: bool,
) -> Result<(), LabError> {
    let (get, set) = feature.commands();
    let to = if on { "on" } else { "off" };
    let switch = || -> io::Result<()> {
        // A feature that can't be changed may already be as it should: a veth whose peer has
        // XDP has no `tso`.
        if ethtool(device, get, 0)? != u32::from(on) {
            ethtool(device, set, on.into())?;
        }
        Ok(())
    };
    let action = format!("set {feature:?} of device {device} to {to}");
    netns.run(switch)?.map_err(LabError::system(action))
}

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Executes a command that takes or returns one value.
fn ethtool(device: &str, command: u32, data: u32) -> io::Result<u32> {
    let mut request = ifreq::named(device)?;
    let mut value = EthtoolValue { command, data };
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // SAFETY: the request and the value it points to live on this stack frame, and have the
    // layouts that SIOCETHTOOL reads and writes for a command with one value.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}
