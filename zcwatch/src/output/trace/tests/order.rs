//! When lines are told, and in which order.

use super::*;

fn texts(lines: Vec<crate::output::trace::Line>) -> Vec<String> {
    lines.into_iter().map(|l| l.text).collect()
}

#[test]
fn a_send_is_told_once_and_when_its_read_is_certain() {
    let mut watch = Watch::new(plain());
    watch.tell(20, What::Send(sent(TCP, 0)));
    watch.tell(60, What::Started(range(TCP, 0, Way::default(), false)));
    watch.tell(100, What::Read(range(TCP, 0, Way::default(), false)));
    assert_eq!(texts(watch.0.lines(Some(at(100) + LATE - 1))), [""; 0]);
    let lines = watch.0.lines(Some(at(100) + LATE));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].is_send);
    assert_eq!(texts(watch.0.last_lines()), [""; 0]);
}

#[test]
fn nothing_is_concluded_while_more_is_waiting() {
    let mut watch = Watch::new(plain());
    watch.tell(20, What::Send(sent(TCP, 0)));
    watch.tell(60, What::Started(range(TCP, 0, Way::default(), false)));
    assert_eq!(texts(watch.0.lines(None)), [""; 0]);
    assert_eq!(watch.0.lines(Some(at(60) + 11 * LATE)).len(), 1, "unread for a second");
}

#[test]
fn one_that_nobody_can_read_any_more_is_told_at_once() {
    let mut watch = Watch::new(plain());
    watch.tell(20, What::Send(sent(TCP, 0)));
    watch.tell(60, What::Started(range(TCP, 0, Way::default(), false)));
    watch.tell(90, What::Closed { socket: TCP });
    let lines = texts(watch.0.lines(Some(at(90) + LATE)));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("not read yet"), "{lines:?}");
    let lines = texts(watch.0.last_lines());
    assert!(lines[0].ends_with("closed"), "after it: {lines:?}");
}

#[test]
fn lines_are_in_the_order_of_their_times() {
    let mut watch = Watch::new(plain());
    watch.tell(20, What::Send(sent(TCP, 0)));
    watch.tell(30, What::Process(process(11, "second")));
    watch.tell(60, What::Started(range(TCP, 0, Way::default(), false)));
    watch.tell(70, What::Send(sent(TCP, 1)));
    watch.tell(80, What::Process(process(12, "third")));
    watch.tell(90, What::Started(range(TCP, 1, Way::default(), false)));
    for (us, id) in [(100, 0), (110, 1)] {
        watch.tell(us, What::Read(range(TCP, id, Way::default(), false)));
    }
    let first = texts(watch.0.lines(Some(at(110) + LATE)));
    let at: Vec<_> = first.iter().map(|l| l[..12].trim()).collect();
    assert_eq!(at, ["0.000020", "0.000030", "0.000070"], "no send from before 80 is to come");
    assert!(watch.said()[0].contains("third 12"));
}

#[test]
fn a_socket_is_introduced_before_its_first_send() {
    let mut teller = Teller::new(plain(), &header());
    // It is described when its first record is seen, after what that tells.
    for (us, what) in [
        (50, What::Socket(Box::new(socket(TCP)))),
        (20, What::Started(range(TCP, 0, way(OUT, 0, 0), false))),
        (25, What::Send(Sent { entry: Some(at(8)), ..sent(TCP, 0) })),
        (30, What::Read(range(TCP, 0, way(OUT, 0, 0), false))),
    ] {
        teller.take(&Event { ts: at(us), what });
    }
    let lines = texts(teller.lines(Some(at(30) + LATE)));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("    0.000008") && lines[0].contains("socket 1: tcp"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("    0.000008") && lines[1].contains("send #0"), "{lines:?}");
}

#[test]
fn columns_grow_and_do_not_shrink() {
    let mut watch = Watch::new(plain());
    watch.tell(1, What::Process(process(11, "fifteen letters")));
    watch.tell(2, What::Process(process(1_234_567, "fifteen letters")));
    watch.tell(3, What::Process(process(12, "b")));
    let lines = watch.said();
    let watched: Vec<_> = lines.iter().map(|l| l.find("watched")).collect();
    assert_eq!(watched, [Some(34), Some(39), Some(39)], "{lines:?}");
}

#[test]
fn every_kind_of_event_can_be_told() {
    for known in [false, true] {
        let mut teller = Teller::new(plain(), &header());
        for event in every::every(u32::MAX.into(), "\x1b\u{202e}", known) {
            teller.take(&event);
        }
        for line in teller.last_lines() {
            assert!(!line.text.contains(['\x1b', '\u{202e}', '\n']), "{line:?}");
        }
    }
}
