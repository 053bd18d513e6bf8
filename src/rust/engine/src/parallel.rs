//! The only builder of thread pools.
//!
//! A pool lives for one call of the engine and is dropped with it: rayon's global pool deadlocks in forked children
//! (`parallel::mclapply`). Work is cut into pieces whose number does not depend on the number of threads, and results
//! come back in order, so the same bits follow from any number of threads.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Work (in elementary operations) below which starting threads costs more than it saves.
const WORTH_THREADS: f64 = 3.0e6;

/// Threads of one engine call; none where the work is small.
#[derive(Debug)]
pub struct Workers {
    pool: Option<ThreadPool>,
}

impl Workers {
    /// `threads` as the user asked (0: all cores), `work` an estimate of the operations to come.
    #[must_use]
    pub fn new(threads: usize, work: f64) -> Self {
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = if threads == 0 { available } else { threads };
        if wanted <= 1 || work < WORTH_THREADS {
            return Self { pool: None };
        }
        Self { pool: ThreadPoolBuilder::new().num_threads(wanted).build().ok() }
    }

    /// No threads.
    #[must_use]
    pub fn sequential() -> Self {
        Self { pool: None }
    }

    /// Number of threads that work.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// `f(0), ..., f(n - 1)`, in order.
    pub fn map<T: Send>(&self, n: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        match &self.pool {
            Some(pool) if n > 1 => pool.install(|| (0..n).into_par_iter().map(f).collect()),
            _ => (0..n).map(f).collect(),
        }
    }

    /// Calls `f(i, piece)` for each piece of a partition of some output.
    pub fn for_each<P: Send>(&self, pieces: Vec<P>, f: impl Fn(usize, P) + Sync + Send) {
        match &self.pool {
            Some(pool) if pieces.len() > 1 => {
                pool.install(|| pieces.into_par_iter().enumerate().for_each(|(i, piece)| f(i, piece)));
            }
            _ => pieces.into_iter().enumerate().for_each(|(i, piece)| f(i, piece)),
        }
    }
}

/// Cuts `0..n` into pieces of `size` (the last one shorter).
#[must_use]
pub fn pieces(n: usize, size: usize) -> Vec<std::ops::Range<usize>> {
    (0..n).step_by(size.max(1)).map(|start| start..(start + size).min(n)).collect()
}

/// Cuts a slice at the given increasing positions, which start with 0 and end with its length.
#[must_use]
pub fn split_at_offsets<'a, T>(mut slice: &'a mut [T], offsets: &[usize]) -> Vec<&'a mut [T]> {
    let mut parts = Vec::with_capacity(offsets.len().saturating_sub(1));
    for pair in offsets.windows(2) {
        let (head, tail) = slice.split_at_mut(pair[1] - pair[0]);
        parts.push(head);
        slice = tail;
    }
    parts
}
