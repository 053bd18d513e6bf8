//! Conditional variances of the random effects given the data and the covariance parameters.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::covariances::Covariances;
use crate::basis::random::TermBasis;
use crate::basis::user::user_factor;
use crate::fit::prepare::{prepare, start};
use crate::fit::sizes::Sizes;
use crate::linalg::small;
use crate::moments::level_precision::for_each_entry;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;
use crate::search::strategy::require_factor;
use crate::system::equations::{Factor, SelectedInverse, System};

/// Lambda_j [M^-1]_jj Lambda_j' for each level: k x k x J, relative to sigma^2; `lambda` = B T of the term (k x k).
#[must_use]
pub fn term_variances(
    system: &System,
    inverse: &SelectedInverse,
    basis: &TermBasis,
    lambda: &[f64],
) -> Vec<f64> {
    let k = basis.k;
    let levels = system.moments.factors[basis.factor].n_levels;
    let kf = system.moments.factors[basis.factor].k;
    let mut out = memory::zeros(levels * k * k);
    let mut block = memory::zeros(k * k);
    let mut half = memory::zeros(k * k);
    for (j, target) in out.chunks_exact_mut(k * k).enumerate() {
        for c in 0..k {
            for i in 0..k {
                let (row, column) = (basis.offset + i, basis.offset + c);
                block[c * k + i] = if basis.factor == 0 {
                    inverse.m11[j * kf * kf + column * kf + row]
                } else {
                    let start = system.schur.offset[system.schur.node_of[basis.factor][j] as usize];
                    // effects of one level are in the pattern
                    let value = inverse.r.entry(start + row, start + column);
                    value.unwrap_or(f64::NAN)
                };
            }
        }
        small::mul_nn(lambda, &block, k, k, k, &mut half);
        small::mul_nt(&half, lambda, k, k, k, target);
    }
    out
}

/// Sum over the levels of each factor of I - [P M^-1]_jj, symmetric in the sum, P the known precision matrix of the levels.
#[must_use]
pub fn complements(system: &System, inverse: &SelectedInverse) -> Option<Vec<Vec<f64>>> {
    let moments = &system.moments;
    let mut out = Vec::with_capacity(moments.factors.len());
    for (f, factor) in moments.factors.iter().enumerate() {
        let k = factor.k;
        let mut sum = memory::zeros(k * k);
        (0..k).for_each(|i| sum[i * k + i] = factor.n_levels as f64);
        if f == 0 {
            for block in inverse.m11.chunks_exact(k * k) {
                sum.iter_mut().zip(block).for_each(|(s, v)| *s -= v);
            }
            out.push(sum);
            continue;
        }
        let start = |level: usize| system.schur.offset[system.schur.node_of[f][level] as usize];
        let mut known = true;
        let mut less = |j: usize, l: usize, weight: f64| {
            for c in 0..k {
                for i in 0..k {
                    let (row, column) = (start(j) + i, start(l) + c);
                    match inverse.r.entry(row, column) {
                        Some(value) => sum[c * k + i] -= weight * value,
                        None => known = false,
                    }
                }
            }
        };
        if factor.level_precision.is_empty() {
            (0..factor.n_levels).for_each(|j| less(j, j, 1.0));
        } else {
            for_each_entry(moments, f, |j, l, q| less(l, j, q));
        }
        if !known {
            return None;
        }
        out.push(sum);
    }
    Some(out)
}

/// Conditional variances of the random effects relative to sigma^2 at `options.start`: for each term k x k x J.
///
/// Var(b_j | y) = T [M^-1]_jj T', in the user's basis (Bates et al. 2015, eq. 58).
///
/// # Errors
/// See [`EngineError`].
pub fn conditional_variances(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Vec<f64>>, EngineError> {
    interruptible(
        Sizes::of(data).are_long(2.0),
        interrupt,
        |stop, interrupt| variances_here(data, options, stop, interrupt),
    )
}

fn variances_here(
    data: &ModelData<'_>,
    options: &Options,
    stop: &StopFlag,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Vec<f64>>, EngineError> {
    let mut prepared = prepare(data, options, stop)?;
    let theta = start(options, &prepared)?;
    if prepared.starts_extreme(&theta) {
        prepared.settle(data, &theta, options, interrupt)?;
    }
    let system = &prepared.system;
    require_factor(system, options)?;
    let (parameters, unit) = (&prepared.parameters, prepared.unit_at(&theta));
    let (t, _) = parameters.regular_factors(&theta, unit, &system.workers, Covariances::default());
    let mut factor = Factor::new(system, t, &prepared.center.b, Factor::default())?;
    let inverse = factor.selected_inverse(system, SelectedInverse::default());
    Ok(prepared
        .bases
        .iter()
        .enumerate()
        .map(|(term, basis)| {
            let k = basis.k;
            // the regular T that M was formed with: M^-1 of one T between factors of another would be off by their difference
            let kf = prepared.layout[basis.factor].k;
            let t = factor.t.common(basis.factor);
            let own: Vec<f64> = memory::collect(
                (0..k * k).map(|e| t[(basis.offset + e / k) * kf + basis.offset + e % k]),
            );
            let mut lambda = memory::zeros(k * k);
            small::mul_nn(&basis.change, &own, k, k, k, &mut lambda);
            let of_user = user_factor(basis, &prepared.parameters.term_factor(&theta, term));
            for column in lambda.chunks_exact_mut(k) {
                of_user.remove_null(column);
            }
            term_variances(system, &inverse, basis, &lambda)
        })
        .collect())
}
