//! What can be changed about a path that is laid.

use super::{
    Attachment, Direction, Feature, LabError, Topology, create_ifb, limit_rate, redirect, set_down,
    set_feature, set_mtu, wait_no_carrier,
};

/// One of a path's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// [`Topology::client_device`].
    Client,
    /// [`Topology::server_device`].
    Server,
}

/// A change to a path. They add up, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tweak {
    /// Native XDP at the far end of the last cable, which passes every frame. A veth that has
    /// it copies each payload before the program sees it, and reports none of that.
    XdpPass,
    /// As [`Tweak::XdpPass`], but it drops every frame.
    XdpDrop,
    /// A tc program that drops.
    TcDrop(End, Direction),
    /// A tc program that pulls the whole packet into its linear head, which copies it.
    TcPull(End, Direction),
    /// The sender's device without this feature.
    Without(Feature),
    /// The router's device towards the server without this feature.
    WithoutBetween(Feature),
    /// A tbf on the sender's device, which lets so many bits a second go.
    Rate(u32),
    /// What leaves by the sender's device takes a turn through `ifb0` (mirred), and goes on.
    ByIfb,
    /// The far end of the last cable is down, and the near end has no carrier: it drops what it
    /// is given.
    FarEndDown,
    /// Nobody reads the tunnel's descriptor.
    Unread,
    /// Every device on the way with this MTU.
    Mtu(u32),
    /// A sysctl of the sender's namespace, its name as below `/proc/sys`, and its value.
    Sysctl(&'static str, &'static str),
}

impl Topology {
    /// Lays a path, and changes it.
    ///
    /// # Errors
    /// Those of [`Topology::new`] and [`Topology::tweak`].
    pub fn with(layout: super::Layout, tweaks: &[Tweak]) -> Result<Self, LabError> {
        let mut topology = Self::new(layout)?;
        tweaks.iter().try_for_each(|&tweak| topology.tweak(tweak))?;
        Ok(topology)
    }

    /// Changes the path.
    ///
    /// # Errors
    /// When the path has nothing that could be so changed, or the kernel refuses.
    pub fn tweak(&mut self, tweak: Tweak) -> Result<(), LabError> {
        let (client, device) = (&self.client, self.client_device());
        let program = match tweak {
            Tweak::XdpPass => Attachment::xdp_pass(self.server(), self.cabled()?)?,
            Tweak::XdpDrop => Attachment::xdp_drop(self.server(), self.cabled()?)?,
            Tweak::TcDrop(end, direction) => {
                let (netns, device) = self.end(end);
                Attachment::tc_drop(netns, device, direction)?
            }
            Tweak::TcPull(end, direction) => {
                let (netns, device) = self.end(end);
                Attachment::tc_pull(netns, device, direction)?
            }
            Tweak::Without(feature) => return set_feature(client, device, feature, false),
            Tweak::WithoutBetween(feature) => {
                let between = self.between.as_ref().ok_or(LabError::Path("router"))?;
                let towards = self.layout.devices_between().last();
                let device = towards.ok_or(LabError::Path("router"))?;
                return set_feature(between, device, feature, false);
            }
            Tweak::Rate(bits_per_second) => return limit_rate(client, device, bits_per_second),
            Tweak::ByIfb => {
                create_ifb(client, "ifb0")?;
                return redirect(client, device, "ifb0");
            }
            Tweak::FarEndDown => {
                set_down(self.server(), self.cabled()?)?;
                // The other end is the router's or the bridge's, where there is one.
                return match self.between {
                    Some(_) => Ok(()),
                    None => wait_no_carrier(client, self.near_end().unwrap_or(device)),
                };
            }
            Tweak::Unread => {
                let tunnel = self.tunnel.as_mut().ok_or(LabError::Path("tunnel"))?;
                tunnel.stop_reading();
                return Ok(());
            }
            Tweak::Mtu(mtu) => return self.set_mtu(mtu),
            Tweak::Sysctl(name, value) => return client.set_sysctl(name, value),
        };
        self.programs.push(program);
        Ok(())
    }

    fn set_mtu(&self, mtu: u32) -> Result<(), LabError> {
        // The device below first: those above may not have more.
        for device in self.near_end().into_iter().chain([self.client_device()]) {
            set_mtu(&self.client, device, mtu)?;
        }
        if let Some(between) = &self.between {
            let devices = self.layout.devices_between().iter();
            devices.copied().try_for_each(|device| set_mtu(between, device, mtu))?;
        }
        self.far_end().map_or(Ok(()), |device| set_mtu(self.server(), device, mtu))
    }

    fn end(&self, end: End) -> (&super::Netns, &'static str) {
        match end {
            End::Client => (&self.client, self.client_device()),
            End::Server => (self.server(), self.server_device()),
        }
    }

    fn cabled(&self) -> Result<&'static str, LabError> {
        self.far_end().ok_or(LabError::Path("cable"))
    }
}
