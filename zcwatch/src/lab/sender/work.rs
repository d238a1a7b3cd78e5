//! What one sending thread does.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::{errno::Errno, sys::socket::MsgFlags};

use super::{
    super::{LabError, sockopt},
    Api, Coalesce, Drain, Options, Protocol, SendRecord, Sender,
    call::{Message, send_by},
    clock,
};

/// Errors after which the next message may well be taken.
const PASSING: &[Errno] = &[
    Errno::ENOBUFS,
    Errno::ENOMEM,
    Errno::EPERM,
    Errno::EINTR,
    Errno::EMSGSIZE,
    Errno::ECONNREFUSED,
    Errno::EHOSTUNREACH,
    Errno::ENETUNREACH,
];

impl Sender {
    /// Attempts the options' count of messages, or goes on until `stop` is set.
    pub(super) fn work(&self, stop: &AtomicBool) -> Result<(), LabError> {
        let count = self.options.count;
        let mut attempted = 0;
        self.cork(true)?;
        while attempted < count {
            self.make_room()?;
            let flagged = self.is_flagged(attempted);
            let messages = self.messages(attempted);
            let stopping = stop.load(Ordering::Relaxed);
            let released = stopping || attempted + 1 == count || self.ends_group(attempted);

            let t_before = clock::boot_ns();
            let flags = self.flags(flagged, released);
            let result = send_by(self.options.api, self.fd(), &messages, flags);
            let times = (t_before, clock::boot_ns());

            match result {
                Ok(taken) => {
                    attempted += taken.len().max(1) as u64;
                    self.accept(&taken, flagged, times);
                    self.ledger().cut_short += u64::from(taken.len() < messages.len());
                }
                Err(errno) => {
                    attempted += 1;
                    self.refuse(errno, flagged, times)?;
                    if !self.may_go_on(errno) {
                        break;
                    }
                }
            }
            if released {
                self.cork(false)?;
                if self.options.drain == Drain::EverySend {
                    let ids = self.ledger().ids();
                    self.read_until(ids)?;
                    if self.options.threads == 1 {
                        self.settle(times);
                    }
                }
                self.cork(true)?;
            }
            if stopping {
                break;
            }
            if !self.options.delay.is_zero() && attempted < count {
                thread::sleep(self.options.delay);
            }
        }
        self.cork(false)
    }

    /// Waits, where only so many messages may be in flight, until one more may.
    fn make_room(&self) -> Result<(), LabError> {
        let (ids, notified) = {
            let ledger = self.ledger();
            (ledger.ids(), ledger.notified)
        };
        let window = self.options.window;
        if self.options.drain != Drain::Window || ids.saturating_sub(notified) < window {
            return Ok(());
        }
        self.read_until(ids - window + 1)
    }

    /// Whether this message passes MSG_ZEROCOPY.
    fn is_flagged(&self, attempted: u64) -> bool {
        let Options { plain_first, flag_every, flagged, give_up_after, .. } = self.options;
        let Some(turn) = attempted.checked_sub(plain_first) else { return false };
        turn.is_multiple_of(flag_every)
            && turn / flag_every < flagged
            && self.ledger().copied < give_up_after
    }

    /// Whether the next message may be taken after this error.
    fn may_go_on(&self, errno: Errno) -> bool {
        PASSING.contains(&errno) || (self.options.nonblocking && errno == Errno::EAGAIN)
    }

    /// The messages of the next call.
    fn messages(&self, attempted: u64) -> Vec<Message<'_>> {
        let left = self.options.count - attempted;
        let batch = match self.options.api {
            Api::Sendmmsg => left.min(self.options.batch as u64),
            _ => 1,
        };
        (attempted..attempted + batch)
            .map(|turn| {
                let size = in_turn(&self.options.sizes, turn);
                let to = (!self.open.connected).then(|| in_turn(&self.open.destinations, turn));
                Message { payload: self.payload.take(*size), to }
            })
            .collect()
    }

    /// Whether nothing is held back after this message.
    fn ends_group(&self, attempted: u64) -> bool {
        self.options.coalesce == Coalesce::Nothing
            || (attempted + 1).is_multiple_of(self.options.batch as u64)
    }

    fn flags(&self, flagged: bool, released: bool) -> MsgFlags {
        let mut flags = MsgFlags::MSG_NOSIGNAL;
        if self.options.nonblocking {
            flags |= MsgFlags::MSG_DONTWAIT;
        }
        if flagged {
            flags |= MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
        }
        if self.options.coalesce == Coalesce::MsgMore && !released {
            flags |= MsgFlags::from_bits_retain(libc::MSG_MORE);
        }
        flags
    }

    fn accept(&self, taken: &[usize], flagged: bool, (t_before, t_after): (u64, u64)) {
        let mut ledger = self.ledger();
        for &bytes in taken {
            // A message of no bytes takes no id.
            let tally = match (flagged && bytes > 0, self.options.no_so_zerocopy) {
                (false, _) => &mut ledger.plain,
                (true, true) => &mut ledger.ignored,
                (true, false) => &mut ledger.sends,
            };
            tally.add(bytes);
            if self.options.log && flagged && bytes > 0 && !self.options.no_so_zerocopy {
                let id = (self.options.threads == 1).then(|| ledger.ids() as u32 - 1);
                let bytes = bytes as u64;
                let (t_notified, copied) = (None, None);
                ledger.log.push(SendRecord { id, bytes, t_before, t_after, t_notified, copied });
            }
        }
    }

    /// Notes a failed call. One that kept its id completes at once, so where the queue is read
    /// after every send, that is known now.
    fn refuse(&self, errno: Errno, flagged: bool, times: (u64, u64)) -> Result<(), LabError> {
        self.ledger().fail(errno);
        let alone = self.options.threads == 1 && self.options.drain == Drain::EverySend;
        if !flagged || !alone || self.options.protocol == Protocol::Tcp {
            return Ok(());
        }
        self.read_queue()?;
        self.settle(times);
        Ok(())
    }

    /// Notes the ids that were kept by messages that failed, once all that were sent before are
    /// notified.
    fn settle(&self, (t_before, t_after): (u64, u64)) {
        let mut ledger = self.ledger();
        let before = ledger.sends_with_error;
        ledger.settle_errors();
        if !self.options.log {
            return;
        }
        for failed in before..ledger.sends_with_error {
            let id = Some((ledger.sends.count + failed) as u32);
            let (t_notified, copied) = (None, None);
            ledger.log.push(SendRecord { id, bytes: 0, t_before, t_after, t_notified, copied });
        }
    }

    /// Holds datagrams back, or lets go what was held.
    fn cork(&self, on: bool) -> Result<(), LabError> {
        if self.options.coalesce != Coalesce::UdpCork {
            return Ok(());
        }
        let action = format!("set UDP_CORK to {on}");
        sockopt::set(self.fd(), libc::SOL_UDP, libc::UDP_CORK, on.into())
            .map_err(LabError::system(action))
    }
}

fn in_turn<T>(values: &[T], turn: u64) -> &T {
    &values[(turn % values.len() as u64) as usize]
}
