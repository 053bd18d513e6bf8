//! What the factor borders: [Q r]'V^-1[Q r].

use crate::api::error::EngineError;
use crate::linalg::double2::Double2;
use crate::linalg::double2_matrix::cholesky_of_block;
use crate::linalg::row_sums::accumulate_gram;
use crate::linalg::small;
use crate::runtime::memory;
use crate::system::equations::{Factor, System};
use crate::system::right_hand_sides::gram;

const FIXED: &str = "the factorisation of the equations of the fixed effects";

impl Factor {
    /// Square of column j of [Q r] before anything was taken out of it.
    pub(crate) fn before(&self, system: &System, j: usize) -> f64 {
        let p1 = self.rzx.m;
        let moved = self.both_shifts();
        let moved = moved.flat_map(|(u, pu)| u.chunks_exact(p1).zip(pu.chunks_exact(p1)));
        system.moments.xx[j * p1 + j] + moved.map(|(u, pu)| u[j] * pu[j]).sum::<f64>()
    }

    /// Adds U_0'K^-1 U_0, lower triangle.
    fn add_shifts(&self, system: &System, xx: &mut [f64]) {
        let p1 = system.moments.p1;
        for (shift, weighted) in self.both_shifts() {
            if std::ptr::eq(shift, weighted) {
                accumulate_gram(shift, p1, xx);
                continue;
            }
            for (u, pu) in shift.chunks_exact(p1).zip(weighted.chunks_exact(p1)) {
                for j in 0..p1 {
                    (j..p1).for_each(|i| xx[j * p1 + i] += u[i] * pu[j]);
                }
            }
        }
    }

    /// [Q r]'V^-1[Q r] = [Q r]'[Q r] + U_0'K^-1 U_0 - RZX'RZX, its factor, log |Q'V^-1Q| and the residual sum of squares.
    pub(crate) fn border(&mut self, system: &System) -> Result<(), EngineError> {
        let taken = gram(system, &self.rzx);
        self.border_with(system, &taken)
    }

    /// Like [`Self::border`], with `taken` = [Q r]'Z Lambda M^-1 Lambda'Z'[Q r], lower triangle.
    pub(crate) fn border_with(
        &mut self,
        system: &System,
        taken: &[f64],
    ) -> Result<(), EngineError> {
        let p1 = self.rzx.m;
        let mut xx = std::mem::take(&mut self.lx);
        xx.clone_from(&system.moments.xx);
        self.add_shifts(system, &mut xx);
        self.total = xx[p1 * p1 - 1];
        for j in 0..p1 {
            for i in j..p1 {
                xx[j * p1 + i] -= taken[j * p1 + i];
            }
        }
        if !small::cholesky(&mut xx, p1) {
            return Err(self.why_not_positive(system, taken));
        }
        self.lx = xx;
        self.finish_border();
        Ok(())
    }

    /// Like [`Self::border`], from [Q r]'V^-1[Q r] with twice the digits.
    pub(crate) fn border_extended(
        &mut self,
        system: &System,
        mut xx: Vec<Double2>,
    ) -> Result<(), EngineError> {
        let p1 = self.rzx.m;
        self.total = self.before(system, p1 - 1);
        if cholesky_of_block(&mut xx, p1).is_none() {
            let taken = gram(system, &self.rzx);
            return Err(self.why_not_positive(system, &taken));
        }
        self.lx.clear();
        self.lx.extend(xx.iter().map(|value| value.high));
        self.finish_border();
        Ok(())
    }

    /// What the factor of [Q r]'V^-1[Q r] tells.
    fn finish_border(&mut self) {
        let (p1, lx) = (self.rzx.m, &self.lx);
        self.pwrss = lx[p1 * p1 - 1].powi(2);
        self.log_det_x = 2.0 * (0..p1 - 1).map(|j| lx[j * p1 + j].ln()).sum::<f64>();
    }

    /// Whether it is the fixed effects' part of [Q r]'V^-1[Q r] that is not positive, or what they leave of the response.
    fn why_not_positive(&self, system: &System, taken: &[f64]) -> EngineError {
        let p1 = self.rzx.m;
        let p = p1 - 1;
        let mut all = memory::copy(&system.moments.xx);
        self.add_shifts(system, &mut all);
        let mut xx: Vec<f64> = (0..p * p)
            .map(|e| (e / p) * p1 + e % p)
            .map(|e| all[e] - taken[e])
            .collect();
        if self.total.is_finite() && small::cholesky(&mut xx, p) {
            EngineError::PerfectFit
        } else {
            EngineError::numerical(FIXED)
        }
    }
}
