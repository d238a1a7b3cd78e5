//! What happens to some sockets, as a list of steps, and the events that come of it.

use proptest::prelude::*;
use zcwatch_common::{mark, stage};

use super::{
    call::{Call, Fate, Look, Past},
    kernel::{Kernel, THREADS},
    truth::Truth,
};
use crate::{
    event::{DeviceFacts, Event, Hop, Protocol, Stage, Way, What},
    tracker::{
        evidence::{HiddenWay, Place, Spot},
        socket::LATE,
    },
};

const DEVICE: u16 = 1;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Send(Call),
    Return { thread: usize },
    Copy { which: usize },
    Complete { which: usize, look: Look, delay: u64 },
    Foreign,
    Read,
    Close,
    Ask,
}

/// One socket, and how the watch finds it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub protocol: Protocol,
    pub first: u32,
    pub past: Vec<Past>,
    pub in_call: bool,
    /// The counters come with the whole error queue.
    pub walked: bool,
}

/// Some sockets and what happens to them, each step after a wait (ns).
#[derive(Clone, Debug)]
pub struct Script {
    pub plans: Vec<Plan>,
    pub steps: Vec<(usize, u64, Step)>,
}

/// Someone looks: after so many events, at that time. `last`: no more will come.
#[derive(Clone, Debug)]
pub struct Asked {
    pub after: usize,
    pub now: u64,
    pub last: bool,
    pub truths: Vec<Truth>,
}

/// What came of a script.
#[derive(Debug)]
pub struct Played {
    pub events: Vec<Event>,
    pub asked: Vec<Asked>,
    pub kernels: Vec<Kernel>,
}

impl Script {
    pub fn play(&self) -> Played {
        let mut now = 1_000_000;
        let mut kernels: Vec<Kernel> = (1..)
            .zip(&self.plans)
            .map(|(id, p)| Kernel::new(id, p.protocol, p.first, &p.past, p.in_call))
            .collect();
        let mut events = vec![Event { ts: now, what: What::Device(device()) }];
        let mut asked = Vec::new();
        for k in &kernels {
            events.push(Event { ts: now, what: What::Socket(Box::new(k.facts.clone())) });
        }
        for (socket, wait, step) in &self.steps {
            now += wait;
            let mut new = Vec::new();
            for k in &mut kernels {
                k.run(now, &mut new);
            }
            let socket = socket % kernels.len();
            let k = &mut kernels[socket];
            match *step {
                Step::Send(mut call) => {
                    call.way.first = (call.way != Way::default()).then_some(now);
                    k.send(now, &call, &mut new);
                }
                Step::Return { thread } => k.returns(now, thread, &mut new),
                Step::Copy { which } => k.copy(which),
                Step::Complete { which, look, delay } => {
                    k.complete(now, which, look, delay, &mut new);
                }
                Step::Foreign => k.foreign(),
                Step::Read => k.read(now, &mut new),
                Step::Close => k.close(now, &mut new),
                Step::Ask => {}
            }
            new.sort_by_key(|e| e.ts);
            events.extend(new);
            if let Step::Ask = step {
                let truths = kernels.iter().map(|k| k.truth.clone()).collect();
                asked.push(Asked { after: events.len(), now, last: false, truths });
            }
        }
        now = self.end(now, &mut kernels, &mut events);
        let truths = kernels.iter().map(|k| k.truth.clone()).collect();
        asked.push(Asked { after: events.len(), now, last: true, truths });
        Played { events, asked, kernels }
    }

    /// Everything returns and is told, and the counters are read.
    fn end(&self, mut now: u64, kernels: &mut [Kernel], events: &mut Vec<Event>) -> u64 {
        let mut new = Vec::new();
        for k in &mut *kernels {
            for thread in 0..THREADS {
                k.returns(now, thread, &mut new);
            }
            k.run(now + 2 * LATE, &mut new);
        }
        new.sort_by_key(|e| e.ts);
        // The watch may end before the tracker has concluded.
        now = new.last().map_or(now, |e| e.ts);
        events.extend(new);
        for (k, plan) in kernels.iter_mut().zip(&self.plans) {
            let counters = k.counters(plan.walked);
            events.push(Event { ts: now, what: What::Socket(Box::new(k.facts.clone())) });
            events.push(Event { ts: now, what: What::Counters(Box::new(counters)) });
        }
        now
    }
}

fn device() -> DeviceFacts {
    DeviceFacts {
        index: DEVICE,
        ifindex: 2,
        netns: 1,
        name: "eth0".into(),
        kind: String::new(),
        mtu: 1500,
        features: u64::MAX,
        loopback: false,
        peer_xdp: Some(false),
        heard: Some(false),
    }
}

const Q: u8 = stage::QUEUE;
const X: u8 = stage::XMIT;
const R: u8 = stage::RECEIVE;

const fn spot(stage: Stage) -> Spot {
    Spot { device: DEVICE, stage }
}

/// Ways that a uarg may be seen to take: where it was intact and copied, its marks; what that
/// means when it was copied, and when it was not.
const SIGHTS: [(u8, u8, u32, Place, Option<Place>); 6] = [
    (0, 0, 0, Place::Unseen, None),
    (Q | X, 0, 0, Place::After { intact: spot(Stage::Xmit) }, None),
    (Q | X | R, 0, 0, Place::After { intact: spot(Stage::Receive) }, None),
    (Q, X, 0, Place::Between { intact: spot(Stage::Queue), copied: spot(Stage::Xmit) }, None),
    (0, Q | X, mark::COPIED_AT_SEND, Place::AtSend { device: DEVICE }, None),
    (
        Q | X,
        0,
        mark::GSO_WITHOUT_SG,
        Place::After { intact: spot(Stage::Xmit) },
        Some(Place::Hidden { device: DEVICE, how: HiddenWay::GsoWithoutSg, measured: false }),
    ),
];

fn way((intact, copied, marks, ..): &(u8, u8, u32, Place, Option<Place>)) -> Way {
    let mut way = Way { marks: *marks, ..Way::default() };
    if intact | copied != 0 {
        way.hops[0] = Hop { device: DEVICE, intact: *intact, copied: *copied };
    }
    way
}

/// Where the table above says that a way was copied.
pub fn place_of(seen: &Way, copied: bool) -> Option<Place> {
    let same = |s: &&(u8, u8, u32, Place, Option<Place>)| {
        let way = way(s);
        (way.hops, way.marks) == (seen.hops, seen.marks)
    };
    let (.., shown, hidden) = SIGHTS.iter().find(same).unwrap();
    if copied { Some(*shown) } else { *hidden }
}

/// One or two sockets, anywhere on the circle of ids, and up to `steps` steps.
pub fn script(steps: usize) -> impl Strategy<Value = Script> {
    let steps = prop::collection::vec((0..2_usize, wait(), step()), 1..steps);
    (prop::collection::vec(plan(), 1..=2), steps).prop_map(|(plans, steps)| Script { plans, steps })
}

fn plan() -> impl Strategy<Value = Plan> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let first = prop_oneof![Just(0), u32::MAX - 20..=u32::MAX, any::<u32>()];
    let past = (1..4_u32, any::<bool>(), any::<bool>()).prop_map(|(len, copied, queued)| Past {
        len,
        copied,
        queued,
    });
    let past = prop_oneof![Just(Vec::new()), prop::collection::vec(past, 1..5)];
    let often = prop::bool::weighted(0.9);
    (protocol, first, past, any::<bool>(), often).prop_map(
        |(protocol, first, past, in_call, walked)| Plan { protocol, first, past, in_call, walked },
    )
}

fn wait() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1..50_000_u64, 1 => 1..LATE, 1 => LATE..3 * LATE]
}

fn step() -> impl Strategy<Value = Step> {
    let thread = 0..THREADS;
    prop_oneof![
        8 => call().prop_map(Step::Send),
        8 => thread.prop_map(|thread| Step::Return { thread }),
        3 => (0..64_usize).prop_map(|which| Step::Copy { which }),
        9 => (which(), look(), delay())
            .prop_map(|(which, look, delay)| Step::Complete { which, look, delay }),
        1 => Just(Step::Foreign),
        3 => Just(Step::Read),
        1 => prop::bool::weighted(0.1)
            .prop_map(|close| if close { Step::Close } else { Step::Ask }),
        2 => Just(Step::Ask),
    ]
}

/// Mostly in order, so that completions merge.
fn which() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => 0..64_usize]
}

fn look() -> impl Strategy<Value = Look> {
    let told = prop_oneof![4 => Just(0), 1 => 1..LATE / 2];
    prop_oneof![
        6 => Just(Look::AtOnce),
        3 => (1..LATE / 2, told).prop_map(|(look, told)| Look::After { look, told }),
        1 => Just(Look::Missed),
    ]
}

fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 2 => 1..100_000_u64, 1 => 1..LATE]
}

fn call() -> impl Strategy<Value = Call> {
    let bytes = prop_oneof![Just(0), 1..2000_u32, 10_000..200_000_u32];
    let fate = prop_oneof![
        8 => Just(Fate::Succeeds),
        1 => Just(Fate::TakesNoId),
        1 => Just(Fate::KeepsItsId),
    ];
    let sight = (0..SIGHTS.len()).prop_map(|n| way(&SIGHTS[n]));
    let entry_seen = prop::bool::weighted(0.8);
    (0..THREADS, bytes, any::<bool>(), prop::bool::weighted(0.3), entry_seen, sight, fate).prop_map(
        |(thread, bytes, more, joins, entry_seen, way, fate)| Call {
            thread,
            bytes,
            more,
            joins,
            entry_seen,
            way,
            fate,
        },
    )
}
