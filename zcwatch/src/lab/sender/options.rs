//! What a sender does. The same struct is the workload's command line.

use std::{net::SocketAddr, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A stream.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

/// The system call that sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Api {
    /// send(2): one destination, connected.
    #[default]
    Send,
    /// sendto(2)
    Sendto,
    /// sendmsg(2)
    Sendmsg,
    /// sendmmsg(2), `batch` messages a call
    Sendmmsg,
}

/// When the error queue is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Drain {
    /// After every send (every call, every datagram held back by `coalesce`), until all that
    /// was sent is notified.
    #[default]
    EverySend,
    /// Never.
    Never,
    /// After the last send, until all that was sent is notified.
    AtEnd,
    /// When `window` messages are in flight, until there is room for the next; and at the end.
    Window,
    /// All the time, by a thread that spins on it.
    BusyReader,
}

/// How several messages become one datagram or segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Coalesce {
    /// Not at all.
    #[default]
    Nothing,
    /// MSG_MORE on each but the last of `batch`.
    MsgMore,
    /// UDP_CORK around `batch`.
    UdpCork,
}

/// Whether the kernel reports when each packet left, on the error queue too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Timestamps {
    /// No.
    #[default]
    Off,
    /// With the packet looped back beside it: that copies the payload.
    WithPayload,
    /// Without the packet (SOF_TIMESTAMPING_OPT_TSONLY).
    Only,
}

/// An IPv6 extension header that each packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExtensionHeader {
    /// Hop-by-hop options.
    HopByHop,
    /// Destination options.
    Destination,
}

/// What a sender does.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Transport.
    #[arg(long, value_enum, default_value = "tcp")]
    pub protocol: Protocol,
    /// Where to; with several, the messages go to each in turn over one unconnected UDP socket.
    #[arg(long = "to", value_name = "ADDRESS:PORT", value_delimiter = ',', required = true)]
    pub destinations: Vec<SocketAddr>,
    /// Reach IPv4 destinations by an IPv6 socket, as ::ffff:a.b.c.d.
    #[arg(long)]
    pub v4_mapped: bool,
    /// Leave a UDP socket unconnected, and name the destination with each message.
    #[arg(long)]
    pub unconnected: bool,
    /// Bytes a message; with several sizes, each in turn.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_value = "16384")]
    pub sizes: Vec<usize>,
    /// Messages to attempt, by each thread.
    #[arg(long, default_value_t = 100)]
    pub count: u64,
    /// System call.
    #[arg(long, value_enum, default_value = "send")]
    pub api: Api,
    /// Messages a sendmmsg, or coalesced into one datagram.
    #[arg(long, default_value_t = 4)]
    pub batch: usize,
    /// Make one datagram of several messages.
    #[arg(long, value_enum, default_value = "nothing")]
    pub coalesce: Coalesce,
    /// Threads that share the socket.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Microseconds between one send and the next.
    #[arg(long = "delay-us", value_name = "MICROSECONDS", value_parser = microseconds, default_value = "0")]
    pub delay: Duration,
    /// When to read the error queue.
    #[arg(long, value_enum, default_value = "every-send")]
    pub drain: Drain,
    /// Messages in flight at most, where the error queue is read by that.
    #[arg(long, default_value_t = 8)]
    pub window: u64,
    /// Pass MSG_DONTWAIT: a stream takes what there is room for, or fails with EAGAIN.
    #[arg(long)]
    pub nonblocking: bool,
    /// Leave SO_ZEROCOPY off: the kernel ignores the flag.
    #[arg(long)]
    pub no_so_zerocopy: bool,
    /// Pass no MSG_ZEROCOPY with the first so many messages of each thread.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub plain_first: u64,
    /// Then pass it with the first of so many messages, and not with the others.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub flag_every: u64,
    /// Pass MSG_ZEROCOPY with so many messages of each thread only.
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX, hide_default_value = true)]
    pub flagged: u64,
    /// Pass no more MSG_ZEROCOPY once so many messages were notified as copied.
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX, hide_default_value = true)]
    pub give_up_after: u64,
    /// Set IP_RECVERR: a UDP send then fails with ENOBUFS where a queue drops it.
    #[arg(long)]
    pub recverr: bool,
    /// Have the kernel report when each packet left.
    #[arg(long, value_enum, default_value = "off")]
    pub timestamps: Timestamps,
    /// Put an IPv6 extension header into each packet; needs CAP_NET_RAW.
    #[arg(long, value_enum)]
    pub extension_header: Option<ExtensionHeader>,
    /// Write every send and every notification down.
    #[arg(long)]
    pub log: bool,
    /// Milliseconds to wait for notifications, and for a stream to take data.
    #[arg(long = "patience-ms", value_name = "MILLISECONDS", value_parser = milliseconds, default_value = "10000")]
    pub patience: Duration,
}

impl Options {
    /// 100 TCP messages of 16 KiB, the error queue read after each.
    #[must_use]
    pub fn tcp(destination: SocketAddr) -> Self {
        Self {
            protocol: Protocol::Tcp,
            destinations: vec![destination],
            v4_mapped: false,
            unconnected: false,
            sizes: vec![16 << 10],
            count: 100,
            api: Api::default(),
            batch: 4,
            coalesce: Coalesce::default(),
            threads: 1,
            delay: Duration::ZERO,
            drain: Drain::default(),
            window: 8,
            nonblocking: false,
            no_so_zerocopy: false,
            plain_first: 0,
            flag_every: 1,
            flagged: u64::MAX,
            give_up_after: u64::MAX,
            recverr: false,
            timestamps: Timestamps::default(),
            extension_header: None,
            log: false,
            patience: Duration::from_secs(10),
        }
    }

    /// 100 UDP messages of 1400 bytes, the error queue read after each.
    #[must_use]
    pub fn udp(destination: SocketAddr) -> Self {
        Self { protocol: Protocol::Udp, sizes: vec![1400], ..Self::tcp(destination) }
    }

    /// Why these can't go together, where they can't.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let named = self.unconnected || self.destinations.len() > 1;
        if self.destinations.is_empty() || self.sizes.is_empty() {
            Some("at least one destination and one size are needed")
        } else if self.threads == 0 || self.batch == 0 || self.window == 0 || self.flag_every == 0 {
            Some("threads, batch, window and flag-every start at 1")
        } else if named && self.protocol == Protocol::Tcp {
            Some("a stream is connected to one destination")
        } else if named && self.api == Api::Send {
            Some("an unconnected socket needs sendto, sendmsg or sendmmsg")
        } else if self.coalesce == Coalesce::UdpCork && self.protocol == Protocol::Tcp {
            Some("UDP_CORK is an option of UDP")
        } else if self.coalesce != Coalesce::Nothing && self.api == Api::Sendmmsg {
            Some("sendmmsg and coalescing both use the batch: choose one")
        } else if self.coalesce != Coalesce::Nothing && self.threads > 1 {
            Some("threads would coalesce into each other's datagrams")
        } else if self.extension_header.is_some()
            && (self.v4_mapped || self.destinations.iter().any(SocketAddr::is_ipv4))
        {
            Some("extension headers are of IPv6")
        } else {
            None
        }
    }
}

fn microseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_micros)
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
