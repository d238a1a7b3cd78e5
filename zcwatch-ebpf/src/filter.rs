//! Which processes are watched: those in a table, and those that a name or a cgroup picks. Each
//! way adds processes. What was not asked for is pruned by the verifier: the globals are frozen.

use aya_ebpf::{
    bindings::BPF_ANY, helpers::generated::bpf_get_current_ancestor_cgroup_id,
    macros::btf_tracepoint, programs::BtfTracePointContext,
};
use zcwatch_common::{CGROUP_LEVELS as DEEPEST, Task, kind, stat};

use crate::{kernel::*, layout::*, maps::*};

/// Is the current process watched?
#[inline(always)]
pub fn watched() -> bool {
    let tgid = tgid();
    // For all others, one comparison.
    if ONLY.load() != 0 && tgid != ONLY.load() {
        return false;
    }
    if PIDS.get_ptr(tgid).is_some() {
        return true;
    }
    if tgid == SELF.load() || !begun() {
        return false;
    }
    EVERYTHING.load() != 0 || named(current()) || in_cgroup()
}

/// Is this process of the iterator's watched? It is not the current one: userspace puts those of
/// a cgroup into the table.
#[inline(always)]
pub fn watched_holder(task: Ptr, tgid: u32) -> bool {
    if tgid == SELF.load() {
        return false;
    }
    EVERYTHING.load() != 0 || PIDS.get_ptr(tgid).is_some() || named(task)
}

/// Was it picked by the name of its first thread?
#[inline(always)]
fn named(task: Ptr) -> bool {
    if BY_COMM.load() == 0 {
        return false;
    }
    COMMS.get_ptr(comm_of(task)).is_some()
}

/// The name of a task's process, NUL-padded.
#[inline(always)]
pub fn comm_of(task: Ptr) -> [u8; 16] {
    // SAFETY: a typed walk from a task_struct.
    unsafe {
        let leader = field::<Ptr>(task, &TASK_LEADER);
        let at = leader.add(TASK_COMM.load() as usize);
        let mut comm = [0; 16];
        let mut going = 1u32;
        let mut i = 0;
        while i < 16 {
            let byte = load::<u8>(at, i) as u32;
            // What is behind the NUL may be of an earlier, longer name. Without branches: each would
            // double what the verifier has to follow.
            going &= (byte + 255) >> 8;
            comm[i] = (byte & going.wrapping_neg()) as u8;
            i += 1;
        }
        comm
    }
}

#[inline(always)]
fn in_cgroup() -> bool {
    let levels = CGROUP_LEVELS.load();
    if levels == 0 {
        return false;
    }
    let mut level = 0;
    while level < DEEPEST {
        if levels & 1 << level != 0 {
            // SAFETY: a helper that takes a number; 0 where the process is not so deep.
            let id = unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
            if CGROUPS.get_ptr(id).is_some() {
                return true;
            }
        }
        level += 1;
    }
    false
}

/// `sched_process_fork(parent, child)`: with `--follow` a watched process's child is watched.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn task_forked(ctx: BtfTracePointContext) -> i32 {
    let child: Ptr = ctx.arg(1);
    // SAFETY: the tracepoint's own task.
    let made = unsafe { field::<u32>(child, &TASK_TGID) };
    // A thread has its process's id.
    if made == tgid() || FOLLOW.load() == 0 || !watched() {
        return 0;
    }
    if PIDS.insert(made, 1, BPF_ANY as u64).is_err() {
        count(stat::PROCESSES_FULL);
        return 0;
    }
    tell(kind::FORKED, made, child);
    0
}

/// `sched_process_exec(task, old_pid, bprm)`: the name is the new program's.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn task_executed(ctx: BtfTracePointContext) -> i32 {
    let task: Ptr = ctx.arg(0);
    if PIDS.get_ptr(tgid()).is_some() {
        tell(kind::EXECUTED, tgid(), task);
    }
    0
}

/// `sched_process_exit(task)`: its id may soon be another process's.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn task_exited(ctx: BtfTracePointContext) -> i32 {
    let task: Ptr = ctx.arg(0);
    let tgid = tgid();
    if PIDS.get_ptr(tgid).is_none() {
        return 0;
    }
    // SAFETY: the tracepoint's own task, which still has its signal_struct.
    let live = unsafe { field::<i32>(field::<Ptr>(task, &TASK_SIGNAL), &SIGNAL_LIVE) };
    // Two threads that end at one moment may both see that none is left.
    if live == 0 && PIDS.remove(tgid).is_ok() {
        tell(kind::EXITED, tgid, task);
    }
    0
}

#[inline(always)]
fn tell(what: u32, tgid: u32, task: Ptr) {
    emit(Task { head: header(what, 0), tgid, pad: 0, comm: comm_of(task) });
}
