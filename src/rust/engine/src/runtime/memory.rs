//! Memory: what there is, where that is easily found (Linux tells in files), and large vectors whose allocation may fail
//! without ending the process.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that every machine has: nobody needs to ask.
const LITTLE: f64 = 1e8;

/// Bytes below which an allocation is not worth a trial.
const SMALL: usize = 1 << 20;

/// Bytes that stay for all that is too small to be tried, and for R.
const REST: f64 = 3.2e7;

/// What work unwinds with that cannot have the memory it needs (no panic: no message, no hook). Caught by
/// [`crate::runtime::interruptible::interruptible`].
pub(crate) struct OutOfMemory {
    /// What was asked for in vain.
    pub bytes: f64,
}

/// So many zeros. Leaves the current work where there is no memory for them.
#[inline]
pub(crate) fn zeros(len: usize) -> Vec<f64> {
    require::<f64>(len);
    // by calloc: pages that the trial has shown to be there, and that are not touched before they are used
    vec![0.0; len]
}

/// An empty vector of such a capacity. Leaves the current work where there is none.
pub(crate) fn with_capacity<T>(len: usize) -> Vec<T> {
    require::<T>(len);
    Vec::with_capacity(len)
}

/// All of `values`. Leaves the current work where there is no memory for them.
pub(crate) fn collect<T>(values: impl ExactSizeIterator<Item = T>) -> Vec<T> {
    require::<T>(values.len());
    values.collect()
}

/// A copy. Leaves the current work where there is no memory for it.
pub(crate) fn copy(of: &[f64]) -> Vec<f64> {
    require::<f64>(of.len());
    of.to_vec()
}

/// Leaves the current work where there is no memory for so many values, as a library is going to ask for them in a way that
/// ends the process.
pub(crate) fn require<T>(len: usize) {
    let bytes = len as f64 * size_of::<T>() as f64;
    // what was laid by is for small ones
    let is_short = bytes >= SMALL as f64 && SHORT.load(Ordering::Relaxed);
    if is_short || !fits(bytes) {
        leave::<T>(len);
    }
}

/// Zeros up to this length, or what is there up to it. Leaves the current work where there is no memory for them.
pub(crate) fn resize<T: Clone + Default>(values: &mut Vec<T>, len: usize) {
    if len > values.capacity() {
        require::<T>(len);
    }
    values.resize(len, T::default());
}

fn leave<T>(len: usize) -> ! {
    resume_unwind(Box::new(OutOfMemory {
        bytes: len as f64 * size_of::<T>() as f64,
    }))
}

/// An allocation has failed, and lives on what was laid by for that.
static SHORT: AtomicBool = AtomicBool::new(false);

/// Told by the allocator when it has given away what it had laid by: work is left at its next piece.
pub fn is_short() {
    SHORT.store(true, Ordering::Relaxed);
}

/// Told at the start of a call: what was short in the one before need not be now.
pub fn starts_again() {
    SHORT.store(false, Ordering::Relaxed);
}

/// Whether memory was short in this call.
pub(crate) fn was_short() -> bool {
    SHORT.load(Ordering::Relaxed)
}

/// Leaves the current work if memory is short.
pub(crate) fn check() {
    if SHORT.load(Ordering::Relaxed) {
        leave::<u8>(0);
    }
}

/// Whether so many bytes can be had: the system promises more than it has, so that a trial is not enough.
#[must_use]
pub fn fits(bytes: f64) -> bool {
    if bytes < SMALL as f64 {
        return true;
    }
    if bytes > LITTLE && available().is_some_and(|available| bytes > available) {
        return false;
    }
    let with_rest = bytes + REST;
    with_rest < isize::MAX as f64 && can_be_allocated(with_rest as usize)
}

thread_local! {
    /// An allocation is tried, and may fail.
    static TRIAL: Cell<bool> = const { Cell::new(false) };
}

/// Asked by the allocator: may this allocation fail, without what it has laid by?
pub fn is_trial() -> bool {
    TRIAL.with(Cell::get)
}

fn can_be_allocated(bytes: usize) -> bool {
    let mut trial: Vec<u8> = Vec::new();
    TRIAL.with(|is_on| is_on.set(true));
    let succeeds = trial.try_reserve_exact(bytes).is_ok();
    TRIAL.with(|is_on| is_on.set(false));
    succeeds
}

/// Bytes that it has in all.
pub(crate) fn of_machine() -> Option<f64> {
    let text = read("/proc/meminfo")?;
    bytes(&text, "MemTotal:")
}

/// Bytes that can still be had before the system ends processes or refuses: memory that is free or easily made so, and swap, as
/// far as the limits of this process (`ulimit -v`) and of its container leave them.
pub(crate) fn available() -> Option<f64> {
    let text = read("/proc/meminfo")?;
    let machine = bytes(&text, "MemAvailable:")? + bytes(&text, "SwapFree:").unwrap_or(0.0);
    let limits = [left_of_address_space(), left_of_container()];
    Some(limits.into_iter().flatten().fold(machine, f64::min))
}

fn left_of_address_space() -> Option<f64> {
    let limit = address_space_limit(&read("/proc/self/limits")?)?;
    let used = bytes(&read("/proc/self/status")?, "VmSize:")?;
    Some((limit - used).max(0.0))
}

/// "Max address space      512000000       512000000       bytes", or "unlimited".
fn address_space_limit(text: &str) -> Option<f64> {
    let label = "Max address space";
    let line = text.lines().find(|line| line.starts_with(label))?;
    line[label.len()..].split_whitespace().next()?.parse().ok()
}

/// What version 2 of control groups leaves, then version 1.
fn left_of_container() -> Option<f64> {
    let number = |path: &str| -> Option<f64> { read(path)?.trim().parse().ok() };
    let left = |limit: &str, used: &str| -> Option<f64> {
        Some((number(limit)? - number(used)?).max(0.0))
    };
    left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current").or_else(|| {
        left(
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        )
    })
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number of kilobytes after `label`, as bytes.
fn bytes(text: &str, label: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(label))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024.0 * kilobytes)
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, AssertUnwindSafe};

    use super::{
        address_space_limit, bytes, collect, copy, fits, with_capacity, zeros, OutOfMemory,
    };

    #[test]
    fn kilobytes_become_bytes() {
        let text = "MemTotal:       24684084 kB\nMemAvailable:   22562932 kB\nSwapFree:  x kB\n";
        assert_eq!(bytes(text, "MemTotal:"), Some(24_684_084.0 * 1024.0));
        assert_eq!(bytes(text, "MemAvailable:"), Some(22_562_932.0 * 1024.0));
        assert_eq!(bytes(text, "SwapFree:"), None);
        assert_eq!(bytes(text, "SwapTotal:"), None);
    }

    #[test]
    fn the_limit_of_a_process_is_read() {
        let text = "Limit   Soft Limit  Hard Limit  Units\n\
                    Max resident set          unlimited            unlimited            bytes\n\
                    Max address space         512000000            unlimited            bytes\n";
        assert_eq!(address_space_limit(text), Some(512_000_000.0));
        assert_eq!(
            address_space_limit("Max address space  unlimited  unlimited  bytes"),
            None
        );
    }

    #[test]
    fn what_cannot_be_had_is_left_without_ending_the_process() {
        let enough = 1usize << 58;
        assert!(!fits(1e18));
        let ask = AssertUnwindSafe(|| drop(with_capacity::<f64>(enough)));
        let payload = catch_unwind(ask).unwrap_err();
        let asked = payload.downcast_ref::<OutOfMemory>().expect("no memory");
        assert!((asked.bytes - 8.0 * enough as f64).abs() < 1.0);
    }

    #[test]
    fn zeros_that_cannot_be_had_leave_the_work() {
        let payload = catch_unwind(|| zeros(1usize << 58)).unwrap_err();
        assert!(payload.is::<OutOfMemory>());
        assert_eq!(zeros(3), [0.0; 3]);
        assert!(zeros(1 << 18).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn what_is_collected_or_copied_is_asked_for_first() {
        let payload = catch_unwind(|| collect((0..1usize << 58).map(|i| i as f64))).unwrap_err();
        assert!(payload.is::<OutOfMemory>());
        assert_eq!(collect((0..3).map(|i| 2 * i)), [0, 2, 4]);
        assert_eq!(copy(&[1.0, 2.0]), [1.0, 2.0]);
    }
}
