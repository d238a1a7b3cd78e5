//! Waiting for descriptors.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

/// Waits until one of the descriptors can be read (or its other end is gone, or its error
/// queue holds something), at most `timeout`, for ever without one. Returns which are ready.
///
/// # Errors
/// Those of poll(2); an interrupted wait counts as one that found nothing.
pub(super) fn readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    wait(fds, libc::POLLIN, timeout)
}

/// As [`readable`], but waits for the error queue alone: data to read does not end the wait.
pub(super) fn error_queue(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    Ok(wait(&[fd], 0, Some(timeout))?.contains(&true))
}

fn wait(
    fds: &[BorrowedFd<'_>],
    events: libc::c_short,
    timeout: Option<Duration>,
) -> io::Result<Vec<bool>> {
    let mut polled: Vec<_> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }).collect();
    // Rounded up: a wait of less than a millisecond must not become a busy loop.
    let milliseconds = timeout.map_or(-1, |timeout| {
        i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    });
    // SAFETY: the pointer and the count are those of one live vector.
    let ready =
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(polled.iter().map(|fd| fd.revents != 0).collect())
}
