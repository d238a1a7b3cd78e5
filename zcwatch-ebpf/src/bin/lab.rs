//! The packet programs of the network-namespace lab: they stand for a user's own XDP and tc
//! programs, and have nothing to do with watching.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::{TC_ACT_OK, TC_ACT_SHOT, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

/// Lets every frame through. Attached to a veth it makes the device copy each payload.
#[xdp]
pub fn lab_xdp_pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops every frame, after the device has made the same copy as for one that passes.
#[xdp]
pub fn lab_xdp_drop(_: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Drops every packet at a clsact hook.
#[classifier]
pub fn lab_tc_drop(_: TcContext) -> i32 {
    TC_ACT_SHOT
}

/// Pulls the whole packet into its linear head at a clsact hook, as a program does that looks
/// for something in the payload, and lets it through.
#[classifier]
pub fn lab_tc_pull(context: TcContext) -> i32 {
    // Where there is no memory for it the packet stays as it was, and goes on all the same.
    let _ = context.pull_data(context.len());
    TC_ACT_OK
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
