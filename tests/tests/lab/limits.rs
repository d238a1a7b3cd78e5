//! Sends that the kernel refuses.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use zcwatch::lab::{
    Family, Layout, Reading, TcpSink, Topology,
    sender::{Drain, Options},
};

use super::send;

#[test]
fn sends_held_in_flight_run_into_optmem() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    path.client().set_sysctl("net/core/optmem_max", "4096")?;
    let address = SocketAddr::new(path.server_ip(Family::V4), 0);
    let sink = TcpSink::start(path.server(), address, Reading::No)?;
    let options = Options {
        sizes: vec![1 << 10],
        count: 3000,
        drain: Drain::Never,
        patience: Duration::from_millis(500),
        ..Options::tcp(sink.address())
    };
    let truth = send(path.client(), options)?;
    println!("{} sends, errors {:?}", truth.sends.count, truth.errors);
    assert!(truth.sends.count > 0);
    assert!(truth.errors.contains_key("ENOBUFS"));
    Ok(())
}

#[test]
fn a_refused_send_gives_its_id_to_the_next() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.udp_sink(Family::V4)?;
    let options = Options { sizes: vec![1400, 70_000], ..Options::udp(sink.address()) };
    let truth = send(path.client(), options)?;
    assert_eq!((truth.sends.count, truth.notified, truth.sends_with_error), (50, 50, 0));
    assert_eq!(truth.last_id, Some(49));
    assert_eq!(truth.errors.get("EMSGSIZE"), Some(&50));
    Ok(())
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let to = SocketAddr::from(([127, 0, 0, 1], 9));
    let several = Options { destinations: vec![to, to], ..Options::tcp(to) };
    let error = zcwatch::lab::sender::send(several).map(drop).map_err(|e| e.to_string());
    let sentence = "the sender can't do this: a stream is connected to one destination";
    assert_eq!(error, Err(sentence.to_owned()));
}
