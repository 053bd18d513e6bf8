//! The only builder of thread pools.
//!
//! A pool lives for one call of the engine and is dropped with it: rayon's global pool deadlocks in forked children
//! (`parallel::mclapply`). Work is cut into pieces whose number does not depend on the number of threads, and results
//! come back in order, so the same bits follow from any number of threads.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::runtime::partition::{chunks, halves, in_turn, Partition};
use crate::runtime::stop::StopFlag;
use crate::runtime::workspace::{Buffer, Workspace};

/// Work (in elementary operations) below which starting threads costs more than it saves.
const WORTH_THREADS: f64 = 3.0e6;

/// Threads up to which a user gets what he asks for on any machine; beyond, as many as there are cores.
const MOST_THREADS: usize = 16;

/// Threads of one engine call; none where the work is small.
#[derive(Debug)]
pub struct Workers {
    pool: Option<ThreadPool>,
    stop: StopFlag,
    workspace: Workspace,
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
                workspace: Workspace::default(),
            };
        }
        Self {
            pool: ThreadPoolBuilder::new().num_threads(wanted).build().ok(),
            stop: stop.clone(),
            workspace: Workspace::default(),
        }
    }

    /// No threads.
    #[must_use]
    pub fn sequential() -> Self {
        Self {
            pool: None,
            stop: StopFlag::default(),
            workspace: Workspace::default(),
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
    pub fn for_each<P: Partition>(&self, n: usize, output: P, f: impl Fn(usize, P::Part) + Sync) {
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
    pub fn sum(&self, n: usize, len: usize, f: impl Fn(usize, &mut [f64]) + Sync) -> Buffer<'_> {
        let mut all = self.workspace.zeros(n * len);
        self.for_each(n, chunks(&mut all, len), f);
        let mut total = self.workspace.zeros(len);
        for part in all.chunks_exact(len.max(1)) {
            total.iter_mut().zip(part).for_each(|(x, y)| *x += y);
        }
        total
    }

    /// So many zeros, allocated only if no buffer of an earlier one is there.
    #[must_use]
    pub fn buffer(&self, len: usize) -> Buffer<'_> {
        self.workspace.zeros(len)
    }

    /// Likewise so many numbers that are written before they are read: any.
    #[must_use]
    pub fn scratch(&self, len: usize) -> Buffer<'_> {
        self.workspace.arbitrary(len)
    }

    /// A copy in such a buffer.
    #[must_use]
    pub fn copy(&self, of: &[f64]) -> Buffer<'_> {
        self.workspace.copy(of)
    }
}
