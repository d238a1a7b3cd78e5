//! The report for a person, as it is printed.

use std::{fmt::Write, net::SocketAddr};

use super::about::{about, about_without, closed, empty, findings, healthy, io_uring, lossy, sick};
use crate::{
    diagnosis::tests::scene::{Burst, ETH0, Scene, out},
    event::Endpoint,
    output::{json::About, style::Style, text},
    probe::hooks::Question,
    tracker::Snapshot,
};

const UNICODE: Style = Style { colour: false, unicode: true };
const ASCII: Style = Style { colour: false, unicode: false };

fn report(about: &About, snapshot: &Snapshot, style: Style) -> String {
    text::report(about, snapshot, &findings(snapshot), style)
}

/// Compares line by line, so that a difference is seen where it is.
fn assert_text(seen: &str, expected: &str) {
    let mut differences = String::new();
    for (i, (a, b)) in seen.lines().zip(expected.lines()).enumerate().filter(|(_, (a, b))| a != b) {
        let _ = write!(differences, "\nline {}\n  is     {a}\n  not    {b}", i + 1);
    }
    assert!(differences.is_empty(), "{differences}");
    assert_eq!(seen, expected);
}

#[test]
fn a_sick_sender_is_told_what_is_wrong_the_worst_first() {
    assert_text(&report(&about(), &sick(), UNICODE), SICK);
    assert_text(&report(&about(), &sick(), ASCII), SICK_ASCII);
}

#[test]
fn a_healthy_sender_is_told_so() {
    assert_text(&report(&about(), &healthy(), UNICODE), HEALTHY);
    assert_text(&report(&about(), &healthy(), ASCII), HEALTHY_ASCII);
}

#[test]
fn where_events_were_lost_the_report_says_which_numbers_are_exact() {
    assert_text(&report(&about(), &lossy(), UNICODE), LOSSY);
    assert_text(&report(&about(), &lossy(), ASCII), LOSSY_ASCII);
}

#[test]
fn without_a_send_or_with_few_there_is_no_verdict() {
    let text = report(&about(), &empty(), UNICODE);
    assert!(text.contains("\n· no MSG_ZEROCOPY send was seen\n"), "{text}");
    let text = report(&about(), &closed(), UNICODE);
    let few = "\n· 4 sends seen, 3 completed: too few for a verdict (10 completed are needed)\n";
    assert!(text.contains(few), "{text}");
}

#[test]
fn names_of_others_cannot_steer_the_terminal_from_the_report() {
    for style in [UNICODE, ASCII] {
        let text = report(&about(), &closed(), style);
        assert!(text.contains(r"zcwatch report: a\u{1b}[2Jb (pid 10, ended)"), "{text}");
        assert!(text.contains(r"a\u{1b}[2Jb (pid 10)   closed"), "{text}");
        let control: Vec<_> = text.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert!(control.is_empty(), "{control:?}");
    }
}

#[test]
fn a_terminal_without_unicode_gets_ascii_only() {
    for snapshot in [sick(), healthy(), lossy(), closed(), io_uring(), empty()] {
        let text = report(&about(), &snapshot, ASCII);
        assert!(text.is_ascii(), "{text}");
    }
}

#[test]
fn colours_add_nothing_but_colours() {
    let colour = report(&about(), &sick(), Style { colour: true, unicode: true });
    assert!(colour.contains("\x1b[31m✖\x1b[0m \x1b[1m737 of 2000"), "{colour}");
    let mut plain = colour;
    for code in [0, 1, 31, 32, 33, 36] {
        plain = plain.replace(&format!("\x1b[{code}m"), "");
    }
    assert_text(&plain, SICK);
}

#[test]
fn what_is_not_known_on_this_host_is_said_at_the_end() {
    let about = About {
        unseen: vec!["the cause of a copy stays unknown".into()],
        ..about_without(&[Question::CopyPlace])
    };
    let text = report(&about, &sick(), UNICODE);
    assert!(text.ends_with("\n  not known here: the cause of a copy stays unknown\n"), "{text}");
    // Rows of causes would all say "unknown".
    assert!(!text.contains("\n    tap_tx "), "{text}");
}

#[test]
fn requests_of_io_uring_are_seen_and_not_called_sends() {
    let text = report(&about(), &io_uring(), UNICODE);
    let line = "\n  io_uring of pid 20, fd 5: 4 000 zerocopy requests seen (this version does not \
                analyse them)\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("   7 with the flag ignored\n"), "{text}");
    let only = Scene::idle().io_uring(20, 5, 1).snapshot();
    let text = report(&about(), &only, UNICODE);
    assert!(text.contains("\n· no MSG_ZEROCOPY send of a socket was seen\n"), "{text}");
}

#[test]
fn the_twenty_busiest_sockets_are_listed_and_idle_ones_are_not() {
    let mut scene = Scene::new();
    for n in 1..=21 {
        scene = scene.socket(|s| s.local.port = 1000 + n).sends(Burst::of(n.into(), out(ETH0)));
    }
    let text = report(&about(), &scene.snapshot(), UNICODE);
    let ports: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("  tcp 10.0.0.4:")).collect();
    let listed: Vec<u32> = ports.iter().map(|p| p[..4].parse().unwrap()).collect();
    assert_eq!(listed, (1002..=1021).rev().collect::<Vec<_>>());
    assert!(text.contains("\n  … and 1 more sockets; --format json has them all\n"), "{text}");
}

#[test]
fn addresses_are_written_as_other_tools_write_them() {
    let line = |local: &str, remote: Option<&str>| {
        let address = |text: &str| {
            let at: SocketAddr = text.parse().unwrap();
            Endpoint { addr: at.ip(), port: at.port() }
        };
        let scene = Scene::new().with(|s| {
            s.local = address(local);
            s.remote = remote.map(address);
        });
        let text = report(&about(), &scene.sends(Burst::of(1, out(ETH0))).snapshot(), UNICODE);
        text.lines().find_map(|l| l.strip_prefix("  tcp ")).unwrap().to_owned()
    };
    for (local, remote, expected) in [
        ("0.0.0.0:80", None, "*:80 dev eth0"),
        ("[::]:80", Some("[::1]:9"), "*:80 → [::1]:9 dev eth0"),
        ("10.0.0.4:80", Some("10.0.0.9:9"), "10.0.0.4:80 → 10.0.0.9:9 dev eth0"),
        (
            "[::ffff:10.0.0.4]:80",
            Some("[::ffff:10.0.0.9]:9"),
            "[::ffff:10.0.0.4]:80 → [::ffff:10.0.0.9]:9 dev eth0",
        ),
    ] {
        let line = line(local, remote);
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn namespaces_whose_listeners_stay_unseen_are_told() {
    let text = report(&about(), &closed(), UNICODE);
    let line = "\n  packet sockets could not be read in one network namespace: no process there is \
                visible to zcwatch\n";
    assert!(text.contains(line), "{text}");
}

const SICK: &str = "\
zcwatch report: sender (pid 10), 6.1 s, Linux 6.18.1, hooks: cgroup, iter, tp_btf

✖ 737 of 2000 completed sends copied on eth0 (37 %): handed to a packet socket of tcpdump (pid 812)
  measured: intact at net_dev_queue on eth0, copied at net_dev_start_xmit on eth0
  → kill 812
  → or bind it to another device, or set PACKET_IGNORE_OUTGOING in it

✖ 99 of 99 sends reported zero-copy, and copied all the same: segmented in software on eth0, which has no scatter-gather
  inferred: skb_segment copies each segment's payload, and tells nobody
  → ethtool -K eth0 sg on

✖ ENOBUFS from optmem on 3 sends: at most 131 072 B for a socket
  inferred: by the option memory in use right after; each send holds some until it has completed and its notification has merged or was read
  → sysctl -w net.core.optmem_max=262144
  → When a send fails so, wait for completions, and send on then.

▲ 100 completions unread on fd 3 for 6.0 s: the error queue is never read
  measured: the buffers of these sends could be used again; an error queue that is not empty also keeps EPOLLERR set
  → Read with recvmsg(fd, &msg, MSG_ERRQUEUE) until it returns EAGAIN, whenever poll shows POLLERR.

· median send 1400 B on udp 10.0.0.4:41822: below break-even (about 10 KB)
  measured: the kernel's document calls MSG_ZEROCOPY effective over around 10 KB: below, pinning pages and reading notifications cost more than the copy
  → Use MSG_ZEROCOPY for large sends only, or gather small ones.

  tcp 10.0.0.4:41822 → 10.0.0.9:4444 dev eth0   sender (pid 10)
    2 001 sends   40 020 000 B   copied 737   reported zero-copy 1 263   release p50 20 µs p99 20 µs   unread 0   1 in flight   3 refused by optmem_max   4 sent before the watch and completed in it
    tap_tx                       737   handed to a packet socket
  udp 10.0.0.4:41822 dev eth0   sender (pid 10)
    100 sends   140 000 B   copied 1   reported zero-copy 99   release p50 20 µs p99 20 µs   unread 100
    unknown                        1   by a cause that zcwatch does not know
  events lost 0 · counters agree
";

const SICK_ASCII: &str = "\
zcwatch report: sender (pid 10), 6.1 s, Linux 6.18.1, hooks: cgroup, iter, tp_btf

X 737 of 2000 completed sends copied on eth0 (37 %): handed to a packet socket of tcpdump (pid 812)
  measured: intact at net_dev_queue on eth0, copied at net_dev_start_xmit on eth0
  -> kill 812
  -> or bind it to another device, or set PACKET_IGNORE_OUTGOING in it

X 99 of 99 sends reported zero-copy, and copied all the same: segmented in software on eth0, which has no scatter-gather
  inferred: skb_segment copies each segment's payload, and tells nobody
  -> ethtool -K eth0 sg on

X ENOBUFS from optmem on 3 sends: at most 131 072 B for a socket
  inferred: by the option memory in use right after; each send holds some until it has completed and its notification has merged or was read
  -> sysctl -w net.core.optmem_max=262144
  -> When a send fails so, wait for completions, and send on then.

! 100 completions unread on fd 3 for 6.0 s: the error queue is never read
  measured: the buffers of these sends could be used again; an error queue that is not empty also keeps EPOLLERR set
  -> Read with recvmsg(fd, &msg, MSG_ERRQUEUE) until it returns EAGAIN, whenever poll shows POLLERR.

. median send 1400 B on udp 10.0.0.4:41822: below break-even (about 10 KB)
  measured: the kernel's document calls MSG_ZEROCOPY effective over around 10 KB: below, pinning pages and reading notifications cost more than the copy
  -> Use MSG_ZEROCOPY for large sends only, or gather small ones.

  tcp 10.0.0.4:41822 -> 10.0.0.9:4444 dev eth0   sender (pid 10)
    2 001 sends   40 020 000 B   copied 737   reported zero-copy 1 263   release p50 20 us p99 20 us   unread 0   1 in flight   3 refused by optmem_max   4 sent before the watch and completed in it
    tap_tx                       737   handed to a packet socket
  udp 10.0.0.4:41822 dev eth0   sender (pid 10)
    100 sends   140 000 B   copied 1   reported zero-copy 99   release p50 20 us p99 20 us   unread 100
    unknown                        1   by a cause that zcwatch does not know
  events lost 0 - counters agree
";

const HEALTHY: &str = "\
zcwatch report: sender (pid 10), 0.1 s, Linux 6.18.1, hooks: cgroup, iter, tp_btf

✔ healthy: 1200 sends completed, 0 copied
  measured: no copy was reported, and no packet was seen to take a way that copies in secret

  tcp 10.0.0.4:41822 → 10.0.0.9:4444 dev eth0   sender (pid 10)
    1 200 sends   24 000 000 B   copied 0   reported zero-copy 1 200   release p50 20 µs p99 20 µs   unread 0
  events lost 0 · counters agree
";

const HEALTHY_ASCII: &str = "\
zcwatch report: sender (pid 10), 0.1 s, Linux 6.18.1, hooks: cgroup, iter, tp_btf

+ healthy: 1200 sends completed, 0 copied
  measured: no copy was reported, and no packet was seen to take a way that copies in secret

  tcp 10.0.0.4:41822 -> 10.0.0.9:4444 dev eth0   sender (pid 10)
    1 200 sends   24 000 000 B   copied 0   reported zero-copy 1 200   release p50 20 us p99 20 us   unread 0
  events lost 0 - counters agree
";

const LOSSY: &str = "\
zcwatch report: sender (pid 10), 0.1 s, Linux 6.18.1, hooks: cgroup, iter, tp_btf

✖ 250000 of 250000 completed sends copied (100 %); of the 1000 whose way was seen, 1000 on lo: delivered on this host
  measured: still the sender's pages when lo received them
  → Zerocopy never helps between processes of one host: use plain send for local peers.

  tcp 10.0.0.4:41822 → 10.0.0.9:4444 dev veth0   sender (pid 10)
    250 000 sends   5 000 000 000 B   copied 250 000   reported zero-copy 0   release p50 20 µs p99 20 µs   unread 0
    local_delivery             1 000   delivered on this host
  events lost 747 000 · events and counters differ: the counts shown are the counters' (exact); causes, sizes and latencies are of the events that were seen
  → watch with a larger event buffer: --ring-size 67108864
  the table of sockets was full 1 times: some sockets are in no number here
  the kernel skipped 2 runs of zcwatch's probes: up to as many sends, completions or packets were not seen
  the ways of 7 sends could not be kept: their cause is unknown
  5 merged completions were not paired: copied counts may be off by their ids
";

const LOSSY_ASCII: &str = "\
zcwatch report: sender (pid 10), 0.1 s, Linux 6.18.1, hooks: cgroup, iter, tp_btf

X 250000 of 250000 completed sends copied (100 %); of the 1000 whose way was seen, 1000 on lo: delivered on this host
  measured: still the sender's pages when lo received them
  -> Zerocopy never helps between processes of one host: use plain send for local peers.

  tcp 10.0.0.4:41822 -> 10.0.0.9:4444 dev veth0   sender (pid 10)
    250 000 sends   5 000 000 000 B   copied 250 000   reported zero-copy 0   release p50 20 us p99 20 us   unread 0
    local_delivery             1 000   delivered on this host
  events lost 747 000 - events and counters differ: the counts shown are the counters' (exact); causes, sizes and latencies are of the events that were seen
  -> watch with a larger event buffer: --ring-size 67108864
  the table of sockets was full 1 times: some sockets are in no number here
  the kernel skipped 2 runs of zcwatch's probes: up to as many sends, completions or packets were not seen
  the ways of 7 sends could not be kept: their cause is unknown
  5 merged completions were not paired: copied counts may be off by their ids
";
