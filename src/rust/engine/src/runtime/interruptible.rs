//! Work that the user can end: inline, or on a thread of its own while the calling one asks.

use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::Mutex;
use std::time::Instant;

use crate::api::error::EngineError;
use crate::runtime::detached::ASK_EVERY;
use crate::runtime::memory::{self, OutOfMemory};
use crate::runtime::stop::{OutOfTime, StopFlag, Stopped};

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

/// Like [`interruptible`], where work learns from its flag that its time is over, if it is `long`.
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
        on_a_thread(&stop, deadline, interrupt, work)
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
fn on_a_thread<T: Send>(
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use std::time::{Duration, Instant};

    use super::{interruptible, interruptible_until, StopFlag};
    use crate::api::error::EngineError;
    use crate::runtime::detached::wait_until_idle;

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
        // work that looks at the flag goes on with what there is, and to the end of that
        let minding = |stop: &StopFlag| {
            assert_eq!(
                stop.in_time(|| -> i32 {
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
                7
            });
            stop.to_the_end(false);
            let refused = stop.in_time(|| {
                stop.check();
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
        assert!(!wait_until_idle(Duration::from_millis(100)));
        drop(release);
        assert!(wait_until_idle(Duration::from_secs(20)));
    }

    #[test]
    #[should_panic(expected = "the work's own")]
    fn a_panic_of_the_work_comes_through() {
        StopFlag::default().wait_for(|| panic!("the work's own"));
    }
}
