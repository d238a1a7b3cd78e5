//! What is said of everything else.

use super::*;
use crate::{
    event::{Counters, Limits, LinkChange, Losses, PlainSends, Tunnel},
    host::packet::Sniffer,
};

const HOST: &str = "    0.000005  host              ";
const SENDER: &str = "    0.000005  sender 10         ";
const SOCKET: &str = "    0.000005  sender 10         tcp → 10.0.0.9:4444       ";

#[track_caller]
fn assert_says(what: What, lines: &[String]) {
    assert_eq!(says(what), lines);
}

#[test]
fn a_socket_once_and_when_it_changes() {
    let mut teller = Teller::new(plain(), &header());
    teller.take(&Event { ts: at(5), what: What::Socket(Box::new(socket(TCP))) });
    let line = "socket 1: tcp 10.0.0.4:41822 → 10.0.0.9:4444, netns 7, SO_ZEROCOPY on";
    assert_eq!(teller.last_lines()[0].text, format!("{SOCKET}{line}"));
    assert_says(What::Socket(Box::new(socket(TCP))), &[]);
    let off = SocketFacts { so_zerocopy: false, ..socket(TCP) };
    assert_says(What::Socket(Box::new(off)), &[format!("{SOCKET}is now SO_ZEROCOPY off")]);
    let remote = socket(TCP).remote.map(|r| Endpoint { port: 5, ..r });
    let moved = SocketFacts { remote, ..socket(TCP) };
    let line = "sender 10         tcp → 10.0.0.9:5          is now tcp 10.0.0.4:41822 → 10.0.0.9:5";
    assert_says(What::Socket(Box::new(moved)), &[format!("    0.000005  {line}")]);
    assert_says(What::Closed { socket: TCP }, &[format!("{SOCKET}closed")]);
    assert_says(What::Counters(Box::new(Counters { socket: TCP, ..Counters::default() })), &[]);
}

#[test]
fn a_process() {
    let child = ProcessFacts { parent: Some(10), ..process(11, "a\x1b[2J") };
    let line = "a\\u{1b}[2J 11     made by sender 10";
    assert_says(What::Process(child), &[format!("    0.000005  {line}")]);
    let stray = ProcessFacts { parent: Some(9), ..process(11, "child") };
    assert_says(What::Process(stray), &["    0.000005  child 11          made by 9".into()]);
    let line = "other 10          exec: now other";
    assert_says(What::Process(process(10, "other")), &[format!("    0.000005  {line}")]);
    let mut watch = Watch::new(plain());
    for us in [5, 6] {
        watch.tell(us, What::Process(ProcessFacts { ended: true, ..process(10, "sender") }));
    }
    watch.tell(7, What::Process(process(10, "again")));
    let last = "    0.000007  again 10          watched".to_owned();
    // Names are those of the time of telling, so the one that ended has its own.
    assert_eq!(watch.said(), [format!("{SENDER}ended"), last]);
}

#[test]
fn a_device() {
    let mut teller = Teller::new(plain(), &header());
    let faulty = DeviceFacts { kind: "veth".into(), features: 0, ..eth0() };
    let faulty = DeviceFacts { peer_xdp: Some(true), heard: Some(true), ..faulty };
    teller.take(&Event { ts: at(5), what: What::Device(faulty) });
    let line = "device eth0: veth, mtu 1500, scatter-gather off, checksums off, native XDP at its \
                peer, heard by packet sockets";
    assert_eq!(teller.last_lines()[0].text, format!("{HOST}{line}"));
    assert_says(What::Device(eth0()), &[]);
    let changed = DeviceFacts { mtu: 9000, features: 8, name: "up\n".into(), ..eth0() };
    let line =
        "device up\\n: now mtu 9000, now scatter-gather off, now features 0x8 (were 0x9), was eth0";
    assert_says(What::Device(changed), &[format!("{HOST}{line}")]);
    let mut watch = Watch::new(plain());
    watch.tell(4, What::Device(DeviceFacts { heard: Some(true), ..eth0() }));
    watch.tell(5, What::Device(eth0()));
    let line = format!("{HOST}device eth0: no longer heard by packet sockets");
    assert_eq!(watch.said()[1], line);
}

#[test]
fn a_link() {
    let link = LinkChange {
        netns: 7,
        ifindex: 2,
        name: "eth0".into(),
        removed: false,
        up: true,
        carrier: false,
        mtu: 1400,
    };
    let says = |change, text: &str| assert_says(What::Link(change), &[format!("{HOST}{text}")]);
    says(link.clone(), "link eth0 (netns 7): up, no carrier, mtu 1400");
    says(LinkChange { carrier: true, mtu: 0, ..link.clone() }, "link eth0 (netns 7): up");
    says(LinkChange { up: false, ..link.clone() }, "link eth0 (netns 7): down, mtu 1400");
    says(LinkChange { removed: true, ..link }, "link eth0 (netns 7): gone");
}

#[test]
fn a_limit() {
    let optmem = What::Limits(Limits::Optmem { netns: 7, max: 131_072 });
    assert_says(optmem.clone(), &[format!("{HOST}net.core.optmem_max = 131072 B (netns 7)")]);
    let memlock = |max| What::Limits(Limits::Memlock { pid: 10, max });
    assert_says(memlock(Some(4096)), &[format!("{SENDER}RLIMIT_MEMLOCK = 4096 B")]);
    assert_says(memlock(None), &[format!("{SENDER}RLIMIT_MEMLOCK = unlimited")]);
    let mut watch = Watch::new(plain());
    watch.tell(5, optmem.clone());
    watch.tell(6, optmem);
    assert_eq!(watch.said().len(), 1, "the same again");
}

fn sniffer(ifindex: u32) -> Sniffer {
    let comm = Some("tcp\tdump".into());
    Sniffer { netns: 7, ifindex, inode: 4711, pid: Some(812), comm }
}

#[test]
fn a_packet_socket_that_comes_and_goes() {
    let mut watch = Watch::new(plain());
    let list = |list: &[Sniffer]| What::Sniffers { list: list.to_vec(), unreadable: vec![] };
    let nobodys = Sniffer { pid: None, comm: None, inode: 5, ..sniffer(9) };
    watch.tell(5, list(&[]));
    watch.tell(5, list(&[sniffer(2)]));
    watch.tell(5, list(&[sniffer(2), sniffer(0)]));
    watch.tell(5, list(&[sniffer(0), nobodys]));
    let line = |text: &str| format!("{HOST}packet socket of {text}");
    assert_eq!(
        watch.said(),
        [
            line("tcp\\tdump (pid 812) hears eth0 (netns 7)"),
            line("tcp\\tdump (pid 812) hears all devices (netns 7)"),
            line(
                "a process not visible to zcwatch (socket inode 5) hears the device with index 9 \
                 (netns 7)"
            ),
            line("tcp\\tdump (pid 812) on eth0 (netns 7) is gone"),
        ]
    );
}

#[test]
fn packet_sockets_that_cannot_be_seen_are_not_gone() {
    let mut watch = Watch::new(plain());
    let list = |list: &[Sniffer], unreadable: &[u32]| What::Sniffers {
        list: list.to_vec(),
        unreadable: unreadable.to_vec(),
    };
    watch.tell(5, list(&[sniffer(2)], &[]));
    for _ in 0..2 {
        watch.tell(5, list(&[], &[7]));
    }
    watch.tell(5, list(&[sniffer(2)], &[]));
    assert_eq!(watch.said()[1..], [format!("{HOST}the packet sockets of netns 7 cannot be read")]);
}

#[test]
fn a_tunnel() {
    let tunnel = Tunnel { device: "tun0".into(), netns: Some(1), pid: 9, comm: "vpn\x07".into() };
    let mut watch = Watch::new(plain());
    watch.tell(5, What::Tunnels { list: vec![tunnel.clone()] });
    watch.tell(5, What::Tunnels { list: vec![tunnel] });
    watch.tell(5, What::Tunnels { list: vec![] });
    let line = format!("{HOST}device tun0: held by vpn\\u{{7}} (pid 9)");
    assert_eq!(watch.said(), [line.clone(), format!("{line} no longer")]);
}

#[test]
fn what_is_only_counted() {
    let plain = PlainSends { pid: 10, sends: 3, bytes: 300, large: 0, large_bytes: 0, fd: None };
    let line = "3 sends without MSG_ZEROCOPY on sockets that are not told here, 300 B";
    assert_says(What::Plain(plain), &[format!("{SENDER}{line}")]);
    assert_says(What::Plain(PlainSends { sends: 0, ..plain }), &[]);
    let ring = |requests| What::IoUring { pid: 10, fd: 4, requests };
    let line = "fd 4: 9 zerocopy requests of io_uring, not analysed";
    assert_says(ring(9), &[format!("{SENDER}{line}")]);
    assert_says(ring(0), &[]);
}

#[test]
fn losses_as_they_grow() {
    let mut watch = Watch::new(super::plain());
    let all = |n| Losses { events: n, sockets: n, processes: n, paths: n, unpaired: n, skipped: n };
    watch.tell(4, What::Losses(Losses { events: 2, ..Losses::default() }));
    watch.tell(5, What::Losses(all(9)));
    assert_eq!(watch.0.lost(), 9);
    let said = watch.said();
    let starts = ["7 events were", "9 sockets", "9 processes", "9 ways", "9 merged", "9 runs"];
    assert_eq!(said.len(), 1 + starts.len());
    for (line, start) in said[1..].iter().zip(starts) {
        assert!(line.starts_with(&format!("{HOST}{start}")), "{line}");
    }
    assert!(said[1].ends_with("--ring-size 67108864 holds more"), "{}", said[1]);
}
