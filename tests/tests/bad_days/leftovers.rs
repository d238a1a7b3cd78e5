//! However zcwatch ends, nothing of it stays: no link, no program, no map, no process, no
//! network namespace.

use anyhow::Result;
use nix::sys::signal::Signal;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    Workload,
    scenario::workload,
    traces::{Traces, host},
    zcwatch::Zcwatch,
};

/// How it is brought to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Its time is over, or its process is.
    Own,
    By(Signal),
}

const ENDS: [End; 4] =
    [End::Own, End::By(Signal::SIGINT), End::By(Signal::SIGTERM), End::By(Signal::SIGKILL)];

/// A sender that is busy until its end.
fn sender(path: &Topology, to: &str) -> Result<Workload> {
    let mut sender = workload(path.client(), &format!("send --to {to} --forever --delay-us 100"))?;
    sender.step()?;
    Ok(sender)
}

#[test]
fn of_a_report() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let to = sink.address().to_string();
    for end in ENDS {
        println!("{end:?}");
        let sender = sender(&path, &to)?;
        let mut zcwatch = Zcwatch::watch(&[sender.pid()])?;
        let traces = Traces::of(zcwatch.pid())?;
        assert_eq!(traces.children(), 0);
        match end {
            End::Own => drop(sender),
            End::By(signal) => zcwatch.signal(signal)?,
        }
        let ended = zcwatch.wait()?;
        match end {
            End::Own => assert_eq!(ended.code(), Some(0), "{ended:?}"),
            End::By(Signal::SIGKILL) => assert_eq!(ended.code(), None),
            End::By(signal) => assert_eq!(ended.code(), Some(128 + signal as i32), "{ended:?}"),
        }
        traces.wait_until_gone()?;
    }
    Ok(())
}

#[test]
fn of_a_demo() -> Result<()> {
    let before = host()?;
    for end in ENDS {
        println!("{end:?}");
        let duration = if matches!(end, End::Own) { "500ms" } else { "60s" };
        let arguments = ["demo", "tap", "-d", duration, "--format", "json"];
        let mut zcwatch = Zcwatch::start(arguments)?;
        zcwatch.wait_until_watching(&[])?;
        let traces = Traces::of(zcwatch.pid())?;
        assert_eq!(traces.children(), 2, "traffic and listener");
        assert!(traces.namespaces() >= 3, "{traces:?}");
        if let End::By(signal) = end {
            zcwatch.signal(signal)?;
        }
        let ended = zcwatch.wait()?;
        match end {
            End::Own => assert_eq!(ended.code(), Some(0), "{ended:?}"),
            End::By(Signal::SIGKILL) => assert_eq!(ended.code(), None),
            End::By(signal) => {
                assert_eq!(ended.code(), Some(128 + signal as i32), "{ended:?}");
                let report = ended.report()?;
                assert_eq!(report.at("/target/pids").as_array().map(Vec::len), Some(1));
            }
        }
        traces.wait_until_gone()?;
        assert_eq!(host()?, before);
    }
    Ok(())
}
