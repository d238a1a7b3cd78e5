//! One system call that sends.

use std::{
    io::IoSlice,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, send, sendmmsg, sendmsg, sendto},
};

use super::Api;

/// One message: its payload, and where it goes when the socket is not connected.
pub(super) struct Message<'a> {
    pub(super) payload: &'a [u8],
    pub(super) to: Option<&'a SockaddrStorage>,
}

/// Sends the messages by one call, and returns the bytes taken of each that was accepted:
/// sendmmsg(2) may stop before the last. The other calls send the first message only.
pub(super) fn send_by(
    api: Api,
    fd: BorrowedFd<'_>,
    messages: &[Message<'_>],
    flags: MsgFlags,
) -> Result<Vec<usize>, Errno> {
    let fd = fd.as_raw_fd();
    let Message { payload, to } = &messages[0];
    match api {
        Api::Send => send(fd, payload, flags).map(|bytes| vec![bytes]),
        Api::Sendto => match to {
            Some(to) => sendto(fd, payload, *to, flags),
            None => send(fd, payload, flags),
        }
        .map(|bytes| vec![bytes]),
        Api::Sendmsg => sendmsg(fd, &[IoSlice::new(payload)], &[], flags, *to).map(|n| vec![n]),
        Api::Sendmmsg => {
            let slices: Vec<_> = messages.iter().map(|m| [IoSlice::new(m.payload)]).collect();
            let to: Vec<_> = messages.iter().map(|m| m.to.copied()).collect();
            let mut headers = MultiHeaders::preallocate(messages.len(), None);
            let sent = sendmmsg(fd, &mut headers, &slices, to, [], flags)?;
            Ok(sent.map(|message| message.bytes).collect())
        }
    }
}
