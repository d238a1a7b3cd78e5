//! Completions where the function that ends a uarg is inlined (7.2): from the functions around it.
//!
//! `msg_zerocopy_complete` gives one reference back, and so does `msg_zerocopy_put_abort`, which has
//! it inlined. While there is a reference, a uarg's count is not 0, and its functions, first id and
//! socket stay what they are. So whoever gave the last one back finds one of them changed when it
//! returns: the count is 0, or, where the notification was read and its memory used again already,
//! the rest is another's. Others may find that too; the first to change [`Life::stage`] counts the
//! ids. Its number of ids is known from when they were taken, its bit from each reference that was
//! given back: afterwards it is too late to look.
//!
//! A uarg whose send was not seen (it began before the watch, on a socket that is watched now) is
//! entered when a reference to it is given back, for it lives until then.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::bpf_ktime_get_ns,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use zcwatch_common::{
    LEFT_COUNT, Life,
    life::{ALIVE, BUSY, OVER, STAGE},
    stat,
};

use crate::{
    atomic::word,
    exact::{completed_ids, copies, realloced},
    kernel::*,
    layout::*,
    maps::*,
    socket,
};

copies!(fexit(FExitContext), "msg_zerocopy_realloc",
    [uarg_held, uarg_held_2, uarg_held_3] => held);
copies!(fentry(FEntryContext), "msg_zerocopy_put_abort",
    [uarg_shorter, uarg_shorter_2, uarg_shorter_3] => shorter);
copies!(fentry(FEntryContext), "msg_zerocopy_complete",
    [part_over, part_over_2, part_over_3] => part);
copies!(fexit(FExitContext), "msg_zerocopy_complete",
    [part_gone, part_gone_2, part_gone_3] => gone);
copies!(fexit(FExitContext), "msg_zerocopy_put_abort",
    [abort_gone, abort_gone_2, abort_gone_3] => aborted);

/// What the memory of a uarg says.
struct Uarg {
    sk: u64,
    ops: u64,
    refs: u32,
    id: u32,
    len: u32,
    copied: bool,
}

impl Uarg {
    #[inline(always)]
    fn at(uarg: u64) -> Option<Self> {
        // With the socket of the skb that a uarg of MSG_ZEROCOPY lives in.
        let before = SKB_CB.load() - SKB_SK.load();
        let home = Stretch::read(uarg - before as u64)?;
        let back = before.wrapping_neg();
        Some(Self {
            sk: home.get(&SKB_SK, SKB_SK.load()),
            ops: if known(&UARG_OPS) { home.get(&UARG_OPS, back) } else { 0 },
            refs: home.get(&UARG_REFS, back),
            id: home.get(&UARG_ID, back),
            len: home.get::<u16>(&UARG_LEN, back) as u32,
            copied: home.get::<u8>(&UARG_BITS, back) as u32 & UARG_ZEROCOPY_MASK.load() == 0,
        })
    }

    /// # Safety
    /// `life` is a live map value.
    #[inline(always)]
    unsafe fn is(&self, life: *const Life) -> bool {
        // SAFETY: as promised by the caller.
        unsafe { (*life).id == self.id && (*life).sk == self.sk && (*life).ops == self.ops }
    }

    /// A life that begins now.
    #[inline(always)]
    fn life(&self, cookie: u64, len: u32, copied: bool) -> Life {
        Life {
            // SAFETY: a helper without arguments.
            stage: unsafe { bpf_ktime_get_ns() } << 2 | ALIVE,
            cookie,
            sk: self.sk,
            ops: self.ops,
            id: self.id,
            len,
            copied: copied as u32,
            pad: 0,
        }
    }
}

/// What is known of a uarg that lives.
struct Told {
    /// Its ids, if that is certain.
    len: Option<u32>,
    copied: bool,
    /// It has no past.
    fresh: bool,
}

/// `msg_zerocopy_realloc(sk, size, uarg…)` returned a uarg with one more id, or nothing.
#[inline(always)]
fn held(ctx: &FExitContext) {
    let sk: Ptr = ctx.arg(0);
    let passed: u64 = ctx.arg(2);
    if socket::lookup(cookie_of(sk)).is_none() {
        return;
    }
    let uarg = realloced(ctx);
    if uarg == 0 {
        return;
    }
    let Some(seen) = Uarg::at(uarg) else { return };
    let len = Some(seen.len);
    enter(uarg, &seen, &Told { len, copied: seen.copied, fresh: uarg != passed });
}

/// `msg_zerocopy_put_abort(uarg, have_uref)`: an id goes back, and perhaps a reference.
#[inline(always)]
fn shorter(ctx: &FEntryContext) {
    let uarg: u64 = ctx.arg(0);
    let Some(seen) = Uarg::at(uarg) else { return };
    let len = Some(seen.len.wrapping_sub(1));
    enter(uarg, &seen, &Told { len, copied: seen.copied, fresh: false });
}

/// `msg_zerocopy_complete(skb, uarg, success)`: a reference goes back.
#[inline(always)]
fn part(ctx: &FEntryContext) {
    let uarg: u64 = ctx.arg(1);
    let success: u8 = ctx.arg(2);
    let Some(seen) = Uarg::at(uarg) else { return };
    let copied = seen.copied || success & 1 == 0;
    enter(uarg, &seen, &Told { len: None, copied, fresh: false });
}

/// Writes down what is told of a uarg that the caller has a reference to.
#[inline(always)]
fn enter(uarg: u64, seen: &Uarg, told: &Told) {
    let mut cookie = 0;
    for _ in 0..4 {
        let life = UARGS.get_ptr_mut(uarg).unwrap_or(core::ptr::null_mut());
        // SAFETY: a live map value, where it is not null.
        unsafe {
            let mut stage = BUSY;
            if !life.is_null() {
                stage = word(&raw mut (*life).stage).load();
                if stage & STAGE == ALIVE && seen.is(life) {
                    if let Some(len) = told.len {
                        (*life).len = len;
                    }
                    if told.fresh {
                        (*life).copied = told.copied as u32;
                    } else if told.copied {
                        (*life).copied = 1;
                    }
                    return;
                }
            }
            if cookie == 0 {
                cookie = cookie_at(seen.sk);
                if socket::lookup(cookie).is_none() {
                    return;
                }
            }
            let new = seen.life(cookie, told.len.unwrap_or(seen.len), told.copied);
            if life.is_null() {
                match UARGS.insert(uarg, &new, BPF_NOEXIST as u64) {
                    Ok(()) => return,
                    // Another one was quicker.
                    Err(e) if e as i64 == socket::EEXIST => continue,
                    Err(_) => {
                        count(stat::UARGS_FULL);
                        return;
                    }
                }
            }
            if stage == BUSY {
                continue;
            }
            // What was here is gone, and the memory is this one's.
            if stage & STAGE == ALIVE {
                end(life, stage);
                continue;
            }
            if !word(&raw mut (*life).stage).replace(stage, BUSY) {
                continue;
            }
            (*life).cookie = new.cookie;
            (*life).sk = new.sk;
            (*life).ops = new.ops;
            (*life).id = new.id;
            (*life).len = new.len;
            (*life).copied = new.copied;
            word(&raw mut (*life).stage).put(new.stage);
            return;
        }
    }
}

/// `msg_zerocopy_complete(skb, uarg, success)` returned.
#[inline(always)]
fn gone(ctx: &FExitContext) {
    look(ctx.arg(1));
}

/// `msg_zerocopy_put_abort(uarg, have_uref)` returned.
#[inline(always)]
fn aborted(ctx: &FExitContext) {
    look(ctx.arg(0));
}

/// The beginning of the context of any iterator, and of what it says of itself.
#[repr(C)]
struct Visit {
    meta: *const Meta,
}

#[repr(C)]
struct Meta {
    seq: u64,
    session_id: u64,
    seq_num: u64,
}

/// Uargs looked at with each task.
const AT_ONCE: u32 = 8;

/// Looks at what is left when a watch ends: the return of a function may have passed unseen, as it
/// does for calls that are under way while another program is attached to it. Which tasks the
/// iterator visits makes no difference.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn left_over(ctx: *const core::ffi::c_void) -> i32 {
    // SAFETY: the kernel passes a struct bpf_iter__task; live map values.
    unsafe {
        let visit = (*(*ctx.cast::<Visit>()).meta).seq_num as u32;
        let from = (visit & (LEFT_COUNT / AT_ONCE - 1)) * AT_ONCE;
        let mut i = 0;
        while i < AT_ONCE {
            if let Some(place) = LEFT.get_ptr_mut(from + i)
                && *place != 0
            {
                look(*place);
                *place = 0;
            }
            i += 1;
        }
    }
    0
}

/// Was that its last reference?
#[inline(always)]
fn look(uarg: u64) {
    let Some(life) = UARGS.get_ptr_mut(uarg) else { return };
    // SAFETY: a live map value.
    unsafe {
        let stage = word(&raw mut (*life).stage).load();
        if stage & STAGE != ALIVE {
            return;
        }
        let Some(now) = Uarg::at(uarg) else { return };
        if now.refs == 0 || !now.is(life) {
            end(life, stage);
        }
    }
}

/// Counts the ids of a life that is over, once.
///
/// # Safety
/// `life` is a live map value.
#[inline(always)]
unsafe fn end(life: *mut Life, stage: u64) {
    // SAFETY: as promised by the caller. All is read before the stage is changed: then it may be
    // another's.
    unsafe {
        let Life { cookie, id, len, copied, .. } = core::ptr::read_volatile(life);
        if !word(&raw mut (*life).stage).replace(stage, stage & !STAGE | OVER) {
            return;
        }
        // Its only id was put back.
        if len == 0 {
            return;
        }
        let Some(entry) = socket::lookup(cookie) else { return };
        completed_ids(entry, cookie, id, len, copied != 0);
    }
}
