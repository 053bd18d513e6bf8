//! Memory: what there is, where that is easily found (Linux tells in files), and large vectors whose allocation may fail without
//! ending the process.

use std::panic::resume_unwind;

/// Bytes that every machine has: nobody needs to ask.
const LITTLE: f64 = 1e8;

/// What work unwinds with that cannot have the memory it needs (no panic: no message, no hook). Caught by
/// [`crate::parallel::interruptible`].
pub(crate) struct OutOfMemory {
    /// What was asked for in vain.
    pub bytes: f64,
}

/// An empty vector with room for so many. Leaves the current work where there is none.
pub(crate) fn with_capacity<T>(len: usize) -> Vec<T> {
    let mut out = Vec::new();
    if out.try_reserve_exact(len).is_err() {
        leave::<T>(len);
    }
    out
}

fn leave<T>(len: usize) -> ! {
    resume_unwind(Box::new(OutOfMemory {
        bytes: len as f64 * size_of::<T>() as f64,
    }))
}

/// Whether so many bytes can be had: the system promises more than it has, so that a trial is not enough.
pub(crate) fn fits(bytes: f64) -> bool {
    if bytes > LITTLE && available().is_some_and(|available| bytes > available) {
        return false;
    }
    let mut trial: Vec<u8> = Vec::new();
    bytes < isize::MAX as f64 && trial.try_reserve_exact(bytes as usize).is_ok()
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

    use super::{address_space_limit, bytes, fits, with_capacity, OutOfMemory};

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
}
