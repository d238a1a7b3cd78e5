//! Reading a socket's error queue.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};

use super::{clock, truth::Notified};

/// SO_EE_ORIGIN_ZEROCOPY of linux/errqueue.h.
const ORIGIN_ZEROCOPY: u8 = 5;
/// SO_EE_ORIGIN_TIMESTAMPING of linux/errqueue.h.
const ORIGIN_TIMESTAMPING: u8 = 4;
/// SO_EE_CODE_ZEROCOPY_COPIED of linux/errqueue.h.
const CODE_COPIED: u8 = 1;

/// An entry of the error queue.
pub(super) enum Entry {
    /// What became of messages.
    Notified(Notified),
    /// When a packet left.
    Timestamp,
    /// Of another kind, an ICMP error for one.
    Other,
}

/// Takes one entry from the error queue, without waiting: `None` when it is empty.
pub(super) fn read(fd: BorrowedFd<'_>) -> Result<Option<Entry>, Errno> {
    // A sock_extended_err with the offender's address takes 64 bytes, a timestamp as many;
    // others fit beside them.
    let mut control = [0_u8; 256];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<()>(fd.as_raw_fd(), &mut [], Some(&mut control), flags) {
        Ok(message) => message,
        Err(Errno::EAGAIN) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let error = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            Some(error)
        }
        _ => None,
    });
    Ok(Some(match error {
        Some(error) if error.ee_origin == ORIGIN_ZEROCOPY => Entry::Notified(Notified {
            lo: error.ee_info,
            hi: error.ee_data,
            copied: error.ee_code & CODE_COPIED != 0,
            t: clock::boot_ns(),
        }),
        Some(error) if error.ee_origin == ORIGIN_TIMESTAMPING => Entry::Timestamp,
        _ => Entry::Other,
    }))
}
