//! A receiver that throws away what it gets.

use std::{
    hint,
    io::{ErrorKind, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Bytes taken by one read: few calls for large sends, and still in the CPU's cache.
const BUFFER: usize = 256 << 10;

/// Listens on loopback, and reads every connection in a thread of its own until it ends. `poll`: it
/// never sleeps, and gives way to everything else on its CPU.
///
/// # Errors
/// When loopback can't be listened on, or no thread be made.
pub fn start(poll: bool) -> anyhow::Result<SocketAddr> {
    if poll {
        // SAFETY: no memory is involved. The answer may be -1 without an error.
        unsafe { libc::nice(19) };
    }
    serve(if poll { discard_polling } else { discard })
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

fn discard_polling(mut stream: TcpStream) {
    if stream.set_nonblocking(true).is_err() {
        return;
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => hint::spin_loop(),
            Err(_) => return,
        }
    }
}

fn discard(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER];
    while stream.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
}
