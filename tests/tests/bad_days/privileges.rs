//! With less than root, and on a host that hides things.

use std::os::unix::process::CommandExt;

use anyhow::Result;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use zcwatch_tests::zcwatch::{Ended, Zcwatch, command};

use super::Sender;

const NOBODY: u32 = 65534;
const CAP_PERFMON: u64 = 38;
const CAP_BPF: u64 = 39;

/// Drops to nobody in the child, with these capabilities in its ambient set.
fn become_nobody(keep: &[u64]) -> std::io::Result<()> {
    let check = |result: i32| {
        if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: plain system calls on integers and two live structs, between fork and exec.
    unsafe {
        check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
        check(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
        let mask = keep.iter().fold(0_u64, |mask, cap| mask | 1 << cap);
        let halves = [mask as u32, (mask >> 32) as u32];
        let header = [0x2008_0522_u32, 0];
        let data: [u32; 6] = [halves[0], halves[0], halves[0], halves[1], halves[1], halves[1]];
        check(libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) as i32)?;
        for cap in keep {
            check(libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, *cap, 0, 0))?;
        }
    }
    Ok(())
}

fn as_nobody(keep: &'static [u64], arguments: &[&str]) -> Result<Zcwatch> {
    // Nobody may not enter the folder of the build.
    let folder = std::env::temp_dir().join(format!("zcwatch-nobody-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let program = folder.join("zcwatch");
    std::fs::copy(zcwatch_tests::zcwatch::program("zcwatch", "zcwatch")?, &program)?;
    let mut command = std::process::Command::new(&program);
    command.args(arguments).current_dir("/");
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(|| become_nobody(keep)) };
    let zcwatch = Zcwatch::spawn(&mut command);
    std::fs::remove_dir_all(&folder)?;
    zcwatch
}

#[test]
fn without_capabilities_their_names_are_said() -> Result<()> {
    let own = std::process::id().to_string();
    let ended = as_nobody(&[], &["report", "-p", &own])?.wait()?;
    assert_eq!(ended.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.contains("CAP_BPF and CAP_PERFMON are missing"), "{ended:?}");
    assert!(ended.stderr.contains("setcap cap_bpf,cap_perfmon+ep"), "{ended:?}");
    let ended = as_nobody(&[CAP_BPF], &["report", "-p", &own])?.wait()?;
    assert_eq!(ended.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.contains("CAP_PERFMON is missing"), "{ended:?}");
    let ended = as_nobody(&[CAP_BPF, CAP_PERFMON], &["demo"])?.wait()?;
    assert_eq!(ended.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.contains("CAP_SYS_ADMIN and CAP_NET_ADMIN"), "{ended:?}");
    Ok(())
}

#[test]
fn two_capabilities_are_enough_to_count_and_it_says_what_they_do_not_give() -> Result<()> {
    let mut sender = Sender::new("--count 40")?;
    let pid = sender.pid().to_string();
    let arguments = ["report", "--format", "json", "-d", "60s", "-p", &pid];
    let mut zcwatch = as_nobody(&[CAP_BPF, CAP_PERFMON], &arguments)?;
    zcwatch.wait_until_watching(&[sender.pid()])?;
    sender.workload.step()?;
    let truth = sender.workload.truth()?;
    let report = zcwatch.interrupt()?;
    assert_eq!(report.at("/totals/sends/count"), truth.ids());
    assert_eq!(report.at("/totals/completed/copied"), truth.copied);
    assert_eq!(report.at("/totals/causes/0/key"), "local_delivery");
    let unseen = report.at("/host/unseen").to_string();
    assert!(unseen.contains("CAP_NET_ADMIN") && unseen.contains("CAP_SYS_PTRACE"), "{unseen}");
    sender.workload.finish()
}

/// Runs zcwatch in a mount namespace of its own where a folder is empty.
fn where_hidden(folders: &'static [&'static str], arguments: &[&str]) -> Result<Ended> {
    let mut command = command(arguments)?;
    // SAFETY: the closure makes system calls on constant strings only.
    unsafe {
        command.pre_exec(move || {
            let none: Option<&str> = None;
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            for folder in folders {
                mount(Some("none"), *folder, Some("tmpfs"), MsFlags::empty(), none)?;
            }
            Ok(())
        });
    }
    Zcwatch::spawn(&mut command)?.wait()
}

#[test]
fn tracefs_is_not_needed() -> Result<()> {
    let ended = where_hidden(&["/sys/kernel/tracing", "/sys/kernel/debug"], &["demo", "-d", "1s"])?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.contains("delivered on this host"), "{ended:?}");
    Ok(())
}

#[test]
fn without_btf_it_says_what_the_kernel_lacks() -> Result<()> {
    let own = std::process::id().to_string();
    let ended = where_hidden(&["/sys/kernel/btf"], &["report", "-p", &own])?;
    assert_eq!(ended.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.contains("CONFIG_DEBUG_INFO_BTF"), "{ended:?}");
    Ok(())
}
