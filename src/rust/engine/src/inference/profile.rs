//! Profiles of the criterion in standard deviations and correlations: for each of them the minimum over everything else along
//! a grid of its values (Bates & Watts 1988, chapter 6; Bates et al. 2015, section 5.1), REML for a REML fit.
//!
//! Unprofiled in sigma the criterion is D(theta, tau) = log|M| + log|X'V^-1X| + (n - p) tau + q e^-tau + const with tau = log
//! sigma^2 (ML: without the second term, n for n - p). The minimum on the surface s(theta, tau) = c, with s the logarithm of a
//! standard deviation or Fisher's z of a correlation, solves the Karush-Kuhn-Tucker equations by Newton steps with the exact
//! Hessian of D, from a first-order prediction along the path. Parameters that are held or tied, and a known sigma, are what
//! they are all along ([`crate::basis::restriction`]): the equations are those of the free variables.

use crate::api::error::EngineError;
use crate::api::model::{ModelData, Structure};
use crate::api::options::Options;
use crate::basis::restriction::Restriction;
use crate::basis::user::{internal_of_terms, user_factor, user_parameters};
use crate::fit::prepare::prepare;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::{evaluated, is_long, regular};
use crate::inference::profile_program::Function;
use crate::inference::profile_targets::{
    farthest, targets, unscale, ProfilePoint, Psi, Surface, Target,
};
use crate::linalg::small;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;

/// Most Newton steps to one point.
const STEPS: usize = 25;

/// Most points in one direction.
const POINTS: usize = 40;

/// How far the last point may be beyond the cutoff, relative to that.
const LANDED: f64 = 1e-6;

/// Wanted distance of neighbouring points in zeta.
const SPACING: f64 = 0.4;

/// Share of an effect's standard deviation that the effects before it do not explain, where correlations count as 1.
const NEARLY_SINGULAR: f64 = 1e-3;

/// D with gradient and Hessian in the free variables at a point.
struct Local {
    value: f64,
    gradient: Vec<f64>,
    hessian: Vec<f64>,
}

/// A converged point of the path.
struct Solved {
    psi: Psi,
    value: f64,
    /// d psi / d s along the path.
    tangent: Vec<f64>,
    /// Curvature of D along it.
    curvature: f64,
}

impl Surface<'_, '_> {
    /// Both arms of the profile of one target, sorted by its value, the estimate included: it alone where the target does
    /// not move.
    pub fn profile(&mut self, target: Target, cutoff: f64) -> Vec<ProfilePoint> {
        let start = self.natural(target, &self.optimum.clone());
        let mut points = vec![ProfilePoint {
            value: start,
            zeta: 0.0,
            parameters: self.all(&self.optimum.clone()),
        }];
        for direction in [-1.0, 1.0] {
            let mut arm = self.arm(target, direction, cutoff);
            points.append(&mut arm);
        }
        points.sort_by(|a, b| a.value.total_cmp(&b.value));
        points
    }

    fn arm(&mut self, target: Target, direction: f64, cutoff: f64) -> Vec<ProfilePoint> {
        let mut points = Vec::new();
        let origin = self.scaled(target, &self.optimum.clone());
        let Some(mut at) = self.constrained(target, origin, self.optimum.clone()) else {
            return points;
        };
        let mut s = origin;
        let mut zeta = 0.0f64;
        // D rises by half the curvature times the square
        let mut step = SPACING / (0.5 * at.curvature).sqrt();
        if !step.is_finite() || step <= 0.0 {
            step = 0.1;
        }
        for _ in 0..POINTS {
            if self.criterion.clock.interrupted() {
                break;
            }
            step = step.min(1.5);
            let next = s + direction * step;
            let predicted = at.psi.moved(&at.tangent, next - s);
            let found = self.on_lower_arc(target, next, predicted).filter(|found| {
                let rise = found.value - self.minimum;
                rise > -1e-6 && (rise.max(0.0).sqrt() - zeta) < 2.0 * SPACING
            });
            let Some(found) = found else {
                step *= 0.4;
                if step < 1e-3 {
                    break;
                }
                continue;
            };
            let reached = self.zeta(&found);
            let (found, next, reached) = if reached > cutoff {
                self.landed(target, cutoff, (&at, s, zeta), (found, next, reached))
            } else {
                (found, next, reached)
            };
            let gained = (reached - zeta).abs();
            points.push(ProfilePoint {
                value: unscale(target, next),
                zeta: direction * reached,
                parameters: self.all(&found.psi),
            });
            step *= (SPACING / gained.max(0.05)).clamp(0.3, 3.0);
            (at, s, zeta) = (found, next, reached);
            if zeta >= cutoff || direction * s > farthest(target) || gained < 1e-5 {
                break;
            }
        }
        points
    }

    /// |zeta| at a point.
    fn zeta(&self, at: &Solved) -> f64 {
        (at.value - self.minimum).max(0.0).sqrt()
    }

    /// The point where |zeta| is `cutoff`, between a point below it and one beyond (each with its s and |zeta|), by regula
    /// falsi (the Illinois variant): a limit of an interval then needs no interpolation. The point beyond where the minimum
    /// cannot be followed.
    fn landed(
        &mut self,
        target: Target,
        cutoff: f64,
        below: (&Solved, f64, f64),
        beyond: (Solved, f64, f64),
    ) -> (Solved, f64, f64) {
        let (start, s, zeta) = below;
        // not short of it
        let goal = cutoff * (1.0 + 0.5 * LANDED);
        let (mut left, mut right) = ((s, zeta - goal), (beyond.1, beyond.2 - goal));
        let mut best = beyond;
        for _ in 0..STEPS {
            let next = right.0 - right.1 * (right.0 - left.0) / (right.1 - left.1);
            let predicted = start.psi.moved(&start.tangent, next - s);
            let Some(found) = self.on_lower_arc(target, next, predicted) else {
                break;
            };
            let reached = self.zeta(&found);
            let off = reached - goal;
            if reached >= cutoff && reached < best.2 {
                best = (found, next, reached);
            }
            if off.abs() < 0.5 * LANDED * cutoff {
                break;
            }
            if (off > 0.0) == (right.1 > 0.0) {
                left.1 *= 0.5;
            } else {
                left = right;
            }
            right = (next, off);
        }
        best
    }

    /// The lower of two minima where the surface has two parts. With correlations of 1 or -1 the row of Lambda that a
    /// standard deviation is the length of can only be stretched: the surface is two points, one for either sign of the
    /// correlations, and the path from the estimate may come to the wrong one.
    fn on_lower_arc(&mut self, target: Target, c: f64, guess: Psi) -> Option<Solved> {
        let found = self.constrained(target, c, guess);
        let mirrored = found
            .as_ref()
            .and_then(|found| self.mirrored(target, &found.psi))
            .and_then(|psi| self.constrained(target, c, psi));
        match (found, mirrored) {
            (Some(a), Some(b)) => Some(if b.value < a.value { b } else { a }),
            (found, _) => found,
        }
    }

    /// (theta, tau) with the correlations of the effect of `target` of the other sign; `None` unless its term is nearly
    /// singular.
    fn mirrored(&self, target: Target, psi: &Psi) -> Option<Psi> {
        let Target::Deviation(term, i) = target else {
            return None;
        };
        let (bases, parameters) = (&self.prepared.bases, &self.prepared.parameters);
        let k = bases[term].k;
        let own = parameters.start[term]..parameters.start[term + 1];
        let held = self.restriction.touches(parameters, term);
        if bases[term].structure != Structure::Unstructured || k < 2 || held {
            return None;
        }
        let theta = &psi.theta;
        let factor = user_factor(&bases[term], &parameters.term_factor(theta, term)).t;
        let singular = (0..k).any(|j| {
            let size: f64 = (0..=j).map(|c| factor[c * k + j].powi(2)).sum();
            factor[j * k + j] <= NEARLY_SINGULAR * size.sqrt()
        });
        if !singular {
            return None;
        }
        let mut of_user: Vec<f64> = (0..bases.len())
            .flat_map(|t| user_parameters(&bases[t], parameters, theta, t))
            .collect();
        // the row, and the column below it, so that the diagonal stays positive
        for (value, parameter) in of_user[own.clone()]
            .iter_mut()
            .zip(&parameters.list[own.clone()])
        {
            if parameter.entries.iter().any(|&(a, b)| (a == i) != (b == i)) {
                *value = -*value;
            }
        }
        let turned = internal_of_terms(&of_user.into(), bases, parameters)?;
        let mut out = psi.clone();
        parameters.set_term(&mut out.theta, term, &turned[own]);
        Some(out)
    }

    /// Minimum of D on the surface scaled(target) = c, from a first guess.
    fn constrained(&mut self, target: Target, c: f64, guess: Psi) -> Option<Solved> {
        let mut psi = guess;
        let size = self.restriction.variables();
        let mut multiplier = 0.0;
        for round in 0..STEPS {
            let local = self.local(&psi)?;
            let gap = c - self.scaled(target, &psi);
            let (slope, bend) = self.constraint(target, &psi);
            if round == 0 {
                // least-squares multiplier
                let square: f64 = slope.iter().map(|v| v * v).sum();
                if square == 0.0 {
                    return None;
                }
                multiplier = -slope
                    .iter()
                    .zip(&local.gradient)
                    .map(|(a, b)| a * b)
                    .sum::<f64>()
                    / square;
            }
            let order = size + 1;
            let mut matrix = memory::zeros(order * order);
            let mut rhs = memory::zeros(order);
            for a in 0..size {
                for b in 0..size {
                    matrix[b * order + a] =
                        local.hessian[b * size + a] + multiplier * bend[b * size + a];
                }
                matrix[size * order + a] = slope[a];
                matrix[a * order + size] = slope[a];
                rhs[a] = -local.gradient[a];
            }
            rhs[size] = gap;
            let mut tangent = memory::zeros(order);
            tangent[size] = 1.0;
            let solution = small::solve_general(
                &matrix,
                &mut [rhs.as_mut_slice(), tangent.as_mut_slice()],
                order,
            );
            if !solution {
                return None;
            }
            let step = self.restriction.step(&rhs[..size]);
            let length = self.relative_length(&psi, &step);
            let shrink = if length > 1.0 { 1.0 / length } else { 1.0 };
            psi = psi.moved(&step, shrink);
            multiplier = (1.0 - shrink) * multiplier + shrink * rhs[size];
            if length < 1e-7 {
                let value = self.value(&psi)?;
                // along the path dD/ds = -multiplier, and the last unknown of the tangent is its change
                return Some(Solved {
                    psi,
                    value,
                    curvature: -tangent[size],
                    tangent: self.restriction.step(&tangent[..size]),
                });
            }
        }
        None
    }

    /// Length of a step relative to the sizes of the parameters.
    fn relative_length(&self, psi: &Psi, step: &[f64]) -> f64 {
        let m = psi.theta.len();
        let scale = self.criterion.scale(&psi.theta);
        let theta: f64 = step[..m]
            .iter()
            .zip(&scale)
            .map(|(d, s)| (d / s).powi(2))
            .sum();
        (theta + step[m] * step[m]).sqrt()
    }

    fn value(&mut self, psi: &Psi) -> Option<f64> {
        let tau = psi.tau;
        self.criterion.fixed_inverse_sigma2 = Some((-tau).exp());
        self.criterion.value(&psi.theta)?;
        let factor = self.criterion.factor.as_ref()?;
        let degrees = self.criterion.degrees();
        let profiled = self.criterion.at(factor);
        if self.criterion.known_sigma2().is_some() {
            return Some(profiled);
        }
        // the profiled criterion has (n - p)(1 + log(q / (n - p))) where D has (n - p) tau + q e^-tau
        let sigma2 = factor.pwrss / degrees;
        Some(profiled + degrees * (tau - sigma2.ln() - 1.0) + factor.pwrss * (-tau).exp())
    }

    fn local(&mut self, psi: &Psi) -> Option<Local> {
        let (m, size) = (psi.theta.len(), psi.len());
        let value = self.value(psi)?;
        let precision = (-psi.tau).exp();
        let own = self.criterion.unprofiled_hessian()?;
        let degrees = self.criterion.degrees();
        let pwrss = self.criterion.factor.as_ref()?.pwrss;
        let latest = self.criterion.latest()?;
        let derivatives = &latest.derivatives;
        let mut gradient = derivatives.gradient.clone();
        gradient.push(degrees - pwrss * precision);
        let mut hessian = memory::zeros(size * size);
        for a in 0..m {
            for b in 0..m {
                hessian[b * size + a] = own[b * m + a];
            }
            hessian[m * size + a] = precision * derivatives.slopes[a];
            hessian[a * size + m] = hessian[m * size + a];
        }
        hessian[m * size + m] = pwrss * precision;
        Some(Local {
            value,
            gradient: self.restriction.gradient(&gradient),
            hessian: self.restriction.hessian(&hessian),
        })
        .filter(|local| local.value.is_finite())
    }
}

/// What `work` makes of D around the fit at `options.start`.
fn on_surface<T>(
    data: &ModelData<'_>,
    function: Option<&Function>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
    work: impl FnOnce(&mut Surface<'_, '_>) -> Result<T, EngineError> + Send,
) -> Result<T, EngineError>
where
    T: Send,
{
    interruptible(is_long(data), interrupt, |stop, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let theta = regular(&required_start(options, &prepared)?, &prepared);
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
        let found = work(&mut Surface {
            prepared: &prepared,
            criterion: &mut criterion,
            minimum,
            optimum: Psi { theta, tau },
            restriction,
            function,
        })?;
        if interrupt() {
            return Err(EngineError::Interrupted);
        }
        Ok(found)
    })
}

/// Profile of each standard deviation, correlation and of sigma at `options.start` (the optimum), to |zeta| =
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
    on_surface(data, None, options, interrupt, |surface| {
        let targets = targets(surface.prepared);
        let mut out = Vec::new();
        for (done, &index) in which.iter().enumerate() {
            if let Some(progress) = &options.progress {
                progress.part(done, which.len());
            }
            let target = *targets.get(index).ok_or_else(|| {
                EngineError::Dimension("there is no such parameter to profile".to_owned())
            })?;
            out.push((index, surface.profile(target, cutoff)));
        }
        Ok(out)
    })
}

/// Profile of a function of the variance components at `options.start` (the optimum), to |zeta| = `cutoff`: its estimate
/// alone where it cannot move.
///
/// # Errors
/// [`EngineError::Dimension`] where it names a component that there is not; otherwise see [`EngineError`].
pub fn profile_function(
    data: &ModelData<'_>,
    function: &Function,
    cutoff: f64,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<ProfilePoint>, EngineError> {
    on_surface(data, Some(function), options, interrupt, |surface| {
        let count = surface.count_components();
        if function.last_component().is_some_and(|c| c >= count) {
            let message = format!("the function names a component beyond the {count} of the model");
            return Err(EngineError::Dimension(message));
        }
        Ok(surface.profile(Target::Function(function.scale()), cutoff))
    })
}
