//! Giving memory back.
#![allow(unsafe_code)]

/// Gives what is free back to the system. A list passes more through memory than stays of it, and glibc keeps that, a
/// third of all with a million RRsets.
pub(crate) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number and touches only what is free; glibc locks its arenas itself (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
