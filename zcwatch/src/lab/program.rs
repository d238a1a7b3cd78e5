//! The lab's packet programs on devices: they stand for a user's own XDP and tc programs.

use aya::{
    Ebpf, EbpfLoader,
    programs::{
        Program, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode,
        tc::{NlOptions, TcAttachOptions, qdisc_add_clsact},
    },
};

use super::{LabError, Netns};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../zcwatch-ebpf/obj/lab.bpf.o"
));

/// Which packets of a device a clsact program sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those that arrive.
    Ingress,
    /// Those that leave.
    Egress,
}

/// A packet program on a device, detached on drop.
#[derive(Debug)]
pub struct Attachment {
    netns: Netns,
    /// Taken by drop alone.
    ebpf: Option<Ebpf>,
    program_id: u32,
}

impl Attachment {
    /// A native XDP program that lets every frame pass. A veth that has one copies each
    /// payload before the program runs (`skb_pp_cow_data`).
    ///
    /// # Errors
    /// When there is no such device, it can't do native XDP, or without the privileges.
    pub fn xdp_pass(netns: &Netns, device: &str) -> Result<Self, LabError> {
        Self::xdp(netns, device, "lab_xdp_pass")
    }

    /// As [`Attachment::xdp_pass`], but it drops every frame.
    ///
    /// # Errors
    /// As [`Attachment::xdp_pass`].
    pub fn xdp_drop(netns: &Netns, device: &str) -> Result<Self, LabError> {
        Self::xdp(netns, device, "lab_xdp_drop")
    }

    /// A program at the device's clsact that drops every packet of one direction.
    ///
    /// # Errors
    /// When there is no such device, or without the privileges.
    pub fn tc_drop(netns: &Netns, device: &str, direction: Direction) -> Result<Self, LabError> {
        Self::tc(netns, device, direction, "lab_tc_drop")
    }

    /// A program at the device's clsact that pulls each packet of one direction into its linear
    /// head (`bpf_skb_pull_data`), which copies the payload, and lets it go on.
    ///
    /// # Errors
    /// When there is no such device, or without the privileges.
    pub fn tc_pull(netns: &Netns, device: &str, direction: Direction) -> Result<Self, LabError> {
        Self::tc(netns, device, direction, "lab_tc_pull")
    }

    fn xdp(netns: &Netns, device: &str, name: &str) -> Result<Self, LabError> {
        Self::attach(netns, device, name, |program| {
            let xdp: &mut Xdp = program.try_into()?;
            xdp.load()?;
            xdp.attach(device, XdpMode::Driver)?;
            Ok(xdp.info()?.id())
        })
    }

    fn tc(netns: &Netns, device: &str, direction: Direction, name: &str) -> Result<Self, LabError> {
        Self::attach(netns, device, name, |program| {
            let classifier: &mut SchedClassifier = program.try_into()?;
            classifier.load()?;
            // The device may have its clsact from an earlier program; if it can't have one,
            // attaching says so.
            let _ = qdisc_add_clsact(device);
            // By netlink, not by a TCX link: that is the same on every kernel from 5.10 on.
            let options = TcAttachOptions::Netlink(NlOptions::default());
            let hook = match direction {
                Direction::Ingress => TcAttachType::Ingress,
                Direction::Egress => TcAttachType::Egress,
            };
            classifier.attach_with_options(device, hook, options)?;
            Ok(classifier.info()?.id())
        })
    }

    fn attach(
        netns: &Netns,
        device: &str,
        name: &str,
        load_and_attach: impl FnOnce(&mut Program) -> Result<u32, ProgramError> + Send,
    ) -> Result<Self, LabError> {
        let action = format!("attach the program {name} to device {device}");
        let held = netns.try_clone()?;
        let (ebpf, program_id) = netns.run(|| {
            let mut ebpf = EbpfLoader::new()
                .btf(None)
                .load(OBJECT)
                .map_err(LabError::program(action.clone()))?;
            let program = ebpf.program_mut(name).ok_or_else(|| LabError::Program {
                action: action.clone(),
                cause: "the lab's object does not contain it".to_owned(),
            })?;
            let id = load_and_attach(program).map_err(LabError::program(action.clone()))?;
            Ok((ebpf, id))
        })??;
        Ok(Self { netns: held, ebpf: Some(ebpf), program_id })
    }

    /// The program's id, as `bpftool prog` lists it.
    #[must_use]
    pub fn program_id(&self) -> u32 {
        self.program_id
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // A filter is detached by device index, and that index is another device's in another
        // namespace: never detach out here. It goes with its device in any case.
        let Self { netns, ebpf, .. } = self;
        if netns.run(|| drop(ebpf.take())).is_err() {
            std::mem::forget(ebpf.take());
        }
    }
}
