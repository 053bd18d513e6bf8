//! What R's own thread does while the engine works: it asks whether to stop, and shows progress.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use extendr_api::prelude::*;
use extendr_api::GetSexp;
use ferrolmm_engine::Progress;
use libR_sys::SEXPTYPE;

use crate::condition::Failure;
use crate::convert::{self, Named};

extern "C" {
    /// In `entrypoint.c`: calls an R function (a SEXP) of a double vector; whether it returned.
    fn ferrolmm_call(function: *mut c_void, numbers: *const f64, count: c_int) -> c_int;
    /// In `entrypoint.c`: a new vector, NULL where R has no memory for it.
    fn ferrolmm_allocate(kind: c_uint, length: f64) -> *mut c_void;
    /// In `entrypoint.c`: whether `R_CheckUserInterrupt` wants to leave by a jump.
    fn ferrolmm_interrupt_pending() -> c_int;
}

/// Whether a jump of R's waits to be resumed once Rust's frames are gone. Only R's thread looks at it.
static JUMP: AtomicBool = AtomicBool::new(false);

fn note_jump(jumped: bool) -> bool {
    if jumped {
        JUMP.store(true, Ordering::Relaxed);
    }
    jumped
}

/// Whether a jump waits; from now on none does.
pub fn take_jump() -> bool {
    JUMP.swap(false, Ordering::Relaxed)
}

/// Whether R wants to leave by a jump, as after Ctrl-C or out of the time of `setTimeLimit()`.
fn pending() -> bool {
    // SAFETY: R's thread; the shim takes nothing, touches no Rust memory and returns normally in each
    // case (a jump ends there).
    note_jump(unsafe { ferrolmm_interrupt_pending() != 0 })
}

/// A new vector of R's; NULL where R has no memory for it, whose error then waits, or where another jump does.
pub fn new_vector(kind: SEXPTYPE, len: usize) -> Robj {
    // the token has room for one jump: while one waits nothing is asked of R
    if JUMP.load(Ordering::Relaxed) {
        return Robj::default();
    }
    // SAFETY: R's thread; a jump ends at the shim. `from_sexp` protects the vector.
    let vector = unsafe { ferrolmm_allocate(kind as c_uint, len as f64) };
    if note_jump(vector.is_null()) {
        return Robj::default();
    }
    // SAFETY: a vector that R has just made.
    unsafe { Robj::from_sexp(vector.cast()) }
}

/// What ended the engine's work from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A jump of R's, which waits until Rust's frames are gone: once asked for, R does not ask again.
    Jump,
    /// The time limit of the fit.
    Time,
}

/// Asked by the engine, on R's own thread only (`&dyn Fn() -> bool` cannot be sent to another one), whether to stop. Remembers
/// the answer: an interrupt that was taken from R must reach the user, whatever the engine returns.
#[derive(Default)]
pub struct Watch {
    end: Cell<Option<End>>,
    deadline: Cell<Option<Instant>>,
    display: RefCell<Option<Display>>,
}

impl Watch {
    /// When to stop.
    pub fn limit(&self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }

    /// Takes the limit out, for an engine that keeps it itself.
    pub fn take_limit(&self) -> Option<Instant> {
        self.deadline.take()
    }

    /// Shows progress from now on.
    pub fn show(&self, display: Option<Display>) {
        *self.display.borrow_mut() = display;
    }

    /// Whether to stop.
    pub fn poll(&self) -> bool {
        if self.end.get().is_some() {
            return true;
        }
        let display = self.display.borrow();
        if display.as_ref().map_or_else(pending, Display::poll) {
            self.end.set(Some(End::Jump));
        } else if self
            .deadline
            .get()
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            self.end.set(Some(End::Time));
        }
        self.end.get().is_some()
    }

    /// Why it was to stop.
    pub fn end(&self) -> Option<End> {
        self.end.get()
    }
}

/// How often R is told.
const REFRESH: Duration = Duration::from_millis(200);

/// How far a long fit is, told to an R function while the engine works.
pub struct Display {
    /// The R function, of c(seconds so far, evaluations (0: none yet), criterion, gradient).
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

    /// Shows what there is to show; whether R wants to leave by a jump.
    fn poll(&self) -> bool {
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
        // this lives. R code runs, but whatever leaves it by a jump ends at the shim: the user's
        // interrupt, since the function catches errors.
        let returned = unsafe {
            let function = self.show.get().cast::<c_void>();
            ferrolmm_call(function, at.as_ptr(), at.len() as c_int)
        };
        self.next.set(self.start.elapsed() + REFRESH);
        note_jump(returned == 0) || pending()
    }
}
