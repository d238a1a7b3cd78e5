//! Facts of the host: privileges, processes, packet sockets.

pub mod caps;
pub mod packet;
pub mod process;
