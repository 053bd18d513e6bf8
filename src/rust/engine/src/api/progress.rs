//! How far a fit has come, told by the thread that works to the one that waits.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Where the optimiser is. Written after each evaluation and each accepted step, read at any time.
#[derive(Debug, Default)]
pub struct Progress {
    counted: AtomicUsize,
    begun: AtomicBool,
    evaluations: AtomicUsize,
    criterion: AtomicU64,
    gradient: AtomicU64,
}

impl Progress {
    /// Evaluations of the criterion so far.
    pub fn count(&self, evaluations: usize) {
        self.counted.store(evaluations, Ordering::Relaxed);
    }

    /// Lowest value of the criterion so far and the largest scaled gradient there. A reader may see the numbers of two
    /// steps together: it is a display.
    pub fn set(&self, criterion: f64, gradient: f64) {
        self.criterion.store(criterion.to_bits(), Ordering::Relaxed);
        self.gradient.store(gradient.to_bits(), Ordering::Relaxed);
        self.evaluations
            .store(self.counted.load(Ordering::Relaxed), Ordering::Relaxed);
        self.begun.store(true, Ordering::Relaxed);
    }

    /// How many parts of how many are done, of work that is no search: in the places of the evaluations and of the criterion.
    pub fn part(&self, done: usize, of: usize) {
        self.count(done);
        self.set(of as f64, f64::NAN);
    }

    /// Evaluations up to the last step, criterion and gradient there; `None` before the first step.
    #[must_use]
    pub fn get(&self) -> Option<(usize, f64, f64)> {
        let evaluations = self.evaluations.load(Ordering::Relaxed);
        let value = |bits: &AtomicU64| f64::from_bits(bits.load(Ordering::Relaxed));
        self.begun
            .load(Ordering::Relaxed)
            .then(|| (evaluations, value(&self.criterion), value(&self.gradient)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_where_a_search_has_its_evaluations_and_criterion() {
        let progress = Progress::default();
        assert!(progress.get().is_none());
        progress.part(3, 8);
        let (done, of, gradient) = progress.get().unwrap();
        assert_eq!((done, of), (3, 8.0));
        assert!(gradient.is_nan());
    }
}
