//! `struct ifreq`, by which the ioctls on devices name them.

use std::io;

/// One that names a device, and is zero otherwise.
pub(super) fn named(device: &str) -> io::Result<libc::ifreq> {
    // SAFETY: an ifreq is integers, pointers and unions of them: zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if device.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    Ok(request)
}
