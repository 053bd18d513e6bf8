//! The criterion at given parameters, and what is known of the fixed effects there.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::criterion::objective::Criterion;
use crate::fit::prepared::Prepared;
use crate::fit::sizes::Sizes;
use crate::linalg::dense::Shape;
use crate::linalg::small;
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::search::strategy::require_factor;

/// Smallest standard deviation, relative to the natural one, at which derivatives with respect to variances are
/// taken: they exist at zero, but dividing by it loses digits.
const REGULAR: f64 = 1e-4;

pub(crate) fn evaluated<'a>(
    prepared: &'a Prepared,
    options: &Options,
    theta: &InternalTheta,
    interrupt: &'a dyn Fn() -> bool,
) -> Result<Criterion<'a>, EngineError> {
    require_factor(&prepared.system, options)?;
    let criterion = prepared.criterion(
        &prepared.center.b,
        options.reml,
        Clock::without_limit(interrupt),
    );
    at(criterion, theta)
}

/// The criterion at given parameters by conjugate gradients, for what needs no more than solutions and derivatives.
pub(crate) fn estimated<'a>(
    prepared: &'a Prepared,
    options: &Options,
    theta: &InternalTheta,
    interrupt: &'a dyn Fn() -> bool,
) -> Result<Criterion<'a>, EngineError> {
    let mut criterion = prepared.criterion(
        &prepared.center.b,
        options.reml,
        Clock::without_limit(interrupt),
    );
    criterion.estimate();
    at(criterion, theta)
}

fn at<'a>(
    mut criterion: Criterion<'a>,
    theta: &InternalTheta,
) -> Result<Criterion<'a>, EngineError> {
    match criterion.value(theta) {
        Some(_) => Ok(criterion),
        None => Err(criterion.failure("the criterion at the estimates")),
    }
}

/// Internal parameters with covariance matrices bounded away from singularity.
pub(crate) fn regular(theta: &InternalTheta, prepared: &Prepared) -> InternalTheta {
    let parameters: &Parameters = &prepared.parameters;
    let moments = &prepared.system.moments;
    let mut out = Vec::with_capacity(theta.len());
    for (term, &(factor, _, k)) in parameters.place.iter().enumerate() {
        let natural = (moments.factors[factor].n_levels as f64 / moments.n as f64).sqrt();
        let floor = REGULAR * natural;
        let t = parameters.term_factor(theta, term);
        let own = parameters.of_term(theta, term);
        if (0..k).all(|i| t[i * k + i].abs() >= floor) {
            out.extend_from_slice(own);
        } else {
            out.extend(parameters.structures[term].inflated(own, floor * floor));
        }
    }
    InternalTheta::join(&out, parameters.of_residual(theta))
}

/// Rinv for the kept columns of X, r x r.
fn kept_rinv(prepared: &Prepared) -> Vec<f64> {
    let fixed = &prepared.fixed;
    let r = fixed.rank();
    memory::collect(
        (0..r * r).map(|e| fixed.rinv[(e / r.max(1)) * fixed.p + fixed.kept[e % r.max(1)]]),
    )
}

/// C^1/2 = Rinv Lx^-T for the kept columns, r x r: the root of (X'V^-1X)^-1, relative to sigma^2.
pub(super) fn fixed_root(prepared: &Prepared, lx: &[f64]) -> Vec<f64> {
    let r = prepared.fixed.rank();
    let mut root = kept_rinv(prepared);
    for a in 0..r {
        let (done, rest) = root.split_at_mut((a + 1) * r);
        let own = &mut done[a * r..];
        own.iter_mut().for_each(|v| *v /= lx[a * (r + 1) + a]);
        for (b, other) in (a + 1..r).zip(rest.chunks_exact_mut(r)) {
            let factor = lx[a * (r + 1) + b];
            other
                .iter_mut()
                .zip(own.iter())
                .for_each(|(x, v)| *x -= factor * v);
        }
    }
    root
}

/// Rinv A Rinv' for a symmetric r x r matrix in the basis Q: the same in the basis of the kept columns of X.
pub(crate) fn to_user_basis(prepared: &Prepared, a: &[f64]) -> Vec<f64> {
    let r = prepared.fixed.rank();
    let rinv = kept_rinv(prepared);
    let mut out = memory::zeros(r * r);
    small::congruence((&rinv, Shape::Lower, true), a, r, &mut out);
    out
}

/// (Q'V^-1Q)^-1, r x r.
pub(crate) fn fixed_covariance(lx: &[f64], r: usize) -> Vec<f64> {
    let lower: Vec<f64> = memory::collect((0..r * r).map(|e| lx[(e / r) * (r + 1) + e % r]));
    small::inverse_from_cholesky(&lower, r)
}

/// B A B for symmetric r x r matrices.
pub(super) fn sandwich(b: &[f64], a: &[f64], r: usize) -> Vec<f64> {
    let mut half = memory::zeros(r * r);
    let mut out = memory::zeros(r * r);
    if r > 0 {
        small::mul_nn(b, a, r, r, r, &mut half);
        small::mul_nn(&half, b, r, r, r, &mut out);
    }
    out
}

/// Evaluations of the criterion that an inference takes as long as, roughly.
pub(crate) const EVALUATIONS: f64 = 20.0;

/// Whether an inference runs on a thread of its own, so that it can be interrupted.
pub(crate) fn is_long(data: &ModelData<'_>) -> bool {
    Sizes::of(data).are_long(EVALUATIONS)
}
