//! The maps, and what is written to them from more than one program.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, ring_buf::RingBufEntry},
};
use zcwatch_common::{
    CallSite, Device, FRAMES, Header, LEFT_COUNT, Life, Plain, RingKey, Socket, phase, stat,
};

use crate::{
    atomic::{add, word},
    slots::{Bucket, Slot, claim, find, slot, spread},
};

/// Processes that are watched (tgid in the initial namespace).
#[map]
pub static PIDS: HashMap<u32, u8> = HashMap::with_max_entries(32768, BPF_F_NO_PREALLOC);

/// Names of processes that are watched, NUL-padded.
#[map]
pub static COMMS: HashMap<[u8; 16], u8> = HashMap::with_max_entries(64, 0);

/// Ids of cgroups whose processes are watched, with those below.
#[map]
pub static CGROUPS: HashMap<u64, u8> = HashMap::with_max_entries(64, 0);

/// What watched processes send without MSG_ZEROCOPY.
#[map]
pub static PLAIN: HashMap<u32, Plain> = HashMap::with_max_entries(8192, BPF_F_NO_PREALLOC);

/// Watched sockets by cookie. Room is taken as it is needed: thousands may come and go before
/// userspace has read what they did.
#[map]
pub static SOCKETS: HashMap<u64, Socket> = HashMap::with_max_entries(65536, BPF_F_NO_PREALLOC);

/// What a new socket starts from: one entry, written by userspace. It is too large for the stack.
#[map]
pub static BLANK: Array<Socket> = Array::with_max_entries(1, 0);

/// Sends between their entry and their return, by thread.
#[map]
pub static CALLS: Array<Bucket<Entry>> = Array::with_max_entries(CALL_BUCKETS, 0);

/// How many buckets [`CALLS`] has: for 16 384 threads.
pub const CALL_BUCKETS: u32 = 4096;

/// The ways of uargs, by their socket and first id.
#[map]
pub static PATHS: Array<Bucket<Trail>> = Array::with_max_entries(PATH_BUCKETS, 0);

/// How many buckets [`PATHS`] has: for 65 536 uargs.
pub const PATH_BUCKETS: u32 = 16384;

/// Devices on those ways, by the address of the `net_device`.
#[map]
pub static DEVICES: HashMap<u64, Device> = HashMap::with_max_entries(1024, 0);

/// Where devices are described.
#[map]
pub static DESKS: Array<Desk> = Array::with_max_entries(DESK_COUNT, 0);

/// More than will look at a new device at one moment.
pub const DESK_COUNT: u32 = 16;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Desk {
    pub taken: u64,
    pub device: Device,
}

/// The packet that a CPU received last with a sender's pages.
#[map]
pub static LAST_RECEIVED: PerCpuArray<Received> = PerCpuArray::with_max_entries(1, 0);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Received {
    /// Its address; 0: none.
    pub skb: u64,
    /// Of the sender's socket.
    pub cookie: u64,
}

/// The numbers of the calls that led to copies.
#[map]
pub static STACKS: HashMap<[u64; FRAMES], u32> = HashMap::with_max_entries(4096, BPF_F_NO_PREALLOC);

/// The number of the last one.
#[map]
pub static STACK_COUNT: Array<u32> = Array::with_max_entries(1, 0);

/// Where programs send, and how many sends that took an id came from there.
#[map]
pub static CALL_SITES: HashMap<CallSite, u64> = HashMap::with_max_entries(8192, BPF_F_NO_PREALLOC);

/// What refused a thread's send a moment ago: [`zcwatch_common::limit`].
#[map]
pub static REFUSED: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1024, 0);

/// What a thread's send lost on its way a moment ago.
#[map]
pub static DROPPED: LruHashMap<u64, Dropped> = LruHashMap::with_max_entries(1024, 0);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Dropped {
    /// The socket's address.
    pub sk: u64,
    /// Where in the kernel.
    pub at: u64,
    /// The last id that the socket had given.
    pub id: u32,
    /// Of `enum skb_drop_reason`.
    pub reason: u32,
}

/// 1: whatever refuses a send is seen, and is in [`REFUSED`]. Written by userspace.
#[map]
pub static LIMITS_SEEN: Array<u32> = Array::with_max_entries(1, 0);

/// The number of the last device.
#[map]
pub static DEVICE_COUNT: Array<u32> = Array::with_max_entries(1, 0);

/// Callers of `consume_skb` that hand a notification to the application, of IPv4 and of IPv6. All
/// others release a uarg that was merged.
#[map]
pub static READERS: Array<u64> = Array::with_max_entries(2, 0);

/// What tells the uargs of MSG_ZEROCOPY from others: the address of their functions, as the first
/// one has it whose socket is known for certain. The calibration's is, before anything is watched.
#[map]
pub static ZEROCOPY_OPS: Array<u64> = Array::with_max_entries(1, 0);

/// What an skb was counted as last, by its address: a completion or a read that several copies of a
/// program see is counted by one of them.
#[map]
pub static COUNTED: HashMap<u64, u64> = HashMap::with_max_entries(262144, BPF_F_NO_PREALLOC);

/// Uargs by their address, for [`crate::last`]. An address keeps its place while it is used again
/// and again; one that makes room for another and still lives is entered anew when it is seen next.
#[map]
pub static UARGS: LruHashMap<u64, Life> = LruHashMap::with_max_entries(65536, 0);

/// Addresses of uargs to look at once more: userspace writes them, [`crate::last`] takes them away.
#[map]
pub static LEFT: Array<u64> = Array::with_max_entries(LEFT_COUNT, 0);

/// Words that are being changed, for kernels without the instructions.
#[cfg(feature = "early")]
#[map]
pub static LOCKS: HashMap<u64, u8> = HashMap::with_max_entries(1024, 0);

/// What a word is locked by: its distance from a fixed place, since the verifier takes no address
/// for a key.
#[cfg(feature = "early")]
#[inline(always)]
pub fn lock_of(word: *const u8) -> u64 {
    let fixed = BLANK.get_ptr(0).map_or(core::ptr::null(), |blank| blank.cast::<u8>());
    if fixed.is_null() {
        return 0;
    }
    (word as u64).wrapping_sub(fixed as u64)
}

/// Numbers of sockets by their address, for kernels whose programs cannot give a socket its cookie.
#[cfg(feature = "early")]
#[map]
pub static IDS: HashMap<u64, u64> = HashMap::with_max_entries(65536, BPF_F_NO_PREALLOC);

/// Zerocopy requests of io_uring that were submitted.
#[map]
pub static IO_URING: HashMap<RingKey, u64> = HashMap::with_max_entries(4096, 0);

/// How far the watch is: [`phase`]. Ids taken after its end are in no number, so that all sockets are
/// cut at one moment, however long detaching takes.
#[map]
pub static PHASE: Array<u32> = Array::with_max_entries(1, 0);

#[map]
pub static STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(stat::COUNT, 0);

/// Records for userspace, which polls: nothing here wakes it.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(16 << 20, 0);

/// A send that is inside the kernel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Entry {
    /// Process and thread.
    pub thread: u64,
    /// The socket, by its cookie or, for the exact hooks, its address; 0: the send has returned.
    pub whose: u64,
    pub entry_ns: u64,
    pub id: u32,
    pub flags: u32,
    /// For the exact hooks: 1: it holds its id; 0: not, or not yet; [`RETURNED`].
    pub holds: u64,
}

/// The call is over, and a second copy of a program has nothing to do for it.
pub const RETURNED: u64 = 2;

impl Slot for Entry {
    #[inline(always)]
    fn key(this: *mut Self) -> *mut u64 {
        // SAFETY: only the address is taken.
        unsafe { &raw mut (*this).thread }
    }

    #[inline(always)]
    fn needed(this: *mut Self) -> u64 {
        // SAFETY: a live map value.
        unsafe {
            if (*this).whose == 0 || (*this).holds == RETURNED { 0 } else { (*this).entry_ns }
        }
    }
}

/// The way of one uarg.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Trail {
    /// `way_key`; 0: it has completed, and was told.
    pub key: u64,
    pub cookie: u64,
    /// The `net_device` looked at last, and what [`crate::path`] knows of it: most packets stay on
    /// one.
    pub last_device: u64,
    pub id: u32,
    pub last_index: u16,
    pub last_xdp: u8,
    /// Something that had its home here is elsewhere; stays when the slot is given back.
    pub spilled: u8,
    pub path: zcwatch_common::Path,
}

impl Slot for Trail {
    #[inline(always)]
    fn key(this: *mut Self) -> *mut u64 {
        // SAFETY: only the address is taken.
        unsafe { &raw mut (*this).key }
    }

    #[inline(always)]
    fn needed(this: *mut Self) -> u64 {
        // SAFETY: a live map value.
        unsafe {
            match (*this).path.first_ns {
                _ if (*this).key == 0 => 0,
                // Claimed this moment, on another CPU.
                0 => u64::MAX,
                since => since,
            }
        }
    }
}

impl Trail {
    /// Gives the slot back. Whoever claims it next has it before it is filled: by then it must not
    /// look like one that can be spared.
    ///
    /// # Safety
    /// `this` is a live map value.
    #[inline(always)]
    pub unsafe fn free(this: *mut Self) {
        // SAFETY: as promised by the caller.
        unsafe {
            core::ptr::write_volatile(&raw mut (*this).path.first_ns, 0);
            core::ptr::write_volatile(&raw mut (*this).key, 0);
        }
    }
}

/// What a uarg is looked up by: not its address, with which the verifier allows no sums.
#[inline(always)]
pub fn way_key(cookie: u64, id: u32) -> u64 {
    // Never 0, which is a free slot.
    (cookie.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ id as u64) | 1 << 63
}

/// The place that a socket's uarg has first claim to: the last 64 go round in four kilobytes, which
/// stay in the cache. Returns its bucket and the way in it.
#[inline(always)]
fn home(cookie: u64, id: u32) -> (u32, u32) {
    (spread(cookie).wrapping_add(id / 4 & 15), id)
}

/// The bucket for a uarg whose home is taken: with 2 048 slots a socket, more than are in flight on
/// one.
#[inline(always)]
fn elsewhere(cookie: u64, id: u32) -> u32 {
    spread(cookie).wrapping_add(16 + (id & 511))
}

/// The way of a socket's uarg with this first id.
#[inline(always)]
pub fn path_of(cookie: u64, id: u32) -> Option<*mut Trail> {
    let key = way_key(cookie, id);
    let (at, way) = home(cookie, id);
    let mut trail = slot::<_, PATH_BUCKETS>(&PATHS, at, way)?;
    // SAFETY: live map values.
    unsafe {
        if word(&raw mut (*trail).key).load() != key {
            if (*trail).spilled == 0 {
                return None;
            }
            trail = find::<_, PATH_BUCKETS>(&PATHS, elsewhere(cookie, id), key)?;
        }
        ((*trail).cookie == cookie && (*trail).id == id).then_some(trail)
    }
}

/// A place for the way of a uarg that has none.
#[inline(always)]
pub fn new_path(cookie: u64, id: u32) -> Option<*mut Trail> {
    let key = way_key(cookie, id);
    let (at, way) = home(cookie, id);
    let trail = slot::<_, PATH_BUCKETS>(&PATHS, at, way)?;
    // SAFETY: a live map value.
    unsafe {
        if word(&raw mut (*trail).key).replace(0, key) {
            return Some(trail);
        }
        // From now on what is not at home is looked for elsewhere.
        (*trail).spilled = 1;
    }
    taken(claim::<_, PATH_BUCKETS>(&PATHS, elsewhere(cookie, id), key), stat::PATHS_FULL)
}

/// Counts what a claim cost: nothing, what another one had there, or what was to be put there.
#[inline(always)]
fn taken<T>(claimed: Option<(*mut T, bool)>, full: u32) -> Option<*mut T> {
    if !matches!(claimed, Some((_, false))) {
        count(full);
    }
    claimed.map(|(place, _)| place)
}

/// The send that a thread is in, or was in last.
#[inline(always)]
pub fn call_of(thread: u64) -> Option<*mut Entry> {
    find::<_, CALL_BUCKETS>(&CALLS, spread(thread), thread)
}

/// A place for a thread that has none.
#[inline(always)]
pub fn new_call(thread: u64) -> Option<*mut Entry> {
    taken(claim::<_, CALL_BUCKETS>(&CALLS, spread(thread), thread), stat::CALLS_FULL)
}

#[inline(always)]
pub fn count(which: u32) {
    if let Some(n) = STATS.get_ptr_mut(which) {
        add(n, 1);
    }
}

#[inline(always)]
pub fn tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

#[inline(always)]
pub fn header(kind: u32, cookie: u64) -> Header {
    // SAFETY: a helper without arguments.
    Header { kind, tgid: tgid(), ts: unsafe { bpf_ktime_get_ns() }, cookie }
}

/// Processes may be picked by what they are.
#[inline(always)]
pub fn begun() -> bool {
    at(phase::WATCHING)
}

#[inline(always)]
pub fn ended() -> bool {
    at(phase::OVER)
}

#[inline(always)]
fn at(phase: u32) -> bool {
    // SAFETY: the map's only element; a plain load of one word.
    PHASE.get_ptr(0).is_some_and(|p| unsafe { core::ptr::read_volatile(p) } == phase)
}

/// Writes one record, or counts it as lost.
#[inline(always)]
pub fn emit<T: 'static>(record: T) {
    if let Some(mut room) = room::<T>() {
        room.write(record);
        submit(room);
    }
}

/// Room for a record where userspace will read it, or one more that is lost. For what comes with
/// every send: filled field by field, it is not written to the stack first.
#[inline(always)]
pub fn room<T: 'static>() -> Option<RingBufEntry<T>> {
    let room = EVENTS.reserve::<T>(0);
    if room.is_none() {
        count(stat::EVENTS_LOST);
    }
    room
}

#[inline(always)]
pub fn submit<T>(room: RingBufEntry<T>) {
    room.submit(BPF_RB_NO_WAKEUP as u64);
}
