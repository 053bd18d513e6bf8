//! Ctrl-C, polled.

use std::ffi::c_int;

extern "C" {
    /// In `entrypoint.c`: `R_CheckUserInterrupt` inside `R_ToplevelExec`.
    fn ferrolmm_interrupt_pending() -> c_int;
}

/// Whether the user has asked to stop. To be called on R's own thread only: the engine takes it
/// as `&dyn Fn() -> bool`, which cannot be sent to another one.
pub fn pending() -> bool {
    // SAFETY: the shim takes nothing, touches no Rust memory and returns normally in each case
    // (the longjmp of an interrupt ends at its R_ToplevelExec).
    unsafe { ferrolmm_interrupt_pending() != 0 }
}
