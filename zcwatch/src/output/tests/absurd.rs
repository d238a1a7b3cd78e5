//! A recording is a file: whatever its numbers, it is read, added up and printed.

use proptest::prelude::*;
use serde_json::Value;

use super::about::{about, findings};
use crate::{
    diagnosis::judge,
    event::Event,
    output::{json::Report, style::Style, text},
    recording::tests::every::every,
    tracker::Tracker,
};

/// One event: which kind, and what its numbers are made of.
#[derive(Clone, Debug)]
struct Made {
    kind: usize,
    known: bool,
    picks: Vec<u8>,
}

impl Made {
    fn event(&self) -> Event {
        let [low, high] = [1, u64::MAX].map(|n| {
            let all = every(n, "x", self.known);
            serde_json::to_value(&all[self.kind % all.len()]).unwrap()
        });
        let mut picks = self.picks.iter().copied().cycle();
        let mut event = change(&low, &high, &mut || picks.next().unwrap());
        // A range of billions of ids costs a moment each: few are so long.
        if let Some(lo) = event.get("lo").and_then(Value::as_u64)
            && self.picks[0] > 4
        {
            let length = u32::from(self.picks[1] % 16);
            event["hi"] = u32::try_from(lo).unwrap().wrapping_add(length).into();
        }
        serde_json::from_value(event).unwrap()
    }
}

/// Another number in each place, of which the largest there can be is in `high`.
fn change(low: &Value, high: &Value, pick: &mut impl FnMut() -> u8) -> Value {
    match (low, high) {
        (Value::Number(low), Value::Number(high)) => {
            let Some(most) = high.as_u64() else {
                return [0, 1, -1, 105, i32::MAX, i32::MIN][usize::from(pick() % 6)].into();
            };
            // The bits of a hop are each other's opposites.
            let most = most.max(low.as_u64().unwrap_or(0));
            let numbers =
                [0, 1, 2, 9, 100, 20_000, 1 << 30, most / 2, most / 2 + 1, most - 1, most];
            let pick = usize::from(pick());
            // Most are small: with nothing but the largest, most of the paths are not taken.
            let n = numbers[if pick < 160 { pick % 5 } else { pick % numbers.len() }];
            if low.is_u64() { n.min(most).into() } else { Value::Null }
        }
        (Value::Object(low), Value::Object(high)) => low
            .iter()
            .map(|(key, low)| {
                let socket = Value::from((pick() % 3).to_string());
                let value = if key == "socket" { socket } else { change(low, &high[key], pick) };
                (key.clone(), value)
            })
            .collect(),
        (Value::Array(low), Value::Array(high)) => {
            // Of a pair only the first was made of the number.
            low.iter().map(|low| change(low, &high[0], pick)).collect()
        }
        (Value::Bool(_), _) => pick().is_multiple_of(2).into(),
        _ => low.clone(),
    }
}

fn made() -> impl Strategy<Value = Made> {
    // Most are about the ids of sockets: the first eight kinds, and the counters.
    let kind = prop_oneof![8 => 0..9_usize, 2 => 16..18_usize, 1 => 0..19_usize];
    let picks = prop::collection::vec(any::<u8>(), 16..80);
    (kind, any::<bool>(), picks).prop_map(|(kind, known, picks)| Made { kind, known, picks })
}

proptest! {
    #[test]
    fn no_number_is_too_absurd(
        all in prop::collection::vec(made(), 1..40),
        rows in 0..3_usize,
        (start, end) in any::<(u64, u64)>(),
    ) {
        let mut tracker = Tracker::keeping(rows, judge);
        let about = about();
        let mut stories = Tracker::default();
        stories.tell_stories();
        for made in &all {
            let event = made.event();
            tracker.apply(&event);
            stories.apply(&event);
        }
        stories.stories(end, false);
        stories.stories(end, true);
        for last in [false, true] {
            let snapshot = tracker.snapshot(start, end, last);
            let findings = findings(&snapshot);
            let style = Style { colour: false, unicode: true };
            prop_assert!(!text::report(&about, &snapshot, &findings, style).is_empty());
            let report = Report::new(&about, &snapshot, &findings);
            prop_assert!(serde_json::to_string(&report).is_ok());
        }
    }
}
