//! Optima at which the residual variance is zero.
//!
//! Parameters are relative to sigma, so that this boundary is infinitely far away: theta grows and sigma^2 falls along the ray
//! theta exp(t), sigma exp(-t), on which the covariances sigma^2 theta^2 of the random effects stay what they are. Where V is
//! regular without residuals (as many effects as rows) the criterion has a limit there, f(t) = f_0 + c exp(-2t), and it is the
//! optimum if c > 0; where V is singular and the random effects reproduce the response it falls by 2 a unit of t, or more, for
//! ever; around an optimum inside it rises on both sides. How much it falls from t to t + 1 tells the three apart.
//!
//! No fixed share of the response tells where the limit is reached: residuals may be any small part of what the fixed effects
//! leave, where there is no intercept or weights are of different orders of magnitude. Sigma^2 is put where the criterion is
//! [`NEAR`] above its limit, by its fall, and the others are estimated for that value: the problem is regular then.

use crate::api::error::EngineError;
use crate::api::options::Options;
use crate::api::result::Status;
use crate::criterion::objective::Criterion;
use crate::search::optimum::{optimum, Run, EXACT};

/// Share of the residual sum of squares of the fixed effects below which the residual variance may be on its way to zero.
const SUSPECT: f64 = 1e-4;

/// Share of it below which doubles leave no digits of the residual sum of squares, if nothing else keeps them.
const IN_DOUBLES: f64 = 1e-7;

/// Share of it at which to begin on a ray where the digits at its beginning are lost.
const SHARE: f64 = 1e-8;

/// Rise of the criterion over one unit of the ray that shows an optimum inside: there it is at least exp(-2) + 1 for each
/// degree of freedom of the residuals.
const RISE: f64 = 0.01;

/// Fall of the criterion to its limit where sigma^2 stands for zero; what is estimated for it is off by as much.
const NEAR: f64 = 1e-7;

/// Most steps to there, the longest of them, and the longest way in all.
const STEPS: usize = 30;
const FAR: f64 = 8.0;
const FARTHEST: f64 = 30.0;

/// What is found along the ray.
pub(crate) enum Ray {
    /// An optimum inside, or a criterion that does not depend on sigma.
    Inside,
    /// The criterion falls without bound.
    Perfect,
    /// The optimum with sigma^2 standing for zero, which is the second value.
    Zero(Run, f64),
}

/// Looks along the ray from the end of a run; `residual` is the residual sum of squares of the fixed effects alone, in units of
/// the rows' mean variance. Leaves the criterion with the sigma^2 that it found.
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
    // relative to sigma^2, as along the ray the residual parameters stay what they are
    let residual = residual / criterion.unit(x).powi(2);
    let Some(pwrss) = criterion.factor_at(x).map(|factor| factor.pwrss) else {
        return Ok(Ray::Inside);
    };
    if pwrss > SUSPECT * residual || residual <= 0.0 {
        return Ok(Ray::Inside);
    }
    let along = |t: f64| parameters.with_deviations_times(x, t.exp());
    // what is held or tied may not let them grow together
    let is_free = criterion.restriction.is_none_or(|restriction| {
        let there = along(1.0);
        let allowed = restriction.allowed(&there);
        let mut both = there.values().iter().zip(allowed.values());
        both.all(|(a, b)| (a - b).abs() <= 1e-12 * a.abs())
    });
    if !is_free {
        return Ok(Ray::Inside);
    }
    // digits are there about a centre, and in twice the precision; else the search begins where they are not lost yet
    let is_here = criterion.is_centred() || criterion.has_twice_the_digits();
    let base = if is_here || pwrss > IN_DOUBLES * residual {
        0.0
    } else {
        let to = where_share_is_left(pwrss, residual, |t| {
            Some(criterion.factor_at(&along(t))?.pwrss)
        });
        to.min(0.0)
    };
    let found = limit(base, |t| {
        let value = criterion.value(&along(t))?;
        let noise = criterion.noise(value);
        let factor = criterion.factor.as_ref()?;
        let is_left = factor.pwrss > EXACT * residual;
        Some(RayPoint {
            value,
            noise,
            is_left,
            tells: factor.pwrss <= SUSPECT * residual,
        })
    });
    let to = match found {
        Limit::None => return Ok(Ray::Inside),
        Limit::Below => return Ok(Ray::Perfect),
        Limit::At(to) => to,
    };
    let away = along(to);
    let Some(sigma2) = criterion
        .value(&away)
        .and_then(|_| criterion.inverse_sigma2())
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

/// The criterion at one place of the ray.
#[derive(Clone, Copy)]
struct RayPoint {
    value: f64,
    /// Its rounding errors.
    noise: f64,
    /// Whether a residual sum of squares is left that is more than rounding errors.
    is_left: bool,
    /// Whether it is so small that residuals may be on their way to zero.
    tells: bool,
}

/// What a ray leads to.
#[derive(Debug, PartialEq)]
enum Limit {
    /// The criterion rises, or does not depend on sigma.
    None,
    /// The criterion falls without bound.
    Below,
    /// The criterion is [`NEAR`] its limit at this t.
    At(f64),
}

/// Looks for the t at which the criterion is [`NEAR`] above its limit, from `base` on. Its fall from t to t + 1 is
/// c exp(-2t) (1 - exp(-2)): where it is more than rounding errors it says how far to go.
fn limit(base: f64, mut at: impl FnMut(f64) -> Option<RayPoint>) -> Limit {
    let mut t = base;
    for _ in 0..STEPS {
        let Some((here, next)) = at(t).and_then(|here| Some((here, at(t + 1.0)?))) else {
            return Limit::None;
        };
        if next.value > here.value + RISE {
            return Limit::None;
        }
        let fall = here.value - next.value;
        if !next.is_left {
            return if fall > RISE {
                Limit::Below
            } else {
                Limit::None
            };
        }
        // a smaller fall is lost in rounding errors: back to where it can be seen
        let step = if fall > here.noise.max(0.01 * NEAR) {
            0.5 * (fall / NEAR).ln()
        } else {
            -2.0
        };
        if step.abs() < 0.5 {
            return Limit::At(t);
        }
        t += step.clamp(-FAR, FAR);
        if (step < 0.0 && !here.tells) || (t - base).abs() > FARTHEST {
            return Limit::None;
        }
    }
    Limit::None
}

/// t at which the penalised residual sum of squares is [`SHARE`] of `residual`: it falls as exp(-2t), but below its rounding
/// errors it says nothing, so that t is found in steps from where it is told.
fn where_share_is_left(pwrss: f64, residual: f64, mut at: impl FnMut(f64) -> Option<f64>) -> f64 {
    let mut t = 0.0;
    let mut now = pwrss;
    for _ in 0..STEPS {
        let step = 0.5 * (now.max(f64::MIN_POSITIVE) / (SHARE * residual)).ln();
        t += step.clamp(-FAR, FAR);
        if step.abs() < 0.1 {
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
    use super::{limit, where_share_is_left, Limit, RayPoint, NEAR, SHARE};

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
            let t = where_share_is_left(told(0.0), 1.0, |t| Some(told(t)));
            assert!((exact(t) / SHARE).ln().abs() < 0.01, "{rounding}: {t}");
        }
    }

    /// A ray on which the share of residuals is exp(-2t) of what it is at its begin.
    fn ray(share: f64, value: impl Fn(f64) -> f64) -> impl FnMut(f64) -> Option<RayPoint> {
        move |t| {
            let left = share * (-2.0 * t).exp();
            Some(RayPoint {
                value: value(t),
                noise: 1e-12,
                is_left: left > 1e-22,
                tells: left < 1e-4,
            })
        }
    }

    #[test]
    fn a_limit_is_told_from_an_optimum_and_from_an_end_that_is_none() {
        // from before the limit is near, from where it is, and from where rounding errors are all there is
        for (share, scale) in [(1e-5, 30.0), (1e-11, 1e-6), (1e-18, 1e-20)] {
            let Limit::At(t) = limit(0.0, ray(share, |t| 7.0 + scale * (-2.0 * t).exp())) else {
                panic!("no limit from {scale}");
            };
            let above = scale * (-2.0 * t).exp();
            assert!(above < 3.0 * NEAR, "{scale}: {above}");
        }
        // an optimum at which residuals are any small share of the response
        for share in [1e-5, 1e-14, 1e-20] {
            let inside = |t: f64| 20.0 * (t.exp() + (-t).exp());
            assert_eq!(limit(0.0, ray(share, inside)), Limit::None);
            assert_eq!(limit(0.0, ray(share, |_| 3.0)), Limit::None);
            assert_eq!(limit(0.0, ray(share, |t| -2.0 * t)), Limit::Below);
        }
    }
}
