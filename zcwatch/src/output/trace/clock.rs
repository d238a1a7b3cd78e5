//! When something happened, as a person reads it.

use jiff::{Timestamp, tz::TimeZone};

/// How times are written.
#[derive(Clone, Debug)]
pub enum Clock {
    /// "12:04:31.123456", as strace -tt has it.
    Wall {
        /// ns since 1970 at the start of the watch.
        start_unix_ns: u64,
        /// Of whom.
        zone: TimeZone,
    },
    /// Seconds since the start: "    1.123456".
    Relative,
}

impl Clock {
    /// The time of day where zcwatch runs (TZ, /etc/localtime).
    #[must_use]
    pub fn wall(start_unix_ns: u64) -> Self {
        Self::Wall { start_unix_ns, zone: TimeZone::system() }
    }

    /// A time, and the start of the watch, both ns since boot.
    #[must_use]
    pub fn text(&self, at: u64, start: u64) -> String {
        let since = i128::from(at) - i128::from(start);
        match self {
            Self::Wall { start_unix_ns, zone } => {
                let unix = i128::from(*start_unix_ns) + since;
                let time = Timestamp::from_nanosecond(unix).unwrap_or_default();
                time.to_zoned(zone.clone()).strftime("%H:%M:%S%.6f").to_string()
            }
            Self::Relative => {
                // What was there before has a negative time.
                let sign = if since < 0 { "-" } else { "" };
                let us = since.unsigned_abs() / 1000;
                let text = format!("{sign}{}.{:06}", us / 1_000_000, us % 1_000_000);
                format!("{text:>12}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_long_as_each_other() {
        let start = 5_000_000_000;
        let clock = Clock::Wall { start_unix_ns: 1_800_000_000_000_000_000, zone: TimeZone::UTC };
        assert_eq!(clock.text(start + 1_923_456_789, start), "08:00:01.923456");
        assert_eq!(clock.text(start - 1, start), "07:59:59.999999");
        let relative = Clock::Relative;
        assert_eq!(relative.text(start + 1_923_456_789, start), "    1.923456");
        assert_eq!(relative.text(start - 1_500_000, start), "   -0.001500");
    }

    #[test]
    fn the_time_of_day_is_that_of_its_place() {
        let zone = TimeZone::posix("CET-1").unwrap();
        let clock = Clock::Wall { start_unix_ns: 1_800_000_000_000_000_000, zone };
        assert_eq!(clock.text(0, 0), "09:00:00.000000");
    }
}
