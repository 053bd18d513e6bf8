//! The optimum over all covariance matrices for which V is positive definite, and its certificate.
//!
//! That set is open and convex (V is linear in the parameters). Where V becomes singular in m directions, X spanning k of them, a
//! pivot e of each vanishing, log|V| falls as m log e, log|X'V^-1X| grows as k log(1/e), and y'Py, unless the residuals have no part in the
//! other m - k, as 1/e. So REML's criterion grows without bound at the border where m > k, and has a limit where X
//! spans all that vanishes; that of ML has no bound below there, as the fixed effects can reproduce the response in these directions.
//! An optimum is therefore a point inside: the gradient is zero and the Hessian positive definite. It is the lowest
//! one that the walks find; walks that run to the border have no part in that, and are counted as vanishing. Newton's method in a trust region
//! needs no more than to be told that a point is outside.

use crate::api::error::EngineError;
use crate::api::options::Options;
use crate::api::result::{Certificate, HessianKind, MonteCarlo, Path, Status};
use crate::criterion::nobound::{Condensed, Derivatives, Point};
use crate::linalg::small;
use crate::optimize::{minimize, HessianRequest, Objective, Outcome, Settings, Stop};
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::search::optimum::{settings, LAST_STEPS};

/// Scaled curvature below which the criterion hardly changes when a parameter changes by its own size.
const FLAT: f64 = 1e-6;

/// Smallest pivot of V, relative to the residual variance, below which a walk has run to the border; and that below which one has
/// that ended at no optimum, as rounding does not let it come closer.
const BORDER: f64 = 1e-7;
const NEAR: f64 = 1e-3;

/// Difference of criteria below which two walks have come to one optimum.
const SAME: f64 = 1e-7;

/// The optimum and the proof of it.
pub(crate) struct Found {
    pub point: Point,
    pub certificate: Certificate,
}

/// The criterion as the optimiser sees it.
struct Walk<'a> {
    model: &'a Condensed,
    last: Option<Point>,
    evaluations: usize,
    clock: Clock<'a>,
}

impl Objective for Walk<'_> {
    fn value(&mut self, x: &[f64]) -> Option<f64> {
        self.evaluations += 1;
        self.clock.count(self.evaluations);
        let found = Point::new(self.model, x)?;
        let value = found.value;
        self.last = Some(found);
        Some(value)
    }

    fn derivatives(&mut self, _: HessianRequest) -> (Vec<f64>, Vec<f64>, bool) {
        let m = self.model.entries.len();
        match &self.last {
            Some(point) => {
                let found = Derivatives::new(self.model, point);
                let (gradient, hessian) = found.profiled(self.model, point);
                (gradient, hessian, true)
            }
            None => (memory::zeros(m), memory::zeros(m * m), true),
        }
    }

    fn uses_secant(&self) -> bool {
        false
    }

    fn scale(&self, x: &[f64]) -> Vec<f64> {
        scale(self.model, x)
    }

    fn noise(&self, f: f64) -> f64 {
        1e-14 * f.abs().max(self.model.n as f64)
    }
}

/// Natural size of each parameter: of a variance where it weighs as much as residuals, or its own; of a covariance the mean of
/// those of its variances.
fn scale(model: &Condensed, x: &[f64]) -> Vec<f64> {
    let own = |a: usize| model.sizes[a] + x[a].abs();
    let variance = |factor: usize, i: usize| {
        let found = model
            .entries
            .iter()
            .position(|e| e.factor == factor && e.row == i && e.col == i);
        found.map_or(0.0, own)
    };
    let sizes = model.entries.iter().enumerate().map(|(a, entry)| {
        if entry.row == entry.col {
            own(a)
        } else {
            (variance(entry.factor, entry.row) * variance(entry.factor, entry.col)).sqrt()
        }
    });
    sizes.collect()
}

/// The lowest optimum inside that walks from several places come to: from `bounded`, from zero, from estimates by moments, and from
/// half the way to the border along negative variances.
///
/// # Errors
/// [`EngineError::NoMaximum`] where the likelihood has none, [`EngineError::Interrupted`], and [`EngineError::Numerical`] where the
/// criterion has no value at zero.
pub(crate) fn search(
    model: &Condensed,
    bounded: &[f64],
    options: &Options,
    clock: Clock<'_>,
) -> Result<Found, EngineError> {
    let m = model.entries.len();
    let zero = memory::zeros(m);
    let mut walk = Walk {
        model,
        last: None,
        evaluations: 0,
        clock,
    };
    let starts = [
        Some(bounded.to_vec()),
        moments(model, &zero),
        halfway(model),
        Some(zero),
    ];
    let mut best: Option<(Outcome, Point)> = None;
    let mut ends = Vec::new();
    let mut vanishing = 0;
    let settings = settings(options);
    for start in starts.into_iter().flatten() {
        let Some(value) = walk.value(&start) else {
            continue;
        };
        let found = to_the_end(&mut walk, &start, value, settings, clock)?;
        let Some(point) = Point::new(model, &found.x) else {
            continue;
        };
        let is_lost = found.stop != Stop::Converged && found.stop != Stop::Time;
        if point.smallest < if is_lost { NEAR } else { BORDER } {
            vanishing += 1;
            continue;
        }
        ends.push((found.value, found.stop));
        // a point that is no optimum only where there is none
        let is_optimum = |own: &Outcome| own.stop == Stop::Converged;
        let is_better = best.as_ref().is_none_or(|(own, _)| {
            (is_optimum(&found), own.value) > (is_optimum(own), found.value)
        });
        if is_better {
            best = Some((found, point));
        }
        if clock.out_of_time() {
            break;
        }
    }
    let Some((best, point)) = best else {
        return Err(match vanishing {
            0 => EngineError::numerical("the criterion without bounds on variances"),
            _ => EngineError::NoMaximum,
        });
    };
    let agree = ends.iter().filter(|(value, stop)| {
        *stop == Stop::Converged && value - best.value < SAME * best.value.abs().max(1.0)
    });
    let counts = [
        ends.len() + vanishing,
        agree.count(),
        vanishing,
        walk.evaluations,
    ];
    let certificate = certify(model, &point, &best, counts);
    Ok(Found { point, certificate })
}

/// A walk, and a few more steps for the last digits.
fn to_the_end(
    walk: &mut Walk<'_>,
    start: &[f64],
    value: f64,
    settings: Settings,
    clock: Clock<'_>,
) -> Result<Outcome, EngineError> {
    let mut found = minimize(walk, start, value, settings, clock);
    if found.stop == Stop::Converged {
        let closer = Settings {
            tolerance: settings.tolerance.powi(2),
            max_evaluations: LAST_STEPS,
            ..settings
        };
        if let Some(value) = walk.value(&found.x) {
            let last = minimize(walk, &found.x, value, closer, clock);
            if last.value <= found.value + 4.0 * walk.noise(found.value) {
                found.x = last.x;
                found.value = last.value;
            }
        }
    }
    if found.stop == Stop::Interrupted {
        return Err(EngineError::Interrupted);
    }
    Ok(found)
}

/// Estimates by equating y'PV_iPy at zero to their expectations, with V_0 = W^-1 for sigma^2 (MINQUE(0): Rao 1971, Journal of
/// Multivariate Analysis 1, 257-275; for balanced data those of the analysis of variance), as far towards them as V is positive
/// definite.
fn moments(model: &Condensed, zero: &[f64]) -> Option<Vec<f64>> {
    let m = zero.len();
    let point = Point::new(model, zero)?;
    let found = Derivatives::new(model, &point);
    let (single, double) = found.projected_traces(&point, true);
    let (squares, _) = found.quadratics(&point);
    let s = m + 1;
    // at zero V = V_0: tr(PV_0PV_a) = tr(PV_a), tr(PV_0PV_0) = n - p
    let mut a = memory::zeros(s * s);
    let mut rhs = memory::zeros(s);
    for i in 0..m {
        for j in 0..m {
            a[j * s + i] = double[j * m + i];
        }
        a[m * s + i] = single[i];
        a[i * s + m] = single[i];
        rhs[i] = squares[i];
    }
    a[m * s + m] = (model.n - model.rank) as f64;
    rhs[m] = point.squares;
    if !small::solve_general(&a, &mut [&mut rhs], s) || rhs[m] <= 0.0 {
        return None;
    }
    let sigma2 = rhs.pop()?;
    rhs.iter_mut().for_each(|v| *v /= sigma2);
    for _ in 0..30 {
        if Point::new(model, &rhs).is_some() {
            return Some(rhs);
        }
        rhs.iter_mut().for_each(|v| *v *= 0.7);
    }
    None
}

/// Half the way from zero to the border along negative variances.
fn halfway(model: &Condensed) -> Option<Vec<f64>> {
    let along = |t: f64| -> Vec<f64> {
        let entries = model.entries.iter().zip(&model.sizes);
        entries
            .map(|(e, size)| if e.row == e.col { -t * size } else { 0.0 })
            .collect()
    };
    let mut t = 1.0;
    for _ in 0..60 {
        if Point::new(model, &along(t)).is_some() {
            return Some(along(0.5 * t));
        }
        t *= 0.5;
    }
    None
}

fn certify(
    model: &Condensed,
    point: &Point,
    best: &Outcome,
    [starts, agree, vanishing, evaluations]: [usize; 4],
) -> Certificate {
    let m = model.entries.len();
    let (gradient, hessian) = Derivatives::new(model, point).profiled(model, point);
    let scale = scale(model, &point.s);
    let scaled: Vec<f64> =
        memory::collect((0..m * m).map(|e| hessian[e] * scale[e % m] * scale[e / m]));
    let min_eigenvalue = if m == 0 {
        f64::NAN
    } else {
        small::symmetric_eigen(&scaled, m).0[0]
    };
    let sizes = gradient.iter().zip(&scale);
    let max_gradient = sizes.fold(0.0f64, |most, (g, s)| most.max((g * s).abs()));
    let status = match best.stop {
        Stop::Converged if m > 0 && min_eigenvalue < -FLAT => Status::Failed,
        Stop::Converged if m > 0 && min_eigenvalue <= FLAT => Status::NotIdentified,
        Stop::Converged => Status::Converged,
        Stop::Evaluations => Status::IterationLimit,
        Stop::Time | Stop::Interrupted => Status::TimeLimit,
        Stop::Stuck => Status::Failed,
    };
    Certificate {
        status,
        message: sentence(status, max_gradient),
        max_gradient,
        min_eigenvalue,
        gradient,
        hessian,
        hessian_kind: HessianKind::Exact,
        path: Path::Exact,
        monte_carlo: MonteCarlo {
            vectors: 0,
            criterion: 0.0,
            theta: Vec::new(),
        },
        multipliers: Vec::new(),
        rank: Vec::new(),
        residual_zero: false,
        rounding: f64::EPSILON,
        rounding_of_phi: 0.0,
        starts,
        agree,
        vanishing,
        evaluations,
        iterations: best.trace_value.len().saturating_sub(1),
        trace_criterion: best.trace_value.clone(),
        trace_gradient: best.trace_gradient.clone(),
    }
}

fn sentence(status: Status, gradient: f64) -> String {
    match status {
        Status::Converged => "the covariance matrix of the observations is positive definite, the gradient with respect to \
             variances and covariances, which are not bounded, is zero and the Hessian positive definite"
            .to_owned(),
        Status::NotIdentified => {
            "the criterion is flat at the optimum: the data do not identify all covariance parameters".to_owned()
        }
        Status::IterationLimit => format!("out of evaluations with a scaled gradient of {gradient:.1e}"),
        Status::TimeLimit => format!("out of time with a scaled gradient of {gradient:.1e}"),
        _ => format!("no minimum was found; the scaled gradient is {gradient:.1e}"),
    }
}
