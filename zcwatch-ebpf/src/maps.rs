//! The maps, and what is written to them from more than one program.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use zcwatch_common::{Device, Header, Plain, RingKey, Socket, stat};

use crate::atomic::add;

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

/// Watched sockets by cookie.
#[map]
pub static SOCKETS: HashMap<u64, Socket> = HashMap::with_max_entries(8192, 0);

/// What a new socket starts from: one entry, written by userspace. It is too large for the stack.
#[map]
pub static BLANK: Array<Socket> = Array::with_max_entries(1, 0);

/// TCP sends between their entry and their return, by thread.
#[map]
pub static CALLS: HashMap<u64, Entry> = HashMap::with_max_entries(8192, 0);

/// The ways of live uargs, by their address. Those whose notification is never read stay behind:
/// the oldest make room.
#[map]
pub static PATHS: LruHashMap<u64, Trail> = LruHashMap::with_max_entries(16384, 0);

/// Devices on those ways, by the address of the `net_device`.
#[map]
pub static DEVICES: HashMap<u64, Device> = HashMap::with_max_entries(1024, 0);

/// The number of the last device.
#[map]
pub static DEVICE_COUNT: Array<u32> = Array::with_max_entries(1, 0);

/// Callers of `consume_skb` that hand a notification to the application. All others release a
/// uarg that was merged.
#[map]
pub static READERS: HashMap<u64, u32> = HashMap::with_max_entries(16, 0);

/// Zerocopy requests of io_uring that were submitted.
#[map]
pub static IO_URING: HashMap<RingKey, u64> = HashMap::with_max_entries(4096, 0);

/// Not 0: the watch is over. Ids taken from now on are in no number, so that all sockets are cut
/// at one moment, however long detaching takes.
#[map]
pub static ENDED: Array<u32> = Array::with_max_entries(1, 0);

#[map]
pub static STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(stat::COUNT, 0);

/// Records for userspace, which polls: nothing here wakes it.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(16 << 20, 0);

/// A TCP send that is inside `tcp_sendmsg_locked`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Entry {
    pub cookie: u64,
    pub entry_ns: u64,
    pub id: u32,
    pub flags: u32,
}

/// The way of one uarg.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Trail {
    pub cookie: u64,
    /// The `net_device` looked at last, and its number: most packets stay on one.
    pub last_device: u64,
    pub id: u32,
    pub last_index: u32,
    pub path: zcwatch_common::Path,
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

#[inline(always)]
pub fn ended() -> bool {
    // SAFETY: the map's only element; a plain load of one word.
    ENDED.get_ptr(0).is_some_and(|e| unsafe { core::ptr::read_volatile(e) } != 0)
}

/// Writes one record, or counts it as lost.
#[inline(always)]
pub fn emit<T: 'static>(record: T) {
    match EVENTS.reserve::<T>(0) {
        Some(mut entry) => {
            entry.write(record);
            entry.submit(BPF_RB_NO_WAKEUP as u64);
        }
        None => count(stat::EVENTS_LOST),
    }
}
