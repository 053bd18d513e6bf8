//! Memory of the machine, where that is easily found: Linux tells in a file.

/// Bytes that it has in all.
pub(crate) fn of_machine() -> Option<f64> {
    let text = read()?;
    bytes(&text, "MemTotal:")
}

/// Bytes that can still be had before the system ends processes: memory that is free or easily made so, and swap.
pub(crate) fn available() -> Option<f64> {
    let text = read()?;
    Some(bytes(&text, "MemAvailable:")? + bytes(&text, "SwapFree:").unwrap_or(0.0))
}

fn read() -> Option<String> {
    std::fs::read_to_string("/proc/meminfo").ok()
}

/// The number of kilobytes after `label`, as bytes.
fn bytes(text: &str, label: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(label))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024.0 * kilobytes)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn kilobytes_become_bytes() {
        let text = "MemTotal:       24684084 kB\nMemAvailable:   22562932 kB\nSwapFree:  x kB\n";
        assert_eq!(bytes(text, "MemTotal:"), Some(24_684_084.0 * 1024.0));
        assert_eq!(bytes(text, "MemAvailable:"), Some(22_562_932.0 * 1024.0));
        assert_eq!(bytes(text, "SwapFree:"), None);
        assert_eq!(bytes(text, "SwapTotal:"), None);
    }
}
