//! Known precision matrices of the levels of a grouping factor: b ~ N(0, sigma^2 K (x) T T'), as for animals in a pedigree
//! (Henderson 1976, Biometrics 32) or a spatial graph.
//!
//! With spherical effects u ~ N(0, sigma^2 K (x) I) the mixed-model equations are those of independent levels with K^-1 (x) I
//! in the place of the identity: M = Lambda'Z'R^-1Z Lambda + K^-1 (x) I, V = R + Z Lambda (K (x) I) Lambda'Z', and
//! |V| = |R| |M| / |K^-1 (x) I|. Only K^-1 is needed, never its inverse.

use std::time::Instant;

use crate::api::error::EngineError;
use crate::api::model::{KnownMatrix, ModelData};
use crate::basis::random::FactorLayout;
use crate::linalg::small;
use crate::linalg::sparse::{fill_reducing_order, Pattern, DENSE_ADVANTAGE};
use crate::linalg::triangle::Triangle;
use crate::moments::blocks::{Moments, PairMoments};
use crate::runtime::interruptible::interruptible_until;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::stop::StopFlag;

/// Diagonal of K^-1, its entries above the diagonal as a pair of the factor with itself, and log |K^-1|.
pub(crate) struct LevelPrecision {
    pub diagonal: Vec<f64>,
    pub pair: PairMoments,
    pub log_det: f64,
}

/// The inverse of a positive definite matrix.
#[derive(Debug, Clone)]
pub struct Inverse {
    /// Symmetric, all of it.
    pub values: Vec<f64>,
    /// Squared diagonal of the Cholesky factor of the matrix.
    pub pivots: Vec<f64>,
}

/// The inverse of a symmetric matrix of order `n`; `None` if it is not positive definite.
///
/// # Errors
/// [`EngineError::Dimension`] where the length is not n^2, [`EngineError::Interrupted`], [`EngineError::TimeLimit`].
pub fn invert(
    a: &[f64],
    n: usize,
    deadline: Option<Instant>,
    interrupt: &dyn Fn() -> bool,
) -> Result<Option<Inverse>, EngineError> {
    if a.len() != n * n {
        return Err(EngineError::Dimension(
            "the matrix must be square".to_owned(),
        ));
    }
    interruptible_until(deadline, n > INLINE, interrupt, |stop, _| {
        let workers = Workers::new(1, 0.0, stop);
        let mut factor = Triangle::of_square(a, n);
        if !factor.cholesky(&workers) {
            return Ok(None);
        }
        let pivots: Vec<f64> = (0..n).map(|j| factor.entry(j, j).powi(2)).collect();
        let mut inverse = Triangle::zeros(&[]);
        factor.inverse_of_product(&mut inverse, &workers);
        let mut values = memory::zeros(n * n);
        inverse.into_square(&mut values);
        small::mirror_lower(&mut values, n);
        let finite = values.iter().all(|v| v.is_finite());
        Ok(finite.then_some(Inverse { values, pivots }))
    })
}

/// Order up to which a matrix is inverted at once.
const INLINE: usize = 200;

/// The parts of K^-1 for factor `f` with `k` effects a level; `None` if K^-1 is not positive definite.
pub(crate) fn of_levels(
    precision: &KnownMatrix<'_>,
    f: usize,
    k: usize,
    stop: &StopFlag,
) -> Option<LevelPrecision> {
    let levels = precision.start.len() - 1;
    let mut diagonal = memory::zeros(levels);
    let mut pair = PairMoments::empty(f, f);
    for j in 0..levels {
        for at in precision.start[j] as usize..precision.start[j + 1] as usize {
            let l = precision.row[at] as usize;
            if l == j {
                diagonal[j] += precision.value[at];
            } else if l > j && precision.value[at] != 0.0 {
                pair.level.push(l as u32);
                pair.level_precision.push(precision.value[at]);
            }
        }
        pair.start.push(pair.level.len());
    }
    pair.value = memory::zeros(pair.level.len() * k * k);
    let log_det = if is_dense(pair.level_precision.len(), levels) {
        dense_log_det(&diagonal, &pair, stop)?
    } else {
        log_det(&diagonal, &pair, stop)?
    };
    Some(LevelPrecision {
        diagonal,
        pair,
        log_det,
    })
}

/// One of so many entries is enough for a matrix to be dense.
const DENSE: usize = 8;

/// log |K^-1| by a dense Cholesky factor.
fn dense_log_det(diagonal: &[f64], pair: &PairMoments, stop: &StopFlag) -> Option<f64> {
    let n = diagonal.len();
    let mut square = memory::zeros(n * n);
    for j in 0..n {
        square[j * n + j] = diagonal[j];
        for at in pair.start[j]..pair.start[j + 1] {
            square[j * n + pair.level[at] as usize] = pair.level_precision[at];
        }
    }
    let mut factor = Triangle::of_square(&square, n);
    drop(square);
    if !factor.cholesky(&Workers::new(1, 0.0, stop)) {
        return None;
    }
    let sum = 2.0 * factor.log_diagonal();
    sum.is_finite().then_some(sum)
}

/// log |K^-1| by a sparse Cholesky factor.
fn log_det(diagonal: &[f64], pair: &PairMoments, stop: &StopFlag) -> Option<f64> {
    let n = diagonal.len();
    let mut graph: Vec<Vec<(usize, f64)>> = vec![Vec::new(); n];
    for j in 0..n {
        for at in pair.start[j]..pair.start[j + 1] {
            let l = pair.level[at] as usize;
            graph[j].push((l, pair.level_precision[at]));
            graph[l].push((j, pair.level_precision[at]));
        }
    }
    let mut column_start = vec![0];
    let mut row = Vec::new();
    for list in &mut graph {
        list.sort_unstable_by_key(|entry| entry.0);
        row.extend(list.iter().map(|entry| entry.0));
        column_start.push(row.len());
    }
    let order = fill_reducing_order(n, &column_start, &row);
    let mut position = vec![0; n];
    for (new, &old) in order.iter().enumerate() {
        position[old] = new;
    }
    let below: Vec<Vec<u32>> = order
        .iter()
        .enumerate()
        .map(|(new, &old)| {
            let mut rows: Vec<u32> = graph[old]
                .iter()
                .map(|entry| position[entry.0] as u32)
                .filter(|&l| l as usize > new)
                .collect();
            rows.sort_unstable();
            rows
        })
        .collect();
    let pattern = Pattern::factorize(&below);
    let mut values = memory::zeros(pattern.nnz());
    for (new, &old) in order.iter().enumerate() {
        let range = pattern.column_start[new]..pattern.column_start[new + 1];
        values[range.start] = diagonal[old];
        for &(l, value) in &graph[old] {
            if let Ok(at) = pattern.row[range.clone()].binary_search(&(position[l] as u32)) {
                if position[l] > new {
                    values[range.start + at] = value;
                }
            }
        }
    }
    if !pattern.cholesky(&mut values, &Workers::new(1, 0.0, stop)) {
        return None;
    }
    let sum: f64 = (0..n).map(|j| values[pattern.column_start[j]].ln()).sum();
    sum.is_finite().then_some(2.0 * sum)
}

/// Has any factor a precision matrix?
pub(crate) fn any(moments: &Moments) -> bool {
    moments
        .factors
        .iter()
        .any(|f| !f.level_precision.is_empty())
}

/// Entries above the diagonal of the K^-1 of factor `f`.
fn above(moments: &Moments, f: usize) -> usize {
    let pairs = moments.pairs.iter().filter(|p| p.f == f && p.g == f);
    pairs.map(|pair| pair.level_precision.len()).sum()
}

/// Multiply-adds (at the speed of sparse ones) of the product of every K^-1 (x) I but the identities with a column.
pub(crate) fn work(moments: &Moments) -> f64 {
    let mut sum = 0.0;
    for (f, factor) in moments.factors.iter().enumerate() {
        let above = above(moments, f);
        let entries = ((factor.level_precision.len() + 2 * above) * factor.k) as f64;
        let advantage = if is_dense(above, factor.level_precision.len()) {
            DENSE_ADVANTAGE
        } else {
            1.0
        };
        sum += entries / advantage;
    }
    sum
}

/// Whether a K^-1 of order `n` with so many entries above the diagonal is as good as dense.
fn is_dense(above: usize, n: usize) -> bool {
    above * DENSE > n * n
}

/// Whether factor `f` has a K^-1 that is not as good as dense.
pub(crate) fn is_sparse(moments: &Moments, f: usize) -> bool {
    let n = moments.factors[f].level_precision.len();
    let pairs = moments.pairs.iter();
    // the precisions of fixed effects are diagonal, and have no pair
    let is_known = pairs.into_iter().any(|pair| pair.f == f && pair.g == f);
    is_known && !is_dense(above(moments, f), n)
}

/// The K^-1 of each factor in full, where it is as good as dense; else empty.
pub(crate) fn dense_matrices(moments: &Moments) -> Vec<Vec<f64>> {
    let matrix = |f: usize| {
        let n = moments.factors[f].level_precision.len();
        if !is_dense(above(moments, f), n) {
            return Vec::new();
        }
        let mut out = memory::zeros(n * n);
        for_each_entry(moments, f, |to, from, q| out[from * n + to] += q);
        out
    };
    (0..moments.factors.len()).map(matrix).collect()
}

/// (K^-1 (x) I) x for the effects of factor `f`, level after level with `width` values each: for each entry of K^-1, `add` is told
/// the level that the sum is for, the one that is summed, and the entry.
pub(crate) fn for_each_entry(moments: &Moments, f: usize, mut add: impl FnMut(usize, usize, f64)) {
    let factor = &moments.factors[f];
    for (level, &q) in factor.level_precision.iter().enumerate() {
        add(level, level, q);
    }
    let known =
        |pair: &&PairMoments| pair.f == f && pair.g == f && !pair.level_precision.is_empty();
    for pair in moments.pairs.iter().filter(known) {
        for j in 0..factor.n_levels {
            for at in pair.start[j]..pair.start[j + 1] {
                let (l, q) = (pair.level[at] as usize, pair.level_precision[at]);
                add(j, l, q);
                add(l, j, q);
            }
        }
    }
}

impl Moments {
    /// Takes over the known precision matrices of the levels from other moments of the model.
    pub(crate) fn take_level_precisions(&mut self, other: &Self) {
        for (own, from) in self.factors.iter_mut().zip(&other.factors) {
            own.level_precision.clone_from(&from.level_precision);
        }
        let known = other
            .pairs
            .iter()
            .filter(|pair| !pair.level_precision.is_empty());
        self.pairs.extend(known.cloned());
        self.log_det_level_precision = other.log_det_level_precision;
        // less the rank of fixed effects of levels
        self.n = other.n;
    }

    /// Takes the known precision matrices of the levels in.
    pub(crate) fn add_level_precisions(
        &mut self,
        data: &ModelData<'_>,
        layout: &[FactorLayout],
        stop: &StopFlag,
    ) -> Result<(), EngineError> {
        for (f, factor) in layout.iter().enumerate() {
            let precision = factor.user.and_then(|user| data.factors[user].precision);
            if let Some(precision) = precision {
                let known = of_levels(&precision, f, factor.k, stop).ok_or(
                    EngineError::NotPositiveDefinite {
                        factor: factor.user,
                    },
                )?;
                self.factors[f].level_precision = known.diagonal;
                self.log_det_level_precision += factor.k as f64 * known.log_det;
                self.pairs.push(known.pair);
            }
        }
        Ok(())
    }
}
