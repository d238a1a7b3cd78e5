//! What the reports of these tests are about, and the scenes that they show.

use crate::{
    diagnosis::{
        Finding, diagnose,
        tests::scene::{
            Burst, ETH0, LO, Scene, THERE, VETH0, at_send, context, delivered, marked, out,
            sniffer, tapped,
        },
    },
    event::{Losses, Protocol},
    output::json::{About, HookRow},
    probe::hooks::{HOOKS, Hook, Kind, Question},
    tracker::Snapshot,
};
use zcwatch_common::mark;

/// A kernel where each question but these has its answer.
pub fn about_without(unanswered: &[Question]) -> About {
    let hooks = Question::ALL.into_iter().map(|q| {
        let usable = |h: &&Hook| !h.programs.is_empty() && h.kind != Kind::Fentry;
        let rows = HOOKS.iter().filter(usable).filter(|h| h.question == q);
        let hook = rows.clone().next().filter(|_| !unanswered.contains(&q));
        HookRow {
            question: q.key().into(),
            hook: hook.map(|h| h.name.into()),
            kind: hook.map_or("none", |h| h.kind.name()).into(),
            without_it: q.without().into(),
        }
    });
    About {
        kernel: "6.18.1".into(),
        arch: std::env::consts::ARCH.into(),
        hooks: hooks.collect(),
        target: crate::target::Target::of(&[10]),
        start_unix_ns: 1_800_000_000_000_000_000,
        unseen: Vec::new(),
    }
}

pub fn about() -> About {
    about_without(&[])
}

pub fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    diagnose(snapshot, &context())
}

/// Nothing was sent.
pub fn empty() -> Snapshot {
    Scene::idle().process(10, "sender").snapshot()
}

/// All is well, and the counters say so too.
pub fn healthy() -> Snapshot {
    let scene = Scene::new().sends(Burst::of(1200, out(ETH0)));
    let scene = scene.counters(|c| {
        c.sends = 1200;
        c.bytes = 24_000_000;
        c.reads = [1200, 0];
        c.unread = Some([0, 0]);
        c.notifications_read = 1200;
        c.optmem_max = Some(131_072);
        c.memlock_limit = Some(8_388_608);
        c.holders = vec![(10, 3)];
    });
    scene.snapshot()
}

/// A listener on the device, small datagrams of a second socket that nobody reads, ids of before.
pub fn sick() -> Snapshot {
    Scene::new()
        .sends(Burst::of(1263, out(ETH0)))
        .sends(Burst::copied(737, tapped(ETH0)))
        .in_flight(20_000)
        .sniffers(&[sniffer(90, 812, "tcpdump")])
        .counters(|c| {
            c.sends = 2001;
            c.bytes = 40_020_000;
            c.reads = [1263, 737];
            c.unread = Some([0, 0]);
            c.notifications_read = 2000;
            c.before = 4;
            c.failed_optmem = 3;
            c.optmem_used = 900;
            c.optmem_max = Some(131_072);
        })
        .socket(|s| {
            s.protocol = Protocol::Udp;
            s.remote = None;
        })
        .sends(Burst::of(99, marked(out(ETH0), mark::GSO_WITHOUT_SG)).bytes(1400).unread())
        .sends(Burst::copied(1, at_send(ETH0)).bytes(1400).unread())
        .counters(|c| {
            c.sends = 100;
            c.bytes = 140_000;
            c.pieces = [98, 0];
            c.merged_into = [98, 0];
            c.unread = Some([99, 1]);
        })
        .wait(6_000_000_000)
        .snapshot()
}

/// A flood: the ring buffer was full, the counters know all.
pub fn lossy() -> Snapshot {
    let scene = Scene::new().sends(Burst::copied(1000, delivered(VETH0, LO)));
    scene
        .counters(|c| {
            c.key = 250_000;
            c.sends = 250_000;
            c.bytes = 5_000_000_000;
            c.reads = [0, 250_000];
            c.unread = Some([0, 0]);
            c.notifications_read = 240_000;
            c.overlapped = true;
        })
        .losses(Losses {
            events: 747_000,
            skipped: 2,
            unpaired: 5,
            paths: 7,
            sockets: 1,
            processes: 0,
        })
        .snapshot()
}

/// Closed with a send in flight, in another namespace, with a name that steers terminals.
pub fn closed() -> Snapshot {
    Scene::new()
        .ended(10, "a\x1b[2Jb")
        .with(|s| {
            s.netns = THERE;
            s.comm = "a\x1b[2Jb".into();
        })
        .sends(Burst::of(3, out(ETH0)))
        .in_flight(1)
        .closed()
        .unreadable(THERE)
        .snapshot()
}

/// io_uring, beside a socket whose flag was ignored.
pub fn io_uring() -> Snapshot {
    Scene::new()
        .process(20, "ringer")
        .counters(|c| {
            c.ignored = 7;
            c.ignored_bytes = 7000;
            c.so_zerocopy = false;
        })
        .io_uring(20, 5, 4000)
        .snapshot()
}
