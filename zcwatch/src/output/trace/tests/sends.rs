//! What is said of sends.

use super::*;
use crate::event::{FailedSend, IgnoredSend, Losses};

const TCP_LINE: &str = "sender 10         fd 5 tcp → 10.0.0.9:4444  ";
const UDP_LINE: &str = "sender 10         fd 5 udp *:9000           ";

/// A send that began at 8 µs, was first queued at 10, returned at 20, completed at 60 and was
/// read at 100.
fn story(change: impl FnOnce(&mut Sent, &mut Way, &mut bool)) -> String {
    story_of(TCP, change)
}

fn story_of(id: SocketId, change: impl FnOnce(&mut Sent, &mut Way, &mut bool)) -> String {
    let mut send = Sent { entry: Some(at(8)), ..sent(id, 17) };
    let (mut way, mut copied) = (way(OUT, 0, NOT_HEARD), false);
    change(&mut send, &mut way, &mut copied);
    let mut watch = Watch::new(plain());
    watch.tell(20, What::Send(send));
    watch.tell(60, What::Started(range(id, 17, way, copied)));
    watch.tell(100, What::Read(range(id, 17, way, copied)));
    let lines = watch.said();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}

#[test]
fn one_that_was_reported_zero_copy() {
    assert_eq!(
        story(|_, _, _| {}),
        format!(
            "    0.000008  {TCP_LINE}send #17 16384 B → reported zero-copy after 52 µs, read after \
             40 µs"
        )
    );
}

#[test]
fn one_that_was_copied_with_its_cause() {
    let delivered = story(|_, w, copied| {
        *w = way(OUT | IN, 0, NOT_HEARD);
        *copied = true;
    });
    let line = "send #17 16384 B → copied after 52 µs, by local_delivery on eth0, read after 40 µs";
    assert_eq!(delivered, format!("    0.000008  {TCP_LINE}{line}"));
    // A listener that was not seen.
    let heard = story(|_, w, copied| {
        *w = way(stage::QUEUE, stage::XMIT, 0);
        *copied = true;
    });
    assert!(heard.contains("copied after 52 µs, by tap_tx on eth0 (inferred), read"), "{heard}");
    let unknown = story(|_, w, copied| {
        *w = way(OUT, OUT, NOT_HEARD);
        *copied = true;
    });
    let words =
        "copied after 52 µs, cause unknown (last seen at net_dev_start_xmit on eth0, intact";
    assert!(unknown.contains(words), "{unknown}");
}

#[test]
fn one_that_took_a_way_that_copies() {
    let hidden = story(|_, w, _| *w = way(OUT, 0, mark::VETH_PEER_XDP));
    let line = "reported zero-copy after 52 µs, and copied all the same: handed by eth0 to a veth \
                that runs native XDP (inferred), read after 40 µs";
    assert!(hidden.ends_with(line), "{hidden}");
}

#[test]
fn where_packets_cannot_be_followed_no_cause_is_told() {
    let mut blind = header();
    blind.context.places_unknown = true;
    let mut teller = Teller::new(plain(), &blind);
    for (us, what) in [
        (0, What::Socket(Box::new(socket(TCP)))),
        (20, What::Send(sent(TCP, 0))),
        (60, What::Started(range(TCP, 0, Way::default(), true))),
    ] {
        teller.take(&Event { ts: at(us), what });
    }
    let text = teller.last_lines().pop().unwrap().text;
    assert!(
        text.ends_with("send #0 16384 B → copied 40 µs after it returned, not read yet"),
        "{text}"
    );
}

#[test]
fn how_exact_its_time_is() {
    let queue = story_of(UDP, |s, _, _| s.entry = None);
    let line =
        "send #17 16384 B → reported zero-copy 50 µs after its first packet, read after 40 µs";
    assert_eq!(queue, format!("    0.000010  {UDP_LINE}{line}"));
    let returned = story(|s, w, _| {
        s.entry = None;
        *w = Way::default();
    });
    assert!(returned.contains("reported zero-copy 40 µs after it returned, read"), "{returned}");
    let mut watch = Watch::new(plain());
    watch.tell(10, What::Started(range(TCP, 0, Way::default(), false)));
    watch.tell(20, What::Send(sent(TCP, 0)));
    let line = watch.said().remove(0);
    assert!(line.ends_with("reported zero-copy before its start was seen, not read yet"), "{line}");
    let mut watch = Watch::new(plain());
    watch.tell(20, What::Send(sent(TCP, 0)));
    watch.tell(30, What::Read(range(TCP, 0, Way::default(), false)));
    let line = watch.said().remove(0);
    assert!(line.ends_with("reported zero-copy, nobody saw when, read"), "{line}");
}

#[test]
fn one_that_nobody_read_and_one_in_flight() {
    let mut watch = Watch::new(plain());
    watch.tell(20, What::Send(sent(TCP, 0)));
    watch.tell(30, What::Send(sent(TCP, 1)));
    watch.tell(40, What::Send(sent(UDP, 0)));
    watch.tell(60, What::Started(range(TCP, 0, Way::default(), false)));
    watch.tell(70, What::Closed { socket: UDP });
    assert_eq!(
        watch.said(),
        [
            format!(
                "    0.000020  {TCP_LINE}send #0 16384 B → reported zero-copy 40 µs after it \
                 returned, not read yet"
            ),
            format!("    0.000030  {TCP_LINE}send #1 16384 B → in flight"),
            format!(
                "    0.000040  {UDP_LINE}send #0 16384 B → in flight when the socket was closed"
            ),
            format!("    0.000070  {UDP_LINE}closed"),
        ]
    );
}

#[test]
fn where_events_were_lost_nothing_is_certain_to_be_missing() {
    let mut watch = Watch::new(plain());
    watch.tell(20, What::Send(sent(TCP, 0)));
    watch.tell(30, What::Send(sent(TCP, 1)));
    watch.tell(60, What::Started(range(TCP, 0, Way::default(), false)));
    watch.tell(70, What::Losses(Losses { events: 1, ..Losses::default() }));
    let said = watch.said();
    assert!(said[0].ends_with("40 µs after it returned, not read yet (or lost)"), "{said:?}");
    assert!(said[1].ends_with("send #1 16384 B → in flight (or lost)"), "{said:?}");
}

#[test]
fn one_that_kept_its_id_and_one_with_more_to_come() {
    let kept = story_of(UDP, |s, _, _| {
        s.errno = Some(libc::ENOBUFS);
        s.bytes = 0;
    });
    assert!(kept.contains("send #17 = -1 ENOBUFS, and kept its id → reported"), "{kept}");
    let more = story_of(UDP, |s, _, _| s.more = true);
    assert!(more.contains("send #17 16384 B MSG_MORE → reported"), "{more}");
}

#[test]
fn one_of_a_thread_of_an_unknown_descriptor() {
    let line = story(|s, _, _| {
        s.tid = 12;
        s.fd = None;
    });
    assert!(
        line.starts_with("    0.000008  sender 10/12      tcp → 10.0.0.9:4444       send"),
        "{line}"
    );
}

fn failed(errno: i32) -> FailedSend {
    FailedSend {
        socket: TCP,
        errno,
        pid: 10,
        tid: 10,
        fd: Some(5),
        optmem_used: 131_000,
        optmem_max: Some(131_072),
        memlock_used: 4096,
        memlock_limit: Some(8192),
        limit: None,
    }
}

#[test]
fn one_that_failed() {
    let line = |f| says(What::Failed(f)).remove(0);
    assert_eq!(
        line(failed(libc::ENOBUFS)),
        format!(
            "    0.000005  {TCP_LINE}send = -1 ENOBUFS (optmem 131000 of 131072 B, memlock 4096 of \
             8192 B)"
        )
    );
    let unlimited = FailedSend { memlock_limit: None, ..failed(libc::ENOBUFS) };
    assert!(line(unlimited).ends_with("send = -1 ENOBUFS (optmem 131000 of 131072 B)"));
    let unknown = FailedSend { optmem_max: None, ..unlimited };
    assert!(line(unknown).ends_with("send = -1 ENOBUFS"));
    assert!(line(failed(libc::EAGAIN)).ends_with("send = -1 EAGAIN"));
    assert!(line(failed(4000)).ends_with("send = -1 errno 4000"));
}

#[test]
fn one_whose_flag_was_ignored() {
    let what = IgnoredSend { socket: TCP, bytes: 16384, pid: 10, tid: 10, fd: Some(5) };
    assert_eq!(
        says(What::Ignored(what)),
        [format!(
            "    0.000005  {TCP_LINE}send 16384 B → flag ignored: the socket has no SO_ZEROCOPY, so \
             it is copied, and not notified"
        )]
    );
}

#[test]
fn only_slow_ones_where_that_is_asked() {
    let mut watch = Watch::new(Options { min_latency: Some(40_000), ..plain() });
    for id in 0..3 {
        watch.tell(10, What::Send(Sent { entry: Some(at(10)), ..sent(TCP, id) }));
    }
    watch.tell(49, What::Merged(range(TCP, 0, Way::default(), false)));
    watch.tell(50, What::Merged(range(TCP, 1, Way::default(), false)));
    watch.tell(60, What::Failed(failed(libc::ENOBUFS)));
    let teller = &mut watch.0;
    let lines = teller.last_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].text.contains("send #1 16384 B → reported zero-copy after 40 µs, not read yet")
    );
    assert_eq!(teller.left_out(), 3, "a fast one, one in flight, one that failed");
}

#[test]
fn words_have_colours_where_they_are_wanted() {
    let style = Style { colour: true, unicode: false };
    let mut watch = Watch::new(Options { style, ..plain() });
    watch.tell(20, What::Send(sent(TCP, 0)));
    watch.tell(60, What::Started(range(TCP, 0, Way::default(), true)));
    let line = watch.said().remove(0);
    assert!(line.contains("fd 5 tcp -> 10.0.0.9:4444  send #0 16384 B -> "), "{line}");
    assert!(
        line.contains("\x1b[31mcopied\x1b[0m 40 us after it returned, cause unknown"),
        "{line}"
    );
}
