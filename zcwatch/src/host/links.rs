//! Network devices of a namespace as they change: renamed, removed, switched up or down.

use std::{collections::BTreeMap, io};

use rtnetlink::{
    packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags, LinkMessage},
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

use super::netns::Entrance;
use crate::event::LinkChange;

/// `RTMGRP_LINK` (linux/rtnetlink.h).
const LINK_GROUP: u32 = 1;

/// Listens to one namespace's devices.
pub struct Links {
    netns: u32,
    socket: Socket,
    known: BTreeMap<u32, LinkChange>,
    /// The dump that was asked for has not ended: what it tells is how things were, not a change.
    listing: bool,
}

impl Links {
    /// Begins to listen in a namespace, whose inode number is `netns`.
    ///
    /// # Errors
    /// When it cannot be entered, or has no such socket.
    pub fn open(entrance: &Entrance, netns: u32) -> io::Result<Self> {
        let socket = entrance.run(|| {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind(&SocketAddr::new(0, LINK_GROUP))?;
            socket.set_non_blocking(true)?;
            Ok(socket)
        })?;
        let mut links = Self { netns, socket, known: BTreeMap::new(), listing: false };
        links.ask()?;
        Ok(links)
    }

    /// Asks for all devices as they are.
    fn ask(&mut self) -> io::Result<()> {
        let mut request =
            NetlinkMessage::from(RouteNetlinkMessage::GetLink(LinkMessage::default()));
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        self.listing = true;
        Ok(())
    }

    /// Hands out what changed since the last call.
    pub fn poll(&mut self, sink: &mut impl FnMut(LinkChange)) {
        loop {
            match self.socket.recv_from_full() {
                Ok((datagram, _)) => self.take(&datagram, sink),
                // The kernel dropped messages: look at everything again. What differs is told.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    if self.ask().is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, datagram: &[u8], sink: &mut impl FnMut(LinkChange)) {
        let mut rest = datagram;
        while !rest.is_empty() {
            let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest) else {
                return;
            };
            let length = (message.header.length as usize).next_multiple_of(4).min(rest.len());
            rest = &rest[length..];
            match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    self.changed(&link, false, sink);
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
                    self.changed(&link, true, sink);
                }
                NetlinkPayload::Done(_) => self.listing = false,
                _ => {}
            }
        }
    }

    fn changed(&mut self, link: &LinkMessage, removed: bool, sink: &mut impl FnMut(LinkChange)) {
        let index = link.header.index;
        let now = describe(link, self.netns, removed);
        let before =
            if removed { self.known.remove(&index) } else { self.known.insert(index, now.clone()) };
        // A device that was not known is new, unless this is the first look at all of them.
        let told = before.as_ref().map_or(!self.listing && !removed, |old| *old != now);
        if told {
            sink(now);
        }
    }
}

fn describe(link: &LinkMessage, netns: u32, removed: bool) -> LinkChange {
    let mut change = LinkChange {
        netns,
        ifindex: link.header.index,
        name: String::new(),
        removed,
        up: link.header.flags.contains(LinkFlags::Up),
        carrier: link.header.flags.contains(LinkFlags::LowerUp),
        mtu: 0,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => change.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => change.mtu = *mtu,
            _ => {}
        }
    }
    change
}
