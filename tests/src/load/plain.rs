//! A process that has nothing to do with zerocopy: small requests and their responses.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

use anyhow::{Context, ensure};

use crate::counter::Counter;

/// One end of a connection over loopback, or both.
#[derive(Debug)]
pub struct Plain {
    client: TcpStream,
    /// Where one thread holds both ends, a message is in its receiver's queue when its send
    /// returns: nobody ever waits, and what is timed is the packets' path alone, without the
    /// scheduler and without another CPU.
    server: Option<TcpStream>,
    size: usize,
}

impl Plain {
    /// Connects to an echo, or to itself.
    ///
    /// # Errors
    /// When there is no echo, or loopback can't be used.
    pub fn open(to: Option<SocketAddr>, size: usize) -> anyhow::Result<Self> {
        ensure!(size > 0, "a message of no bytes is not sent: give at least 1");
        let (client, server) = match to {
            Some(to) => {
                let client = TcpStream::connect(to);
                (client.with_context(|| format!("could not connect to {to}"))?, None)
            }
            None => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let client = TcpStream::connect(listener.local_addr()?)?;
                let (server, _) = listener.accept()?;
                server.set_nodelay(true)?;
                (client, Some(server))
            }
        };
        client.set_nodelay(true)?;
        Ok(Self { client, server, size })
    }

    /// Exchanges messages for ever.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn run(mut self, counter: &Counter) -> anyhow::Result<()> {
        let mut buffer = vec![7; self.size];
        loop {
            self.client.write_all(&buffer).context("could not send a request")?;
            if let Some(server) = &mut self.server {
                server.read_exact(&mut buffer).context("could not receive a request")?;
                server.write_all(&buffer).context("could not send a response")?;
            }
            self.client.read_exact(&mut buffer).context("could not receive a response")?;
            counter.done(2 * self.size);
        }
    }
}
