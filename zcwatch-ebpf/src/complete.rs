//! Completions and reads, exact from two tracepoints.
//!
//! `msg_zerocopy_complete` either queues the uarg's own skb as a notification, and reports it
//! (`inet_sk_error_report`), or merges it into the queue's tail, and consumes it at once: then
//! `consume_skb` shows its own range and bit. A queued one is consumed when the application has
//! read it, with the range it grew to and the bit it began with. So the merged pieces, and what
//! was read less those pieces, cover every id once, each with its true bit.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use zcwatch_common::{Completed, Hop, MAX_HOPS, Path, RECENT, Socket, kind, stat, state};

use crate::{
    atomic::{add, word},
    kernel::*,
    layout::*,
    maps::*,
    socket,
};

/// `SO_EE_ORIGIN_ZEROCOPY`.
const ORIGIN_ZEROCOPY: u8 = 5;
/// `SO_EE_CODE_ZEROCOPY_COPIED`.
const CODE_COPIED: u8 = 1;
const MASK: u64 = RECENT as u64 - 1;

/// What an skb's `sock_exterr_skb` says.
#[derive(Clone, Copy)]
pub struct Notification {
    pub lo: u32,
    pub hi: u32,
    pub copied: bool,
}

impl Notification {
    /// The same for an skb that the verifier has no type of.
    #[inline(always)]
    pub fn at(skb: u64) -> Option<Self> {
        let from = SERR_ORIGIN.load();
        let serr = Stretch::read(skb + from as u64)?;
        if serr.get::<u8>(&SERR_ORIGIN, from) != ORIGIN_ZEROCOPY {
            return None;
        }
        Some(Self {
            lo: serr.get(&SERR_INFO, from),
            hi: serr.get(&SERR_DATA, from),
            copied: serr.get::<u8>(&SERR_CODE, from) & CODE_COPIED != 0,
        })
    }
}

/// The notification that an skb of an error queue carries, if it is one of zerocopy.
///
/// # Safety
/// `skb` is a struct sk_buff.
#[inline(always)]
pub unsafe fn notification(skb: Ptr) -> Option<Notification> {
    // SAFETY: as promised by the caller; these offsets are inside skb->cb.
    unsafe {
        if field::<u8>(skb, &SERR_ORIGIN) != ORIGIN_ZEROCOPY {
            return None;
        }
        Some(Notification {
            lo: field(skb, &SERR_INFO),
            hi: field(skb, &SERR_DATA),
            copied: field::<u8>(skb, &SERR_CODE) & CODE_COPIED != 0,
        })
    }
}

/// The part of a range that is in the socket's window, and how many ids are before it.
pub struct Clipped {
    pub lo: u32,
    pub hi: u32,
    /// Ids in the window.
    pub ids: u64,
    /// Ids before it.
    pub below: u64,
}

/// Cuts a range at the window's first id, and, when the watch is over, at the next id.
///
/// # Safety
/// `entry` is a live map value.
#[inline(always)]
pub unsafe fn clip(entry: *const Socket, lo: u32, hi: u32) -> Clipped {
    // SAFETY: as promised by the caller.
    let (state, base, key) = unsafe { ((*entry).state, (*entry).base, (*entry).key) };
    let n = hi.wrapping_sub(lo) as u64 + 1;
    let mut out = Clipped { lo, hi, ids: n, below: 0 };
    if state & state::BASED == 0 {
        return Clipped { ids: 0, below: n, ..out };
    }
    if before(lo, base) {
        let below = base.wrapping_sub(lo) as u64;
        if below >= n {
            return Clipped { ids: 0, below: n, ..out };
        }
        out = Clipped { lo: base, hi, ids: n - below, below };
    }
    if ended() && !before(out.hi, key) {
        if !before(out.lo, key) {
            out.ids = 0;
            return out;
        }
        out.hi = key.wrapping_sub(1);
        out.ids = out.hi.wrapping_sub(out.lo) as u64 + 1;
    }
    out
}

/// `inet_sk_error_report(sk)`: after a notification was queued or grew, and for much else. The
/// queue's tail is new only when a notification started; a busy reader may have taken it already,
/// and then its read tells all but the time.
#[btf_tracepoint(function = "inet_sk_error_report")]
pub fn notified(ctx: BtfTracePointContext) -> i32 {
    let sk: Ptr = ctx.arg(0);
    let cookie = cookie_of(sk);
    let Some(entry) = socket::lookup(cookie) else { return 0 };
    // SAFETY: the tracepoint's own socket, and its map value.
    unsafe {
        let Some(n) = tail(sk) else { return 0 };
        let mark = n.lo.wrapping_add(1);
        if (*entry).last_head == mark {
            return 0;
        }
        (*entry).last_head = mark;
        let seen = clip(entry, n.lo, n.hi);
        if seen.ids > 0 {
            write(kind::STARTED, cookie, &seen, n.copied, 0, way_of(cookie, n.lo));
        }
    }
    0
}

/// `consume_skb(skb, location)`, the location from 6.12 on: of all skbs, those that were a uarg.
#[btf_tracepoint(function = "consume_skb")]
pub fn consumed(ctx: BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    // SAFETY: the tracepoint's own skb, and pointers in it.
    unsafe {
        if field::<u32>(skb, &SKB_LEN) != 0 {
            return 0;
        }
        let sk = field::<Ptr>(skb, &SKB_SK);
        if sk.is_null() {
            return 0;
        }
        let cookie = cookie_of(sk);
        let Some(entry) = socket::lookup(cookie) else { return 0 };
        let Some(n) = notification(skb) else { return 0 };
        let location: u64 = ctx.arg(1);
        let read = reads(0, location) || reads(1, location);

        let seen = clip(entry, n.lo, n.hi);
        let way = way_of(cookie, n.lo);
        if read && seen.below > 0 {
            // What was read repeats the pieces in it; so only this is counted.
            add(&raw mut (*entry).before, seen.below);
        }
        if seen.ids > 0 {
            let which = n.copied as usize & 1;
            if read {
                add(&raw mut (*entry).notifications_read, 1);
                add(&raw mut (*entry).reads[which], seen.ids);
                pair_read(entry, &seen, which);
            } else {
                add(&raw mut (*entry).pieces[which], seen.ids);
                pair_piece(entry, sk, &seen);
            }
            let kind = if read { kind::READ } else { kind::PIECE };
            write(kind, cookie, &seen, n.copied, location, way);
        }
        if !way.is_null() {
            // It will not be asked for again.
            Trail::free(way);
        }
    }
    0
}

/// Is it the reader of one address family that called from here?
#[inline(always)]
fn reads(family: u32, location: u64) -> bool {
    // SAFETY: a live map value, written before anything is watched.
    READERS.get_ptr(family).is_some_and(|caller| unsafe { *caller } == location)
}

#[inline(always)]
pub fn write(kind: u32, cookie: u64, n: &Clipped, copied: bool, location: u64, way: *const Trail) {
    let Some(mut room) = room::<Completed>() else { return };
    let to = room.as_mut_ptr();
    // SAFETY: room for the record; the way is a live map value, and its uarg has no packets any more
    // that would change it.
    unsafe {
        (&raw mut (*to).head).write(header(kind, cookie));
        (*to).lo = n.lo;
        (*to).hi = n.hi;
        (*to).copied = copied as u32;
        (*to).pad = 0;
        (*to).location = location;
        (*to).path = if way.is_null() { UNSEEN } else { (*way).path };
    }
    submit(room);
}

/// The way of the uarg that has this first id, or null: an absent pointer in an Option is a register
/// that nothing was written to, which the verifier does not let pass from hand to hand.
#[inline(always)]
pub fn way_of(cookie: u64, id: u32) -> *mut Trail {
    path_of(cookie, id).unwrap_or(core::ptr::null_mut())
}

/// No packet was seen.
const UNSEEN: Path = Path {
    first_ns: 0,
    driver_ns: 0,
    hops: [Hop { device: 0, intact: 0, copied: 0 }; MAX_HOPS],
    marks: 0,
    copy: 0,
};

/// The notification at the tail of the error queue.
///
/// The queue is read without its lock: a reader may take the tail meanwhile, and its memory may
/// be the next uarg's. So it is read twice, and only what stayed the same counts; what a reader
/// has taken its read will tell.
///
/// # Safety
/// `sk` is a struct sock.
#[inline(always)]
unsafe fn tail(sk: Ptr) -> Option<Notification> {
    // SAFETY: as promised by the caller. An empty queue points to itself.
    unsafe {
        let queue = sk as u64 + SK_ERROR_QUEUE.load() as u64;
        let at = (SK_ERROR_QUEUE.load() + SKB_LIST_PREV.load()) as usize;
        let skb = load::<Ptr>(sk, at);
        if skb as u64 == queue {
            return None;
        }
        let first = notification(skb)?;
        let again = notification(skb)?;
        let same = first.lo == again.lo && first.copied == again.copied;
        if !same || load::<u64>(sk, at) != skb as u64 {
            return None;
        }
        // The range may have grown meanwhile; what it grew by is told as a piece.
        Some(first)
    }
}

/// Finds out which notification a piece was merged into, so that the counters alone give the
/// copied ids exactly: copied = copied pieces + ids read in copied notifications − the pieces
/// in those.
///
/// # Safety
/// `entry` is the map value of `sk`.
#[inline(always)]
unsafe fn pair_piece(entry: *mut Socket, sk: Ptr, piece: &Clipped) {
    let ids = piece.ids;
    // SAFETY: as promised by the caller.
    unsafe {
        if let Some(whole) = tail(sk)
            && covers(whole.lo, whole.hi, piece.lo)
        {
            add(&raw mut (*entry).merged_into[whole.copied as usize & 1], ids);
            return;
        }
        // A reader has taken it already. Leave the piece where the reader looks, then look
        // where the reader leaves its ranges: whoever comes second finds the other.
        let packed = (piece.lo as u64) << 32 | ids << 1 | 1;
        let mut slot = 0;
        let mut mine = RECENT;
        while slot < RECENT {
            let p = &raw mut (*entry).waiting[slot];
            if word(p).replace(0, packed) {
                mine = slot;
                break;
            }
            slot += 1;
        }
        if mine >= RECENT {
            count(stat::UNPAIRED);
            return;
        }
        let mut bit = 0;
        while bit < 2 {
            let n = (*entry).recent_at[bit];
            let mut i = 0;
            while i < RECENT {
                let range = word(&raw mut (*entry).recent[bit][i]).load();
                if (i as u64) < n && covers((range >> 32) as u32, range as u32, piece.lo) {
                    let p = &raw mut (*entry).waiting[mine & MASK as usize];
                    if word(p).replace(packed, 0) {
                        add(&raw mut (*entry).merged_into[bit], ids);
                    }
                    return;
                }
                i += 1;
            }
            bit += 1;
        }
    }
}

/// The reader's half of [`pair_piece`].
///
/// # Safety
/// As [`pair_piece`].
#[inline(always)]
unsafe fn pair_read(entry: *mut Socket, n: &Clipped, bit: usize) {
    // SAFETY: as promised by the caller.
    unsafe {
        if n.lo == n.hi {
            return; // nothing was merged into it
        }
        let at = (*entry).recent_at[bit];
        let range = (n.lo as u64) << 32 | n.hi as u64;
        let slot = (at & MASK) as usize;
        word(&raw mut (*entry).recent[bit][slot]).put(range);
        add(&raw mut (*entry).recent_at[bit], 1);
        let mut i = 0;
        while i < RECENT {
            let p = &raw mut (*entry).waiting[i];
            let packed = word(p).load();
            if packed != 0
                && covers(n.lo, n.hi, (packed >> 32) as u32)
                && word(p).replace(packed, 0)
            {
                add(&raw mut (*entry).merged_into[bit], (packed as u32 >> 1) as u64);
            }
            i += 1;
        }
    }
}

#[inline(always)]
fn covers(lo: u32, hi: u32, id: u32) -> bool {
    id.wrapping_sub(lo) <= hi.wrapping_sub(lo)
}
