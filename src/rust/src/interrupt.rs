//! What R's own thread does while the engine works: asks for Ctrl-C, and shows how far the fit is.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::time::{Duration, Instant};

use extendr_api::prelude::*;
use extendr_api::GetSexp;
use ferrolmm_engine::Progress;

use crate::condition::Failure;
use crate::convert::{self, Named};

extern "C" {
    /// In `entrypoint.c`: calls an R function (a SEXP) of a double vector inside `R_ToplevelExec`.
    fn ferrolmm_call(function: *mut c_void, numbers: *const f64, count: c_int) -> c_int;
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

/// How often R is told.
const REFRESH: Duration = Duration::from_millis(200);

/// How far a long fit is, told to an R function while the engine works.
pub struct Display {
    /// That function, of c(seconds so far, evaluations (0: none yet), criterion, gradient).
    show: Robj,
    progress: Arc<Progress>,
    start: Instant,
    next: Cell<Duration>,
}

impl Display {
    /// `given`: list(after = seconds until something is shown, show = function).
    pub fn new(given: &Robj) -> Result<Self, Failure> {
        let given = Named::new(given, "progress")?;
        let after = convert::double(given.field("after")?, "after")?;
        Ok(Self {
            show: given.field("show")?.clone(),
            progress: Arc::default(),
            start: Instant::now(),
            next: Cell::new(Duration::try_from_secs_f64(after).unwrap_or(Duration::MAX)),
        })
    }

    /// Where the engine tells how far it is.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Shows what there is to show; whether the user has asked to stop.
    pub fn poll(&self) -> bool {
        let elapsed = self.start.elapsed();
        if elapsed < self.next.get() {
            return pending();
        }
        let (evaluations, criterion, gradient) =
            self.progress.get().unwrap_or((0, f64::NAN, f64::NAN));
        let at = [
            elapsed.as_secs_f64(),
            evaluations as f64,
            criterion,
            gradient,
        ];
        // SAFETY: R's thread; four numbers that are only read; the function is protected as long as
        // this lives. R code runs, but whatever leaves it by a longjmp ends at the shim's
        // R_ToplevelExec: the user's interrupt, since the function catches errors.
        let returned = unsafe {
            let function = self.show.get().cast::<c_void>();
            ferrolmm_call(function, at.as_ptr(), at.len() as c_int)
        };
        self.next.set(self.start.elapsed() + REFRESH);
        returned == 0 || pending()
    }
}
