//! One watch, its report, and the report of its recording: the same bytes.

use std::fs;

use anyhow::Result;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    Workload,
    scenario::{undisturbed, workload},
    zcwatch::{Ended, run},
};

use super::{Scratch, start};

/// Of many kinds of lines: a copied stream, a listener, ignored flags, merged notifications that
/// nobody reads.
const LINES: [&str; 4] = [
    "send --to {tcp} --count 200",
    "--comm sniffer\u{1b}[31m sniff",
    "send --to {tcp} --count 20 --no-so-zerocopy",
    "send --protocol udp --to {udp} --count 300 --sizes 1400,9000 --drain never",
];

/// The report of the sends of [`LINES`], in this format, saved to a file.
fn saved(format: &str, file: &Scratch) -> Result<Ended> {
    let path = Topology::new(Layout::Veth)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let (tcp, udp) = (tcp.address().to_string(), udp.address().to_string());
    let mut all = Vec::new();
    for line in LINES {
        let line = line.replace("{tcp}", &tcp).replace("{udp}", &udp);
        all.push(workload(path.client(), &line)?);
    }
    let watched: Vec<&Workload> = all.iter().collect();
    let arguments = format!("--format {format} -d 60s --save {}", file.path());
    let mut zcwatch = start(|c| c, "report", &watched, &arguments)?;
    for (sender, line) in all.iter_mut().zip(LINES) {
        if line.starts_with("send") {
            sender.step()?;
            sender.truth()?;
        }
    }
    // All are watched, so that the watch ends with the last of them, the listener too.
    for sender in all {
        sender.finish()?;
    }
    zcwatch.wait()
}

#[test]
fn the_recordings_report_is_that_of_the_watch() -> Result<()> {
    for format in ["json", "text"] {
        let file = Scratch::new("same");
        let live = saved(format, &file)?;
        assert_eq!(live.code(), Some(0), "{live:?}");
        let back = run(["report", "--from", &file.path(), "--format", format])?;
        assert_eq!(back.code(), Some(0), "{back:?}");
        assert_eq!(back.stdout, live.stdout);
        assert!(live.stdout.len() > 1000, "{}", live.stdout);
        // What is said of processes that ended, without the word that it watches.
        let (_, said) = live.stderr.split_once('\n').unwrap_or_default();
        let (recorded, said_again) = back.stderr.split_once('\n').unwrap_or_default();
        assert!(recorded.contains(" was recorded at "), "{recorded}");
        assert_eq!(said_again, said);
        if format == "json" {
            let report = live.report()?;
            undisturbed(&report)?;
            // A notification that comes out of turn takes option memory until it is read; so on a
            // busy machine some of the datagrams are refused.
            let count = |at: &str| report.at(at).as_u64().unwrap_or(0);
            let refused = count("/totals/failed/enobufs_optmem");
            assert_eq!(count("/totals/sends/count") + refused, 500);
            assert_eq!(report.at("/totals/ignored/count"), 20);
        }
    }
    Ok(())
}

#[test]
fn fail_on_holds_for_recordings_too() -> Result<()> {
    let file = Scratch::new("fail-on");
    saved("json", &file)?;
    for (finding, code) in [("flag-ignored", 3), ("healthy", 0)] {
        let ended = run(["report", "--from", &file.path(), "--fail-on", finding])?;
        assert_eq!(ended.code(), Some(code), "{finding}: {ended:?}");
    }
    Ok(())
}

#[test]
fn one_that_is_cut_off_is_read_and_said_to_be() -> Result<()> {
    let file = Scratch::new("cut-off");
    saved("json", &file)?;
    let whole = fs::read(&file.0)?;
    for cut in [whole.len() - 3, whole.len() / 2] {
        fs::write(&file.0, &whole[..cut])?;
        let ended = run(["report", "--from", &file.path(), "--format", "json"])?;
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        assert!(ended.stderr.contains("is cut off"), "{}", ended.stderr);
        let sends = ended.report()?.at("/totals/sends/count").as_u64();
        assert!(sends.is_some_and(|n| (50..=500).contains(&n)), "{sends:?}");
    }
    Ok(())
}

#[test]
fn a_file_is_overwritten_but_not_for_a_watch_that_does_not_come_about() -> Result<()> {
    let file = Scratch::new("overwritten");
    fs::write(&file.0, "x".repeat(1 << 20))?;
    let own = std::process::id().to_string();
    let save = |pid: &str, more: &[&str]| {
        let path = file.path();
        run([&["report", "-d", "100ms", "--save", &path, "-p", pid], more].concat())
    };
    assert_eq!(save("99999999", &[])?.code(), Some(1));
    assert_eq!(save(&own, &["--ring-size", "5000"])?.code(), Some(2));
    assert_eq!(fs::metadata(&file.0)?.len(), 1 << 20, "what was there is still there");
    assert_eq!(save(&own, &[])?.code(), Some(0));
    let text = fs::read_to_string(&file.0)?;
    assert!(text.starts_with("{\"schema\":\"zcwatch.events/1\","), "{}", &text[..100]);
    assert!(text.ends_with("\"why\":\"time_over\",\"signal\":null}\n"), "nothing of it is left");
    Ok(())
}
