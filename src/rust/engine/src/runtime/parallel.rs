//! The only builder of thread pools.
//!
//! A pool lives for one call of the engine and is dropped with it: rayon's global pool deadlocks in forked children
//! (`parallel::mclapply`). Work is cut into pieces whose number does not depend on the number of threads, and results
//! come back in order, so the same bits follow from any number of threads.

use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::api::error::EngineError;
use crate::runtime::memory::{self, OutOfMemory};
use crate::runtime::partition::{chunks, halves, in_turn, Parts};
use crate::runtime::workspace::{Room, Rooms};

/// Work (in elementary operations) below which starting threads costs more than it saves.
const WORTH_THREADS: f64 = 3.0e6;

/// Threads up to which a user gets what he asks for on any machine; beyond, as many as there are cores.
const MOST_THREADS: usize = 16;

/// How often the calling thread asks whether the user wants to stop, while another one works.
const ASK_EVERY: Duration = Duration::from_millis(20);

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
struct Stopped;

/// The same where its time is over.
struct OutOfTime;

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

    /// What `work` finds; `None` where its time was over before.
    pub fn in_time<T>(&self, work: impl FnOnce() -> Option<T>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(found) => found,
            Err(payload) if payload.is::<OutOfTime>() => None,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// The same for work that may be too short to be worth a thread.
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

/// Threads that nobody joins and that have not ended.
static DETACHED: AtomicUsize = AtomicUsize::new(0);

/// One of them, from the start of its work to the end.
struct Detached;

impl Detached {
    pub(crate) fn new() -> Self {
        DETACHED.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        DETACHED.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until no thread is left that nobody joins, `limit` at most; whether none is.
#[must_use]
pub fn wait_until_idle(limit: Duration) -> bool {
    let until = Instant::now() + limit;
    // a thread that has just been started, or is about to end, is not counted
    std::thread::sleep(ASK_EVERY);
    while DETACHED.load(Ordering::SeqCst) > 0 {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(ASK_EVERY);
    }
    std::thread::sleep(ASK_EVERY);
    true
}

/// Bytes from which giving memory back to the system takes long enough to be felt (about 0.07 s for 1 GB).
const SLOW_TO_FREE: usize = 1 << 28;

/// Drops large values on a thread of their own: nobody has to wait until the system has taken their pages back.
pub fn drop_later(mut values: Vec<f64>) {
    if size_of_val(values.as_slice()) < SLOW_TO_FREE {
        return;
    }
    let free = move || {
        let _here = Detached::new();
        // Nobody else can map or unmap memory while the system takes back one piece, and Linux shrinks in place.
        while cfg!(target_os = "linux") && size_of_val(values.as_slice()) > SLOW_TO_FREE / 16 {
            values.truncate(values.len() - values.len().min(SLOW_TO_FREE / 128));
            values.shrink_to_fit();
        }
    };
    // without a thread the closure, and the values with it, is dropped here
    let _ = std::thread::Builder::new().spawn(free);
}

/// Runs `work` so that `interrupt`, asked on the calling thread, can end it: inline (`work` then asks between
/// evaluations) or, where single steps may be `long`, on a thread of its own, left at the next piece of work. Inline too where
/// the system has no thread to give.
///
/// # Errors
/// [`EngineError::Interrupted`], [`EngineError::Allocation`], or what `work` returns.
pub fn interruptible<T: Send>(
    long: bool,
    interrupt: &dyn Fn() -> bool,
    work: impl FnOnce(&StopFlag, &dyn Fn() -> bool) -> Result<T, EngineError> + Send,
) -> Result<T, EngineError> {
    interruptible_until(None, long, interrupt, work)
}

/// The same, where work learns from its flag that its time is over, if it is `long`.
///
/// # Errors
/// [`EngineError::TimeLimit`] where `work` does not mind, and those of [`interruptible`].
pub fn interruptible_until<T: Send>(
    deadline: Option<Instant>,
    long: bool,
    interrupt: &dyn Fn() -> bool,
    work: impl FnOnce(&StopFlag, &dyn Fn() -> bool) -> Result<T, EngineError> + Send,
) -> Result<T, EngineError> {
    let stop = StopFlag::default();
    let outcome = if long {
        beside(&stop, deadline, interrupt, work)
    } else {
        catch_unwind(AssertUnwindSafe(|| work(&stop, interrupt)))
    };
    if memory::was_short() {
        return Err(EngineError::Allocation { gigabytes: 0.0 });
    }
    match outcome {
        Ok(result) => result,
        Err(payload) if payload.is::<Stopped>() => Err(EngineError::Interrupted),
        Err(payload) if payload.is::<OutOfTime>() => Err(EngineError::TimeLimit),
        Err(payload) => match payload.downcast::<OutOfMemory>() {
            Ok(asked) => Err(EngineError::Allocation {
                gigabytes: 1e-9 * asked.bytes,
            }),
            Err(payload) => resume_unwind(payload),
        },
    }
}

/// What `work` returned or unwound with on a thread of its own, while this one asks whether to stop.
fn beside<T: Send>(
    stop: &StopFlag,
    deadline: Option<Instant>,
    interrupt: &dyn Fn() -> bool,
    work: impl FnOnce(&StopFlag, &dyn Fn() -> bool) -> Result<T, EngineError> + Send,
) -> std::thread::Result<Result<T, EngineError>> {
    let work = Mutex::new(Some(work));
    let take = || work.lock().ok().and_then(|mut own| own.take());
    let nothing = || EngineError::Dimension("the work was done before".to_owned());
    std::thread::scope(|scope| {
        let (done, finished) = channel();
        let started = std::thread::Builder::new().spawn_scoped(scope, move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| match take() {
                Some(work) => work(stop, &|| stop.is_set()),
                None => Err(nothing()),
            }));
            // the receiver may have gone: nothing to tell then
            let _ = done.send(());
            outcome
        });
        let Ok(handle) = started else {
            return catch_unwind(AssertUnwindSafe(|| match take() {
                Some(work) => work(stop, interrupt),
                None => Err(nothing()),
            }));
        };
        while let Err(RecvTimeoutError::Timeout) = finished.recv_timeout(ASK_EVERY) {
            if interrupt() {
                stop.set();
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                stop.set_late();
            }
        }
        handle.join().unwrap_or_else(Err)
    })
}

/// Threads of one engine call; none where the work is small.
#[derive(Debug)]
pub struct Workers {
    pool: Option<ThreadPool>,
    stop: StopFlag,
    rooms: Rooms,
}

impl Workers {
    /// `threads` as the user asked (0: all cores), `work` an estimate of the operations to come.
    #[must_use]
    pub fn new(threads: usize, work: f64, stop: &StopFlag) -> Self {
        // asked last: the system reads files to count its cores
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = match threads {
            _ if work < WORTH_THREADS => 1,
            0 => available(),
            some => some.min(available().max(MOST_THREADS)),
        };
        if wanted <= 1 {
            return Self {
                pool: None,
                stop: stop.clone(),
                rooms: Rooms::default(),
            };
        }
        Self {
            pool: ThreadPoolBuilder::new().num_threads(wanted).build().ok(),
            stop: stop.clone(),
            rooms: Rooms::default(),
        }
    }

    /// No threads.
    #[must_use]
    pub fn sequential() -> Self {
        Self {
            pool: None,
            stop: StopFlag::default(),
            rooms: Rooms::default(),
        }
    }

    /// Number of threads that work.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pool
            .as_ref()
            .map_or(1, ThreadPool::current_num_threads)
    }

    /// What all work here looks at.
    #[must_use]
    pub fn flag(&self) -> &StopFlag {
        &self.stop
    }

    /// Leaves a long piece of work if the user wants to stop, or its time is over.
    pub fn check(&self) {
        self.stop.check();
    }

    /// `f(0), ..., f(n - 1)`, in order.
    pub fn map<T: Send>(&self, n: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        let f = |i| {
            self.stop.check();
            f(i)
        };
        match &self.pool {
            Some(pool) if n > 1 => pool.install(|| (0..n).into_par_iter().map(f).collect()),
            _ => (0..n).map(f).collect(),
        }
    }

    /// Calls `f(i, part i)` for each of the `n` pieces of an output.
    pub fn for_each<P: Parts>(&self, n: usize, output: P, f: impl Fn(usize, P::Part) + Sync) {
        let f = |i, part: P::Part| {
            self.stop.check();
            f(i, part);
        };
        match &self.pool {
            _ if n == 0 => {}
            Some(pool) if n > 1 => pool.install(|| halves(0..n, output, &f)),
            _ => in_turn(0..n, output, &f),
        }
    }

    /// The sum of `n` vectors of `len` numbers, in their order; `f(i, zeros)` adds up vector i.
    #[must_use]
    pub fn sum(&self, n: usize, len: usize, f: impl Fn(usize, &mut [f64]) + Sync) -> Room<'_> {
        let mut all = self.rooms.zeros(n * len);
        self.for_each(n, chunks(&mut all, len), f);
        let mut total = self.rooms.zeros(len);
        for part in all.chunks_exact(len.max(1)) {
            total.iter_mut().zip(part).for_each(|(x, y)| *x += y);
        }
        total
    }

    /// So many zeros, allocated only if no buffer of an earlier one is there.
    #[must_use]
    pub fn room(&self, len: usize) -> Room<'_> {
        self.rooms.zeros(len)
    }

    /// A copy in such a buffer.
    #[must_use]
    pub fn copy(&self, of: &[f64]) -> Room<'_> {
        self.rooms.copy(of)
    }
}

/// Piece `i` of `0..n`, cut into pieces of `size` (the last one shorter).
#[must_use]
pub fn piece(n: usize, size: usize, i: usize) -> std::ops::Range<usize> {
    (i * size).min(n)..((i + 1) * size).min(n)
}

/// Cuts `0..n` into pieces of `size` (the last one shorter).
#[must_use]
pub fn pieces(n: usize, size: usize) -> Vec<std::ops::Range<usize>> {
    (0..n)
        .step_by(size.max(1))
        .map(|start| start..(start + size).min(n))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use std::time::{Duration, Instant};

    use super::{interruptible, interruptible_until, StopFlag};
    use crate::api::error::EngineError;

    #[test]
    fn work_that_cannot_stop_is_waited_for_or_left() {
        assert_eq!(StopFlag::default().wait_for(|| 7), 7);
        // the work would last until this test ends
        let (release, held) = channel::<()>();
        let outcome = interruptible(true, &|| true, |stop, _| {
            stop.wait_for(move || held.recv().is_err());
            Ok(())
        });
        assert!(matches!(outcome, Err(EngineError::Interrupted)));
        drop(release);
    }

    #[test]
    fn work_learns_in_the_middle_that_its_time_is_over() {
        let long = |stop: &StopFlag| loop {
            stop.check();
            std::thread::sleep(Duration::from_millis(1));
        };
        let until = |work: fn(&StopFlag) -> i32| {
            interruptible_until(Some(Instant::now()), true, &|| false, move |stop, _| {
                Ok(work(stop))
            })
        };
        assert_eq!(until(long), Err(EngineError::TimeLimit));
        // who minds goes on with what there is, and to the end of that
        let minding = |stop: &StopFlag| {
            assert_eq!(
                stop.in_time(|| -> Option<i32> {
                    loop {
                        stop.check()
                    }
                }),
                None
            );
            assert!(stop.is_late() && !stop.is_set());
            stop.to_the_end(true);
            let found = stop.in_time(|| {
                stop.check();
                Some(7)
            });
            stop.to_the_end(false);
            let refused = stop.in_time(|| {
                stop.check();
                Some(())
            });
            assert_eq!(refused, None);
            found.unwrap_or(0)
        };
        assert_eq!(until(minding), Ok(7));
        // nobody is told where there is time
        let later = Instant::now() + Duration::from_secs(1000);
        let outcome = interruptible_until(Some(later), true, &|| false, |stop, _| {
            std::thread::sleep(Duration::from_millis(50));
            Ok(stop.is_late())
        });
        assert_eq!(outcome, Ok(false));
    }

    #[test]
    fn threads_that_nobody_joins_are_waited_for() {
        let (release, held) = channel::<()>();
        let outcome = interruptible(true, &|| true, |stop, _| {
            stop.wait_for(move || held.recv().is_err());
            Ok(())
        });
        assert!(outcome.is_err());
        assert!(!super::wait_until_idle(Duration::from_millis(100)));
        drop(release);
        assert!(super::wait_until_idle(Duration::from_secs(20)));
    }

    #[test]
    #[should_panic(expected = "the work's own")]
    fn a_panic_of_the_work_comes_through() {
        StopFlag::default().wait_for(|| panic!("the work's own"));
    }
}
