//! How far a fit has come, told by the thread that works to the one that waits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Where the optimiser is. Written after each accepted step, read at any time.
#[derive(Debug, Default)]
pub struct Progress {
    evaluations: AtomicUsize,
    criterion: AtomicU64,
    gradient: AtomicU64,
}

impl Progress {
    /// Evaluations of the criterion so far, its lowest value and the largest scaled gradient there. A reader may see the
    /// numbers of two steps together: it is a display.
    pub fn set(&self, evaluations: usize, criterion: f64, gradient: f64) {
        self.criterion.store(criterion.to_bits(), Ordering::Relaxed);
        self.gradient.store(gradient.to_bits(), Ordering::Relaxed);
        self.evaluations.store(evaluations, Ordering::Relaxed);
    }

    /// The same numbers; `None` before the first step.
    #[must_use]
    pub fn get(&self) -> Option<(usize, f64, f64)> {
        let evaluations = self.evaluations.load(Ordering::Relaxed);
        let value = |bits: &AtomicU64| f64::from_bits(bits.load(Ordering::Relaxed));
        (evaluations > 0).then(|| (evaluations, value(&self.criterion), value(&self.gradient)))
    }
}
