//! A synchronous rtnetlink socket. The messages are those of the rtnetlink crate; its
//! asynchronous connection would need a runtime on every thread that enters a namespace.

use std::io;

use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    packet_route::RouteNetlinkMessage,
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

use super::{LabError, Netns};

/// Flags of a request that makes something new.
pub(super) const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;
/// Flags of a request that changes what is there, or asks for one object.
pub(super) const CHANGE: u16 = 0;

/// Sends one request inside `netns` and returns the kernel's replies up to its
/// acknowledgement. `action` follows "could not" in the error.
pub(super) fn request(
    netns: &Netns,
    action: String,
    message: RouteNetlinkMessage,
    flags: u16,
) -> Result<Vec<RouteNetlinkMessage>, LabError> {
    netns.run(move || exchange(message, flags))?.map_err(LabError::system(action))
}

fn exchange(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;

    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut replies = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let reply = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(io::Error::other)?;
            // Messages in one datagram start at multiples of four bytes.
            let length = (reply.header.length as usize).next_multiple_of(4).min(rest.len());
            rest = &rest[length..];
            match reply.payload {
                NetlinkPayload::Error(answer) if answer.code.is_none() => return Ok(replies),
                NetlinkPayload::Error(answer) => return Err(answer.to_io()),
                NetlinkPayload::InnerMessage(inner) => replies.push(inner),
                _ => {}
            }
        }
    }
}
