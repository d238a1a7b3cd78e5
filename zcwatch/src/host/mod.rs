//! Facts of the host: privileges, processes, packet sockets.

pub mod caps;
pub mod cgroup;
pub mod packet;
pub mod process;
