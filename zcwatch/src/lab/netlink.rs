//! A synchronous netlink socket. The messages are those of the rtnetlink crate, and raw ones for
//! protocols that it has none for; its asynchronous connection would need a runtime on every
//! thread that enters a namespace.

use std::{convert::Infallible, io};

use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
        NetlinkMessage, NetlinkPayload, NetlinkSerializable,
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
    request_by(NETLINK_ROUTE, netns, action, message, flags)
}

/// As [`request`], by another protocol of netlink.
pub(super) fn request_by<M: NetlinkSerializable + NetlinkDeserializable + Send>(
    protocol: isize,
    netns: &Netns,
    action: String,
    message: M,
    flags: u16,
) -> Result<Vec<M>, LabError> {
    netns.run(move || exchange(protocol, message, flags))?.map_err(LabError::system(action))
}

/// A message without a type of its own.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// What follows the header.
    pub(super) bytes: Vec<u8>,
}

impl NetlinkSerializable for Raw {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.bytes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.bytes);
    }
}

impl NetlinkDeserializable for Raw {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { kind: header.message_type, bytes: payload.to_vec() })
    }
}

/// An attribute, up to where the next one may begin.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// The value of the first attribute of this type.
pub(super) fn find_attribute(kind: u16, mut bytes: &[u8]) -> Option<&[u8]> {
    while let Some((&[a, b, c, d], _)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(4..length)?;
        if u16::from_ne_bytes([c, d]) == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn exchange<M: NetlinkSerializable + NetlinkDeserializable>(
    protocol: isize,
    message: M,
    flags: u16,
) -> io::Result<Vec<M>> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;

    let payload = NetlinkPayload::InnerMessage(message);
    let mut request = NetlinkMessage::new(NetlinkHeader::default(), payload);
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
            let reply = NetlinkMessage::<M>::deserialize(rest).map_err(io::Error::other)?;
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
