//! Sockets without a row are missed by no number and no finding.

use proptest::prelude::*;
use serde_json::Value;

use super::about::{about, findings};
use crate::{
    diagnosis::tests::scene::{
        Burst, ETH0, ETH1, HERE, LO, SG, Scene, THERE, VETH0, VETH1, at_send, delivered, linear,
        marked, out, sniffer, tapped, v4,
    },
    event::{Losses, Protocol, Way},
    output::{json::Report, style::Style, text},
    tracker::Snapshot,
};

/// What becomes of one socket.
#[derive(Clone, Debug)]
struct Life {
    pid: u32,
    udp: bool,
    there: bool,
    burst: Burst,
    agrees: bool,
    overlapped: bool,
    fails: u64,
    by_memlock: bool,
    told: bool,
    errors: u32,
    crossed: bool,
    ignored: u64,
    pulled: u64,
    plain_run: u64,
    /// Ids whose notification said otherwise, read together.
    misled: bool,
    /// Before it, ns.
    wait: u64,
    around: Around,
}

/// What happens to others meanwhile.
#[derive(Clone, Copy, Debug)]
enum Around {
    Nothing,
    Listeners(u64),
    Readers(u32),
    NoSg(bool),
    Lost,
}

fn ways() -> impl Strategy<Value = Way> {
    let hidden = zcwatch_common::mark::GSO_WITHOUT_SG;
    prop::sample::select(vec![
        out(ETH0),
        out(ETH1),
        tapped(ETH0),
        delivered(LO, LO),
        delivered(VETH0, VETH1),
        at_send(ETH0),
        linear(ETH0),
        marked(out(ETH0), hidden),
        marked(tapped(ETH0), zcwatch_common::mark::LISTS_READ),
        Way::default(),
    ])
}

prop_compose! {
    fn burst()(
        count in 1..40_u32,
        bytes in prop::sample::select(vec![100_u32, 1_400, 1_401, 9_000, 20_000, 20_001]),
        way in ways(),
        (copied, more, early) in any::<(bool, bool, bool)>(),
        reads in prop::bool::weighted(0.8),
        release in prop::sample::select(vec![20_000_u64, 30_000, 12_000_000, 42_000_000]),
        pause in prop::sample::select(vec![0_u64, 0, 5_000_000]),
    ) -> Burst {
        Burst { count, bytes, way, copied, more, reads, release, on_the_way: None, early, pause }
    }
}

fn seldom<T: std::fmt::Debug + Clone + 'static>(
    no: T,
    yes: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    prop_oneof![4 => Just(no), 1 => yes]
}

fn around() -> impl Strategy<Value = Around> {
    prop_oneof![
        6 => Just(Around::Nothing),
        3 => (0..8_u64).prop_map(Around::Listeners),
        1 => (0..3_u32).prop_map(Around::Readers),
        1 => any::<bool>().prop_map(Around::NoSg),
        1 => Just(Around::Lost),
    ]
}

prop_compose! {
    fn life()(
        pid in 10..13_u32,
        (udp, there, by_memlock, told) in any::<(bool, bool, bool, bool)>(),
        burst in burst(),
        agrees in prop::bool::weighted(0.9),
        overlapped in prop::bool::weighted(0.1),
        (fails, errors) in (seldom(0, 1..9_u64), seldom(0, 1..3_u32)),
        crossed in prop::bool::weighted(0.1),
        (ignored, pulled) in (seldom(0, 1..5_u64), seldom(0, 1..5_u64)),
        plain_run in seldom(0, 90..120_u64),
        misled in prop::bool::weighted(0.1),
        wait in prop::sample::select(vec![0_u64, 100_000_000, 900_000_000]),
        around in around(),
    ) -> Life {
        Life {
            pid, udp, there, burst, agrees, overlapped, fails, by_memlock, told, errors, crossed,
            ignored, pulled, plain_run, misled, wait, around,
        }
    }
}

/// Lives of a few kinds, so that many have much in common.
fn lives() -> impl Strategy<Value = Vec<Life>> {
    let wait = prop::sample::select(vec![0_u64, 100_000_000, 900_000_000]);
    let one = (0..4_usize, wait, around(), 1..30_u32);
    let turns = prop::collection::vec(one, 1..25);
    (prop::collection::vec(life(), 1..4), turns).prop_map(|(kinds, turns)| {
        let turn = |(kind, wait, around, count)| {
            let kind: &Life = &kinds[kind % kinds.len()];
            Life { wait, around, burst: Burst { count, ..kind.burst }, ..kind.clone() }
        };
        turns.into_iter().map(turn).collect()
    })
}

fn live(scene: Scene, life: &Life, port: u16) -> Scene {
    let Life { pid, burst, .. } = *life;
    let scene = scene.wait(life.wait);
    let mut scene = match life.around {
        Around::Nothing => scene,
        Around::Listeners(which) => {
            let all = (0..3).filter(|n| which & 1 << n != 0);
            let all: Vec<_> = all.map(|n| sniffer(n, 800 + n as u32, "tcpdump")).collect();
            scene.sniffers(&all)
        }
        Around::Readers(n) => {
            let all = [("tun0", 900, "vpn"), ("tun0", 901, "vmm")];
            scene.tunnels(&all[..n as usize])
        }
        Around::NoSg(no) => scene.features(ETH0, if no { 1 << 3 } else { SG | 1 << 3 }),
        Around::Lost => scene.losses(Losses { events: 1, ..Losses::default() }),
    };
    scene = scene.socket(|f| {
        f.pid = pid;
        f.comm = format!("sender-{pid}");
        f.protocol = if life.udp { Protocol::Udp } else { Protocol::Tcp };
        f.netns = if life.there { THERE } else { HERE };
        f.local = v4(4, port);
    });
    for _ in 0..life.fails.min(2) {
        if life.told {
            scene = scene.fails(|f| {
                f.pid = pid + u32::from(port % 2);
                f.optmem_used = if life.by_memlock { 0 } else { 131_000 };
                f.memlock_used = 60_000;
                f.memlock_limit = Some(65_536 + u64::from(port));
            });
        }
    }
    scene = scene.sends(burst);
    if life.misled && !burst.reads {
        scene = scene.reads(0, !burst.copied);
    }
    if life.crossed {
        scene = scene.crossed(burst.way);
    }
    scene = scene.errors(life.errors, 1, burst.way);
    let counted = u64::from(burst.count) + if life.crossed { 2 } else { 0 };
    let reads = if burst.reads { u64::from(burst.count) } else { 0 };
    let scene = scene.closed().wait(60_000_000);
    scene.counters(|c| {
        c.sends = counted;
        c.with_error = life.errors.into();
        c.reads[usize::from(burst.copied)] = reads;
        c.reads[0] += u64::from(life.errors) + if life.crossed { 2 } else { 0 };
        let merged = if burst.reads { 0 } else { u64::from(burst.count) - 1 };
        c.pieces[usize::from(burst.copied)] = merged;
        c.merged_into[usize::from(burst.copied)] = merged;
        if life.misled && !burst.reads {
            c.reads[usize::from(!burst.copied)] += u64::from(burst.count);
        }
        c.bytes = counted * u64::from(burst.bytes);
        c.overlapped = life.overlapped;
        c.ignored = life.ignored;
        c.pulled = life.pulled;
        c.pulled_device = (life.pulled > 2).then_some(ETH0);
        c.plain = life.plain_run;
        c.plain_run = life.plain_run;
        c.plain_bytes = life.plain_run * 20_000;
        c.srtt = Some(50_000);
        if life.by_memlock {
            c.failed_memlock = life.fails;
        } else {
            c.failed_optmem = life.fails;
        }
        if !life.agrees {
            c.sends += 1;
        }
    })
}

fn watch(rows: usize, lives: &[Life]) -> Snapshot {
    let mut scene = Scene::keeping(rows);
    for (life, port) in lives.iter().zip(1..) {
        scene = live(scene, life, port);
    }
    // The last one, so that those before it come to rest.
    scene.wait(2_000_000_000).socket(|_| {}).sends(Burst::of(1, out(ETH0))).snapshot()
}

fn document(snapshot: &Snapshot) -> Value {
    let findings = findings(snapshot);
    serde_json::to_value(Report::new(&about(), snapshot, &findings)).unwrap()
}

/// The findings, and how many sockets each is about.
fn found(document: &Value) -> Vec<(Value, u64)> {
    let one = |finding: &Value| {
        let mut finding = finding.clone();
        let fields = finding.as_object_mut().unwrap();
        let sockets = fields.remove("sockets").unwrap().as_array().unwrap().len() as u64;
        let folded = fields.remove("folded").unwrap().as_u64().unwrap();
        (finding, sockets + folded)
    };
    document["findings"].as_array().unwrap().iter().map(one).collect()
}

const SUMS: [&str; 12] = [
    "/sends/count",
    "/sends/bytes",
    "/sends/with_error",
    "/failed/enobufs_optmem",
    "/failed/enobufs_memlock",
    "/ignored/count",
    "/completed/count",
    "/completed/copied",
    "/completed/reported_zerocopy",
    "/closed_in_flight",
    "/unread",
    "/release_ns/count",
];

proptest! {
    #[test]
    fn with_few_rows_all_is_said_that_is_said_with_many(
        lives in lives(), rows in 0..6_usize,
    ) {
        let (all, few) = (watch(usize::MAX, &lives), watch(rows, &lives));
        prop_assert!(few.sockets.len() <= rows + 1);
        let (all, few) = (document(&all), document(&few));
        prop_assert_eq!(&few["totals"], &all["totals"]);
        prop_assert_eq!(found(&few), found(&all));
        prop_assert_eq!(&few["host"], &all["host"]);
        let parts = || [&few["sockets"], &few["folded"]].into_iter().flat_map(|p| p.as_array().unwrap());
        for sum in SUMS {
            let of = |row: &Value| row.pointer(sum).unwrap().as_u64().unwrap();
            prop_assert_eq!(parts().map(of).sum::<u64>(), of(&few["totals"]), "{}", sum);
        }
        let folded = few["folded"].as_array().unwrap().iter().map(|f| f["sockets"].as_u64().unwrap());
        let rows = |d: &Value| d["sockets"].as_array().unwrap().len() as u64;
        prop_assert_eq!(rows(&few) + folded.sum::<u64>(), rows(&all));
    }

    #[test]
    fn a_row_of_an_ended_socket_is_that_of_any_other(lives in prop::collection::vec(life(), 1..8)) {
        let mut scene = Scene::keeping(usize::MAX);
        for (life, port) in lives.iter().zip(1..) {
            scene = live(scene, life, port);
        }
        // Nothing that a probe tells follows, so that the last ones have not come to rest.
        let fresh = document(&scene.snapshot());
        let rested = document(&watch(usize::MAX, &lives));
        let lost = lives.iter().any(|l| matches!(l.around, Around::Lost));
        for (row, same) in fresh["sockets"].as_array().unwrap().iter()
            .zip(rested["sockets"].as_array().unwrap())
            .filter(|_| !lost)
        {
            prop_assert_eq!(row, same);
        }
    }
}

#[test]
fn the_text_says_what_was_folded() {
    let mut scene = Scene::keeping(1);
    for port in 1..=3 {
        let burst = Burst::copied(20, delivered(LO, LO));
        scene = scene.socket(|f| f.local = v4(4, port)).sends(burst).closed();
        scene = scene.counters(|c| (c.sends, c.reads) = (20, [0, 20])).wait(1_000_000_000);
    }
    let snapshot = scene.socket(|_| {}).sends(Burst::of(1, out(ETH0))).snapshot();
    let text = text::report(
        &about(),
        &snapshot,
        &findings(&snapshot),
        Style { colour: false, unicode: true },
    );
    let expected = "\
  2 more sockets of sender (pid 10), closed, added up
    40 sends   800 000 B   copied 40   reported zero-copy 0   release 20 µs to 20 µs   unread 0
    local_delivery                40   delivered on this host
";
    assert!(text.contains(expected), "{text}");
}
