//! What R's own thread does while the engine works: asks for Ctrl-C, and shows how far the fit is.

use std::cell::Cell;
use std::ffi::{c_char, c_int, CString};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolmm_engine::Progress;

extern "C" {
    /// In `entrypoint.c`: `REprintf("%s")`.
    fn ferrolmm_show(text: *const c_char);
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

/// How often the line is written anew.
const REFRESH: Duration = Duration::from_millis(200);

/// A line on stderr about a long fit, written over again and taken away at the end.
pub struct Display {
    progress: Option<Arc<Progress>>,
    start: Instant,
    next: Cell<Duration>,
    width: Cell<usize>,
}

impl Display {
    /// `after`: seconds until the line appears; `None`: never.
    pub fn new(after: Option<f64>) -> Self {
        let after = after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Self {
            progress: after.map(|_| Arc::default()),
            start: Instant::now(),
            next: Cell::new(after.unwrap_or_default()),
            width: Cell::new(0),
        }
    }

    /// Where the engine tells how far it is.
    pub fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }

    /// Shows what there is to show; whether the user has asked to stop.
    pub fn poll(&self) -> bool {
        if let Some(progress) = &self.progress {
            let elapsed = self.start.elapsed();
            if elapsed >= self.next.get() {
                self.next.set(elapsed + REFRESH);
                self.show(&line(elapsed, progress.get()));
            }
        }
        pending()
    }

    fn show(&self, text: &str) {
        let width = self.width.replace(text.len());
        // no interior zero byte: the text is made of numbers and words
        if let Ok(text) = CString::new(format!("\r{text:<width$}")) {
            // SAFETY: R's thread; a string that ends with a zero byte and is only read.
            unsafe { ferrolmm_show(text.as_ptr()) };
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if self.width.get() > 0 {
            self.show("");
            self.show("");
        }
    }
}

fn line(elapsed: Duration, at: Option<(usize, f64, f64)>) -> String {
    let seconds = elapsed.as_secs();
    match at {
        None => format!("lmm(): {seconds} s, preparing"),
        Some((evaluations, criterion, gradient)) => {
            let plural = if evaluations == 1 { "" } else { "s" };
            format!(
                "lmm(): {seconds} s, {evaluations} evaluation{plural}, criterion {criterion:.3}, scaled gradient {gradient:.1e}"
            )
        }
    }
}
