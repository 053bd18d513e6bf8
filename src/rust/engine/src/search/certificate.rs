//! The proof of the optimum: gradient, curvature, and on the boundary the Karush-Kuhn-Tucker conditions.
//!
//! At a minimum of the criterion over positive semidefinite G, S T = 0 and S is positive semidefinite on the null space of
//! G, where S = d criterion / dG (the score matrix of [`crate::criterion::gradient`]).

use crate::api::result::{Certificate, HessianKind, MonteCarlo, Status};
use crate::basis::internal_theta::InternalTheta;
use crate::basis::restriction::Restriction;
use crate::criterion::iterative::estimator::Estimator;
use crate::criterion::objective::Criterion;
use crate::linalg::small;
use crate::runtime::memory;
use crate::search::kink::{self, Slopes};
use crate::search::optimum::Run;

/// Scaled curvature below which the criterion hardly changes when a parameter changes by its own size.
const FLAT: f64 = 1e-6;

/// Decrease of the criterion that a Newton step may still promise at an optimum.
const WORTH: f64 = 1e-6;

/// Multiply-adds (at the speed of sparse ones) up to which the certificate rests on the exact Hessian.
const EXACT_LIMIT: f64 = 3e9;

/// Operations up to which differences of the gradient are taken for it.
const DIFFERENCES_LIMIT: f64 = 5e8;

/// Operations up to which differences of an estimated gradient are taken.
const ESTIMATES_LIMIT: f64 = 5e9;

/// Operations up to which the exact Hessian is computed whatever differences would cost.
const CHEAP: f64 = 1e7;

/// Largest rise of the criterion between an end of a residual correlation and a point just inside for which the end may be an
/// optimum; where the likelihood has no bound it rises by about 5 for each group whose correlations are singular.
const RISE: f64 = 1.0;

const BOUNDLESS: &str = "the likelihood grows as residual correlations go to their ends, and further than to 1e-10 from them they \
     are not followed: either it has no bound there (the response is reproduced in some direction exactly), or differences \
     between groups are so large beside those within that a random effect has to stand for them";

/// The Hessian at the optimum: exact, or by differences of the gradient where these are cheaper; none where either would take
/// longer than the fit.
fn curvature(
    criterion: &mut Criterion<'_>,
    x: &InternalTheta,
    last: bool,
) -> (Option<Vec<f64>>, HessianKind) {
    let exact = criterion.exact_cost();
    let differences = x.len() as f64 * criterion.evaluation_cost();
    let evaluations = criterion.evaluations;
    let hessian = if exact <= EXACT_LIMIT && exact <= differences.max(CHEAP) {
        let hessian = if last {
            criterion.last_hessian()
        } else {
            criterion.exact_hessian()
        };
        return (hessian, HessianKind::Exact);
    } else if criterion.estimator.is_some() && differences > ESTIMATES_LIMIT {
        None
    } else if differences <= DIFFERENCES_LIMIT || 2 * x.len() <= evaluations {
        criterion.differenced_hessian(x, false)
    } else {
        None
    };
    criterion.evaluations = evaluations;
    let kind = if hessian.is_some() {
        HessianKind::Differenced
    } else {
        HessianKind::AverageInformation
    };
    (hessian, kind)
}

/// The certificate at the end of a run. Leaves the criterion evaluated at the optimum, perhaps without its factor where only
/// values are needed afterwards (`last`).
pub(crate) fn certify(criterion: &mut Criterion<'_>, run: &Run, last: bool) -> Certificate {
    let x = &run.outcome.x;
    let parameters = criterion.parameters;
    let m = parameters.len();
    let boundless = is_boundless(criterion, run);
    if !criterion.is_at(x) {
        let _ = criterion.value(x);
    }
    let (hessian, kind) = if run.status == Status::TimeLimit {
        (None, HessianKind::AverageInformation)
    } else {
        curvature(criterion, x, last)
    };
    let scale = criterion.scale(x);
    // derivatives that the time limit interrupted are not started again
    let known = if criterion.clock.has_cut() && run.status == Status::TimeLimit {
        criterion.latest.as_mut()
    } else {
        criterion.latest()
    };
    let (gradient, hessian) = match known {
        Some(latest) => {
            let model = latest.derivatives.model_hessian().collect();
            (
                latest.derivatives.gradient.clone(),
                hessian.unwrap_or(model),
            )
        }
        None => (vec![f64::NAN; m], vec![f64::NAN; m * m]),
    };
    let (own_gradient, own_hessian, own_scale) = match criterion.restriction {
        None => (gradient.clone(), memory::copy(&hessian), scale),
        Some(r) => (r.gradient(&gradient), r.hessian(&hessian), r.scale(&scale)),
    };
    let max_gradient = own_gradient
        .iter()
        .zip(&own_scale)
        .fold(0.0f64, |a, (g, s)| match (g * s).abs() {
            size if size.is_nan() => size,
            size => a.max(size),
        });
    // directions along which a rank-deficient factor only turns, or leaves the boundary, are judged by the multipliers
    let variables = own_scale.len();
    let free: Vec<usize> = (0..variables)
        .filter(|&a| {
            if criterion.restriction.is_some() {
                return true;
            }
            let Some(parameter) = parameters.list.get(a) else {
                return true;
            };
            let term = parameter.basis;
            let deficient = run.rank[term] < parameters.structures[term].largest_rank();
            let own = parameters.of_term(x, term);
            !deficient || !parameters.structures[term].is_null(own, parameter.index)
        })
        .collect();
    let d = free.len();
    let scaled: Vec<f64> = memory::collect((0..d * d).map(|e| {
        let (a, b) = (free[e % d], free[e / d]);
        own_hessian[b * variables + a] * own_scale[a] * own_scale[b]
    }));
    let min_eigenvalue = if d == 0 || scaled.iter().any(|v| v.is_nan()) {
        f64::NAN
    } else {
        small::symmetric_eigen(&scaled, d).0[0]
    };
    let promised = decrement(&own_gradient, &own_scale, &free, &scaled);
    let slopes = criterion
        .restriction
        .and_then(Restriction::kink)
        .map(|at| kink::slopes(criterion, x, at));
    let descends = promised > WORTH.max(1e3 * criterion.noise(run.outcome.value))
        || slopes.is_some_and(|slopes| !slopes.is_some_and(Slopes::rise));
    let status = match run.status {
        Status::Converged | Status::Singular if min_eigenvalue < -FLAT || descends || boundless => {
            Status::Failed
        }
        Status::Converged | Status::Singular if min_eigenvalue.abs() <= FLAT => {
            Status::NotIdentified
        }
        other => other,
    };
    Certificate {
        path: criterion.path,
        monte_carlo: monte_carlo(criterion, x),
        status,
        message: if boundless {
            BOUNDLESS.to_owned()
        } else {
            sentence(status, max_gradient, run.steps_off, slopes.flatten())
        },
        max_gradient,
        min_eigenvalue,
        gradient,
        hessian,
        hessian_kind: kind,
        multipliers: run.multipliers.clone(),
        rank: run.rank.clone(),
        residual_zero: false,
        rounding: f64::EPSILON,
        rounding_of_phi: 0.0,
        starts: 1,
        agree: 1,
        vanishing: 0,
        evaluations: criterion.evaluations,
        iterations: run.outcome.trace_value.len().saturating_sub(1),
        trace_criterion: run.outcome.trace_value.clone(),
        trace_gradient: run.outcome.trace_gradient.clone(),
    }
}

/// Whether the criterion falls without bound towards an end of the residual correlations, where R is singular: it falls as the
/// logarithm of the distance, unless the fixed effects span the direction without variance, in which case it has a limit.
pub(crate) fn is_boundless(criterion: &mut Criterion<'_>, run: &Run) -> bool {
    let x = &run.outcome.x;
    let phi = criterion.parameters.of_residual(x);
    let Some(inside) = criterion.residual_model().off_the_edge(phi) else {
        return false;
    };
    let off = InternalTheta::join(criterion.parameters.of_terms(x), &inside);
    let evaluations = criterion.evaluations;
    let rise = criterion.value(&off).map(|value| value - run.outcome.value);
    criterion.evaluations = evaluations;
    rise.is_some_and(|rise| rise > RISE)
}

/// What random vectors leave uncertain of the criterion; of theta, the user's coordinates have to tell.
fn monte_carlo(criterion: &Criterion<'_>, x: &InternalTheta) -> MonteCarlo {
    let estimator = criterion.estimator.as_ref();
    MonteCarlo {
        vectors: estimator.map_or(0, Estimator::vectors),
        criterion: estimator.map_or(0.0, |estimator| estimator.value_error(x)),
        theta: Vec::new(),
    }
}

/// Monte-Carlo covariance matrix of the internal parameters by the delta method, where the criterion is estimated: H^-1 C H^-1
/// with the Hessian H and C the covariance matrix of the gradient.
pub(crate) fn chance_of_theta(criterion: &Criterion<'_>, hessian: &[f64]) -> Option<Vec<f64>> {
    let estimator = criterion.estimator.as_ref()?;
    let m = criterion.parameters.len();
    let covariance = estimator.gradient_covariance();
    let mut factor = memory::copy(hessian);
    if !small::cholesky(&mut factor, m) || covariance.len() != m * m {
        return Some(vec![f64::NAN; m * m]);
    }
    let inverse = small::inverse_from_cholesky(&factor, m);
    let mut half = memory::zeros(m * m);
    let mut out = memory::zeros(m * m);
    small::mul_nn(&inverse, &covariance, m, m, m, &mut half);
    small::mul_nn(&half, &inverse, m, m, m, &mut out);
    Some(out)
}

/// What a Newton step promises: half the squared Newton decrement, in the units of the criterion.
fn decrement(gradient: &[f64], scale: &[f64], free: &[usize], scaled: &[f64]) -> f64 {
    let d = free.len();
    if d == 0 {
        return 0.0;
    }
    if scaled.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let (values, vectors) = small::symmetric_eigen(scaled, d);
    let floor = FLAT * values.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
    let along = |i: usize| -> f64 {
        (0..d)
            .map(|r| vectors[i * d + r] * gradient[free[r]] * scale[free[r]])
            .sum()
    };
    (0..d)
        .map(|i| 0.5 * along(i).powi(2) / values[i].max(floor))
        .sum()
}

fn sentence(status: Status, gradient: f64, steps_off: usize, slopes: Option<Slopes>) -> String {
    let text = match status {
        Status::Converged => "the gradient is zero and the Hessian positive definite".to_owned(),
        Status::Singular => "the optimum lies on the boundary: the gradient is zero, the Hessian positive definite in the free \
             directions, and no variance at zero would lower the criterion by growing"
            .to_owned(),
        Status::NotIdentified => "the criterion is flat at the optimum: the data do not identify all covariance parameters".to_owned(),
        Status::IterationLimit => format!("out of evaluations with a scaled gradient of {gradient:.1e}"),
        Status::TimeLimit if gradient.is_nan() => "out of time before the gradient was known".to_owned(),
        Status::TimeLimit => format!("out of time with a scaled gradient of {gradient:.1e}"),
        Status::Failed => format!("no minimum was found; the scaled gradient is {gradient:.1e}"),
        Status::Evaluated => "evaluated at the given theta, not optimised".to_owned(),
    };
    if let (Status::Converged | Status::Singular, Some(slopes)) = (status, slopes) {
        format!(
            "{text}; the range of the linear correlation is one of the distances, where the criterion has a kink, and \
             the slopes beside it are {:.2} and {:.2}",
            slopes.left, slopes.right
        )
    } else if steps_off > 0 {
        format!("{text} (stepped off a false boundary point {steps_off} time(s))")
    } else {
        text
    }
}
