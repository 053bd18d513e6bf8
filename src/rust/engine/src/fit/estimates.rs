//! The optimum in the user's terms.

use crate::api::error::EngineError;
use crate::api::model::{ModelData, Structure};
use crate::api::options::Options;
use crate::api::result::Fit;
use crate::basis::covariances::Covariances;
use crate::basis::fixed::FixedBasis;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::random::TermBasis;
use crate::basis::user::user_factor;
use crate::fit::prepared::Prepared;
use crate::fit::user_start::{natural_phi, user_theta};
use crate::linalg::dense::Shape;
use crate::linalg::row_sums::dot;
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::{chunks, piece};
use crate::system::equations::{Factor, Rows, System};
use crate::system::precision_product;
use crate::system::solution::Solution;

/// Rows of the effects of one factor, level after level.
pub(crate) fn effects_of_factor(system: &System, rows: &Rows, f: usize) -> Vec<f64> {
    if f == 0 {
        return rows.eliminated.clone();
    }
    let (offset, m) = (&system.schur.offset, rows.m);
    system.schur.node_of[f]
        .iter()
        .flat_map(|&v| &rows.complement[offset[v as usize] * m..offset[v as usize + 1] * m])
        .copied()
        .collect()
}

/// beta_0 + Rinv gamma, zero where aliased.
pub(crate) fn coefficients(prepared: &Prepared, gamma: &[f64]) -> Vec<f64> {
    let p = prepared.fixed.p;
    let mut beta = prepared.center.beta.clone();
    for (c, value) in gamma.iter().enumerate() {
        for i in 0..p {
            beta[i] += prepared.fixed.rinv[c * p + i] * value;
        }
    }
    beta
}

/// The fit in the user's terms, from the factor and the solution at the optimum `theta`, where the criterion and the penalty on it have these values:
/// coefficients, conditional modes, sums of squares, sigma; fitted values and residuals go to `rows`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn estimates(
    data: &ModelData<'_>,
    options: &Options,
    prepared: &Prepared,
    theta: &InternalTheta,
    factor: &Factor,
    solution: &Solution,
    (criterion, penalty): (f64, f64),
    certificate: crate::api::result::Certificate,
    rows: RowResults<'_>,
) -> Fit {
    let fixed = &prepared.fixed;
    let beta_full = coefficients(prepared, &solution.gamma);
    let effects = user_modes(data, prepared, theta, factor, solution);
    let b: Vec<&[f64]> = effects.iter().map(|e| e.1.as_slice()).collect();
    let of_rows = (data.moments.is_none())
        .then(|| fitted_values(data, &beta_full, &b, rows, &prepared.system.workers));
    let u: Vec<f64> = effects.iter().flat_map(|e| e.0.iter().copied()).collect();
    let ussq = match precision_product::times(&prepared.system, &solution.u) {
        Some(weighted) => {
            inner(&weighted.complement, &solution.u.complement)
                + inner(&weighted.eliminated, &solution.u.eliminated)
        }
        // not those of the model where levels count as many
        None if data.is_counted() => {
            let (eliminated, complement) = (&solution.u.eliminated, &solution.u.complement);
            inner(eliminated, eliminated) + inner(complement, complement)
        }
        None => inner(&u, &u),
    };
    let wrss = of_rows
        .filter(|_| prepared.residual.is_none())
        .unwrap_or(factor.pwrss - ussq);
    let degrees = data.n() as f64
        - if options.reml {
            (fixed.rank() + prepared.eliminated()) as f64
        } else {
            0.0
        }
        - prepared
            .penalty
            .as_ref()
            .map_or(0.0, |penalty| penalty.log_sigma2);
    let mut beta = vec![f64::NAN; fixed.p];
    fixed.kept.iter().for_each(|&j| beta[j] = beta_full[j]);
    let (rx, vcov_unscaled) = fixed_covariance(fixed, &factor.lx, fixed.rank() + 1);
    Fit {
        theta: user_theta(prepared, theta),
        phi: natural_phi(prepared, theta),
        unseen: prepared
            .residual
            .as_ref()
            .map_or_else(Vec::new, |part| part.whole().unseen()),
        beta,
        rank: fixed.rank(),
        eliminated: prepared.eliminated(),
        pivot: fixed.pivot.clone(),
        rx,
        vcov_unscaled,
        sigma: prepared.sigma2.unwrap_or(factor.pwrss / degrees).sqrt(),
        criterion,
        penalty,
        ld_l2: factor.log_det_m,
        ld_rx2: factor.log_det_x - 2.0 * fixed.log_det_rinv,
        pwrss: factor.pwrss,
        wrss,
        ussq,
        b: effects.iter().flat_map(|e| e.1.iter().copied()).collect(),
        u,
        fitted: Vec::new(),
        residuals: Vec::new(),
        optimizer_seconds: 0.0,
        certificate,
    }
}

/// y - offset - X beta - Z b of each row.
pub(crate) fn row_residuals(
    data: &ModelData<'_>,
    prepared: &Prepared,
    theta: &InternalTheta,
    factor: &Factor,
    solution: &Solution,
) -> Vec<f64> {
    let beta = coefficients(prepared, &solution.gamma);
    let effects = user_modes(data, prepared, theta, factor, solution);
    let b: Vec<&[f64]> = effects.iter().map(|e| e.1.as_slice()).collect();
    let (mut fitted, mut residuals) = (memory::zeros(data.rows()), memory::zeros(data.rows()));
    let rows = RowResults {
        fitted: &mut fitted,
        residuals: &mut residuals,
    };
    fitted_values(data, &beta, &b, rows, &prepared.system.workers);
    residuals
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// u and b of each of the user's terms, in the user's basis.
fn user_modes(
    data: &ModelData<'_>,
    prepared: &Prepared,
    theta: &InternalTheta,
    factor: &Factor,
    solution: &Solution,
) -> Vec<(Vec<f64>, Vec<f64>)> {
    let factors = &prepared.system.moments.factors;
    let terms = data.terms.iter();
    let mut out: Vec<_> = terms
        .map(|term| {
            let effects = data.factors[term.factor].n_levels * term.columns.len();
            (memory::zeros(effects), memory::zeros(effects))
        })
        .collect();
    for (t, basis) in prepared.bases.iter().enumerate() {
        let k = basis.k;
        let kf = prepared.layout[basis.factor].k;
        let of_user = user_factor(basis, &prepared.parameters.term_factor(theta, t));
        let lambda = lambda_of(basis, &factor.t);
        let internal = effects_of_factor(&prepared.system, &solution.u, basis.factor);
        let (u, b) = &mut out[basis.term];
        for level in basis.levels.among(internal.len() / kf) {
            let own = &internal[level * kf + basis.offset..][..k];
            let to = level * k..(level + 1) * k;
            let value = &mut b[to.clone()];
            small::mul_nn(&lambda, own, k, k, 1, value);
            if let Some(counts) = data.factors[data.terms[basis.term].factor].counts {
                value.iter_mut().for_each(|v| *v /= counts[level].sqrt());
            }
            of_user.remove_null(value);
            if basis.structure == Structure::Fixed && factors[basis.factor].precision(level) > 0.0 {
                // held at zero
                value.fill(0.0);
            }
            u[to].copy_from_slice(&of_user.spherical(value));
        }
    }
    out
}

/// B T of one term, at the levels of its basis.
pub(crate) fn lambda_of(basis: &TermBasis, t: &Covariances) -> Vec<f64> {
    let k = basis.k;
    let own = t.block(basis.factor, basis.levels.class(), (basis.offset, k));
    let mut lambda = memory::zeros(k * k);
    small::mul_nn(&basis.change, &own, k, k, k, &mut lambda);
    lambda
}

/// offset + X beta + Z b and the residuals into `rows`; their weighted sum of squares.
pub(crate) fn fitted_values(
    data: &ModelData<'_>,
    beta: &[f64],
    b: &[&[f64]],
    rows: RowResults<'_>,
    workers: &Workers,
) -> f64 {
    let n = data.rows();
    const ROWS: usize = 2048;
    let RowResults { fitted, residuals } = rows;
    let mut sums = memory::zeros(n.div_ceil(ROWS));
    let parts = (
        chunks(fitted, ROWS),
        chunks(residuals, ROWS),
        chunks(&mut sums, 1),
    );
    workers.for_each(n.div_ceil(ROWS), parts, |i, (fitted, residuals, sum)| {
        let range = piece(n, ROWS, i);
        match data.offset {
            Some(offset) => fitted.copy_from_slice(&offset[range.clone()]),
            None => fitted.fill(0.0),
        }
        for (column, coefficient) in data.x.iter().zip(beta) {
            if *coefficient != 0.0 {
                column.visit(range.clone(), fitted.iter_mut(), |f, x| {
                    *f += coefficient * x;
                });
            }
        }
        for (term, b) in data.terms.iter().zip(b) {
            let k = term.columns.len();
            let factor = &data.factors[term.factor];
            if factor.members.is_some() {
                for (i, f) in range.clone().zip(fitted.iter_mut()) {
                    for (level, weight) in factor.of_row(i) {
                        let own = term.columns.iter().zip(&b[level * k..(level + 1) * k]);
                        let sum: f64 = own.map(|(column, b)| column.at(i) * b).sum();
                        *f += weight * sum;
                    }
                }
                continue;
            }
            let codes = &factor.codes[range.clone()];
            for (a, column) in term.columns.iter().enumerate() {
                let targets = fitted.iter_mut().zip(codes);
                column.visit(range.clone(), targets, |(f, code), z| {
                    *f += z * b[(*code as usize - 1) * k + a];
                });
            }
        }
        let y = &data.y[range.clone()];
        for (r, (y, f)) in residuals.iter_mut().zip(y.iter().zip(fitted.iter())) {
            *r = y - f;
        }
        sum[0] = match data.weights {
            None => dot(residuals, residuals),
            Some(w) => (residuals.iter().zip(&w[range]))
                .map(|(r, w)| w * r * r)
                .sum(),
        };
    });
    sums.iter().sum()
}

/// RX (upper, RX'RX = X'V^-1X) and its inverse cross-product, kept columns, from the Cholesky factor of Q'V^-1Q, whose columns are
/// `ld` apart.
pub(crate) fn fixed_covariance(fixed: &FixedBasis, lx: &[f64], ld: usize) -> (Vec<f64>, Vec<f64>) {
    let r = fixed.rank();
    let rinv: Vec<f64> =
        memory::collect((0..r * r).map(|e| fixed.rinv[(e / r) * fixed.p + fixed.kept[e % r]]));
    let lx: Vec<f64> = memory::collect((0..r * r).map(|e| {
        if e % r >= e / r {
            lx[(e / r) * ld + e % r]
        } else {
            0.0
        }
    }));
    // (X'V^-1X)^-1 = (Rinv Lx^-T)(Rinv Lx^-T)'
    let li = small::invert_lower(&lx, r);
    let mut half = memory::zeros(r * r);
    fn upper(x: &[f64]) -> (&[f64], Shape, bool) {
        (x, Shape::Upper, false)
    }
    let turned = (li.as_slice(), Shape::Upper, true);
    small::mul_shaped(upper(&rinv), turned, r, false, &mut half);
    let mut vcov = memory::zeros(r * r);
    let turned = (half.as_slice(), Shape::Lower, true);
    small::mul_shaped(upper(&half), turned, r, true, &mut vcov);
    // RX = Lx' Rinv^-1: the upper triangular inverse through its transpose
    let mut transposed = half;
    small::transpose(&rinv, r, &mut transposed);
    let lower = small::invert_lower(&transposed, r);
    let turned = (lower.as_slice(), Shape::Upper, true);
    let mut rx = transposed;
    small::mul_shaped((&lx, Shape::Upper, true), turned, r, false, &mut rx);
    (rx, vcov)
}

/// Where what a fit has for each row goes.
#[derive(Debug)]
pub struct RowResults<'a> {
    /// Fitted values, offset included.
    pub fitted: &'a mut [f64],
    /// y - fitted.
    pub residuals: &'a mut [f64],
}

impl RowResults<'_> {
    /// These places, lent to one call.
    pub(crate) fn lend(&mut self) -> RowResults<'_> {
        RowResults {
            fitted: &mut *self.fitted,
            residuals: &mut *self.residuals,
        }
    }
}

/// Standard errors of theta in the user's coordinates from a covariance matrix in internal ones.
pub(crate) fn user_errors(
    prepared: &Prepared,
    theta: &InternalTheta,
    covariance: &[f64],
) -> Vec<f64> {
    let m = prepared.parameters.list.len();
    let at = |a: usize, step: f64| {
        let mut x = theta.clone();
        x[a] += step;
        user_theta(prepared, &x).into_values()
    };
    let slopes: Vec<Vec<f64>> = (0..m)
        .map(|a| {
            let step = 1e-6 * theta[a].abs().max(1e-3);
            let (up, down) = (at(a, step), at(a, -step));
            let pairs = up.iter().zip(&down);
            pairs.map(|(x, y)| (x - y) / (2.0 * step)).collect()
        })
        .collect();
    (0..m)
        .map(|i| {
            let mut sum = 0.0;
            for a in 0..m {
                for b in 0..m {
                    sum += slopes[a][i] * covariance[b * m + a] * slopes[b][i];
                }
            }
            sum.sqrt()
        })
        .collect()
}

/// Refuses an optimum at which held parameters have other values than they are held at, in the user's terms: a
/// column of T and its negative are the same covariance matrix, and a held entry of one is that of the other once the diagonal
/// entry has gone through zero.
pub(crate) fn require_held(options: &Options, fit: &Fit) -> Result<(), EngineError> {
    let is_lost = |(a, own): (usize, &f64)| {
        let far = |held: f64| (own - held).abs() > 1e-8 * held.abs().max(1.0);
        options.held_at(a).is_some_and(far)
    };
    let natural = fit.theta.values().iter().chain(&fit.phi);
    let lost = natural.enumerate().position(is_lost);
    match lost {
        Some(parameter) if options.optimize => Err(EngineError::HeldSign { parameter }),
        _ => Ok(()),
    }
}
