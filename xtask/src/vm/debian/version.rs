//! The order of Debian's versions, as deb-version(7) has it.

use std::cmp::Ordering;

/// Which of two versions is the higher one.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a) = epoch(a);
    let (b_epoch, b) = epoch(b);
    let ((a, a_revision), (b, b_revision)) = (revision(a), revision(b));
    a_epoch.cmp(&b_epoch).then_with(|| part(a, b)).then_with(|| part(a_revision, b_revision))
}

fn epoch(version: &str) -> (u64, &str) {
    version.split_once(':').map_or((0, version), |(epoch, rest)| (number(epoch), rest))
}

fn revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

/// Compares by turns what is no digit, by the order of its characters, and what is, as a number.
fn part(mut a: &str, mut b: &str) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let ((a_word, a_rest), (b_word, b_rest)) = (word(a), word(b));
        let ((a_number, a_next), (b_number, b_next)) = (digits(a_rest), digits(b_rest));
        let order = letters(a_word, b_word).then_with(|| number(a_number).cmp(&number(b_number)));
        if order.is_ne() {
            return order;
        }
        (a, b) = (a_next, b_next);
    }
    Ordering::Equal
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len()))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// No digits count as 0.
fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(0)
}

/// A tilde comes before everything, the end of the text too; letters come before all else.
fn letters(a: &str, b: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => (0, '~'),
        None => (1, ' '),
        Some(c) if c.is_ascii_alphabetic() => (2, c),
        Some(c) => (3, c),
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) if rank(x) != rank(y) => return rank(x).cmp(&rank(y)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_higher_than_the_one_before() {
        // The middle ones are deb-version(7)'s own.
        let rising = [
            "6.1.9-1",
            "6.1.140-1",
            "6.12.107-1",
            "7.2.9-1~bpo13+1",
            "7.2.12-1~bpo13+1",
            "7.2.12-1",
            "7.2.13~rc7-1",
            "7.2.13-1",
            "7.2.13-1+b1",
            "7.2.13-2",
            "7.2.13+1-1",
            "7.3.4-1",
            "1:0-1",
        ];
        for pair in rising.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        let tildes = ["~~", "~~a", "~", "", "a"];
        for pair in tildes.windows(2) {
            assert_eq!(part(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare("5.10.0-46", "5.10.00-046"), Ordering::Equal);
    }
}
