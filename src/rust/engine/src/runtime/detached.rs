//! Threads that nobody joins: work that cannot be stopped, and memory that takes long to be given back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often the calling thread asks whether the user wants to stop, while another one works.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(20);

/// Threads that nobody joins and that have not ended.
static DETACHED: AtomicUsize = AtomicUsize::new(0);

/// One of them, from the start of its work to the end.
pub(super) struct Detached;

impl Detached {
    pub fn new() -> Self {
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
