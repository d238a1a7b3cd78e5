//! Facts of the host: privileges, processes, cgroups, devices, packet sockets, limits.

pub mod caps;
pub mod cgroup;
pub mod limits;
pub mod links;
pub mod lockdown;
pub mod netns;
pub mod packet;
pub mod preemption;
pub mod process;
pub mod symbols;
pub mod tunnel;
