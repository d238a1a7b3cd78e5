//! A receiver that throws away what it gets.

use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Bytes taken by one read: few calls for large sends, and still in the CPU's cache.
const BUFFER: usize = 256 << 10;

/// Listens on loopback, and reads every connection in a thread of its own until it ends.
///
/// # Errors
/// When loopback can't be listened on, or no thread be made.
pub fn start() -> anyhow::Result<SocketAddr> {
    serve(discard)
}

/// Listens on loopback, and hands every connection to a thread of its own.
///
/// # Errors
/// When loopback can't be listened on, or no thread be made.
pub fn serve(work: impl Fn(TcpStream) + Copy + Send + 'static) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("accept".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || work(stream));
        }
    })?;
    Ok(address)
}

fn discard(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER];
    while stream.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
}
