//! Receivers that throw away what they get.

use std::{
    io::{self, PipeReader, Read},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
};

use super::{LabError, Netns, poll, worker::Worker};

/// Whether a TCP sink reads what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Reads and discards.
    Yes,
    /// Accepts and never reads: the window closes, and sends stay in flight.
    No,
}

/// Accepts every connection, until it is dropped.
#[derive(Debug)]
pub struct TcpSink {
    address: SocketAddr,
    _worker: Worker,
}

impl TcpSink {
    /// Listens inside `netns`; with port 0 on one that the kernel chooses.
    ///
    /// # Errors
    /// When the address is not the namespace's, or taken.
    pub fn start(netns: &Netns, address: SocketAddr, reading: Reading) -> Result<Self, LabError> {
        let action = format!("listen on {address}");
        let listener = netns
            .run(|| {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(listener)
            })?
            .map_err(LabError::system::<io::Error>(action.clone()))?;
        let address = listener.local_addr().map_err(LabError::system(action.clone()))?;
        let worker = Worker::start(move |stop| serve(&listener, reading, stop))
            .map_err(LabError::system(action))?;
        Ok(Self { address, _worker: worker })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Takes every datagram, until it is dropped.
#[derive(Debug)]
pub struct UdpSink {
    address: SocketAddr,
    _worker: Worker,
}

impl UdpSink {
    /// Binds inside `netns`; with port 0 to one that the kernel chooses.
    ///
    /// # Errors
    /// When the address is not the namespace's, or taken.
    pub fn start(netns: &Netns, address: SocketAddr) -> Result<Self, LabError> {
        let action = format!("receive on {address}");
        let failed = LabError::system;
        let socket = netns.run(|| UdpSocket::bind(address))?.map_err(failed(action.clone()))?;
        socket.set_nonblocking(true).map_err(failed(action.clone()))?;
        let address = socket.local_addr().map_err(failed(action.clone()))?;
        let worker = Worker::start(move |stop| receive(&socket, stop)).map_err(failed(action))?;
        Ok(Self { address, _worker: worker })
    }

    /// Where it is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(listener: &TcpListener, reading: Reading, stop: &PipeReader) -> io::Result<()> {
    let mut streams: Vec<TcpStream> = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let mut fds = vec![stop.as_fd(), listener.as_fd()];
        if reading == Reading::Yes {
            fds.extend(streams.iter().map(AsFd::as_fd));
        }
        let ready = poll::readable(&fds, None)?;
        if ready[0] {
            return Ok(());
        }
        let mut turn = ready[2..].iter();
        streams
            .retain_mut(|stream| turn.next() != Some(&true) || goes_on(stream.read(&mut buffer)));
        if ready[1] {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true)?;
                streams.push(stream);
            }
        }
    }
}

fn receive(socket: &UdpSocket, stop: &PipeReader) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let ready = poll::readable(&[stop.as_fd(), socket.as_fd()], None)?;
        if ready[0] {
            return Ok(());
        }
        while socket.recv(&mut buffer).is_ok() {}
    }
}

/// Whether a stream that gave this answer may still have something to read.
fn goes_on(answer: io::Result<usize>) -> bool {
    match answer {
        Ok(length) => length > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
