//! Programs that are not of this project: a Python sender, Debian's tcpdump, io_uring.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    scenario::workload,
    zcwatch::{Zcwatch, run},
};

use super::Sender;

/// Sends over loopback, and reads its error queue after every send.
const SCRIPT: &str = r#"
import select, socket, struct, sys, threading
ZEROCOPY, ERRQUEUE = 0x4000000, 0x2000
listener = socket.create_server(("127.0.0.1", 0))
def sink():
    peer, _ = listener.accept()
    while peer.recv(1 << 20): pass
threading.Thread(target=sink, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
s = socket.create_connection(listener.getsockname())
s.setsockopt(socket.SOL_SOCKET, 60, 1)
poll = select.poll(); poll.register(s, 0)
sends = copied = size = 0
for i in range(200):
    size += s.send(b"x" * 20000, ZEROCOPY); sends += 1; left = 1
    while left:
        poll.poll(5000)
        try: _, control, _, _ = s.recvmsg(0, 512, ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError: continue
        for _, _, data in control:
            e = struct.unpack("IBBBBII", data[:16]); left -= e[6] - e[5] + 1
            if e[3] & 1: copied += e[6] - e[5] + 1
print(sends, size, copied, flush=True)
sys.stdin.readline()
"#;

#[test]
fn a_python_program_counts_what_zcwatch_counts() -> Result<()> {
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("this test needs python3: apt-get install python3")?;
    let mut input = python.stdin.take().context("no stdin")?;
    let mut lines = BufReader::new(python.stdout.take().context("no stdout")?).lines();
    assert_eq!(lines.next().context("no line")??, "ready");
    let zcwatch = Zcwatch::watch(&[python.id()])?;
    input.write_all(b"go\n")?;
    let truth = lines.next().context("no line")??;
    let report = zcwatch.interrupt()?;
    input.write_all(b"end\n")?;
    python.wait()?;
    let counted = ["sends/count", "sends/bytes", "completed/copied"]
        .map(|what| report.at(&format!("/totals/{what}")).to_string());
    assert_eq!(counted.join(" "), truth);
    assert_eq!(*report.at("/sockets/0/comm"), "python3");
    Ok(())
}

#[test]
fn a_real_tcpdump_is_named() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let mut command = Command::new("tcpdump");
    path.client().enter(&mut command)?;
    let mut tcpdump = command
        .args(["-i", path.client_device(), "-w", "/dev/null", "udp", "port", "1"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("this test needs tcpdump: apt-get install tcpdump")?;
    let mut line = String::new();
    BufReader::new(tcpdump.stderr.take().context("no stderr")?).read_line(&mut line)?;
    assert!(line.contains("listening on"), "{line}");
    let mut sender = workload(path.client(), &format!("send --to {} --count 40", sink.address()))?;
    let zcwatch = Zcwatch::watch(&[sender.pid()])?;
    sender.step()?;
    let truth = sender.truth()?;
    let report = zcwatch.interrupt()?;
    tcpdump.kill()?;
    tcpdump.wait()?;
    assert_eq!(report.at("/totals/completed/copied"), truth.copied);
    assert_eq!((truth.ids(), truth.copied), (40, 40));
    let sentence = report.finding("copied/tap_tx")?["sentence"].to_string();
    assert!(sentence.contains(&format!("tcpdump (pid {})", tcpdump.id())), "{sentence}");
    sender.finish()
}

#[test]
fn control_characters_in_a_name_reach_no_terminal() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let mut sender = workload(
        path.client(),
        &format!("--comm a\u{1b}[2Jb send --to {} --count 40", sink.address()),
    )
    .or_else(|_| {
        workload(
            path.client(),
            &format!("send --comm a\u{1b}[2Jb --to {} --count 40", sink.address()),
        )
    })?;
    let pid = sender.pid().to_string();
    let mut text = Zcwatch::start(["report", "-p", &pid, "-d", "60s"])?;
    text.wait_until_watching(&[sender.pid()])?;
    sender.step()?;
    sender.truth()?;
    text.signal(nix::sys::signal::Signal::SIGINT)?;
    let ended = text.wait()?;
    assert!(ended.stdout.contains("a\\u{1b}[2Jb"), "{ended:?}");
    assert!(!ended.stdout.contains('\u{1b}'), "{ended:?}");
    let json = run(["report", "-p", &pid, "-d", "50ms", "--format", "json"])?;
    assert_eq!(json.code(), Some(0));
    sender.finish()
}

#[test]
fn fail_on_exits_with_three_when_it_holds() -> Result<()> {
    for (finding, code) in [("copied", 3), ("hidden-copy", 0)] {
        let mut sender = Sender::new("--count 40")?;
        let pid = sender.pid().to_string();
        let mut zcwatch = Zcwatch::start(["report", "-p", &pid, "--fail-on", finding])?;
        zcwatch.wait_until_watching(&[sender.pid()])?;
        sender.workload.step()?;
        sender.workload.truth()?;
        sender.workload.finish()?;
        assert_eq!(zcwatch.wait()?.code(), Some(code), "{finding}");
    }
    Ok(())
}
