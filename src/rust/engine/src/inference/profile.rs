//! Profiles of the criterion in standard deviations and correlations: for each of them the minimum over everything else along
//! a grid of its values (Bates & Watts 1988, chapter 6; Bates et al. 2015, section 5.1), REML for a REML fit.
//!
//! Unprofiled in sigma the criterion is D(theta, tau) = log|M| + log|X'V^-1X| + (n - p) tau + q e^-tau + const with tau = log sigma^2
//! (ML: without the second term, n for n - p). The minimum on the surface s(theta, tau) = c, with s the logarithm of a standard
//! deviation or Fisher's z of a correlation, solves the Karush-Kuhn-Tucker equations by Newton steps with the exact
//! Hessian of D, from a first-order prediction along the path. Parameters that are held or tied, and a known sigma, are what
//! they are all along ([`crate::basis::restriction`]): the equations are those of the free variables.

use crate::api::error::EngineError;
use crate::api::model::{ModelData, Structure};
use crate::api::options::Options;
use crate::basis::restriction::Restriction;
use crate::basis::user::{raw_factor, raw_parameters, theta_from_raw};
use crate::criterion::objective::Criterion;
use crate::fit::prepare::{prepare, raw_start, Prepared};
use crate::inference::point::{evaluated, is_long, regular};
use crate::linalg::small;
use crate::optimize::Objective;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::structure::residual::Domain;

/// Most Newton steps to one point.
const STEPS: usize = 25;

/// Most points in one direction.
const POINTS: usize = 40;

/// Wanted distance of neighbouring points in zeta.
const SPACING: f64 = 0.4;

/// Share of an effect's standard deviation that the effects before it do not explain, where correlations count as 1.
const NEARLY_SINGULAR: f64 = 1e-3;

/// What is profiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Standard deviation of effect `i` of a term.
    Deviation(usize, usize),
    /// Correlation of effects `i` > `j` of a term.
    Correlation(usize, usize, usize),
    /// A natural residual parameter.
    Residual(usize, Domain),
    /// Residual standard deviation.
    Sigma,
}

/// One point of a profile: the value of the target, the signed root of the change in the criterion, and all standard
/// deviations, correlations and sigma there.
#[derive(Debug, Clone)]
pub struct ProfilePoint {
    /// Value of the target on its natural scale.
    pub value: f64,
    /// sign(value - estimate) sqrt(D - D_min).
    pub zeta: f64,
    /// Every parameter on its natural scale, in the order of the targets.
    pub parameters: Vec<f64>,
}

/// Every standard deviation and correlation, term after term in the order of theta (column by column of the lower triangle), then
/// the residual parameters, then sigma.
#[must_use]
pub(crate) fn targets(prepared: &Prepared) -> Vec<Target> {
    let mut out = Vec::new();
    for parameter in &prepared.parameters.list {
        let term = parameter.term;
        out.push(match parameter.entries.first() {
            Some(&(i, j)) if i == j => Target::Deviation(term, i),
            Some(&(i, j)) => Target::Correlation(term, i, j),
            None => structured_target(prepared, term, parameter.index),
        });
    }
    if let Some(part) = &prepared.residual {
        let kinds = part.model.kinds().into_iter().enumerate();
        out.extend(kinds.map(|(i, kind)| Target::Residual(i, kind)));
    }
    out.push(Target::Sigma);
    out
}

/// What the parameters of a structure with correlations stand for: its standard deviations, then a correlation of the first
/// effect with a later one.
fn structured_target(prepared: &Prepared, term: usize, index: usize) -> Target {
    let k = prepared.bases[term].k;
    let deviations = match prepared.bases[term].structure {
        Structure::Correlated {
            homogeneous: false, ..
        } => k,
        _ => 1,
    };
    if index < deviations {
        Target::Deviation(term, index)
    } else {
        Target::Correlation(term, index - deviations + 1, 0)
    }
}

/// D and what its minimisation needs, around one fit.
pub(super) struct Surface<'a, 'b> {
    pub prepared: &'a Prepared,
    pub criterion: &'a mut Criterion<'b>,
    /// D at the optimum.
    pub minimum: f64,
    /// (theta, tau) there.
    pub optimum: Vec<f64>,
    /// What of (theta, tau) may move.
    pub restriction: Restriction,
}

/// D with gradient and Hessian in the free variables at a point.
struct Local {
    value: f64,
    gradient: Vec<f64>,
    hessian: Vec<f64>,
}

/// A converged point of the path.
struct Solved {
    psi: Vec<f64>,
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
            let predicted: Vec<f64> = at
                .psi
                .iter()
                .zip(&at.tangent)
                .map(|(p, t)| p + t * (next - s))
                .collect();
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
            let reached = (found.value - self.minimum).max(0.0).sqrt();
            let gained = (reached - zeta).abs();
            points.push(ProfilePoint {
                value: unscale(target, next),
                zeta: direction * reached,
                parameters: self.all(&found.psi),
            });
            step *= (SPACING / gained.max(0.05)).clamp(0.3, 3.0);
            (at, s, zeta) = (found, next, reached);
            if zeta > cutoff || at_end(target, s) || gained < 1e-5 {
                break;
            }
        }
        points
    }

    /// The lower of two minima where the surface has two parts. With correlations of 1 or -1 the row of Lambda that a
    /// standard deviation is the length of can only be stretched: the surface is two points, one for either sign of the
    /// correlations, and the path from the estimate may come to the wrong one.
    fn on_lower_arc(&mut self, target: Target, c: f64, guess: Vec<f64>) -> Option<Solved> {
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
    fn mirrored(&self, target: Target, psi: &[f64]) -> Option<Vec<f64>> {
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
        let theta = &psi[..psi.len() - 1];
        let factor = raw_factor(&bases[term], &parameters.term_factor(theta, term)).t;
        let singular = (0..k).any(|j| {
            let size: f64 = (0..=j).map(|c| factor[c * k + j].powi(2)).sum();
            factor[j * k + j] <= NEARLY_SINGULAR * size.sqrt()
        });
        if !singular {
            return None;
        }
        let mut raw: Vec<f64> = (0..bases.len())
            .flat_map(|t| raw_parameters(&bases[t], parameters, theta, t))
            .collect();
        // the row, and the column below it, so that the diagonal stays positive
        for (value, parameter) in raw[own.clone()]
            .iter_mut()
            .zip(&parameters.list[own.clone()])
        {
            if parameter.entries.iter().any(|&(a, b)| (a == i) != (b == i)) {
                *value = -*value;
            }
        }
        let turned = theta_from_raw(&raw.into(), bases, parameters)?;
        let mut out = psi.to_vec();
        out[own.clone()].copy_from_slice(&turned[own]);
        Some(out)
    }

    /// Minimum of D on the surface scaled(target) = c, from a first guess.
    fn constrained(&mut self, target: Target, c: f64, guess: Vec<f64>) -> Option<Solved> {
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
            psi.iter_mut()
                .zip(&step)
                .for_each(|(p, d)| *p += shrink * d);
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
    fn relative_length(&self, psi: &[f64], step: &[f64]) -> f64 {
        let m = psi.len() - 1;
        let scale = self.criterion.scale(&psi[..m]);
        let theta: f64 = step[..m]
            .iter()
            .zip(&scale)
            .map(|(d, s)| (d / s).powi(2))
            .sum();
        (theta + step[m] * step[m]).sqrt()
    }

    fn value(&mut self, psi: &[f64]) -> Option<f64> {
        let m = psi.len() - 1;
        let tau = psi[m];
        self.criterion.inverse_sigma2 = Some((-tau).exp());
        self.criterion.value(&psi[..m])?;
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

    fn local(&mut self, psi: &[f64]) -> Option<Local> {
        let m = psi.len() - 1;
        let size = m + 1;
        let value = self.value(psi)?;
        let precision = (-psi[m]).exp();
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

    /// Gradient and Hessian of the scaled target in the free variables.
    fn constraint(&self, target: Target, psi: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (slope, bend) = self.slopes(target, psi);
        (
            self.restriction.gradient(&slope),
            self.restriction.hessian(&bend),
        )
    }

    /// Gradient and Hessian of the scaled target.
    fn slopes(&self, target: Target, psi: &[f64]) -> (Vec<f64>, Vec<f64>) {
        match target {
            Target::Sigma => {
                let size = psi.len();
                let mut slope = memory::zeros(size);
                slope[size - 1] = 0.5;
                (slope, memory::zeros(size * size))
            }
            Target::Deviation(term, i) => self.deviation_slopes(psi, term, i),
            Target::Correlation(term, i, j) => self.correlation_slopes(psi, term, i, j),
            Target::Residual(..) => self.differences(target, psi),
        }
    }

    /// s = (tau + log v) / 2: s_a = v_a / 2v, s_ab = (v_ab / v - v_a v_b / v^2) / 2.
    fn deviation_slopes(&self, psi: &[f64], term: usize, i: usize) -> (Vec<f64>, Vec<f64>) {
        let size = psi.len();
        let (mut slope, mut bend) = self.log_slopes(psi, term, i);
        slope.iter_mut().chain(&mut bend).for_each(|v| *v *= 0.5);
        slope[size - 1] = 0.5;
        (slope, bend)
    }

    /// s = atanh r with r = c / sqrt(v w): with p = log v w and d = sqrt(v w),
    /// r_a = c_a / d - r p_a / 2, r_ab = c_ab / d - (c_a p_b / d + r_b p_a + r p_ab) / 2, and
    /// s_a = r_a / (1 - r^2), s_ab = r_ab / (1 - r^2) + 2 r r_a r_b / (1 - r^2)^2.
    fn correlation_slopes(
        &self,
        psi: &[f64],
        term: usize,
        i: usize,
        j: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let size = psi.len();
        let product = self.covariance(psi, term, i, i) * self.covariance(psi, term, j, j);
        let d = product.max(f64::MIN_POSITIVE).sqrt();
        let r = self.correlation(psi, term, i, j);
        let left = (1.0 - r * r).max(f64::EPSILON);
        let (mut p, mut p2) = self.log_slopes(psi, term, i);
        let (other, other2) = self.log_slopes(psi, term, j);
        p.iter_mut().zip(&other).for_each(|(x, y)| *x += y);
        p2.iter_mut().zip(&other2).for_each(|(x, y)| *x += y);
        let (c, c2) = self.covariance_slopes(psi, term, i, j);
        let slope: Vec<f64> = (0..size).map(|a| c[a] / d - 0.5 * r * p[a]).collect();
        let mut bend = memory::zeros(size * size);
        for b in 0..size {
            for a in 0..size {
                let e = b * size + a;
                let second = c2[e] / d - 0.5 * (c[a] / d * p[b] + slope[b] * p[a] + r * p2[e]);
                bend[e] = second / left + 2.0 * r * slope[a] * slope[b] / (left * left);
            }
        }
        (slope.iter().map(|v| v / left).collect(), bend)
    }

    /// Gradient and Hessian of log v, v the variance of effect `i` of a term relative to sigma^2.
    fn log_slopes(&self, psi: &[f64], term: usize, i: usize) -> (Vec<f64>, Vec<f64>) {
        let size = psi.len();
        let v = self.covariance(psi, term, i, i).max(f64::MIN_POSITIVE);
        let (mut slope, mut bend) = self.covariance_slopes(psi, term, i, i);
        slope.iter_mut().for_each(|x| *x /= v);
        for b in 0..size {
            for a in 0..size {
                bend[b * size + a] = bend[b * size + a] / v - slope[a] * slope[b];
            }
        }
        (slope, bend)
    }

    /// Gradient and Hessian of a covariance of a term, relative to sigma^2: those of B G B'.
    fn covariance_slopes(
        &self,
        psi: &[f64],
        term: usize,
        i: usize,
        j: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let (size, theta) = (psi.len(), &psi[..psi.len() - 1]);
        let (basis, parameters) = (&self.prepared.bases[term], &self.prepared.parameters);
        let k = basis.k;
        let cell = |g: &[f64]| -> f64 {
            (0..k * k)
                .map(|e| {
                    let (a, b) = (e % k, e / k);
                    basis.change[a * k + i] * g[e] * basis.change[b * k + j]
                })
                .sum()
        };
        let own = parameters.start[term]..parameters.start[term + 1];
        let mut slope = memory::zeros(size);
        let mut bend = memory::zeros(size * size);
        for a in own.clone() {
            slope[a] = cell(&parameters.derivative(theta, a));
            for b in own.clone() {
                bend[b * size + a] = parameters.second(theta, a, b).map_or(0.0, |g| cell(&g));
            }
        }
        (slope, bend)
    }

    /// Covariance of effects `i` and `j` of a term, relative to sigma^2.
    fn covariance(&self, psi: &[f64], term: usize, i: usize, j: usize) -> f64 {
        let basis = &self.prepared.bases[term];
        let k = basis.k;
        let row = |i: usize| memory::collect((0..k).map(|a| basis.change[a * k + i]));
        self.prepared
            .parameters
            .between(&psi[..psi.len() - 1], term, &row(i), &row(j))
    }

    /// Correlation of effects `i` and `j` of a term, zero where a variance is.
    fn correlation(&self, psi: &[f64], term: usize, i: usize, j: usize) -> f64 {
        let deviation = |i| {
            self.covariance(psi, term, i, i)
                .max(f64::MIN_POSITIVE)
                .sqrt()
        };
        (self.covariance(psi, term, i, j) / (deviation(i) * deviation(j))).clamp(-1.0, 1.0)
    }

    /// Gradient and Hessian of the scaled target by central differences of a function of a few numbers.
    fn differences(&self, target: Target, psi: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let size = psi.len();
        let steps: Vec<f64> = psi.iter().map(|p| 1e-4 * p.abs().max(1e-3)).collect();
        let at = |moves: &[(usize, f64)]| {
            let mut x = psi.to_vec();
            moves.iter().for_each(|&(a, d)| x[a] += d);
            self.scaled(target, &x)
        };
        let center = at(&[]);
        let mut slope = memory::zeros(size);
        let mut bend = memory::zeros(size * size);
        for a in 0..size {
            let (up, down) = (at(&[(a, steps[a])]), at(&[(a, -steps[a])]));
            slope[a] = (up - down) / (2.0 * steps[a]);
            bend[a * size + a] = (up - 2.0 * center + down) / (steps[a] * steps[a]);
            for b in 0..a {
                let (x, y) = (steps[a], steps[b]);
                let mixed = at(&[(a, x), (b, y)]) - at(&[(a, x), (b, -y)]) - at(&[(a, -x), (b, y)])
                    + at(&[(a, -x), (b, -y)]);
                bend[b * size + a] = mixed / (4.0 * x * y);
                bend[a * size + b] = bend[b * size + a];
            }
        }
        (slope, bend)
    }

    fn all(&self, psi: &[f64]) -> Vec<f64> {
        targets(self.prepared)
            .into_iter()
            .map(|target| self.natural(target, psi))
            .collect()
    }

    fn natural(&self, target: Target, psi: &[f64]) -> f64 {
        unscale(target, self.scaled(target, psi))
    }

    /// log of a standard deviation, Fisher's z of a correlation.
    fn scaled(&self, target: Target, psi: &[f64]) -> f64 {
        let tau = psi[psi.len() - 1];
        match target {
            Target::Sigma => 0.5 * tau,
            Target::Residual(i, kind) => {
                let value = self.prepared.residual.as_ref().map_or(f64::NAN, |part| {
                    let phi = self.prepared.parameters.of_residual(&psi[..psi.len() - 1]);
                    part.model.natural(phi)[i]
                });
                match kind {
                    Domain::Correlation => value.clamp(-1.0, 1.0).atanh(),
                    Domain::Positive => value.max(f64::MIN_POSITIVE).ln(),
                    Domain::Real => value,
                }
            }
            Target::Deviation(term, i) => {
                0.5 * (tau + self.covariance(psi, term, i, i).max(f64::MIN_POSITIVE).ln())
            }
            Target::Correlation(term, i, j) => self.correlation(psi, term, i, j).atanh(),
        }
    }
}

fn unscale(target: Target, s: f64) -> f64 {
    match target {
        Target::Correlation(..) | Target::Residual(_, Domain::Correlation) => s.tanh(),
        Target::Residual(_, Domain::Real) => s,
        _ => s.exp(),
    }
}

/// Where going on along a correlation tells nothing more.
fn at_end(target: Target, s: f64) -> bool {
    matches!(
        target,
        Target::Correlation(..) | Target::Residual(_, Domain::Correlation)
    ) && s.abs() > 8.0
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
        let targets = targets(&prepared);
        let mut surface = Surface {
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
