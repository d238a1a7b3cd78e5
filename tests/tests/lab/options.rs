//! What the sender's options do.

use anyhow::Result;
use zcwatch::lab::{
    Family,
    Layout::VethXdp,
    Topology,
    sender::{ExtensionHeader, Options, Timestamps},
};
use zcwatch_tests::cpu::OneCpu;

use super::{Copied, NotCopied, assert_all, send};

const COUNT: u64 = 20;

#[test]
fn timestamps_that_bring_the_packet_along_copy_it() -> Result<()> {
    let _one = OneCpu::share()?;
    let path = Topology::new(VethXdp)?;
    for family in [Family::V4, Family::V6] {
        let (tcp, udp) = (path.tcp_sink(family)?, path.udp_sink(family)?);
        for (timestamps, said) in [
            (Timestamps::Off, NotCopied),
            (Timestamps::WithPayload, Copied),
            (Timestamps::Only, NotCopied),
        ] {
            for options in [Options::tcp(tcp.address()), Options::udp(udp.address())] {
                println!("{family:?} {:?} {timestamps:?}", options.protocol);
                let options = Options { timestamps, count: COUNT, ..options };
                let truth = send(path.client(), options)?;
                assert_all(said, COUNT, &truth);
                let stamped = timestamps != Timestamps::Off;
                assert_eq!(truth.timestamps >= COUNT, stamped, "{truth:?}");
                assert_eq!(truth.notifications, COUNT, "{truth:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn datagrams_with_an_extension_header_are_copied_at_send() -> Result<()> {
    let _one = OneCpu::share()?;
    let path = Topology::new(VethXdp)?;
    let (tcp, udp) = (path.tcp_sink(Family::V6)?, path.udp_sink(Family::V6)?);
    for header in [ExtensionHeader::HopByHop, ExtensionHeader::Destination] {
        println!("{header:?}");
        let extension_header = Some(header);
        let datagrams = Options { extension_header, count: COUNT, ..Options::udp(udp.address()) };
        assert_all(Copied, COUNT, &send(path.client(), datagrams)?);
        let stream = Options { extension_header, count: COUNT, ..Options::tcp(tcp.address()) };
        assert_all(NotCopied, COUNT, &send(path.client(), stream)?);
    }
    Ok(())
}
