//! io_uring's zerocopy sends are reported as seen, and never as plain sends.

use std::{
    net::TcpStream,
    os::fd::{AsFd, AsRawFd},
    process,
};

use anyhow::{Result, ensure};
use serde_json::json;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{scenario::undisturbed, uring::Uring, zcwatch::Zcwatch};

#[test]
fn its_requests_are_seen_and_nothing_else_is_counted() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let sink = path.tcp_sink(Family::V4)?;
    // The ring is this process's own: nothing else here sends by it.
    let zcwatch = Zcwatch::watch(&[process::id()])?;
    let mut expected = Vec::new();
    for (so_zerocopy, count) in [(false, 30_u64), (true, 20)] {
        let stream = path.client().run(|| TcpStream::connect(sink.address()))??;
        if so_zerocopy {
            // It changes nothing: io_uring has its own notifications.
            set_so_zerocopy(&stream)?;
        }
        let ring = Uring::new()?;
        for _ in 0..count {
            assert_eq!(ring.send_zc(stream.as_fd(), &[7; 4096])?, 4096);
        }
        // Kept open, so that the descriptors differ.
        expected.push((stream, count));
    }
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    let seen: Vec<_> = report
        .sockets()
        .iter()
        .map(|row| {
            assert_eq!((&row["api"], &row["pid"]), (&json!("io_uring"), &json!(process::id())));
            // Not analysed: unknown, not 0.
            let unknown = ["/sends/bytes", "/completed/count", "/completed/copied", "/unread"];
            for pointer in unknown {
                assert_eq!(row.pointer(pointer), Some(&json!(null)), "{pointer} of {row:#}");
            }
            row["sends"]["count"].as_u64()
        })
        .collect();
    assert_eq!(seen, [Some(30), Some(20)], "{:#}", report.0);
    assert_eq!(report.at("/totals/sends/count"), 0);
    assert_eq!(report.at("/totals/completed/count"), 0);
    Ok(())
}

fn set_so_zerocopy(stream: &TcpStream) -> Result<()> {
    let one: libc::c_int = 1;
    // SAFETY: the pointer and the length are those of one live integer.
    let done = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ZEROCOPY,
            (&raw const one).cast(),
            size_of_val(&one) as libc::socklen_t,
        )
    };
    ensure!(done == 0, "{}", std::io::Error::last_os_error());
    Ok(())
}
