//! Optima at which the residual variance is zero.
//!
//! Parameters are relative to sigma, so that this boundary is infinitely far away: theta grows and sigma^2 falls along the ray
//! theta exp(t), sigma exp(-t), on which the covariances sigma^2 theta^2 of the random effects stay what they are. Where V is
//! regular without residuals (as many effects as rows) the criterion has a limit there, f(t) = f_0 + c exp(-2t), and it is the
//! optimum if c > 0; where V is singular and the random effects reproduce the response it falls by 2 a unit of t, or more, for
//! ever; around an optimum inside it rises on both sides. Two evaluations tell the three apart.
//!
//! At the boundary sigma^2 is put where it is a share [`SHARE`] of what the fixed effects leave, and the others are estimated
//! for that value: the problem is regular then, and the criterion within n times the share of its limit.

use crate::criterion::Criterion;
use crate::error::EngineError;
use crate::fit::{optimum, Run};
use crate::optimize::Objective;
use crate::options::Options;
use crate::result::Status;

/// Share of the residual sum of squares of the fixed effects below which the residual variance may be on its way to zero.
const SUSPECT: f64 = 1e-4;

/// Where it stands for zero.
const SHARE: f64 = 1e-8;

/// Rise of the criterion one unit further along the ray that an optimum inside does not stay below: it is at least exp(-2) + 1
/// for one degree of freedom of the residuals.
const RISE: f64 = 0.01;

/// How far back along the ray the criterion has to be higher, if the data tell the residual variance at all.
const BACK: f64 = 4.0;

/// Most steps to where the residual variance stands for zero, and how near to it is near enough.
const STEPS: usize = 30;
const NEAR: f64 = 0.1;

/// How far from a centre the criterion has its digits.
const FAR: f64 = 8.0;

/// What is found along the ray.
pub(crate) enum Ray {
    /// An optimum inside, or nothing that tells of sigma.
    Inside,
    /// The criterion falls for ever.
    Perfect,
    /// The optimum with sigma^2 standing for zero, which is the second value.
    Zero(Run, f64),
}

/// Looks along the ray from the end of a run; `residual` is the residual sum of squares of the fixed effects alone. Leaves
/// the criterion with the sigma^2 that it found.
pub(crate) fn look(
    criterion: &mut Criterion<'_>,
    run: &Run,
    residual: f64,
    options: &Options,
) -> Result<Ray, EngineError> {
    let x = &run.outcome.x;
    let parameters = criterion.parameters;
    let terms = parameters.list.len();
    let ended = matches!(
        run.status,
        Status::TimeLimit | Status::Evaluated | Status::IterationLimit
    );
    if terms == 0 || ended || criterion.known_sigma2().is_some() {
        return Ok(Ray::Inside);
    }
    let Some(pwrss) = criterion.factor_at(x).map(|factor| factor.pwrss) else {
        return Ok(Ray::Inside);
    };
    if pwrss > SUSPECT * residual || residual <= 0.0 {
        return Ok(Ray::Inside);
    }
    let along = |t: f64| -> Vec<f64> {
        x.iter()
            .enumerate()
            .map(|(a, v)| {
                if a < terms && parameters.is_deviation(a) {
                    v * t.exp()
                } else {
                    *v
                }
            })
            .collect()
    };
    // what is held or tied may not let them grow together
    let is_free = criterion.restriction.is_none_or(|restriction| {
        let there = along(1.0);
        let allowed = restriction.expand(&restriction.variables_at(&there));
        let mut both = there.iter().zip(&allowed);
        both.all(|(a, b)| (a - b).abs() <= 1e-12 * a.abs())
    });
    if !is_free {
        return Ok(Ray::Inside);
    }
    // from where digits are not lost yet; about a centre they are where it is far
    let to = where_it_stands_for_zero(pwrss, residual, |t| {
        Some(criterion.factor_at(&along(t))?.pwrss)
    });
    let centred = criterion.is_centred();
    if centred {
        let here = criterion.value(x);
        let further = criterion.value(&along(1.0));
        if here
            .zip(further)
            .is_none_or(|(here, further)| further > here + RISE)
        {
            return Ok(Ray::Inside);
        }
    }
    let base = match to {
        to if to >= -1.0 => 0.0,
        to if centred => to.max(-FAR),
        to => to,
    };
    let Some(here) = criterion.value(&along(base)) else {
        return Ok(Ray::Inside);
    };
    let further = criterion.value(&along(base + 1.0));
    if further.is_some_and(|further| further > here + RISE) {
        return Ok(Ray::Inside);
    }
    let Some(back) = criterion.value(&along(base - BACK)) else {
        return Ok(Ray::Inside);
    };
    if back - here > BACK {
        return Ok(Ray::Perfect);
    }
    if back - here <= criterion.noise(here).max(1e-7) {
        return Ok(Ray::Inside);
    }
    let away = along(to);
    let Some(sigma2) = criterion
        .value(&away)
        .and_then(|_| criterion.precision())
        .map(f64::recip)
    else {
        return Ok(Ray::Inside);
    };
    criterion.know_sigma2(Some(sigma2));
    let mut at_zero = optimum(criterion, &away, options)?;
    if matches!(at_zero.status, Status::Failed | Status::IterationLimit) {
        criterion.know_sigma2(None);
        return Ok(Ray::Inside);
    }
    if at_zero.status == Status::Converged {
        at_zero.status = Status::Singular;
    }
    Ok(Ray::Zero(at_zero, sigma2))
}

/// t at which the penalised residual sum of squares is [`SHARE`] of `residual`: it falls as exp(-2t), but below its rounding
/// errors it says nothing, so that t is found in steps from where it is told.
fn where_it_stands_for_zero(
    pwrss: f64,
    residual: f64,
    mut at: impl FnMut(f64) -> Option<f64>,
) -> f64 {
    let mut t = 0.0;
    let mut now = pwrss;
    for _ in 0..STEPS {
        let step = 0.5 * (now.max(f64::MIN_POSITIVE) / (SHARE * residual)).ln();
        t += step.clamp(-FAR, FAR);
        if step.abs() < NEAR {
            break;
        }
        match at(t) {
            Some(next) => now = next,
            None => break,
        }
    }
    t
}

#[cfg(test)]
mod tests {
    use super::{where_it_stands_for_zero, SHARE};

    /// Sums of squares exp(-2t) of which rounding leaves something else below 1e-16, from where they are 1e-30.
    #[test]
    fn zero_is_found_through_rounding_errors() {
        for rounding in [0.0, 1e-17, 1e-12] {
            let exact = |t: f64| 1e-30 * (-2.0 * t).exp();
            let told = |t: f64| {
                if exact(t) < 1e-16 {
                    rounding
                } else {
                    exact(t).min(1.0)
                }
            };
            let t = where_it_stands_for_zero(told(0.0), 1.0, |t| Some(told(t)));
            assert!((exact(t) / SHARE).ln().abs() < 0.01, "{rounding}: {t}");
        }
    }
}
