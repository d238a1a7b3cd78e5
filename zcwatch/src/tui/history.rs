//! Rates and their course: differences between one moment and the next.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    event::SocketId,
    tracker::{
        Snapshot,
        snapshot::{Counts, SocketSnapshot},
    },
};

/// Seconds whose course is kept.
pub const KEPT: usize = 240;

/// Moments that are closer together than this (ns) share a point: a rate over less is noise.
const LEAST: u64 = 900_000_000;

/// Counts at one time; all are of ids, unless they say otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    sends: u64,
    bytes: u64,
    completed: u64,
    copied: u64,
    hidden: u64,
    failed: u64,
    ignored: u64,
}

impl Sums {
    fn of(c: &Counts, hidden: u64) -> Self {
        Self {
            sends: c.sends,
            bytes: c.bytes,
            completed: c.completed(),
            copied: c.copied,
            hidden,
            failed: c.failed_optmem + c.failed_memlock + c.failed_other + c.with_error,
            ignored: c.ignored,
        }
    }

    /// What was added since then; all of it, where counting began anew.
    fn since(&self, then: &Self) -> Self {
        let fields =
            |s: &Self| [s.sends, s.bytes, s.completed, s.copied, s.hidden, s.failed, s.ignored];
        let mut d = fields(self);
        for (now, then) in d.iter_mut().zip(fields(then)) {
            *now = now.checked_sub(then).unwrap_or(*now);
        }
        let [sends, bytes, completed, copied, hidden, failed, ignored] = d;
        Self { sends, bytes, completed, copied, hidden, failed, ignored }
    }
}

/// What happened between two moments, each of it per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Ids taken.
    pub sends: f64,
    /// Bytes sent.
    pub bytes: f64,
    /// Ids completed.
    pub completed: f64,
    /// Copied of them.
    pub copied: f64,
    /// Reported zero-copy, and copied all the same.
    pub hidden: f64,
    /// Sends that failed, or kept their id with an error.
    pub failed: f64,
    /// Sends whose flag was ignored.
    pub ignored: f64,
}

impl Point {
    #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
    fn of(d: Sums, ns: u64) -> Self {
        let per_second = |n: u64| n as f64 * 1e9 / ns as f64;
        Self {
            sends: per_second(d.sends),
            bytes: per_second(d.bytes),
            completed: per_second(d.completed),
            copied: per_second(d.copied),
            hidden: per_second(d.hidden),
            failed: per_second(d.failed),
            ignored: per_second(d.ignored),
        }
    }

    /// Copied, and copied in secret, of what completed; `None` where nothing did.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.completed > 0.0).then(|| ((self.copied + self.hidden) / self.completed).min(1.0))
    }
}

/// The course of one socket, or of all.
#[derive(Clone, Debug, Default)]
pub struct Course {
    last: Option<Sums>,
    points: VecDeque<Point>,
}

impl Course {
    /// The last rate; `None` before there is one.
    #[must_use]
    pub fn rate(&self) -> Option<Point> {
        self.points.back().copied()
    }

    /// A point a second, the oldest first.
    #[must_use]
    pub fn points(&self) -> &VecDeque<Point> {
        &self.points
    }

    fn add(&mut self, now: Sums, ns: u64, begin: Sums) {
        let then = self.last.replace(now).unwrap_or(begin);
        self.points.push_back(Point::of(now.since(&then), ns));
        if self.points.len() > KEPT {
            self.points.pop_front();
        }
    }
}

/// The courses of all sockets.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// When the last point was made, ns since boot.
    at: Option<u64>,
    /// Start of the window that the points are of.
    start: u64,
    all: Course,
    sockets: BTreeMap<SocketId, Course>,
}

impl History {
    /// Adds a moment. After a `leap` other sockets are in it than before, and there is no point.
    pub fn add(&mut self, snapshot: &Snapshot, leap: bool) {
        if self.start != snapshot.start {
            *self = Self { start: snapshot.start, ..Self::default() };
        }
        let since = self.at.unwrap_or(snapshot.start);
        let ns = snapshot.end.saturating_sub(since);
        if ns < LEAST && !leap {
            return;
        }
        self.at = Some(snapshot.end);
        let hidden = snapshot.parts().map(SocketSnapshot::hidden).fold(0, u64::saturating_add);
        let totals = Sums::of(&snapshot.totals(), hidden);
        if leap {
            self.all.last = Some(totals);
            let now = |s: &SocketSnapshot| (s.id, Sums::of(&s.counts, s.hidden()));
            for (id, sums) in snapshot.sockets.iter().map(now) {
                self.sockets.entry(id).or_default().last = Some(sums);
            }
            return;
        }
        self.all.add(totals, ns, Sums::default());
        let mut before = std::mem::take(&mut self.sockets);
        for s in &snapshot.sockets {
            let mut course = before.remove(&s.id).unwrap_or_default();
            course.add(Sums::of(&s.counts, s.hidden()), ns, Sums::default());
            self.sockets.insert(s.id, course);
        }
    }

    /// Of all sockets together.
    #[must_use]
    pub fn all(&self) -> &Course {
        &self.all
    }

    /// Of one.
    #[must_use]
    pub fn socket(&self, id: SocketId) -> Option<&Course> {
        self.sockets.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnosis::tests::scene::Scene, tracker::snapshot::Counts};

    fn at(seconds: u64, sends: u64) -> Snapshot {
        let mut snapshot = Scene::new().snapshot();
        snapshot.start = 0;
        snapshot.end = seconds * 1_000_000_000;
        snapshot.spread = Counts::default();
        for s in &mut snapshot.sockets {
            s.counts = Counts { sends, reported: sends, ..Counts::default() };
        }
        snapshot
    }

    #[test]
    fn a_rate_is_what_came_since_by_the_time_it_took() {
        let mut history = History::default();
        history.add(&at(2, 100), false);
        history.add(&at(3, 140), false);
        let rates: Vec<f64> = history.all().points().iter().map(|p| p.sends).collect();
        let sockets = at(0, 0).sockets.len() as f64;
        assert_eq!(rates, [50.0 * sockets, 40.0 * sockets]);
        let id = at(0, 0).sockets[0].id;
        assert_eq!(history.socket(id).and_then(Course::rate).map(|p| p.sends), Some(40.0));
        // Others are shown: that is no rate.
        history.add(&at(4, 9_000), true);
        assert_eq!(history.all().points().len(), 2);
        history.add(&at(6, 9_020), false);
        assert_eq!(history.all().rate().map(|p| p.sends), Some(10.0 * sockets));
    }
}
