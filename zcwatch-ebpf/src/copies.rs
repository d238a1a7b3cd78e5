//! Copies where they are made: by the functions that copy, with the calls that led there. Whatever
//! is told here is told once for a uarg, so that it does not matter which copy of a program was
//! skipped.

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::{
        bpf_get_current_pid_tgid, bpf_ktime_get_ns,
        generated::{bpf_get_func_arg, bpf_get_stack},
    },
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use zcwatch_common::{FRAMES, Stack, copier, kind, limit, mark, sign, stat};

use crate::{
    atomic::word,
    device::{INDEX, device},
    exact::copies,
    kernel::*,
    layout::*,
    maps::*,
    path::{NETIF_F_SG, adopt, note, start},
    socket,
};

copies!(fentry(FEntryContext), "skb_copy_ubufs", [pages_copied, pages_copied_2] => pages);
copies!(fentry(FEntryContext), "__pskb_pull_tail", [tail_pulled, tail_pulled_2] => tail);
copies!(fentry(FEntryContext), "skb_segment", [segmented, segmented_2] => segments);
copies!(fentry(FEntryContext), "skb_pp_cow_data", [copied_for_xdp, copied_for_xdp_2] => for_xdp);
copies!(fexit(FExitContext), "sock_omalloc", [optmem_asked, optmem_asked_2] => optmem);
copies!(fexit(FExitContext), "mm_account_pinned_pages", [memlock_asked, memlock_asked_2] => memlock);

/// `skb_copy_ubufs(skb, gfp)`.
#[inline(always)]
fn pages(ctx: &FEntryContext) {
    let skb: Ptr = ctx.arg(0);
    // SAFETY: the function's own skb.
    unsafe {
        let shinfo = field::<u64>(skb, &SKB_HEAD) + field::<u32>(skb, &SKB_END) as u64;
        made(ctx, skb, intact(shinfo, field(skb, &SKB_SK)), copier::PAGES);
    }
}

/// `__pskb_pull_tail(skb, delta)`, which everybody's packets come to: only where nothing is left in
/// pages, the uarg is let go.
#[inline(always)]
fn tail(ctx: &FEntryContext) {
    let skb: Ptr = ctx.arg(0);
    let delta: i32 = ctx.arg(1);
    // SAFETY: the function's own skb.
    unsafe {
        if field::<u32>(skb, &SKB_DATA_LEN) > delta as u32 {
            return;
        }
        let shinfo = field::<u64>(skb, &SKB_HEAD) + field::<u32>(skb, &SKB_END) as u64;
        made(ctx, skb, intact(shinfo, field(skb, &SKB_SK)), copier::TAIL);
    }
}

/// `skb_segment(skb, features)`: without scatter-gather each segment's payload is copied, and the
/// uarg is told nothing.
#[inline(always)]
fn segments(ctx: &FEntryContext) {
    let skb: Ptr = ctx.arg(0);
    let features: u64 = ctx.arg(1);
    if features & NETIF_F_SG != 0 {
        return;
    }
    // SAFETY: the function's own skb; live map values.
    unsafe {
        let shinfo = field::<u64>(skb, &SKB_HEAD) + field::<u32>(skb, &SKB_END) as u64;
        let trail = intact(shinfo, core::ptr::null());
        if trail.is_null() {
            return;
        }
        let number = number_of(trail, skb);
        if number != 0 {
            note(trail, number, sign::SEGMENTED, true);
        }
        word(&raw mut (*trail).path.marks).set(mark::SEGMENTED);
    }
}

/// `skb_pp_cow_data(pool, pskb, headroom)`, 6.6 and later.
#[inline(always)]
fn for_xdp(ctx: &FEntryContext) {
    // A pointer to a pointer is no argument that the verifier would let be read directly.
    let mut place = 0u64;
    // SAFETY: the context of a function's entry, and a word on the stack.
    if unsafe { bpf_get_func_arg(ctx.as_ptr(), 1, &raw mut place) } != 0 {
        return;
    }
    let Some(skb) = peek::<u64>(place) else { return };
    let Some(head) = peek::<u64>(skb + SKB_HEAD.load() as u64) else { return };
    let Some(end) = peek::<u32>(skb + SKB_END.load() as u64) else { return };
    // SAFETY: null is allowed.
    let trail = unsafe { intact(head + end as u64, core::ptr::null()) };
    if !trail.is_null() {
        // SAFETY: a live map value.
        word(unsafe { &raw mut (*trail).path.marks }).set(mark::FOR_XDP);
    }
}

/// `sock_omalloc(sk, size, priority)` returned an skb, or nothing.
#[inline(always)]
fn optmem(ctx: &FExitContext) {
    let skb: u64 = ctx.arg(3);
    if skb == 0 {
        refused(limit::OPTMEM);
    }
}

/// `mm_account_pinned_pages(mmp, size)` returned 0, or an error.
#[inline(always)]
fn memlock(ctx: &FExitContext) {
    let error: i32 = ctx.arg(2);
    if error != 0 {
        refused(limit::MEMLOCK);
    }
}

/// Leaves what refused for the return of the call: [`crate::send`] takes it there.
#[inline(always)]
fn refused(which: u32) {
    let _ = REFUSED.insert(bpf_get_current_pid_tgid(), which, BPF_ANY as u64);
}

/// The way of the uarg whose pages a packet has, where it is a watched socket's, and not copied so
/// far; or null. `sk`: of the packet, or null.
///
/// # Safety
/// `sk` is null, or the struct sock of an skb.
#[inline(always)]
unsafe fn intact(shinfo: u64, sk: Ptr) -> *mut Trail {
    let none = core::ptr::null_mut();
    let Some(shared) = Stretch::read(shinfo) else { return none };
    if shared.get::<u8>(&SHINFO_FLAGS, 0) & SHINFO_ZEROCOPY.load() as u8 == 0 {
        return none;
    }
    let uarg = shared.get::<u64>(&SHINFO_DESTRUCTOR_ARG, 0);
    // A tagged pointer is no uarg (tpacket, up to 6.12).
    if uarg & 1 != 0 {
        return none;
    }
    // With the socket of the skb that a uarg of MSG_ZEROCOPY lives in.
    let before = SKB_CB.load() - SKB_SK.load();
    let Some(home) = Stretch::read(uarg - before as u64) else { return none };
    // Those of io_uring, vhost and others live elsewhere, and have other functions.
    let ops = home.get::<u64>(&UARG_OPS, before.wrapping_neg());
    // SAFETY: the map's only element.
    let ours = ZEROCOPY_OPS.get_ptr(0).is_some_and(|known| unsafe { *known } == ops && ops != 0);
    let bits = home.get::<u8>(&UARG_BITS, before.wrapping_neg());
    if !ours || bits as u32 & UARG_ZEROCOPY_MASK.load() == 0 {
        return none;
    }
    let owner = home.get::<u64>(&SKB_SK, SKB_SK.load());
    let cookie = cookie_at(owner);
    let id = home.get::<u32>(&UARG_ID, before.wrapping_neg());
    if let Some(trail) = path_of(cookie, id) {
        return trail;
    }
    // Copied before its first packet was queued on a device; or sent before the watch.
    // SAFETY: live map values, and as promised by the caller.
    unsafe {
        let mut cookie = cookie;
        let entry = match socket::lookup(cookie) {
            Some(entry) => entry,
            None if sk as u64 != owner => return none,
            None => {
                let Some(entry) = adopt(sk, id) else { return none };
                cookie = cookie_of(sk);
                entry
            }
        };
        if (*entry).state & zcwatch_common::state::BASED == 0 || before_window(id, entry) {
            return none;
        }
        let Some(place) = new_path(cookie, id) else { return none };
        let marks = if known(&NET_PTYPE_ALL) { mark::LISTS_READ } else { 0 };
        start(place, cookie, id, bpf_ktime_get_ns(), marks);
        place
    }
}

/// # Safety
/// `entry` is a live map value.
#[inline(always)]
unsafe fn before_window(id: u32, entry: *const zcwatch_common::Socket) -> bool {
    // SAFETY: as promised by the caller.
    before(id, unsafe { (*entry).base })
}

/// The first copy of a uarg's pages is being made.
///
/// # Safety
/// `skb` is a struct sk_buff, `trail` null or a live map value.
#[inline(always)]
unsafe fn made(ctx: &FEntryContext, skb: Ptr, trail: *mut Trail, of: u32) {
    // SAFETY: as promised by the caller.
    unsafe {
        if trail.is_null() || word(&raw mut (*trail).path.copy).load() != 0 {
            return;
        }
        let stack = stack(ctx, of);
        if stack == 0 {
            return;
        }
        let copy = number_of(trail, skb) << 16 | stack;
        word(&raw mut (*trail).path.copy).replace(0, copy);
    }
}

/// The number of the device that a packet is on; 0: of none.
///
/// # Safety
/// `trail` is a live map value, `skb` a struct sk_buff.
#[inline(always)]
unsafe fn number_of(trail: *const Trail, skb: Ptr) -> u32 {
    // SAFETY: as promised by the caller.
    unsafe {
        let dev = field::<Ptr>(skb, &SKB_DEV);
        if dev.is_null() {
            return 0;
        }
        if (*trail).last_device == dev as u64 {
            return (*trail).last_index as u32;
        }
        device(dev) & INDEX
    }
}

/// The number of the calls that led here; 0: it cannot be told.
#[inline(always)]
fn stack(ctx: &FEntryContext, of: u32) -> u32 {
    let mut frames = [0u64; FRAMES];
    let size = size_of::<[u64; FRAMES]>() as u32;
    // SAFETY: the program's own context, and a buffer of this size.
    let got = unsafe { bpf_get_stack(ctx.as_ptr(), frames.as_mut_ptr().cast(), size, 0) };
    if got <= 0 {
        count(stat::PATHS_FULL);
        return 0;
    }
    if let Some(known) = STACKS.get_ptr(frames) {
        // SAFETY: a live map value.
        return unsafe { *known };
    }
    let Some(last) = STACK_COUNT.get_ptr_mut(0) else { return 0 };
    let index = word(last).next() + 1;
    if index > 0xffff {
        count(stat::PATHS_FULL);
        return 0;
    }
    if STACKS.insert(frames, index, BPF_NOEXIST as u64).is_err() {
        // Another CPU was quicker; or there are too many.
        let known = STACKS.get_ptr(frames);
        if known.is_none() {
            count(stat::PATHS_FULL);
        }
        // SAFETY: a live map value.
        return known.map_or(0, |known| unsafe { *known });
    }
    if let Some(mut room) = room::<Stack>() {
        room.write(Stack { head: header(kind::STACK, 0), index, of, frames });
        submit(room);
    }
    index
}
