//! The Cholesky factor of M = Lambda'Z'WZ Lambda + I (a known precision matrix K^-1 in the place of I where there is one) bordered
//! by [Q r], at one set of relative covariance factors T.
//!
//! M is eliminated in two steps. The first grouping factor has block-diagonal D_j = T'A_jj T + I = L_j L_j'; what is left is
//! the Schur complement S = I + T_2'A_22 T_2 - sum_j W_j'W_j with W_j = L_j^-1 T_1'A_j2 T_2, dense or sparse. This is the
//! blocked form of Bates et al. (2015), eqs. 14-20.

use crate::api::error::EngineError;
use crate::basis::covariances::Covariances;
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::partition::{chunks, cut};
use crate::system::assemble::assemble;
use crate::system::complement::Complement;
use crate::system::equations::{Factor, Rows, System, COMPLEMENT, FIRST};
use crate::system::extended;
use crate::system::pieces::{level_pieces, LEVELS};
use crate::system::right_hand_sides::{gram, right_hand_sides, shifts, weighted_shifts};

impl Factor {
    /// Factorises at the given T, in the workspace of an old factor; `center` holds B_0 per factor (internal basis) or empty
    /// vectors.
    ///
    /// # Errors
    /// [`EngineError::Numerical`] where a matrix is not positive definite in floating point, [`EngineError::PerfectFit`] where
    /// the residual sum of squares vanishes.
    pub fn new(
        system: &System,
        t: Covariances,
        center: &[Vec<f64>],
        old: Self,
    ) -> Result<Self, EngineError> {
        let shift = shifts(system, &t, center, old.shift);
        let weighted = weighted_shifts(system, &shift, old.weighted);
        let mut factor = Self {
            rzx: old.rzx,
            t,
            l1: old.l1,
            w: old.w,
            s: Complement::for_storage(&system.schur.storage, old.s),
            lx: old.lx,
            log_det_m: 0.0,
            log_det_x: 0.0,
            pwrss: 0.0,
            total: 0.0,
            shift,
            weighted,
            actual: None,
        };
        let log_det = match &system.moments.rest {
            Some(rest) => {
                let (log_det, xx) = extended::factorize(system, rest, &mut factor)?;
                factor.border_extended(system, xx)?;
                log_det
            }
            None => {
                let old = std::mem::take(&mut factor.rzx);
                let shift = |f: usize| factor.weighted_shift(f);
                let mut rzx = right_hand_sides(system, &factor.t, shift, old);
                let log_det = factor.factorize(system)?;
                factor.forward(system, &mut rzx);
                factor.rzx = rzx;
                factor.border(system)?;
                log_det
            }
        };
        factor.log_det_m = log_det - system.moments.log_det_level_precision;
        Ok(factor)
    }

    /// The factor of M alone, with nothing that it borders.
    ///
    /// # Errors
    /// [`EngineError::Numerical`] where M is not positive definite in floating point.
    pub(crate) fn of_effects(system: &System, t: Covariances) -> Result<Self, EngineError> {
        let s = Complement::for_storage(&system.schur.storage, Complement::default());
        let mut factor = Self {
            t,
            s,
            ..Self::default()
        };
        factor.log_det_m = factor.factorize(system)? - system.moments.log_det_level_precision;
        Ok(factor)
    }

    /// [Q r]'V^-1[Q r] of the factor of M, lower triangle; not centred.
    pub(crate) fn left_of_columns(&self, system: &System) -> Vec<f64> {
        let mut rzx = right_hand_sides(system, &self.t, |_| &[], Rows::default());
        self.forward(system, &mut rzx);
        let taken = gram(system, &rzx);
        let pairs = system.moments.xx.iter().zip(taken.iter());
        memory::collect(pairs.map(|(all, taken)| all - taken))
    }

    /// What is left where the complement is not factorised: no solves, `rzx` without rows; determinants are to be set.
    pub(crate) fn without_complement(
        t: Covariances,
        l1: Vec<f64>,
        rzx: Rows,
        shift: Vec<Vec<f64>>,
    ) -> Self {
        Self {
            rzx,
            t,
            l1,
            w: Vec::new(),
            s: Complement::default(),
            lx: Vec::new(),
            log_det_m: 0.0,
            log_det_x: 0.0,
            pwrss: 0.0,
            total: 0.0,
            shift,
            weighted: Vec::new(),
            actual: None,
        }
    }

    /// L_j, W_j and the factor of the complement; returns log |M|.
    fn factorize(&mut self, system: &System) -> Result<f64, EngineError> {
        let (l1, w) = (std::mem::take(&mut self.l1), std::mem::take(&mut self.w));
        let (l1, w, log_det) =
            eliminate_first(system, &self.t, l1, w).ok_or(EngineError::numerical(FIRST))?;
        (self.l1, self.w) = (l1, w);
        let of_complement = self.factorize_schur(system);
        Ok(log_det + of_complement.ok_or(EngineError::numerical(COMPLEMENT))?)
    }

    /// S = I + T_2'A_22T_2 - sum_j W_j'W_j and its Cholesky factor; returns log |S|.
    fn factorize_schur(&mut self, system: &System) -> Option<f64> {
        assemble(system, &self.w, None, -1.0, Some(&self.t), &mut self.s);
        let done = self.s.cholesky(&system.workers);
        done.then(|| 2.0 * self.log_diagonal(system))
    }

    /// Logarithms of the diagonal of the factor of S, summed; of a node that counts as many, as often.
    fn log_diagonal(&self, system: &System) -> f64 {
        let factors = &system.moments.factors[1..];
        if factors.iter().all(|f| f.multiplicity.is_empty()) {
            return self.s.log_diagonal();
        }
        let schur = &system.schur;
        let of_node = |v: usize| -> f64 {
            let effects = schur.offset[v]..schur.offset[v + 1];
            let logs = effects.map(|e| self.s.diagonal(e).map_or(f64::NAN, f64::ln));
            system.times_of(v) * logs.sum::<f64>()
        };
        (0..schur.nodes()).map(of_node).sum()
    }
}

/// L_j and W_j of every level of the first factor, in the workspace of `l1` and `w`, and sum of log |D_j|.
pub(crate) fn eliminate_first(
    system: &System,
    t: &Covariances,
    mut l1: Vec<f64>,
    mut w: Vec<f64>,
) -> Option<(Vec<f64>, Vec<f64>, f64)> {
    let (moments, schur, k1) = (&system.moments, &system.schur, system.k1());
    let levels = moments.factors[0].n_levels;
    // each value is written
    memory::resize(&mut l1, levels * k1 * k1);
    memory::resize(&mut w, schur.effect_row.len() * k1);
    let border = |i: usize| (i * LEVELS).min(levels);
    let count = level_pieces(system);
    let mut log_dets = system.workers.buffer(count);
    let partition = (
        cut(&mut l1, |i| border(i) * k1 * k1),
        cut(&mut w, |i| schur.effect_start[schur.start[border(i)]] * k1),
        chunks(&mut log_dets, 1),
    );
    system
        .workers
        .for_each(count, partition, |piece, (l, w, log_det)| {
            log_det[0] = eliminate_piece(system, t, border(piece)..border(piece + 1), l, w);
        });
    let total: f64 = log_dets.iter().sum();
    drop(log_dets);
    total.is_finite().then_some((l1, w, total))
}

fn eliminate_piece(
    system: &System,
    t: &Covariances,
    levels: std::ops::Range<usize>,
    l: &mut [f64],
    w: &mut [f64],
) -> f64 {
    let (schur, k1) = (&system.schur, system.k1());
    let mut log_det = 0.0;
    let mut half = system.workers.buffer(k1 * k1);
    let mut workspace = system.workers.buffer(k1 * system.most_effects());
    let mut at_w = 0;
    for (j, block) in levels.zip(l.chunks_exact_mut(k1 * k1)) {
        let own = t.of(0, j);
        let zz = &system.moments.factors[0].zz[j * k1 * k1..(j + 1) * k1 * k1];
        small::mul_nn(zz, own, k1, k1, k1, &mut half);
        small::mul_tn(own, &half, k1, k1, k1, block);
        let precision = system.moments.factors[0].precision(j);
        (0..k1).for_each(|a| block[a * k1 + a] += precision);
        if !small::cholesky(block, k1) {
            return f64::NAN;
        }
        let times = 2.0 * system.moments.factors[0].times(j);
        log_det += times * (0..k1).map(|a| block[a * k1 + a].ln()).sum::<f64>();
        for at in schur.start[j]..schur.start[j + 1] {
            let v = schur.neighbour[at] as usize;
            let (f, level) = schur.node[v];
            let k = system.moments.factors[f].k;
            let product = &mut workspace[..k1 * k];
            small::mul_nn(
                system.block(schur.source[at]),
                t.of(f, level),
                k1,
                k,
                k,
                product,
            );
            let out = &mut w[at_w..at_w + k1 * k];
            small::mul_tn(own, product, k1, k1, k, out);
            for column in out.chunks_exact_mut(k1) {
                small::solve_lower(block, k1, column);
            }
            at_w += k1 * k;
        }
    }
    log_det
}
