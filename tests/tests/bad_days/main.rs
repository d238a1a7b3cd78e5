//! What a user, a host or bad luck can do to zcwatch, and the demos that show it at its best.
//! Needs root.

mod demos;
mod foreign;
mod input;
mod losses;
mod privileges;
mod signals;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use zcwatch::lab::{Family, Layout, TcpSink, Topology};
use zcwatch_tests::{Workload, scenario::workload};

/// A workload over loopback that waits for its first step.
struct Sender {
    workload: Workload,
    _sink: TcpSink,
    _path: Arc<Topology>,
}

impl Sender {
    fn new(arguments: &str) -> Result<Self> {
        let path = Arc::new(Topology::new(Layout::Loopback)?);
        let sink = path.tcp_sink(Family::V4)?;
        let to: SocketAddr = sink.address();
        let workload = workload(path.client(), &format!("send --to {to} {arguments}"))?;
        Ok(Self { workload, _sink: sink, _path: path })
    }

    fn pid(&self) -> u32 {
        self.workload.pid()
    }
}
