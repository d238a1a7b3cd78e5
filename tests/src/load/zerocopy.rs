//! A sender that does little but send.

use std::{
    io, mem,
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, AsRawFd},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, send, setsockopt, sockopt::TcpNoDelay},
};

use crate::counter::Counter;

const PAGE: usize = 4096;
/// SO_EE_ORIGIN_ZEROCOPY and SO_EE_CODE_ZEROCOPY_COPIED of linux/errqueue.h.
const ORIGIN_ZEROCOPY: u8 = 5;
const CODE_COPIED: u8 = 1;

/// What is sent.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Bytes a send.
    #[arg(long, value_name = "BYTES")]
    size: usize,
    /// Sends whose notification may be outstanding.
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    in_flight: u64,
    /// Milliseconds to rest after each send.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pause_ms: u64,
}

/// A connected sender.
#[derive(Debug)]
pub struct Zerocopy {
    stream: TcpStream,
    /// Written once: the kernel reads its pages until the notification, and the payload is the
    /// same in every send.
    buffer: Vec<u8>,
    options: Options,
    outstanding: u64,
}

impl Zerocopy {
    /// Connects.
    ///
    /// # Errors
    /// When there is no receiver, or no zerocopy.
    pub fn open(to: SocketAddr, options: &Options) -> anyhow::Result<Self> {
        ensure!(options.size > 0, "a send of no bytes has no notification: give at least 1");
        ensure!(options.in_flight > 0, "nothing could ever be sent: allow at least 1 in flight");
        let stream =
            TcpStream::connect(to).with_context(|| format!("could not connect to {to}"))?;
        set_zerocopy(&stream).context("could not set SO_ZEROCOPY")?;
        // A small send must not wait for the last one's acknowledgement.
        setsockopt(&stream, TcpNoDelay, &true).context("could not set TCP_NODELAY")?;
        // Written, not zeroed: untouched memory is one shared page of zeroes.
        let buffer = (0..options.size + PAGE).map(|at| at as u8).collect();
        Ok(Self { stream, buffer, options: options.clone(), outstanding: 0 })
    }

    /// Sends for ever.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn run(mut self, counter: &Counter) -> anyhow::Result<()> {
        // Whole pages from the first byte, so that each send holds as many.
        let start = self.buffer.as_ptr().align_offset(PAGE).min(PAGE);
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
        let pause = Duration::from_millis(self.options.pause_ms);
        loop {
            while self.outstanding < self.options.in_flight {
                let payload = &self.buffer[start..start + self.options.size];
                match send(self.stream.as_raw_fd(), payload, flags) {
                    Ok(bytes) => {
                        self.outstanding += 1;
                        counter.done(bytes);
                    }
                    Err(Errno::EINTR) => {}
                    // Too many notifications unread, though fewer than allowed.
                    Err(Errno::ENOBUFS) => break,
                    Err(error) => return Err(error).context("could not send"),
                }
                if !pause.is_zero() {
                    thread::sleep(pause);
                }
            }
            self.drain(counter)?;
        }
    }

    /// Reads notifications until half of what is allowed is free: the kernel merges those of
    /// neighbours, so the later the look, the fewer there are.
    fn drain(&mut self, counter: &Counter) -> anyhow::Result<()> {
        let enough = self.options.in_flight / 2;
        loop {
            match self.read(counter)? {
                true if self.outstanding <= enough => return Ok(()),
                true => {}
                false => self.wait()?,
            }
        }
    }

    /// Reads one notification; `false`: there is none.
    fn read(&mut self, counter: &Counter) -> anyhow::Result<bool> {
        let mut control = [0_u8; 128];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let fd = self.stream.as_raw_fd();
        let message = match recvmsg::<()>(fd, &mut [], Some(&mut control), flags) {
            Ok(message) => message,
            Err(Errno::EAGAIN) => return Ok(false),
            Err(Errno::EINTR) => return Ok(true),
            Err(error) => return Err(error).context("could not read the error queue"),
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) = control
                && error.ee_origin == ORIGIN_ZEROCOPY
            {
                let ids = u64::from(error.ee_data.wrapping_sub(error.ee_info)) + 1;
                self.outstanding = self.outstanding.saturating_sub(ids);
                counter.notified(if error.ee_code & CODE_COPIED == 0 { 0 } else { ids });
            }
        }
        Ok(true)
    }

    /// Waits until something is on the error queue.
    fn wait(&self) -> anyhow::Result<()> {
        // POLLERR is always reported.
        let mut ready = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(()),
            Err(error) => return Err(error).context("could not wait for notifications"),
        }
        if ready[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
            bail!("the receiver is gone: it must outlive the sender");
        }
        Ok(())
    }
}

/// Sets SO_ZEROCOPY, which nix does not have.
fn set_zerocopy(stream: &TcpStream) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and the length are those of one live integer.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ZEROCOPY,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
