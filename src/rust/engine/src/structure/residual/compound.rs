//! Compound symmetry: C = (1 - rho) I + rho 11', rho > -1 / (m - 1) for the largest group of m rows.
//!
//! C^-1 = alpha I - beta 11' with alpha = 1 / (1 - rho), beta = rho / ((1 - rho)(1 + (m - 1) rho)) and
//! log|C| = (m - 1) log(1 - rho) + log(1 + (m - 1) rho). Everything costs O(rows).

use std::f64::consts::FRAC_PI_4;

use crate::linalg::hyperdual::Scalar;
use crate::runtime::memory;
use crate::structure::residual::markov::EDGE;

/// rho = lo + (1 - lo) s with lo = -1 / (M - 1), M the rows of the largest group, and s in [[`EDGE`], 1 - [`EDGE`]].
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchangeable<S> {
    pub rho: S,
    /// 1 - rho, without cancellation.
    pub complement: S,
    share: S,
    largest: f64,
}

impl<S: Scalar> Exchangeable<S> {
    /// s = (1 + sin x) / 2, but for its ends.
    pub fn new(x: S, largest: usize) -> Self {
        let largest = largest.max(2) as f64;
        let (lo, half) = (-1.0 / (largest - 1.0), x * 0.5 + FRAC_PI_4);
        let inside = |square: S| square * (1.0 - 2.0 * EDGE) + EDGE;
        let share = inside(half.sin().square());
        Self {
            rho: share * (1.0 - lo) + lo,
            complement: inside(half.cos().square()) * (1.0 - lo),
            share,
            largest,
        }
    }

    /// 1 + (m - 1) rho, without cancellation for m up to the largest group.
    fn growth(&self, m: usize) -> S {
        if m == 0 {
            return self.complement;
        }
        let m = m as f64;
        (self.share * ((m - 1.0) * self.largest) + (self.largest - m)) / (self.largest - 1.0)
    }

    /// alpha and beta for m rows.
    pub fn precision(&self, m: usize) -> (S, S) {
        let alpha = self.complement.recip();
        (alpha, self.rho * alpha / self.growth(m))
    }

    /// log|C| for m rows.
    pub fn log_det(&self, m: usize) -> S {
        self.complement.ln() * (m as f64 - 1.0) + self.growth(m).ln()
    }
}

/// x of rho.
pub(super) fn internal(rho: f64, largest: usize) -> Option<f64> {
    let lo = -1.0 / (largest.max(2) as f64 - 1.0);
    let share = (rho - lo) / (1.0 - lo);
    let inside = (share - EDGE) / (1.0 - 2.0 * EDGE);
    (share > 0.0 && share < 1.0).then(|| (2.0 * inside.clamp(0.0, 1.0) - 1.0).asin())
}

/// C^-1 of a group of m rows.
#[derive(Debug, Clone)]
pub(super) struct RankOne {
    law: Exchangeable<f64>,
    pub m: usize,
    pub alpha: f64,
    pub beta: f64,
    pub log_det: f64,
}

impl RankOne {
    /// `None` where C is singular.
    pub fn new(law: Exchangeable<f64>, m: usize) -> Option<Self> {
        let (alpha, beta) = law.precision(m);
        let log_det = law.log_det(m);
        let usable = law.complement > 0.0 && law.growth(m) > 0.0;
        (usable && alpha.is_finite() && beta.is_finite() && log_det.is_finite()).then_some(Self {
            law,
            m,
            alpha,
            beta,
            log_det,
        })
    }

    /// x <- a x + b 11'x for rows x.
    pub fn combine(a: f64, b: f64, x: &mut [f64], c: usize) {
        let mut sum = memory::zeros(c);
        for row in x.chunks_exact(c) {
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += v);
        }
        for row in x.chunks_exact_mut(c) {
            row.iter_mut()
                .zip(&sum)
                .for_each(|(v, s)| *v = a * *v + b * s);
        }
    }

    pub fn inverse_times(&self, x: &mut [f64], c: usize) {
        Self::combine(self.alpha, -self.beta, x, c);
    }

    pub fn times(&self, x: &mut [f64], c: usize) {
        Self::combine(self.law.complement, self.law.rho, x, c);
    }

    /// Weight of the sum of the `i` rows before in the mean of the next, and its standard deviation given them.
    fn step(&self, i: usize) -> (f64, f64) {
        let before = self.law.growth(i);
        let variance = self.law.complement * self.law.growth(i + 1) / before;
        (self.law.rho / before, variance.sqrt())
    }

    /// x <- U x, U'U = C^-1.
    pub fn whiten(&self, x: &mut [f64], c: usize) {
        let mut sum = memory::zeros(c);
        for (i, row) in x.chunks_exact_mut(c).enumerate() {
            let (weight, sd) = self.step(i);
            for (v, s) in row.iter_mut().zip(&mut sum) {
                let own = *v;
                *v = (own - weight * *s) / sd;
                *s += own;
            }
        }
    }

    /// x <- U^-1 x.
    pub fn color(&self, x: &mut [f64], c: usize) {
        let mut sum = memory::zeros(c);
        for (i, row) in x.chunks_exact_mut(c).enumerate() {
            let (weight, sd) = self.step(i);
            for (v, s) in row.iter_mut().zip(&mut sum) {
                *v = weight * *s + sd * *v;
                *s += *v;
            }
        }
    }
}
