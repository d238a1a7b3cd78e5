//! A receiver that answers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::sink;

/// More than a request.
const BUFFER: usize = 16 << 10;

/// Listens on loopback, and sends back whatever a connection brings.
///
/// # Errors
/// When loopback can't be listened on, or no thread be made.
pub fn start() -> anyhow::Result<SocketAddr> {
    sink::serve(answer)
}

fn answer(mut stream: TcpStream) {
    // Without it, what waits for an acknowledgement waits for its delay too.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = vec![0; BUFFER];
    while let Ok(bytes) = stream.read(&mut buffer) {
        if bytes == 0 || stream.write_all(&buffer[..bytes]).is_err() {
            return;
        }
    }
}
