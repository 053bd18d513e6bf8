//! The profiled REML criterion or deviance as a function of the internal parameters, for the optimiser.
//!
//! REML: log|M| + log|R| + log|X'V^-1X| + (n - p)(1 + log(2 pi q/(n - p))); ML: log|M| + log|R| + n (1 + log(2 pi q/n)), with
//! q = y'Py the penalised residual sum of squares (Bates et al. 2015, eqs. 34 and 41, in the form without sigma).

use crate::covariance::{Parameters, COARSE, FLOOR};
use crate::factor::{Factor, SelectedInverse, System};
use crate::gradient::{derivatives, kappas, solve, Derivatives, Point, Solution};
use crate::hessian;
use crate::optimize::Objective;

/// Step of differences of the gradient, relative to the size of a parameter: the error is its square.
const DIFFERENCE: f64 = 1e-4;

/// The criterion of one model with its latest evaluation.
pub struct Criterion<'a> {
    /// What does not change.
    pub system: &'a System,
    /// The parameters.
    pub parameters: &'a Parameters,
    /// REML or ML.
    pub reml: bool,
    /// b_0 of each factor (internal basis) or empty.
    pub center: &'a [Vec<f64>],
    /// -2 log |det Rinv|: takes log|Q'V^-1Q| to log|X'V^-1X|.
    pub log_det_change: f64,
    /// Asks whether to stop.
    pub interrupt: &'a dyn Fn() -> bool,
    /// 1 / sigma^2 at which derivatives are taken; `None` profiles it out.
    pub precision: Option<f64>,
    /// Evaluations so far.
    pub evaluations: usize,
    /// Factor at the last point.
    pub factor: Option<Factor>,
    /// Solution and derivatives at the last point, once asked for.
    pub latest: Option<Latest>,
    spare: Option<SelectedInverse>,
    point: Vec<f64>,
}

/// What [`Criterion`] knows about its last point.
pub struct Latest {
    /// Fixed and random effects.
    pub solution: Solution,
    /// Selected inverse.
    pub inverse: SelectedInverse,
    /// Gradient and pieces of the Hessian.
    pub derivatives: Derivatives,
    /// Exact Hessian, once computed.
    pub exact: Option<Vec<f64>>,
}

impl<'a> Criterion<'a> {
    /// A criterion not evaluated yet.
    #[must_use]
    pub fn new(
        system: &'a System,
        parameters: &'a Parameters,
        reml: bool,
        center: &'a [Vec<f64>],
        log_det_change: f64,
        interrupt: &'a dyn Fn() -> bool,
    ) -> Self {
        Self {
            system,
            parameters,
            reml,
            center,
            log_det_change,
            interrupt,
            precision: None,
            evaluations: 0,
            factor: None,
            latest: None,
            spare: None,
            point: Vec::new(),
        }
    }

    /// Whether the last evaluation was at this very point.
    #[must_use]
    pub fn is_at(&self, x: &[f64]) -> bool {
        self.factor.is_some() && self.point == x
    }

    /// Degrees of freedom in the residual variance: n - p or n.
    #[must_use]
    pub fn degrees(&self) -> f64 {
        let n = self.system.moments.n as f64;
        if self.reml {
            n - (self.system.moments.p1 as f64 - 1.0)
        } else {
            n
        }
    }

    /// The criterion at a factor.
    #[must_use]
    pub fn at(&self, factor: &Factor) -> f64 {
        let degrees = self.degrees();
        let fixed = if self.reml {
            factor.log_det_x + self.log_det_change
        } else {
            0.0
        };
        factor.log_det_m + fixed - self.system.moments.sum_log_weights
            + degrees * (1.0 + (2.0 * std::f64::consts::PI * factor.pwrss / degrees).ln())
    }

    /// 1 / sigma^2 at the last point.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        let factor = self.factor.as_ref()?;
        Some(self.precision.unwrap_or(self.degrees() / factor.pwrss))
    }

    /// Solution, selected inverse and derivatives at the last point.
    pub fn latest(&mut self) -> Option<&mut Latest> {
        if self.latest.is_none() {
            let precision = self.precision()?;
            let factor = self.factor.as_mut()?;
            let inverse = factor.selected_inverse(self.system, self.spare.take());
            let solution = solve(self.system, factor);
            let derivatives = derivatives(
                self.system,
                factor,
                &inverse,
                &solution,
                Point {
                    parameters: self.parameters,
                    theta: &self.point,
                    reml: self.reml,
                    precision,
                },
            );
            self.latest = Some(Latest {
                solution,
                inverse,
                derivatives,
                exact: None,
            });
        }
        self.latest.as_mut()
    }

    /// Exact Hessian at the last point, whatever it costs.
    pub fn exact_hessian(&mut self) -> Option<Vec<f64>> {
        self.latest()?;
        if self.latest.as_ref()?.exact.is_none() {
            if let Some(exact) = self.coarse_hessian() {
                self.latest.as_mut()?.exact = Some(exact);
            }
        }
        let factor = self.factor.as_ref()?;
        let latest = self.latest.as_mut()?;
        if latest.exact.is_none() {
            let traces = hessian::traces(
                self.system,
                factor,
                &latest.inverse,
                &latest.solution,
                &kappas(factor, self.parameters, &self.point),
                self.reml,
            );
            latest.exact = Some(latest.derivatives.exact_hessian(&traces));
        }
        latest.exact.clone()
    }

    /// Exact Hessian where some T is nearly singular: from the factor at a slightly larger G (see [`COARSE`]).
    fn coarse_hessian(&self) -> Option<Vec<f64>> {
        let parameters = self.parameters;
        let regular = parameters.regular_factors(&self.point);
        let moments = &self.system.moments;
        let coarse = parameters.factors_above(&self.point, |term| {
            let levels = moments.factors[parameters.place[term].0].n_levels as f64;
            FLOOR.max(COARSE * (levels / moments.n as f64).sqrt())
        });
        if coarse == regular {
            return None;
        }
        let t = parameters.by_factor(&coarse);
        let mut factor = Factor::new(self.system, t, self.center, None)?;
        factor.actual = Some(parameters.by_factor(&own_factors(parameters, &self.point)));
        let inverse = factor.selected_inverse(self.system, None);
        let solution = solve(self.system, &factor);
        let directions = kappas(&factor, parameters, &self.point);
        let traces = hessian::traces(
            self.system,
            &factor,
            &inverse,
            &solution,
            &directions,
            self.reml,
        );
        let derivatives = derivatives(
            self.system,
            &factor,
            &inverse,
            &solution,
            Point {
                parameters,
                theta: &self.point,
                reml: self.reml,
                precision: self.precision.unwrap_or(self.degrees() / factor.pwrss),
            },
        );
        Some(derivatives.exact_hessian(&traces))
    }

    /// Exact Hessian where it is affordable, else central differences of the exact gradient; the criterion is left evaluated
    /// at `theta`.
    pub fn hessian(&mut self, theta: &[f64]) -> Option<Vec<f64>> {
        if self.exact_cost().is_finite() {
            return self.exact_hessian();
        }
        self.differenced_hessian(theta, true)
    }

    /// Differences of the exact gradient, central or forward; the criterion is left evaluated at `theta`.
    pub fn differenced_hessian(&mut self, theta: &[f64], central: bool) -> Option<Vec<f64>> {
        let m = theta.len();
        let scale = self.scale(theta);
        let own = self.latest()?.derivatives.gradient.clone();
        let mut hessian = vec![0.0; m * m];
        for a in 0..m {
            let step = DIFFERENCE * scale[a];
            let mut at = |move_by: f64| -> Option<Vec<f64>> {
                let mut x = theta.to_vec();
                x[a] += move_by;
                self.value(&x)?;
                Some(self.latest()?.derivatives.gradient.clone())
            };
            let up = at(step)?;
            let (down, width) = if central {
                (at(-step)?, 2.0 * step)
            } else {
                (own.clone(), step)
            };
            for b in 0..m {
                hessian[a * m + b] = (up[b] - down[b]) / width;
            }
        }
        self.value(theta)?;
        self.latest()?;
        Some(
            (0..m * m)
                .map(|e| 0.5 * (hessian[e] + hessian[(e % m) * m + e / m]))
                .collect(),
        )
    }

    /// Operations of one evaluation with its derivatives.
    #[must_use]
    pub fn evaluation_cost(&self) -> f64 {
        let system = self.system;
        let rows = (system.q1() + system.schur.q2) as f64;
        system.schur.work(system.k1()) + 3.0 * rows * (system.moments.p1 as f64).powi(2)
    }

    /// Operations that the exact Hessian takes.
    #[must_use]
    pub fn exact_cost(&self) -> f64 {
        let p = if self.reml {
            self.system.moments.p1 - 1
        } else {
            0
        };
        hessian::cost(self.system, self.parameters, p)
    }
}

/// T of each term as it is.
fn own_factors(parameters: &Parameters, theta: &[f64]) -> Vec<Vec<f64>> {
    (0..parameters.structures.len())
        .map(|term| parameters.term_factor(theta, term))
        .collect()
}

impl Objective for Criterion<'_> {
    fn value(&mut self, x: &[f64]) -> Option<f64> {
        self.evaluations += 1;
        self.point = x.to_vec();
        let parameters = self.parameters;
        let terms = parameters.regular_factors(x);
        let own = own_factors(parameters, x);
        let actual = (own != terms).then(|| parameters.by_factor(&own));
        let t = parameters.by_factor(&terms);
        if let Some(latest) = self.latest.take() {
            self.spare = Some(latest.inverse);
        }
        let previous = self.factor.take();
        self.factor = Factor::new(self.system, t, self.center, previous);
        if let Some(factor) = &mut self.factor {
            factor.actual = actual;
        }
        self.factor
            .as_ref()
            .map(|factor| self.at(factor))
            .filter(|f| f.is_finite())
    }

    fn derivatives(&mut self, exact: bool) -> (Vec<f64>, Vec<f64>) {
        let m = self.parameters.len();
        let cheap = self.exact_cost() <= 0.5 * self.system.schur.work(self.system.k1()) + 1e6;
        if exact && cheap {
            if let Some(hessian) = self.exact_hessian() {
                let gradient = self
                    .latest
                    .as_ref()
                    .map_or_else(|| vec![0.0; m], |l| l.derivatives.gradient.clone());
                return (gradient, hessian);
            }
        }
        match self.latest() {
            Some(latest) => (
                latest.derivatives.gradient.clone(),
                latest.derivatives.model_hessian(),
            ),
            None => (vec![0.0; m], vec![0.0; m * m]),
        }
    }

    fn scale(&self, x: &[f64]) -> Vec<f64> {
        let n = self.system.moments.n as f64;
        let mut out = Vec::with_capacity(x.len());
        for term in 0..self.parameters.structures.len() {
            let f = self.parameters.place[term].0;
            let natural = 0.3 * (self.system.moments.factors[f].n_levels as f64 / n).sqrt();
            let own = self.parameters.of_term(x, term);
            out.extend(self.parameters.structures[term].scale(own, natural));
        }
        out
    }

    fn noise(&self, f: f64) -> f64 {
        // Q'V^-1Q = Q'Q - RZX'RZX, with Q'Q = I: what is left of a column is known to machine epsilon
        let fixed: f64 = self.factor.as_ref().map_or(0.0, |factor| {
            let p1 = factor.rzx.m;
            (0..p1 - 1).map(|j| factor.lx[j * p1 + j].powi(-2)).sum()
        });
        1e-14 * f.abs().max(self.system.moments.n as f64) + 2.0 * f64::EPSILON * fixed
    }

    fn interrupted(&self) -> bool {
        (self.interrupt)()
    }
}
