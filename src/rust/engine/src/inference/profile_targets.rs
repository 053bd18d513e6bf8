//! What is profiled: standard deviations, correlations and residual parameters on their natural scales, as functions of the
//! internal parameters, with their slopes.

use crate::api::model::Structure;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::restriction::Restriction;
use crate::criterion::objective::Criterion;
use crate::fit::prepared::Prepared;
use crate::inference::profile_program::{Function, Scale};
use crate::runtime::memory;
use crate::structure::residual::Domain;

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
    /// The function of the surface, on a scale.
    Function(Scale),
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

/// Every standard deviation and correlation, term after term in the order of theta (column by column of the lower triangle),
/// then the residual parameters, then sigma.
#[must_use]
pub(crate) fn targets(prepared: &Prepared) -> Vec<Target> {
    let mut out = Vec::new();
    for parameter in &prepared.parameters.list {
        let term = parameter.basis;
        out.push(match parameter.entries.first() {
            Some(&(i, j)) if i == j => Target::Deviation(term, i),
            Some(&(i, j)) => Target::Correlation(term, i, j),
            None => structured_target(prepared, term, parameter.index),
        });
    }
    let kinds = prepared.residual_model().kinds().into_iter().enumerate();
    out.extend(kinds.map(|(i, kind)| Target::Residual(i, kind)));
    out.push(Target::Sigma);
    out
}

/// What the parameters of a structure with correlations stand for: its standard deviations, then a correlation of the first
/// effect with a later one.
pub(super) fn structured_target(prepared: &Prepared, term: usize, index: usize) -> Target {
    let k = prepared.bases[term].k;
    let deviations = match prepared.bases[term].structure {
        Structure::Correlated {
            homogeneous: false, ..
        } => k,
        // an effect's deviation stands for its loadings, which have no profiles
        Structure::FactorAnalytic { .. } => {
            let structure = &prepared.parameters.structures[term];
            return Target::Deviation(term, structure.row(index).unwrap_or(0));
        }
        _ => 1,
    };
    if index < deviations {
        Target::Deviation(term, index)
    } else {
        Target::Correlation(term, index - deviations + 1, 0)
    }
}

/// A point of D: covariance parameters and tau = log sigma^2.
#[derive(Debug, Clone)]
pub(super) struct Psi {
    pub theta: InternalTheta,
    pub tau: f64,
}

impl Psi {
    /// How many parameters there are, tau included.
    pub fn len(&self) -> usize {
        self.theta.len() + 1
    }

    /// So many times a step in (theta, tau) away.
    pub fn moved(&self, step: &[f64], times: f64) -> Self {
        let mut out = self.clone();
        let all = out.theta.values_mut().iter_mut().chain([&mut out.tau]);
        all.zip(step).for_each(|(p, d)| *p += times * d);
        out
    }
}

/// D and what its minimisation needs, around one fit.
pub(super) struct Surface<'a, 'b> {
    pub prepared: &'a Prepared,
    pub criterion: &'a mut Criterion<'b>,
    /// D at the optimum.
    pub minimum: f64,
    /// Where that is.
    pub optimum: Psi,
    /// What of (theta, tau) may move.
    pub restriction: Restriction,
    /// What [`Target::Function`] is.
    pub function: Option<&'a Function>,
}

pub(super) fn unscale(target: Target, s: f64) -> f64 {
    match target {
        Target::Correlation(..) | Target::Residual(_, Domain::Correlation) => s.tanh(),
        Target::Residual(_, Domain::Real) => s,
        Target::Function(scale) => scale.natural(s),
        _ => s.exp(),
    }
}

/// How far along a correlation, or a share, going on tells something more.
pub(super) fn farthest(target: Target) -> f64 {
    match target {
        Target::Correlation(..) | Target::Residual(_, Domain::Correlation) => 8.0,
        Target::Function(scale) => scale.farthest(),
        _ => f64::INFINITY,
    }
}

impl Surface<'_, '_> {
    /// Gradient and Hessian of the scaled target in the free variables.
    pub(super) fn constraint(&self, target: Target, psi: &Psi) -> (Vec<f64>, Vec<f64>) {
        let (slope, bend) = self.slopes(target, psi);
        (
            self.restriction.gradient(&slope),
            self.restriction.hessian(&bend),
        )
    }

    /// Gradient and Hessian of the scaled target.
    pub(super) fn slopes(&self, target: Target, psi: &Psi) -> (Vec<f64>, Vec<f64>) {
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
            Target::Function(_) => match self.function {
                Some(function) => self.function_slopes(function, psi),
                None => self.differences(target, psi),
            },
        }
    }

    /// s = (tau + log v) / 2: s_a = v_a / 2v, s_ab = (v_ab / v - v_a v_b / v^2) / 2.
    pub(super) fn deviation_slopes(
        &self,
        psi: &Psi,
        term: usize,
        i: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let size = psi.len();
        let (mut slope, mut bend) = self.log_slopes(psi, term, i);
        slope.iter_mut().chain(&mut bend).for_each(|v| *v *= 0.5);
        slope[size - 1] = 0.5;
        (slope, bend)
    }

    /// s = atanh r with r = c / sqrt(v w): with p = log v w and d = sqrt(v w),
    /// r_a = c_a / d - r p_a / 2, r_ab = c_ab / d - (c_a p_b / d + r_b p_a + r p_ab) / 2, and
    /// s_a = r_a / (1 - r^2), s_ab = r_ab / (1 - r^2) + 2 r r_a r_b / (1 - r^2)^2.
    pub(super) fn correlation_slopes(
        &self,
        psi: &Psi,
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
    pub(super) fn log_slopes(&self, psi: &Psi, term: usize, i: usize) -> (Vec<f64>, Vec<f64>) {
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
    pub(super) fn covariance_slopes(
        &self,
        psi: &Psi,
        term: usize,
        i: usize,
        j: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let (size, theta) = (psi.len(), &psi.theta);
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
    pub(super) fn covariance(&self, psi: &Psi, term: usize, i: usize, j: usize) -> f64 {
        let basis = &self.prepared.bases[term];
        let k = basis.k;
        let row = |i: usize| memory::collect((0..k).map(|a| basis.change[a * k + i]));
        self.prepared
            .parameters
            .between(&psi.theta, term, &row(i), &row(j))
    }

    /// Correlation of effects `i` and `j` of a term, zero where a variance is.
    pub(super) fn correlation(&self, psi: &Psi, term: usize, i: usize, j: usize) -> f64 {
        let deviation = |i| {
            self.covariance(psi, term, i, i)
                .max(f64::MIN_POSITIVE)
                .sqrt()
        };
        (self.covariance(psi, term, i, j) / (deviation(i) * deviation(j))).clamp(-1.0, 1.0)
    }

    /// Gradient and Hessian of the scaled target by central differences of a function of a few numbers.
    pub(super) fn differences(&self, target: Target, psi: &Psi) -> (Vec<f64>, Vec<f64>) {
        let size = psi.len();
        let step = |p: &f64| 1e-4 * p.abs().max(1e-3);
        let steps: Vec<f64> = psi
            .theta
            .values()
            .iter()
            .chain([&psi.tau])
            .map(step)
            .collect();
        let at = |moves: &[(usize, f64)]| {
            let mut by = memory::zeros(size);
            moves.iter().for_each(|&(a, d)| by[a] += d);
            self.scaled(target, &psi.moved(&by, 1.0))
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

    pub(super) fn all(&self, psi: &Psi) -> Vec<f64> {
        targets(self.prepared)
            .into_iter()
            .map(|target| self.natural(target, psi))
            .collect()
    }

    pub(super) fn natural(&self, target: Target, psi: &Psi) -> f64 {
        unscale(target, self.scaled(target, psi))
    }

    /// log of a standard deviation, Fisher's z of a correlation.
    pub(super) fn scaled(&self, target: Target, psi: &Psi) -> f64 {
        match target {
            Target::Sigma => 0.5 * psi.tau,
            Target::Residual(i, kind) => {
                let phi = self.prepared.parameters.of_residual(&psi.theta);
                let value = self.prepared.residual_model().natural(phi)[i];
                match kind {
                    Domain::Correlation => value.clamp(-1.0, 1.0).atanh(),
                    Domain::Positive => value.max(f64::MIN_POSITIVE).ln(),
                    Domain::Real => value,
                }
            }
            Target::Deviation(term, i) => {
                0.5 * (psi.tau + self.covariance(psi, term, i, i).max(f64::MIN_POSITIVE).ln())
            }
            Target::Correlation(term, i, j) => self.correlation(psi, term, i, j).atanh(),
            Target::Function(_) => {
                let value = |function| self.function_value(function, psi);
                self.function.map_or(f64::NAN, value)
            }
        }
    }
}
