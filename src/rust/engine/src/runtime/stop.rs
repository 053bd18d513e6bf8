//! What work is told from outside: that the user wants to stop, or that its time is over.

use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::{Arc, Mutex};

use crate::runtime::detached::{Detached, ASK_EVERY};
use crate::runtime::memory;

/// What work is told from outside; every piece of it looks here first.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicU8>);

/// The user wants to stop.
const STOP: u8 = 1;

/// The time of a fit is over.
const LATE: u8 = 2;

/// What is done from now on is done even when its time is over.
const TO_THE_END: u8 = 4;

/// What a stopped piece of work unwinds with (no panic: no message, no hook).
pub(super) struct Stopped;

/// What a piece of work unwinds with when its time is over.
pub(super) struct OutOfTime;

impl StopFlag {
    /// Asks all work under this flag to stop.
    pub fn set(&self) {
        self.0.fetch_or(STOP, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.has(STOP)
    }

    /// Tells all work under this flag that its time is over.
    pub fn set_late(&self) {
        self.0.fetch_or(LATE, Ordering::Relaxed);
    }

    /// Whether it was told so.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.has(LATE)
    }

    /// Whether work from now on goes on though its time is over, as what describes the point that was reached does.
    pub fn to_the_end(&self, goes_on: bool) {
        if goes_on {
            self.0.fetch_or(TO_THE_END, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!TO_THE_END, Ordering::Relaxed);
        }
    }

    fn has(&self, bit: u8) -> bool {
        self.0.load(Ordering::Relaxed) & bit != 0
    }

    /// Leaves the current work if it was asked to, or its time is over.
    pub fn check(&self) {
        match self.0.load(Ordering::Relaxed) {
            state if state & STOP != 0 => resume_unwind(Box::new(Stopped)),
            LATE => resume_unwind(Box::new(OutOfTime)),
            _ => memory::check(),
        }
    }

    /// What `work` returns; `None` where its time was over before.
    pub fn in_time<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(found) => Some(found),
            Err(payload) if payload.is::<OutOfTime>() => None,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Like [`Self::wait_for`], for work that may be too short to be worth a thread.
    pub fn wait_for_long<T: Send + 'static>(
        &self,
        long: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if long {
            self.wait_for(work)
        } else {
            work()
        }
    }

    /// A piece of work that cannot look at this flag (a library's): done on a thread of its own, which is left to itself,
    /// with what it holds, once the user wants to stop. Where no thread can be had it is done here.
    pub fn wait_for<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, finished) = channel();
        let work = Arc::new(Mutex::new(Some(work)));
        let given = Arc::clone(&work);
        let take = |work: &Mutex<Option<_>>| work.lock().ok().and_then(|mut own| own.take());
        let started = std::thread::Builder::new().spawn(move || {
            let _here = Detached::new();
            if let Some(work) = take(&given) {
                // nobody may be waiting any more
                let _ = done.send(work());
            }
        });
        let Ok(handle) = started else {
            return take(&work)
                .map(|work| work())
                .unwrap_or_else(|| unreachable!("nobody else has taken the work"));
        };
        loop {
            match finished.recv_timeout(ASK_EVERY) {
                Ok(value) => return value,
                Err(RecvTimeoutError::Timeout) => self.check(),
                Err(RecvTimeoutError::Disconnected) => match handle.join() {
                    Err(payload) => resume_unwind(payload),
                    Ok(()) => unreachable!("the work sends its value before it ends"),
                },
            }
        }
    }
}
