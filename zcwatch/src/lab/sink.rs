//! Receivers that throw away what they get.

use std::{
    io::{self, PipeReader, Read},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{LabError, Netns, poll, worker::Worker};

/// Whether a TCP sink reads what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Reads and discards.
    Yes,
    /// Reads and discards 16 KiB at a time, and rests for so long after each.
    Slowly(Duration),
    /// Accepts and never reads: the window closes, and sends stay in flight.
    No,
}

/// Accepts every connection, until it is dropped.
#[derive(Debug)]
pub struct TcpSink {
    address: SocketAddr,
    received: Arc<AtomicU64>,
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
        let received = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&received);
        let worker = Worker::start(move |stop| serve(&listener, reading, &counted, stop))
            .map_err(LabError::system(action))?;
        Ok(Self { address, received, _worker: worker })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes read so far, of all connections.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
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

fn serve(
    listener: &TcpListener,
    reading: Reading,
    received: &AtomicU64,
    stop: &PipeReader,
) -> io::Result<()> {
    let mut streams: Vec<TcpStream> = Vec::new();
    let (size, rest) = match reading {
        Reading::Slowly(rest) => (16 << 10, Some(rest)),
        Reading::Yes | Reading::No => (256 << 10, None),
    };
    let mut buffer = vec![0; size];
    loop {
        let mut fds = vec![stop.as_fd(), listener.as_fd()];
        if reading != Reading::No {
            fds.extend(streams.iter().map(AsFd::as_fd));
        }
        let ready = poll::readable(&fds, None)?;
        if ready[0] {
            return Ok(());
        }
        let mut turn = ready[2..].iter();
        streams.retain_mut(|stream| {
            if turn.next() != Some(&true) {
                return true;
            }
            let answer = stream.read(&mut buffer);
            received.fetch_add(*answer.as_ref().unwrap_or(&0) as u64, Ordering::Relaxed);
            goes_on(answer)
        });
        if ready[1] {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true)?;
                streams.push(stream);
            }
        }
        if rest.is_some() && poll::readable(&[stop.as_fd()], rest)?[0] {
            return Ok(());
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
