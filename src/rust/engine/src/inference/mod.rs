//! Inference at the optimum: everything from solves with the factor, nothing of order n x n.

mod correlated;
mod hypotheses;
mod influence;
mod kenward_roger;
mod kenward_roger_general;
mod prediction;
mod profile;
mod rlrt;
mod satterthwaite;

use crate::clock::Clock;
use crate::covariance::Parameters;
use crate::criterion::Criterion;
use crate::error::EngineError;
use crate::fit::{prepare, raw_start, Prepared};
use crate::linalg::small::{self, Shape};
use crate::memory;
use crate::options::Options;
use crate::parallel::{interruptible, StopFlag};
use crate::plan::{require_factor, Plan};
use crate::prior;
use crate::restriction::Restriction;
use crate::sizes::Sizes;
use crate::terms::ModelData;

pub use correlated::NewResiduals;
pub use hypotheses::{eigen, row_variances};
pub use influence::{Deletion, Update};
pub use kenward_roger::KenwardRoger;
pub use prediction::{Leverages, NewRows, Predictions};
pub use profile::{ProfilePoint, Target};
pub use rlrt::{likelihood_ratio_draws, variance_spectrum, work_of_fit, Multiset, Spectrum};
pub use satterthwaite::Satterthwaite;

/// Evaluations of the criterion that an inference takes as long as, roughly.
const EVALUATIONS: f64 = 20.0;

/// What may fail in floating point.
const KENWARD_ROGER: &str = "Kenward and Roger's adjustment";

/// Smallest standard deviation, relative to the natural one, at which derivatives with respect to variances are
/// taken: they exist at zero, but dividing by it loses digits.
const REGULAR: f64 = 1e-4;

/// Whether an inference runs on a thread of its own, so that it can be interrupted.
fn is_long(data: &ModelData<'_>) -> bool {
    Sizes::of(data).are_long(EVALUATIONS)
}

/// Derivatives of the covariance matrix of the fixed effects, and the covariance matrix of the variance parameters, at
/// `options.start` (raw theta).
///
/// # Errors
/// See [`EngineError`].
pub fn satterthwaite(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Satterthwaite, EngineError> {
    interruptible(is_long(data), interrupt, |stop, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let given = raw_start(options, &prepared)?;
        let theta = regular(&given, &prepared);
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = if prepared.plan_of_fit(options)? == Plan::Exact {
            evaluated(&prepared, options, &theta, interrupt)?
        } else {
            estimated(&prepared, options, &theta, interrupt)?
        };
        let at = (&theta[..], &given[..]);
        let found = satterthwaite::derivatives(&prepared, &mut criterion, at);
        found.ok_or_else(|| criterion.failure("the derivatives for Satterthwaite's method"))
    })
}

/// Kenward & Roger's adjusted covariance matrix of the fixed effects and what their degrees of freedom need, at
/// `options.start` (raw theta); `linear` leaves the second derivatives of V out, which only structures with correlations have.
///
/// # Errors
/// See [`EngineError`].
pub fn kenward_roger(
    data: &ModelData<'_>,
    linear: bool,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<KenwardRoger, EngineError> {
    interruptible(is_long(data), interrupt, |stop, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let theta = regular(&raw_start(options, &prepared)?, &prepared);
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let large = !criterion.exact_cost().is_finite();
        let known = prior::any(&prepared.system.moments);
        if !kenward_roger_general::is_linear(&prepared) || (large && known) {
            let found =
                kenward_roger_general::adjustment(&prepared, &mut criterion, &theta, linear);
            return found.ok_or_else(|| criterion.failure(KENWARD_ROGER));
        }
        if large {
            let order = prepared.system.schur.q2 + prepared.fixed.rank();
            // the factor, its inverse and the products: triangles
            let gigabytes = 1.5 * 8e-9 * (order as f64).powi(2);
            return Err(EngineError::TooLarge { order, gigabytes });
        }
        let found = kenward_roger::adjustment(&prepared, &mut criterion);
        found.ok_or_else(|| criterion.failure(KENWARD_ROGER))
    })
}

/// Prediction error variances relative to sigma^2 of x'beta + z'b for each of `rows`, at `options.start` (raw theta); with
/// their residual structure, predictions of their residuals too.
///
/// # Errors
/// See [`EngineError`].
pub fn prediction_variances(
    data: &ModelData<'_>,
    rows: &NewRows<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Predictions, EngineError> {
    interruptible(is_long(data), interrupt, |stop: &StopFlag, interrupt| {
        rows.validate(data)?;
        let mut prepared = prepare(data, options, stop)?;
        let theta = raw_start(options, &prepared)?;
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        prediction::variances(data, &prepared, &mut criterion, rows, &theta)
    })
}

/// Profile of each standard deviation, correlation and of sigma at `options.start` (raw theta, the optimum), to |zeta| =
/// `cutoff`; `which` counts from 0 in the order of theta, sigma last. What is held or known has its estimate alone.
///
/// # Errors
/// See [`EngineError`].
pub fn profile(
    data: &ModelData<'_>,
    which: &[usize],
    cutoff: f64,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<(usize, Vec<ProfilePoint>)>, EngineError> {
    interruptible(is_long(data), interrupt, |stop, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let theta = regular(&raw_start(options, &prepared)?, &prepared);
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let step = "the criterion at the estimates";
        let factor = (criterion.factor.as_ref()).ok_or_else(|| criterion.failure(step))?;
        let minimum = criterion.at(factor);
        let known = criterion.known_sigma2();
        let tau = known.unwrap_or(factor.pwrss / criterion.degrees()).ln();
        let restriction = match criterion.restriction {
            Some(r) => r.clone(),
            None => Restriction::none(&theta),
        }
        .with_another(tau, known.is_none());
        let mut optimum = theta;
        optimum.push(tau);
        let targets = profile::targets(&prepared);
        let mut surface = profile::Surface {
            prepared: &prepared,
            criterion: &mut criterion,
            minimum,
            optimum,
            restriction,
        };
        let mut out = Vec::new();
        for &index in which {
            let target = *targets.get(index).ok_or_else(|| {
                EngineError::Dimension("there is no such parameter to profile".to_owned())
            })?;
            out.push((index, surface.profile(target, cutoff)));
        }
        if interrupt() {
            return Err(EngineError::Interrupted);
        }
        Ok(out)
    })
}

/// Satterthwaite's derivatives at the point where the criterion was evaluated last.
pub(crate) fn at_point(
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    theta: &[f64],
) -> Option<Satterthwaite> {
    use crate::optimize::Objective;
    let safe = regular(theta, prepared);
    if safe == theta {
        return satterthwaite::derivatives(prepared, criterion, (theta, theta));
    }
    criterion.value(&safe)?;
    let found = satterthwaite::derivatives(prepared, criterion, (&safe, theta));
    criterion.value(theta)?;
    found
}

/// Leverage of every row of the data, and what its deletion changes in the fixed effects, at `options.start` (raw theta).
///
/// # Errors
/// See [`EngineError`].
pub fn leverages(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Leverages, EngineError> {
    interruptible(is_long(data), interrupt, |stop: &StopFlag, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let theta = raw_start(options, &prepared)?;
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let found = prediction::leverages(data, &prepared, &mut criterion);
        found.ok_or_else(|| criterion.failure("the leverages"))
    })
}

/// Estimates without each of `sets` of rows (from 0), starting from `options.start` (raw theta); `None` where the rows left do
/// not determine the fixed effects.
///
/// # Errors
/// See [`EngineError`].
pub fn deletions(
    data: &ModelData<'_>,
    sets: &[Vec<usize>],
    update: Update,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Option<Deletion>>, EngineError> {
    if sets.iter().flatten().any(|&i| i >= data.n()) {
        return Err(EngineError::Dimension(
            "rows to delete must be rows of the data".to_owned(),
        ));
    }
    let long = Sizes::of(data).are_long(EVALUATIONS * sets.len() as f64);
    interruptible(long, interrupt, |stop: &StopFlag, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        require_factor(&prepared.system, options)?;
        let theta = raw_start(options, &prepared)?;
        prepared.settle(data, &theta, options, interrupt)?;
        Ok(influence::deletions(
            data, &prepared, &theta, sets, update, options, stop,
        ))
    })
}

fn evaluated<'a>(
    prepared: &'a Prepared,
    options: &Options,
    theta: &[f64],
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

/// The same by conjugate gradients, for what needs no more than solutions and derivatives.
fn estimated<'a>(
    prepared: &'a Prepared,
    options: &Options,
    theta: &[f64],
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

fn at<'a>(mut criterion: Criterion<'a>, theta: &[f64]) -> Result<Criterion<'a>, EngineError> {
    use crate::optimize::Objective;
    match criterion.value(theta) {
        Some(_) => Ok(criterion),
        None => Err(criterion.failure("the criterion at the estimates")),
    }
}

/// Internal parameters with covariance matrices bounded away from singularity.
fn regular(theta: &[f64], prepared: &Prepared) -> Vec<f64> {
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
    out.extend_from_slice(parameters.of_residual(theta));
    out
}

/// Rinv A Rinv' for a symmetric r x r matrix in the basis Q: the same in the basis of the kept columns of X.
fn to_user_basis(prepared: &Prepared, a: &[f64]) -> Vec<f64> {
    let fixed = &prepared.fixed;
    let r = fixed.rank();
    let rinv: Vec<f64> = memory::collect(
        (0..r * r).map(|e| fixed.rinv[(e / r.max(1)) * fixed.p + fixed.kept[e % r.max(1)]]),
    );
    let mut out = memory::zeros(r * r);
    small::congruence((&rinv, Shape::Lower, true), a, r, &mut out);
    out
}

/// (Q'V^-1Q)^-1, r x r.
fn fixed_covariance(lx: &[f64], r: usize) -> Vec<f64> {
    let lower: Vec<f64> = memory::collect((0..r * r).map(|e| lx[(e / r) * (r + 1) + e % r]));
    small::inverse_from_cholesky(&lower, r)
}
