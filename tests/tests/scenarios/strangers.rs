//! Programs that are not of this project.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use zcwatch::lab::{Family, Layout, Netns, Topology};
use zcwatch_tests::{
    report::causes,
    scenario::{undisturbed, watch},
    tcpdump::Tcpdump,
    zcwatch::Zcwatch,
};

use super::assert_findings;

/// Sends, reads each notification, and tells what it knows; then does so once more from a child
/// that shares the socket, if asked to.
const SENDER: &str = r#"
import json, os, socket, struct, sys
kind, host, port, size, count, forks = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7])
SO_ZEROCOPY, MSG_ZEROCOPY, ORIGIN_ZEROCOPY = 60, 0x4000000, 5
print("ready", flush=True)
sys.stdin.readline()
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
sock.connect((host, port))
payload = bytes(range(256)) * (size // 256)
def send():
    told = {"sends": 0, "bytes": 0, "copied": 0, "not_copied": 0}
    for _ in range(count):
        told["bytes"] += sock.send(payload, MSG_ZEROCOPY)
        told["sends"] += 1
        while told["copied"] + told["not_copied"] < told["sends"]:
            try:
                _, control, _, _ = sock.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                continue
            for _, _, data in control:
                _, origin, _, code, _, lo, hi = struct.unpack("=IBBBBII", data[:16])
                assert origin == ORIGIN_ZEROCOPY
                told["copied" if code & 1 else "not_copied"] += hi - lo + 1
    told["pid"] = os.getpid()
    print(json.dumps(told), flush=True)
send()
if forks and os.fork() == 0:
    send()
    os._exit(0)
elif forks:
    os.wait()
sys.stdin.readline()
"#;

/// A python3 that executes [`SENDER`]. Dropped, it is killed.
struct Python {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Python {
    fn start(netns: &Netns, arguments: &str) -> Result<Self> {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", SENDER]).args(arguments.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = netns.enter(&mut command)?.spawn().context("apt-get install python3")?;
        let lines = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut python = Self { child, lines };
        ensure!(python.line()? == "ready");
        Ok(python)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn step(&mut self) -> Result<()> {
        Ok(self.child.stdin.as_mut().context("no stdin")?.write_all(b"\n")?)
    }

    fn told(&mut self) -> Result<Value> {
        Ok(serde_json::from_str(&self.line()?)?)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The only row says what the program told: of all its processes.
fn agree(row: &Value, told: &[Value], pid: u32) {
    let sum = |key: &str| told.iter().filter_map(|t| t[key].as_u64()).sum::<u64>();
    let pids: Vec<_> = told.iter().map(|t| t["pid"].clone()).collect();
    assert_eq!(row["sends"]["count"], sum("sends"), "{row:#}");
    assert_eq!(row["sends"]["bytes"], sum("bytes"));
    assert_eq!(row["completed"]["copied"], sum("copied"));
    assert_eq!(row["completed"]["reported_zerocopy"], sum("not_copied"));
    assert_eq!(row["pid"], pid);
    assert_eq!(row["pids"], json!(pids));
    assert!(row["comm"].as_str().is_some_and(|comm| comm.starts_with("python3")), "{row:#}");
    assert_eq!(
        (&row["unread"], &row["misled"], &row["in_flight"]),
        (&json!(0), &json!(0), &json!(0))
    );
}

#[test]
fn a_python_script_counts_as_zcwatch_does() -> Result<()> {
    for layout in [Layout::Veth, Layout::VethXdp] {
        let path = Topology::new(layout)?;
        let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
        let (tcp, udp) = (tcp.address(), udp.address());
        for arguments in [
            format!("tcp {} {} 16384 60 0", tcp.ip(), tcp.port()),
            format!("udp {} {} 1280 60 0", udp.ip(), udp.port()),
        ] {
            println!("{layout:?}: {arguments}");
            let mut python = Python::start(path.client(), &arguments)?;
            let pid = python.child.id();
            let zcwatch = Zcwatch::watch(&[pid])?;
            python.step()?;
            let told = python.told()?;
            let report = zcwatch.interrupt()?;
            undisturbed(&report)?;
            assert_eq!(report.sockets().len(), 1);
            agree(&report.sockets()[0], &[told], pid);
        }
    }
    Ok(())
}

#[test]
fn a_child_that_shares_the_socket_counts_too() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let (tcp, udp) = (tcp.address(), udp.address());
    for arguments in [
        format!("tcp {} {} 16384 30 1", tcp.ip(), tcp.port()),
        format!("udp {} {} 1280 30 1", udp.ip(), udp.port()),
    ] {
        println!("{arguments}");
        let mut python = Python::start(path.client(), &arguments)?;
        let pid = python.child.id();
        // The child is not watched itself; the socket is.
        let zcwatch = Zcwatch::watch(&[pid])?;
        python.step()?;
        let told = [python.told()?, python.told()?];
        let report = zcwatch.interrupt()?;
        undisturbed(&report)?;
        assert_eq!(report.sockets().len(), 1);
        agree(&report.sockets()[0], &told, pid);
    }
    Ok(())
}

#[test]
fn a_real_tcpdump_is_named() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --count 30", sink.address());
    // Neither a filter that takes nothing, nor one direction only, spares the copy.
    for arguments in ["-i client0 port 1", "-i any", "-i client0 -Q in"] {
        println!("tcpdump {arguments}");
        let tcpdump = Tcpdump::start(path.client(), arguments)?;
        let (report, truths) = watch(path.client(), std::slice::from_ref(&line))?;
        assert_eq!((truths[0].notified, truths[0].copied), (30, 30));
        let row = report.socket(truths[0].cookie)?;
        assert_eq!(causes(row), [("tap_tx@client0".to_owned(), 30)].into());
        assert_findings(&report, &["copied/tap_tx"]);
        let finding = report.finding("copied/tap_tx")?;
        let who = format!("tcpdump (pid {})", tcpdump.pid());
        assert!(finding["sentence"].as_str().is_some_and(|s| s.contains(&who)), "{finding:#}");
    }
    let (_, truths) = watch(path.client(), &[line])?;
    assert_eq!((truths[0].notified, truths[0].copied), (30, 0), "without it nothing is copied");
    Ok(())
}
