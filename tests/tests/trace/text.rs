//! What a person reads while it happens.

use anyhow::Result;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::scenario::workload;

use super::trace;

/// The lines of sends.
fn sends(stdout: &str) -> Vec<&str> {
    stdout.lines().filter(|l| l.contains(" send ")).collect()
}

#[test]
fn a_copied_send_names_cause_and_device() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    for (line, from) in [
        (format!("send --to {} --count 50", tcp.address()), ""),
        (
            format!("send --protocol udp --to {} --count 50 --sizes 1400", udp.address()),
            " after its first packet",
        ),
    ] {
        let mut sender = workload(path.client(), &line)?;
        let pid = sender.pid();
        let mut zcwatch = trace(&[&sender], "")?;
        sender.step()?;
        let truth = sender.truth()?;
        sender.finish()?;
        let ended = zcwatch.wait()?;
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        let lines = sends(&ended.stdout);
        assert_eq!(lines.len(), 50, "{}", ended.stdout);
        let protocol = if line.contains("udp") { "udp" } else { "tcp" };
        for (id, text) in lines.into_iter().enumerate() {
            let bytes = truth.sends.max.unwrap_or(0);
            for words in [
                format!("workload {pid} "),
                format!("  fd {} {protocol} ", truth.fd),
                format!("send #{id} {bytes} B "),
                "copied".into(),
                format!("{from}, by local_delivery on server0, read after"),
            ] {
                assert!(text.contains(&words), "no {words:?} in {text}");
            }
        }
        assert!(ended.stdout.contains(&format!("socket {}: {protocol} ", truth.cookie)));
        assert!(ended.stdout.contains(&format!("workload {pid}")), "{}", ended.stdout);
        assert!(ended.stdout.contains("  closed\n"), "{}", ended.stdout);
        assert!(ended.stdout.contains("  ended\n"), "{}", ended.stdout);
        assert!(ended.stderr.ends_with("50 sends told, 0 events lost\n"), "{}", ended.stderr);
        // Pipes have no colours, and a locale without a word on UTF-8 gets ASCII.
        assert!(ended.stdout.is_ascii(), "{}", ended.stdout);
    }
    Ok(())
}

#[test]
fn times_go_up() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --count 300 --delay-us 2000", sink.address());
    let mut sender = workload(path.client(), &line)?;
    let mut zcwatch = trace(&[&sender], "--relative")?;
    sender.step()?;
    sender.truth()?;
    sender.finish()?;
    let ended = zcwatch.wait()?;
    let times: Vec<f64> =
        ended.stdout.lines().map(|l| l[..12].trim().parse()).collect::<Result<_, _>>()?;
    assert!(times.len() > 300, "{}", ended.stdout);
    assert!(times.is_sorted(), "{}", ended.stdout);
    Ok(())
}

#[test]
fn a_way_that_copies_in_secret_is_said() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let mut sender = workload(path.client(), &format!("send --to {} --count 20", sink.address()))?;
    let mut zcwatch = trace(&[&sender], "")?;
    sender.step()?;
    sender.truth()?;
    sender.finish()?;
    let ended = zcwatch.wait()?;
    assert_eq!(sends(&ended.stdout).len(), 20, "{}", ended.stdout);
    for text in sends(&ended.stdout) {
        let words = "and copied all the same: handed by client0 to a veth that runs native XDP";
        assert!(text.contains("reported zero-copy") && text.contains(words), "{text}");
    }
    Ok(())
}

#[test]
fn sends_that_failed_and_flags_that_were_ignored_are_lines_too() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let common = format!("send --to {} --count 10", sink.address());
    let mut ignored = workload(path.client(), &format!("{common} --no-so-zerocopy"))?;
    let limited = "--memlock 65536 --uid 65534 --sizes 131072";
    let mut failed = workload(path.client(), &format!("{common} {limited}"))?;
    let mut zcwatch = trace(&[&ignored, &failed], "")?;
    for sender in [&mut ignored, &mut failed] {
        sender.step()?;
        sender.truth()?;
    }
    ignored.finish()?;
    failed.finish()?;
    let ended = zcwatch.wait()?;
    let count = |words: &str| ended.stdout.matches(words).count();
    assert_eq!(count("send 16384 B -> flag ignored: the socket has no SO_ZEROCOPY"), 10);
    assert_eq!(count("send = -1 ENOBUFS (optmem "), 10, "{}", ended.stdout);
    assert_eq!(count(" of 65536 B)"), 10, "{}", ended.stdout);
    assert!(ended.stderr.ends_with("20 sends told, 0 events lost\n"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn a_listener_that_comes_and_goes_is_told() -> Result<()> {
    let path = Topology::new(Layout::ForwardedDrop)?;
    let udp = path.udp_sink(Family::V4)?;
    let line = format!(
        "send --protocol udp --to {} --sizes 1400 --forever --delay-us 2000",
        udp.address()
    );
    let mut sender = workload(path.client(), &line)?;
    let mut zcwatch = trace(&[&sender], "")?;
    sender.step()?;
    let wait = || std::thread::sleep(std::time::Duration::from_millis(700));
    wait();
    let sniffer = workload(path.client(), "--comm evil\u{1b}[2J sniff")?;
    let who = format!("packet socket of evil\\u{{1b}}[2J (pid {})", sniffer.pid());
    wait();
    sniffer.finish()?;
    wait();
    sender.step()?;
    sender.truth()?;
    sender.finish()?;
    let ended = zcwatch.wait()?;
    let at = |words: &str| ended.stdout.find(words);
    let (came, gone) =
        (at(&format!("{who} hears all devices")), at(&format!("{who} on all devices")));
    assert!(came.is_some() && came < gone, "{}", ended.stdout);
    assert!(ended.stdout.contains("copied") && ended.stdout.contains("by tap_tx on client0"));
    let all = sends(&ended.stdout);
    let ways =
        [all.first(), all.last()].map(|l| l.is_some_and(|l| l.contains("reported zero-copy")));
    assert_eq!(ways, [true, true], "before it came and after it went: {}", ended.stdout);
    Ok(())
}
