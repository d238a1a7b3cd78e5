//! Ids on a line instead of a circle: u32 ids wrap, a socket's history does not.

/// Where the line begins, so that ids just below the first one still have a place on it.
const ORIGIN: u64 = 1 << 32;

/// Turns ids into positions on a line, nearest to the newest seen.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    newest: u64,
}

impl Line {
    /// Begins at an id.
    #[must_use]
    pub fn from(first: u32) -> Self {
        Self { newest: ORIGIN + u64::from(first) }
    }

    /// The position of an id: the one within 2³¹ of the newest position.
    #[must_use]
    pub fn place(&self, id: u32) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the circle is 32 bits wide")]
        let step = id.wrapping_sub(self.newest as u32).cast_signed();
        self.newest.saturating_add_signed(i64::from(step))
    }

    /// The positions of an inclusive range; the line moves on to its end.
    pub fn place_range(&mut self, lo: u32, hi: u32) -> (u64, u64) {
        let lo_at = self.place(lo);
        let hi_at = lo_at + u64::from(hi.wrapping_sub(lo));
        self.newest = self.newest.max(hi_at);
        (lo_at, hi_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_over_the_wrap_is_one_range() {
        let mut line = Line::from(u32::MAX - 1);
        let (lo, hi) = line.place_range(u32::MAX - 1, 2);
        assert_eq!(hi - lo, 4);
        assert_eq!(line.place(3), hi + 1);
        assert_eq!(line.place(u32::MAX - 2), lo - 1);
    }

    proptest! {
        #[test]
        fn steps_forward_never_lose_or_repeat_a_position(
            first: u32, steps in prop::collection::vec(1_u32..70_000, 1..100)
        ) {
            let mut line = Line::from(first);
            let (mut id, mut expected) = (first, line.place(first));
            for n in steps {
                let (lo, hi) = line.place_range(id, id.wrapping_add(n - 1));
                prop_assert_eq!(lo, expected);
                prop_assert_eq!(hi, expected + u64::from(n) - 1);
                expected = hi + 1;
                id = id.wrapping_add(n);
            }
        }
    }
}
