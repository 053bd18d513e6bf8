//! Cross-products of rows in residual groups at one R.

use crate::basis::random::FactorLayout;
use crate::linalg::dense;
use crate::moments::blocks::{FactorMoments, Moments, PairMoments};
use crate::moments::coupling::{Coupling, Sum};
use crate::moments::residual_rows::ResidualRows;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::{chunks, pieces};
use crate::structure::residual::{Residual, Whitening};

/// Levels of one piece of work.
const LEVELS: usize = 512;

/// Rows of one piece of work.
const PIECE: usize = 16_384;

impl ResidualRows {
    /// All cross-products at one R.
    pub fn moments(
        &self,
        residual: &Residual,
        whitening: &Whitening,
        layout: &[FactorLayout],
        workers: &Workers,
    ) -> Moments {
        let rows = self.scaled(whitening);
        let couple = Coupling::new(self, residual, whitening, layout, &rows).with_sums();
        let weighted = whitening.inverse_times(residual, &self.x, self.p1, workers);
        let (own, pairs) = couple.all(workers);
        let factors = layout.iter().zip(own).enumerate();
        let factors = factors.map(|(f, (factor, zz))| FactorMoments {
            n_levels: factor.n_levels,
            k: factor.k,
            zz,
            zx: self.level_products(f, factor, &weighted, workers),
            level_precision: Vec::new(),
            multiplicity: Vec::new(),
        });
        let factors = factors.collect();
        let pairs = pairs
            .into_iter()
            .map(|(pair, value)| PairMoments { value, ..pair });
        let pairs = pairs.collect();
        Moments {
            n: self.observations,
            p1: self.p1,
            xx: self.products(&weighted, workers),
            factors,
            pairs,
            sum_log_weights: self.sum_log_weights - whitening.log_det,
            log_det_level_precision: 0.0,
            rest: None,
        }
    }

    /// [Q r]'(R^-1[Q r]), symmetric.
    fn products(&self, weighted: &[f64], workers: &Workers) -> Vec<f64> {
        let p1 = self.p1;
        let work = pieces(self.n(), PIECE);
        let parts = workers.map(work.len(), |piece| {
            let range = work[piece].start * p1..work[piece].end * p1;
            let mut out = memory::zeros(p1 * p1);
            dense::add_transposed_product(
                &self.x[range.clone()],
                &weighted[range],
                work[piece].len(),
                p1,
                p1,
                1.0,
                &mut out,
            );
            out
        });
        let mut total = memory::zeros(p1 * p1);
        for part in parts {
            total.iter_mut().zip(&part).for_each(|(a, b)| *a += b);
        }
        memory::collect((0..p1 * p1).map(|e| 0.5 * (total[e] + total[(e % p1) * p1 + e / p1])))
    }

    /// Z_j'(R^-1 [Q r]) of every level.
    pub(super) fn level_products<S: Sum>(
        &self,
        f: usize,
        factor: &FactorLayout,
        weighted: &[f64],
        workers: &Workers,
    ) -> Vec<S> {
        let (k, p1, z) = (factor.k, self.p1, &self.z[f]);
        let mut out = Vec::new();
        memory::resize(&mut out, factor.n_levels * k * p1);
        let order = &self.by_level[f];
        let count = factor.n_levels.div_ceil(LEVELS);
        workers.for_each(count, chunks(&mut out, LEVELS * k * p1), |piece, out| {
            for (i, block) in out.chunks_exact_mut(k * p1).enumerate() {
                for &place in order.rows(piece * LEVELS + i) {
                    let place = place as usize;
                    let row = &weighted[place * p1..(place + 1) * p1];
                    S::add(block, 1.0, row, &z[place * k..(place + 1) * k]);
                }
            }
        });
        out
    }
}
