//! Whatever happens: the counts are those of the model, at any time and at the end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    script::{Asked, Played, script},
    truth::{Marks, Shown, Times, Truth},
};
use crate::{
    event::{Event, Losses, SocketId, What},
    tracker::{
        Snapshot, Tracker,
        latency::Latency,
        snapshot::{Agreement, SocketSnapshot},
    },
};

type Checked = Result<(), TestCaseError>;

/// The snapshots that are asked for in the middle and at the end.
fn watch(played: &Played) -> Vec<(&Asked, Snapshot)> {
    let mut tracker = Tracker::default();
    let mut done = 0;
    let mut all = Vec::new();
    for asked in &played.asked {
        played.events[done..asked.after].iter().for_each(|e| tracker.apply(e));
        done = asked.after;
        all.push((asked, tracker.snapshot(0, asked.now, asked.last)));
    }
    all
}

/// Every socket of every snapshot, with what is true of it.
fn each(played: &Played, check: impl Fn(&SocketSnapshot, &Truth, &Asked) -> Checked) -> Checked {
    for (asked, snapshot) in watch(played) {
        prop_assert_eq!(snapshot.sockets.len(), asked.truths.len());
        for (socket, truth) in snapshot.sockets.iter().zip(&asked.truths) {
            check(socket, truth, asked)?;
        }
    }
    Ok(())
}

fn times(latency: &Latency) -> (u64, Option<(u64, u64)>) {
    let s = latency.summary();
    (s.map_or(0, |s| s.count), s.map(|s| (s.min, s.max)))
}

fn bounds(times: &[u64]) -> (u64, Option<(u64, u64)>) {
    let ends = times.iter().min().zip(times.iter().max());
    (times.len() as u64, ends.map(|(min, max)| (*min, *max)))
}

fn release_is_within(socket: &SocketSnapshot, times: &Times) -> Checked {
    let c = &socket.counts;
    let (count, ends) = self::times(&c.release);
    if times.unsure.is_empty() {
        prop_assert_eq!((count, ends), bounds(&times.release));
        prop_assert_eq!(c.before_return, times.before_return);
        return Ok(());
    }
    let all = times.release.len() + times.unsure.len();
    prop_assert_eq!(count + c.before_return, all as u64 + times.before_return);
    prop_assert!(count >= times.release.len() as u64 && c.before_return >= times.before_return);
    if let Some((min, max)) = ends {
        let sure = times.release.iter().map(|t| (*t, *t));
        let possible: Vec<_> = sure.chain(times.unsure.iter().copied()).collect();
        prop_assert!(Some(min) >= possible.iter().map(|(from, _)| *from).min());
        prop_assert!(Some(max) <= possible.iter().map(|(_, to)| *to).max());
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_counts_are_the_kernels_at_any_time_but_for_what_is_too_fresh(script in script(100)) {
        each(&script.play(), |socket, truth, asked| {
            prop_assert_eq!(Shown::of(socket), truth.shown(asked.now, asked.last));
            prop_assert_eq!(Marks::of(socket), truth.marks(asked.now, asked.last));
            prop_assert_eq!(socket.counts.bytes, truth.bytes());
            prop_assert_eq!(socket.counts.with_error, truth.with_error());
            Ok(())
        })?;
    }

    #[test]
    fn at_the_end_all_is_counted_that_anyone_could_see(script in script(100)) {
        let played = script.play();
        let watched = watch(&played);
        let (_, snapshot) = watched.last().unwrap();
        for (socket, kernel) in snapshot.sockets.iter().zip(&played.kernels) {
            prop_assert_eq!(socket.agreement, Agreement::Yes);
            let counters = socket.counters.as_ref().unwrap();
            prop_assert_eq!(socket.counts.before_attach, counters.before);
            if kernel.truth.is_all_known() {
                prop_assert_eq!(Shown::of(socket), kernel.truth.happened());
            }
        }
    }

    #[test]
    fn every_copy_has_one_cause_and_no_more(script in script(100)) {
        each(&script.play(), |socket, truth, asked| {
            let mut places = BTreeMap::new();
            for (evidence, group) in &socket.evidence {
                *places.entry(evidence.place).or_default() += group.sends;
            }
            prop_assert_eq!(places, truth.places(asked.now, asked.last));
            let shown = socket.evidence.iter().filter(|(e, _)| e.is_shown());
            prop_assert_eq!(shown.map(|(_, g)| g.sends).sum::<u64>(), socket.counts.copied);
            Ok(())
        })?;
    }

    #[test]
    fn no_latency_is_invented_and_none_forgotten(script in script(100)) {
        each(&script.play(), |socket, truth, asked| {
            let expected = truth.times(asked.now, asked.last);
            prop_assert_eq!(times(&socket.counts.reap), bounds(&expected.reap));
            release_is_within(socket, &expected)
        })?;
    }

    #[test]
    fn a_new_window_counts_what_came_since_and_no_more(script in script(100), which in 0_usize..8) {
        let played = script.play();
        let middle: Vec<_> = played.asked.iter().filter(|a| !a.last).collect();
        prop_assume!(!middle.is_empty());
        let reset = middle[which % middle.len()];
        let end = played.asked.last().unwrap().now;
        let (mut whole, mut later) = (Tracker::default(), Tracker::default());
        let (before, after) = played.events.split_at(reset.after);
        before.iter().for_each(|e| [&mut whole, &mut later].map(|t| t.apply(e)).into_iter().collect());
        let guessed = whole.snapshot_as_is(0, reset.now);
        let then = whole.snapshot(0, reset.now, false);
        later.reset(reset.now);
        let empty = later.snapshot(reset.now, reset.now, false);
        for s in &empty.sockets {
            let c = &s.counts;
            prop_assert_eq!((c.sends, c.completed(), c.bytes, c.in_flight, c.read), (0, 0, 0, 0, 0));
            prop_assert!(s.evidence.is_empty() && c.release.summary().is_none());
        }
        after.iter().for_each(|e| [&mut whole, &mut later].map(|t| t.apply(e)).into_iter().collect());
        let whole = whole.snapshot(0, end, true);
        let later = later.snapshot(reset.now, end, true);
        for (i, s) in later.sockets.iter().enumerate() {
            let (c, all, then) = (&s.counts, &whole.sockets[i].counts, &then.sockets[i].counts);
            prop_assert_eq!(s.agreement, whole.sockets[i].agreement);
            prop_assert_eq!(c.sends, all.sends - then.sends);
            prop_assert_eq!(c.sends, c.completed() + c.in_flight + c.closed_in_flight);
            // What had completed by then, and was not concluded yet, is in neither window.
            let done = c.completed() + c.before_attach;
            let all_done = all.completed() + all.before_attach;
            let guessed = guessed.sockets[i].counts.completed();
            prop_assert!(done <= all_done - then.completed(), "{done} {all_done} {then:?}");
            prop_assert!(done >= all_done - guessed, "{done} {all_done} {guessed}");
            prop_assert_eq!(c.read, all.read - then.read);
            // What was sent before the window may be told in it.
            prop_assert!(c.bytes <= all.bytes - then.bytes);
            prop_assert!(c.release.summary().map_or(0, |r| r.count) <= c.completed());
            let shown = s.evidence.iter().filter(|(e, _)| e.is_shown());
            prop_assert_eq!(shown.map(|(_, g)| g.sends).sum::<u64>(), c.copied);
        }
    }

    #[test]
    fn the_counters_alone_tell_the_truth_whatever_events_are_lost(
        script in script(100),
        lost in prop::collection::vec(any::<bool>(), 1..50),
        noticed: bool,
    ) {
        let played = script.play();
        let mut lost = lost.iter().cycle();
        let mut tracker = Tracker::default();
        let mut incomplete = BTreeSet::new();
        for event in &played.events {
            if may_be_lost(event) && *lost.next().unwrap() {
                incomplete.extend(counted(event));
            } else {
                tracker.apply(event);
            }
        }
        let end = played.asked.last().unwrap().now;
        // A probe that was skipped loses an event too, and no ring buffer notices.
        let losses = Losses { events: noticed.into(), ..Losses::default() };
        tracker.apply(&Event { ts: end, what: What::Losses(losses) });
        let snapshot = tracker.snapshot(0, end, true);
        for (socket, kernel) in snapshot.sockets.iter().zip(&played.kernels) {
            let (c, truth) = (&socket.counts, &kernel.truth);
            prop_assert_eq!(c.sends, c.completed() + c.in_flight + c.closed_in_flight);
            let agrees = !incomplete.contains(&socket.id);
            prop_assert_eq!(socket.agreement == Agreement::Yes, agrees);
            if truth.counters_know_all() {
                // Which ids were misled only the events tell.
                let shown = Shown { misled: truth.happened().misled, ..Shown::of(socket) };
                prop_assert_eq!(shown, truth.happened());
                prop_assert_eq!(c.bytes, truth.bytes());
                prop_assert_eq!(c.with_error, truth.with_error());
            }
        }
    }
}

/// The records of the ring buffer. Sockets and counters are read from a table.
fn may_be_lost(event: &Event) -> bool {
    use What::{Closed, Failed, Merged, Read, Send, Started};
    matches!(event.what, Send(_) | Failed(_) | Started(_) | Merged(_) | Read(_) | Closed { .. })
}

/// The socket of an event that the counters count too.
fn counted(event: &Event) -> Option<SocketId> {
    match &event.what {
        What::Send(s) if !s.before => Some(s.socket),
        What::Merged(r) | What::Read(r) => Some(r.socket),
        _ => None,
    }
}
