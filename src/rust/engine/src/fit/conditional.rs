//! Conditional variances of the random effects given the data and the covariance parameters.

use std::borrow::Cow;

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::covariances::Covariances;
use crate::basis::random::TermBasis;
use crate::basis::user::user_factor;
use crate::fit::estimates::lambda_of;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::sizes::Sizes;
use crate::fit::user_start::start;
use crate::linalg::double2::Double2;
use crate::linalg::small;
use crate::moments::level_precision::for_each_entry;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;
use crate::search::strategy::require_factor;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::extended::rows::{RowSolver, SolvedEffects};

/// Lambda_j [M^-1]_jj Lambda_j' for each level of a basis, relative to sigma^2, into an array k x k x J of all levels;
/// `lambda` = B T (k x k).
pub fn write_variances(
    system: &System,
    (factor, inverse): (&Factor, &SelectedInverse),
    basis: &TermBasis,
    lambda: &[f64],
    out: &mut [f64],
) {
    let k = basis.k;
    let kf = system.moments.factors[basis.factor].k;
    let mut block = memory::zeros(k * k);
    let mut half = memory::zeros(k * k);
    for j in basis.levels.among(out.len() / (k * k)) {
        let target = &mut out[j * k * k..(j + 1) * k * k];
        let m11 = match basis.factor {
            0 => inverse_of_first(system, factor, inverse, j),
            _ => Cow::Borrowed(&[][..]),
        };
        for c in 0..k {
            for i in 0..k {
                let (row, column) = (basis.offset + i, basis.offset + c);
                block[c * k + i] = if basis.factor == 0 {
                    m11[column * kf + row]
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
}

/// [M^-1]_jj of a level of the first factor. Where it counts c_j times and what it is nested in c_k times, effects of c_j / c_k levels
/// of its kind stand behind it, and what it has beyond its own D_j^-1 is that of all of them.
fn inverse_of_first<'a>(
    system: &System,
    factor: &Factor,
    inverse: &'a SelectedInverse,
    j: usize,
) -> Cow<'a, [f64]> {
    let k = system.k1();
    let block = &inverse.m11[j * k * k..(j + 1) * k * k];
    let (own, around) = (system.moments.factors[0].times(j), system.times_around(j));
    if own - around == 0.0 {
        return Cow::Borrowed(block);
    }
    let d = small::inverse_from_cholesky(&factor.l1[j * k * k..(j + 1) * k * k], k);
    let parts = block.iter().zip(&d);
    Cow::Owned(parts.map(|(m, d)| d + (m - d) * around / own).collect())
}

/// Sum over the levels of each factor and class of I - [K^-1 M^-1]_jj, symmetric in the sum, K^-1 the known precision matrix of the
/// levels.
#[must_use]
pub fn complements(
    system: &System,
    t: &Covariances,
    inverse: &SelectedInverse,
) -> Option<Vec<Vec<Vec<f64>>>> {
    let moments = &system.moments;
    let mut out = Vec::with_capacity(moments.factors.len());
    for (f, factor) in moments.factors.iter().enumerate() {
        let k = factor.k;
        let mut sums = vec![memory::zeros(k * k); t.classes(f)];
        for level in 0..factor.n_levels {
            let sum = &mut sums[t.class(f, level)];
            (0..k).for_each(|i| sum[i * k + i] += 1.0);
        }
        if f == 0 {
            for (level, block) in inverse.m11.chunks_exact(k * k).enumerate() {
                let sum = &mut sums[t.class(f, level)];
                sum.iter_mut().zip(block).for_each(|(s, v)| *s -= v);
            }
            out.push(sums);
            continue;
        }
        let start = |level: usize| system.schur.offset[system.schur.node_of[f][level] as usize];
        let mut known = true;
        let mut less = |j: usize, l: usize, weight: f64| {
            let sum = &mut sums[t.class(f, j)];
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
        out.push(sums);
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
    let effects = |p: &Prepared| p.system.q1() + p.system.schur.q2;
    prepared.settle_rows(data, &theta, effects(&prepared))?;
    let system = &prepared.system;
    require_factor(system, options)?;
    let (parameters, unit) = (&prepared.parameters, prepared.unit_at(&theta));
    let (t, _) = parameters.regular_factors(&theta, unit, &system.workers, Covariances::default());
    let mut factor = Factor::new(system, t, &prepared.center.b, Factor::default())?;
    let inverse = factor.selected_inverse(system, SelectedInverse::default());
    let terms = data.terms.iter();
    let mut out: Vec<_> = terms
        .map(|term| {
            let levels = data.factors[term.factor].n_levels;
            memory::zeros(levels * term.columns.len().pow(2))
        })
        .collect();
    let rows = effects(&prepared);
    let twice = if prepared.residual.is_none() && prepared.can_solve_extended(rows) {
        factor.actual = Some(parameters.factors(&theta, Covariances::default()));
        RowSolver::new(system, &factor)?
    } else {
        None
    };
    for (term, basis) in prepared.bases.iter().enumerate() {
        // the regular T that M was formed with: M^-1 of one T between factors of another would be off by their difference
        let mut lambda = lambda_of(basis, &factor.t);
        let of_user = user_factor(basis, &prepared.parameters.term_factor(&theta, term));
        for column in lambda.chunks_exact_mut(basis.k) {
            of_user.remove_null(column);
        }
        let out = &mut out[basis.term];
        match &twice {
            Some(twice) => {
                let of_effects = prepared.layout[basis.factor].k;
                let lambda = extended_lambda(basis, twice.covariances(), &lambda);
                write_extended_variances(twice, basis, of_effects, &lambda, out);
            }
            None => write_variances(system, (&factor, &inverse), basis, &lambda, out),
        }
    }
    Ok(out)
}

/// B T of one term with twice the digits, rows zero where those of `lambda` are.
fn extended_lambda(basis: &TermBasis, t: &Covariances, lambda: &[f64]) -> Vec<Double2> {
    let k = basis.k;
    let t = t.block(basis.factor, basis.levels.class(), (basis.offset, k));
    let entry = |e: usize| {
        let (a, b) = (e % k, e / k);
        let mut sum = Double2::default();
        if (0..k).any(|c| lambda[c * k + a] != 0.0) {
            (b..k).for_each(|c| sum += Double2::product(basis.change[c * k + a], t[b * k + c]));
        }
        sum
    };
    (0..k * k).map(entry).collect()
}

/// Like [`write_variances`], as products of the rows of Lambda_j L^-T: no sum of numbers that cancel.
fn write_extended_variances(
    twice: &RowSolver<'_>,
    basis: &TermBasis,
    of_effects: usize,
    lambda: &[Double2],
    out: &mut [f64],
) {
    let k = basis.k;
    let mut solved: Vec<SolvedEffects> = Vec::new();
    solved.resize_with(k, SolvedEffects::default);
    for j in basis.levels.among(out.len() / (k * k)) {
        for (a, solved) in solved.iter_mut().enumerate() {
            let mut s = vec![Double2::default(); of_effects];
            (0..k).for_each(|b| s[basis.offset + b] = lambda[b * k + a]);
            twice.solve(vec![(basis.factor, j, s)], solved);
        }
        let target = &mut out[j * k * k..(j + 1) * k * k];
        for (e, value) in target.iter_mut().enumerate() {
            *value = solved[e % k].times(&solved[e / k]).high;
        }
    }
}
