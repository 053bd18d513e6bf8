//! What the walks of a fit came to.

use crate::api::error::EngineError;
use crate::search::optimum::Run;

/// Criteria that differ by less are of one optimum.
pub(super) const SAME: f64 = 1e-4;

/// Times as many walks from chance as the expected number of places asks for: places differ in how often a walk ends there, and
/// some begin where another one ended.
const SURE: usize = 4;

/// What the walks of a fit came to.
#[derive(Debug, Default)]
pub(crate) struct Walks {
    /// The criterion where each ended; infinite where that is no optimum.
    ends: Vec<f64>,
    /// Walks along which the residual variance vanished.
    vanishing: usize,
}

impl Walks {
    /// Takes note of how a walk ended.
    pub fn note(&mut self, run: &Result<Run, EngineError>) {
        let run = run.as_ref().ok().filter(|run| run.is_stationary());
        self.add(run.map(|run| run.outcome.value));
    }

    /// Takes note of a walk that ended at this criterion; `None`: at no optimum.
    pub fn add(&mut self, end: Option<f64>) {
        self.ends.push(end.unwrap_or(f64::INFINITY));
    }

    /// Takes note of whether the residual variance vanished along a walk.
    pub fn add_vanishing(&mut self, vanishes: bool) {
        self.vanishing += usize::from(vanishes);
    }

    /// Number of walks.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Whether, of walks from chance since the first `begun`, another one is not likely to end anywhere new: with `n` walks to
    /// `w` places, the expected number of places is w (n - 1) / (n - w - 2), less than w + 1/2 (Boender & Rinnooy Kan 1987,
    /// Math. Program. 37).
    pub fn are_enough(&self, begun: usize) -> bool {
        let mut ends = self.ends[begun..].to_vec();
        let n = ends.len();
        ends.sort_by(f64::total_cmp);
        ends.dedup_by(|b, a| (*b - *a).abs() <= SAME || a.is_infinite());
        let w = ends.len();
        n >= SURE * (2 * w * w + 3 * w + 2)
    }

    /// How many of them ended at the optimum of this criterion.
    pub fn agreeing(&self, value: f64) -> usize {
        let same = |end: &&f64| (**end - value).abs() <= SAME;
        self.ends.iter().filter(same).count()
    }

    /// The walk that ended at `before`, the lowest, is known more exactly: where its criterion is, or that it was none.
    pub fn correct(&mut self, before: f64, value: Option<f64>) {
        let value = value.unwrap_or(f64::INFINITY);
        let mut is_known = false;
        for end in self.ends.iter_mut().filter(|end| **end <= before + SAME) {
            *end = value;
            is_known = true;
        }
        // it had not come to an end yet
        let open = self.ends.iter_mut().find(|end| end.is_infinite());
        if let Some(end) = open.filter(|_| !is_known) {
            *end = value;
        }
    }

    /// Along how many of them the residual variance vanished.
    pub fn vanishing(&self) -> usize {
        self.vanishing
    }
}

#[cfg(test)]
mod tests {
    use super::{Walks, SURE};

    /// Walks that ended at places 0, 1, ..., `places` - 1 in turn.
    fn ended(count: usize, places: usize) -> Walks {
        let ends = (0..count).map(|i| (i % places) as f64).collect();
        Walks { ends, vanishing: 0 }
    }

    #[test]
    fn walks_are_enough_where_nothing_new_is_expected() {
        for places in 1..6 {
            // w (n - 1) / (n - w - 2) <= w + 1/2, as it is written in the paper
            let (w, mut n) = (places as f64, places + 3);
            while w * (n as f64 - 1.0) / (n as f64 - w - 2.0) > w + 0.5 {
                n += 1;
            }
            assert!(ended(SURE * n, places).are_enough(0), "{places}");
            assert!(!ended(SURE * n - 1, places).are_enough(0), "{places}");
        }
        // walks before the first from chance do not count, those without an optimum are one place
        let mut walks = ended(9, 9);
        walks.ends.extend([f64::INFINITY; 7 * SURE]);
        assert!(!walks.are_enough(0));
        assert!(walks.are_enough(9));
    }
}
