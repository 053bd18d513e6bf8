//! The profiled REML criterion or deviance as a function of the internal parameters, for the optimiser.
//!
//! REML: log|M| + log|R| + log|X'V^-1X| + (n - p)(1 + log(2 pi q/(n - p))); ML: log|M| + log|R| + n (1 + log(2 pi q/n)), with
//! q = y'Py the penalised residual sum of squares (Bates et al. 2015, eqs. 34 and 41, in the form without sigma).

use crate::api::error::EngineError;
use crate::api::result::Path;
use crate::basis::parameters::{Parameters, COARSE, FLOOR};
use crate::basis::restriction::Restriction;
use crate::criterion::gradient::{AtResidual, Derivatives, Here};
use crate::criterion::hessian;
use crate::criterion::iterative::estimator::Estimator;
use crate::criterion::point::Point;
use crate::criterion::residual_score::{ResidualPoint, ResidualSolution};
use crate::moments::correlated::ResidualPart;
use crate::optimize::{HessianRequest, Objective};
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::structure::residual::{Residual, Whitening};
use crate::system::complement::Complement;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::solution::{solve, Solution};

/// The step that fails where residual parameters give no matrix.
pub(crate) const RESIDUAL: &str = "the factorisation of the residual covariance matrix";

/// Penalised over total sum of squares below which the former is nothing but rounding.
const DIGITS: f64 = 1e-12;

/// Step of differences of the gradient, relative to the size of a parameter: the error is its square.
const DIFFERENCE: f64 = 1e-4;

/// The same for [`FOUR_POINTS`], whose error is its fourth power.
const WIDE_DIFFERENCE: f64 = 1e-3;

/// Size of a residual parameter, all of them on logarithmic, angular or similar scales.
const RESIDUAL_SCALE: f64 = 0.5;

/// Operations that an exact Hessian may take in any case where nothing else helps.
const AFFORDABLE: f64 = 1e6;

/// Numbers that factors at other points may take, all together, beside the one at hand (64 MB).
const ROOM_BESIDE: usize = 1 << 23;

/// Steps and weights of differences.
const FORWARD: [(f64, f64); 2] = [(1.0, 1.0), (0.0, -1.0)];
const CENTRAL: [(f64, f64); 2] = [(1.0, 0.5), (-1.0, -0.5)];
const FOUR_POINTS: [(f64, f64); 4] = [
    (1.0, 2.0 / 3.0),
    (-1.0, -2.0 / 3.0),
    (2.0, -1.0 / 12.0),
    (-2.0, 1.0 / 12.0),
];

/// The criterion of one model with its latest evaluation.
pub struct Criterion<'a> {
    /// What does not change unless there is a residual structure.
    base: &'a System,
    /// The parameters.
    pub parameters: &'a Parameters,
    /// REML or ML.
    pub reml: bool,
    /// B_0 of each factor (internal basis) or empty.
    pub center: &'a [Vec<f64>],
    /// -2 log |det Rinv|: takes log|Q'V^-1Q| to log|X'V^-1X|.
    pub log_det_change: f64,
    /// What ends a search for its minimum.
    pub clock: Clock<'a>,
    /// 1 / sigma^2 at which derivatives are taken; `None` profiles it out.
    pub precision: Option<f64>,
    /// Evaluations so far.
    pub evaluations: usize,
    /// Factor at the last point.
    pub factor: Option<Factor>,
    /// Why there is none.
    failure: Option<EngineError>,
    /// Solution and derivatives at the last point, once asked for.
    pub latest: Option<Latest>,
    /// Which parameters are held or tied.
    pub(crate) restriction: Option<&'a Restriction>,
    residual: Option<&'a ResidualPart>,
    known_sigma2: Option<f64>,
    /// Stands in for the factor of the complement where there is one.
    pub(crate) estimator: Option<Estimator>,
    /// Where the last evaluations come from.
    pub(crate) path: Path,
    at_residual: Option<ResidualState>,
    spare: Spare,
    point: Vec<f64>,
}

/// The cross-products at the last residual parameters.
struct ResidualState {
    phi: Vec<f64>,
    whitening: Whitening,
    system: System,
}

/// What [`Criterion`] knows about its last point.
pub struct Latest {
    /// Fixed and random effects.
    pub solution: Solution,
    /// Selected inverse.
    pub inverse: SelectedInverse,
    /// Gradient and pieces of the Hessian.
    pub derivatives: Derivatives,
    /// Rows at the solution, where there is a residual structure.
    pub(crate) rows: Option<ResidualSolution>,
    /// Exact Hessian, once computed.
    pub exact: Option<Vec<f64>>,
}

/// Room of an earlier point's.
#[derive(Default)]
struct Spare {
    inverse: SelectedInverse,
    solution: Solution,
    derivatives: Derivatives,
    exact: Vec<f64>,
    phis: Vec<Complement>,
    coarse: Beside,
}

/// Room of another point's, beside the last one.
#[derive(Default)]
struct Beside {
    factor: Factor,
    inverse: SelectedInverse,
    solution: Solution,
    derivatives: Derivatives,
}

/// What derivatives at the last point are made of.
struct Solved {
    inverse: SelectedInverse,
    solution: Solution,
    rows: Option<ResidualSolution>,
}

/// An estimator with its last evaluation.
pub(crate) struct Estimated {
    estimator: Estimator,
    factor: Factor,
    latest: Latest,
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
        clock: Clock<'a>,
    ) -> Self {
        Self {
            base: system,
            parameters,
            reml,
            center,
            log_det_change,
            clock,
            precision: None,
            evaluations: 0,
            factor: None,
            failure: None,
            latest: None,
            restriction: None,
            residual: None,
            known_sigma2: None,
            estimator: None,
            path: Path::Exact,
            at_residual: None,
            spare: Spare::default(),
            point: Vec::new(),
        }
    }

    /// The same with a residual structure.
    #[must_use]
    pub(crate) fn with_residual(mut self, residual: Option<&'a ResidualPart>) -> Self {
        self.residual = residual;
        self
    }

    /// The same with parameters that are held or tied.
    #[must_use]
    pub(crate) fn with_restriction(mut self, restriction: Option<&'a Restriction>) -> Self {
        self.restriction = restriction;
        self
    }

    /// The same with a known residual variance.
    #[must_use]
    pub(crate) fn with_sigma2(mut self, sigma2: Option<f64>) -> Self {
        self.known_sigma2 = sigma2;
        self
    }

    /// Takes the residual variance as known, or estimates it, from now on.
    pub(crate) fn know_sigma2(&mut self, sigma2: Option<f64>) {
        self.known_sigma2 = sigma2;
        self.factor = None;
    }

    /// The residual variance where it is known.
    #[must_use]
    pub(crate) fn known_sigma2(&self) -> Option<f64> {
        self.known_sigma2
    }

    /// Cross-products at the last point.
    #[must_use]
    pub fn system(&self) -> &System {
        self.at_residual
            .as_ref()
            .map_or(self.base, |state| &state.system)
    }

    /// The residual structure.
    pub(crate) fn residual_part(&self) -> Option<&'a ResidualPart> {
        self.residual
    }

    /// The residual structure at the last point.
    #[must_use]
    pub(crate) fn residual(&self) -> Option<(&'a ResidualPart, ResidualPoint<'_>)> {
        let state = self.at_residual.as_ref()?;
        Some((
            self.residual?,
            ResidualPoint {
                phi: &state.phi,
                whitening: &state.whitening,
            },
        ))
    }

    /// Takes the cross-products at these residual parameters.
    fn move_residual(&mut self, x: &[f64]) -> Option<()> {
        let Some(part) = self.residual else {
            return Some(());
        };
        let phi = self.parameters.of_residual(x);
        if self.at_residual.as_ref().is_some_and(|s| s.phi == phi) {
            return Some(());
        }
        let whitening = part.model.at_with(phi, &self.base.workers)?;
        let moments = part.moments(&whitening, &self.base.moments, &self.base.workers);
        self.at_residual = Some(ResidualState {
            phi: phi.to_vec(),
            whitening,
            system: System {
                moments,
                schur: self.base.schur.clone(),
                workers: self.base.workers.clone(),
            },
        });
        Some(())
    }

    /// Whether effects of levels were taken out of the response.
    #[must_use]
    pub(crate) fn is_centred(&self) -> bool {
        self.center.iter().any(|b| !b.is_empty())
    }

    /// Whether it is evaluated with twice the digits of doubles (see [`crate::system::extended`]).
    pub(crate) fn has_twice_the_digits(&self) -> bool {
        self.system().moments.rest.is_some()
    }

    /// The factor at `x`; `None` where there is none.
    pub(crate) fn factor_at(&mut self, x: &[f64]) -> Option<&Factor> {
        let there = self.is_at(x) || self.value(x).is_some();
        self.factor.as_ref().filter(|_| there)
    }

    /// The rows' mean standard deviation relative to sigma, 1 without variance functions.
    #[must_use]
    pub(crate) fn unit(&self, x: &[f64]) -> f64 {
        self.residual.map_or(1.0, |part| {
            let phi = self.parameters.of_residual(x);
            part.model.mean_log_scale(phi).exp()
        })
    }

    /// The residual structure.
    #[must_use]
    pub(crate) fn residual_model(&self) -> Option<&'a Residual> {
        self.residual.map(|part| &part.model)
    }

    /// The variance functions, if there are any.
    #[must_use]
    pub(crate) fn scales(&self) -> Option<&'a Residual> {
        let model = &self.residual?.model;
        model.has_scales().then_some(model)
    }

    /// Whether second derivatives in closed form are there: rows must be independent.
    #[must_use]
    pub fn has_exact_hessian(&self) -> bool {
        self.exact_cost().is_finite()
    }

    /// Whether the last evaluation was at this very point.
    #[must_use]
    pub fn is_at(&self, x: &[f64]) -> bool {
        self.factor.is_some() && self.point == x
    }

    /// Degrees of freedom in the residual variance: n - p or n.
    #[must_use]
    pub fn degrees(&self) -> f64 {
        let n = self.system().moments.n as f64;
        if self.reml {
            n - (self.system().moments.p1 as f64 - 1.0)
        } else {
            n
        }
    }

    /// Why the last evaluation, or what followed it up to `step`, has no result.
    #[must_use]
    pub fn failure(&self, step: &'static str) -> EngineError {
        self.failure.clone().unwrap_or(EngineError::numerical(step))
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
        let tau = 2.0 * std::f64::consts::PI;
        let of_sigma = match self.known_sigma2 {
            Some(sigma2) => degrees * (tau * sigma2).ln() + factor.pwrss / sigma2,
            None => degrees * (1.0 + (tau * factor.pwrss / degrees).ln()),
        };
        factor.log_det_m + fixed - self.system().moments.sum_log_weights + of_sigma
    }

    /// 1 / sigma^2 at the last point.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        let factor = self.factor.as_ref()?;
        let known = self.known_sigma2.map(f64::recip);
        Some(
            self.precision
                .or(known)
                .unwrap_or(self.degrees() / factor.pwrss),
        )
    }

    /// From here on by iteration and random vectors.
    pub(crate) fn estimate(&mut self) {
        self.path = Path::Iterative;
        self.estimator = Some(Estimator::new(self.base));
    }

    /// Leaves less to chance from here on, if that is possible; nothing is evaluated then.
    pub(crate) fn refine(&mut self) -> bool {
        let base = self.base;
        let refined = self.estimator.as_mut().is_some_and(|e| e.refine(base));
        if refined {
            (self.factor, self.latest) = (None, None);
        }
        refined
    }

    /// From here on by factorisation; nothing is evaluated then. Returns what was there.
    pub(crate) fn give_up_estimator(&mut self) -> Option<Estimated> {
        self.spare = Spare::default();
        self.path = Path::Exact;
        Some(Estimated {
            estimator: self.estimator.take()?,
            factor: self.factor.take()?,
            latest: self.latest.take()?,
        })
    }

    /// By estimates again, as it was before they were given up; the last point must be the same.
    pub(crate) fn take_back(&mut self, estimated: Estimated) {
        self.path = Path::Iterative;
        self.estimator = Some(estimated.estimator);
        (self.factor, self.latest) = (Some(estimated.factor), Some(estimated.latest));
    }

    /// From here on by estimates again, with the criterion and perhaps its gradient at the last point as they are now.
    pub(crate) fn anchor(&mut self, estimated: Estimated, with_gradient: bool) -> Option<()> {
        let Estimated {
            mut estimator,
            mut factor,
            mut latest,
        } = estimated;
        let exact = self.at(self.factor.as_ref()?) - self.at(&factor);
        let mut errors = Vec::new();
        if with_gradient {
            let own = &mut latest.derivatives.gradient;
            let slopes = &self.latest()?.derivatives.gradient;
            errors.extend(slopes.iter().zip(own.iter()).map(|(x, y)| x - y));
            own.clone_from(slopes);
        }
        factor.log_det_m += exact;
        estimator.anchor_at(&self.point, exact, errors);
        self.spare = Spare::default();
        self.path = if with_gradient {
            Path::Anchored
        } else {
            Path::ExactValue
        };
        self.estimator = Some(estimator);
        self.factor = Some(factor);
        self.latest = Some(latest);
        Some(())
    }

    /// Fixed and random effects at the last point.
    pub(crate) fn solution(&mut self) -> Option<Solution> {
        if self.estimator.is_some() {
            return Some(self.latest()?.solution.clone());
        }
        Some(solve(
            self.system(),
            self.factor.as_ref()?,
            Solution::default(),
        ))
    }

    /// Solution, selected inverse and derivatives at the last point.
    pub fn latest(&mut self) -> Option<&mut Latest> {
        if self.latest.is_none() {
            let flag = self.base.workers.flag().clone();
            self.latest = Some(match self.estimator.take() {
                Some(mut estimator) => {
                    let found = flag.in_time(|| self.estimated(&mut estimator));
                    self.estimator = Some(estimator);
                    found?
                }
                None => flag.in_time(|| self.exact())?,
            });
        }
        self.latest.as_mut()
    }

    fn estimated(&self, estimator: &mut Estimator) -> Option<Latest> {
        let (solution, derivatives) =
            estimator.derivatives(self.base, self.factor.as_ref()?, self.point_here()?)?;
        Some(Latest {
            solution,
            inverse: SelectedInverse::default(),
            derivatives,
            rows: None,
            exact: None,
        })
    }

    fn exact(&mut self) -> Option<Latest> {
        let solved = self.solved()?;
        let room = std::mem::take(&mut self.spare.derivatives);
        let derivatives = self.here(&solved)?.derivatives(room)?;
        Some(Latest {
            solution: solved.solution,
            inverse: solved.inverse,
            derivatives,
            rows: solved.rows,
            exact: None,
        })
    }

    /// The gradient at the last point; nothing is found for the Hessian.
    fn gradient(&mut self) -> Option<Vec<f64>> {
        if self.estimator.is_some() || self.latest.is_some() {
            return Some(self.latest()?.derivatives.gradient.clone());
        }
        let solved = self.solved()?;
        let room = self.spare.derivatives.take_slopes();
        let found = self.here(&solved)?.slopes(room)?;
        self.spare.derivatives.score = found.score;
        self.spare.inverse = solved.inverse;
        self.spare.solution = solved.solution;
        Some(found.gradient)
    }

    fn solved(&mut self) -> Option<Solved> {
        let state = self.at_residual.as_ref();
        let system = state.map_or(self.base, |state| &state.system);
        let factor = self.factor.as_mut()?;
        let spare = &mut self.spare;
        let inverse = factor.selected_inverse(system, std::mem::take(&mut spare.inverse));
        let solution = solve(system, factor, std::mem::take(&mut spare.solution));
        let rows = self
            .residual
            .map(|part| part.solution(system, factor, &solution));
        Some(Solved {
            inverse,
            solution,
            rows,
        })
    }

    /// The last point, for derivatives.
    fn point_here(&self) -> Option<Point<'_>> {
        Some(Point {
            parameters: self.parameters,
            theta: &self.point,
            reml: self.reml,
            precision: self.precision()?,
            profiled: self.known_sigma2.is_none(),
        })
    }

    fn here<'b>(&'b self, solved: &'b Solved) -> Option<Here<'b>> {
        let residual = self.residual().zip(solved.rows.as_ref());
        Some(Here {
            system: self.system(),
            factor: self.factor.as_ref()?,
            inverse: &solved.inverse,
            solution: &solved.solution,
            point: self.point_here()?,
            residual: residual.map(|((part, point), rows)| AtResidual { part, point, rows }),
        })
    }

    /// Exact Hessian at the last point, whatever it costs; where there is none in closed form, by differences of the exact
    /// gradient.
    pub fn exact_hessian(&mut self) -> Option<Vec<f64>> {
        self.exact_hessian_and(false)
    }

    /// The same as the last thing that is asked of this point: the factor gives its memory to what the Hessian needs. Values,
    /// solution and derivatives stay; for solves the criterion has to be evaluated anew, as [`Self::is_at`] says.
    pub fn last_hessian(&mut self) -> Option<Vec<f64>> {
        self.exact_hessian_and(true)
    }

    fn exact_hessian_and(&mut self, last: bool) -> Option<Vec<f64>> {
        self.find_exact(last)?;
        self.latest.as_ref()?.exact.clone()
    }

    /// Sees to it that [`Latest::exact`] is there.
    fn find_exact(&mut self, last: bool) -> Option<()> {
        if self.latest()?.exact.is_some() {
            return Some(());
        }
        if !self.is_plain() {
            let point = self.point.clone();
            let found = self.differenced_hessian(&point, true)?;
            self.latest()?.exact = Some(found);
            return Some(());
        }
        let coarse = self.coarse_factors();
        if last && coarse.is_some() {
            let _ = self.factor.as_mut()?.give_up_complement();
            self.latest.as_mut()?.inverse = SelectedInverse::default();
        }
        let found = match coarse {
            Some(coarse) if last => self.coarse_hessian(coarse, true),
            Some(coarse) => self
                .coarse_hessian(coarse, false)
                .or_else(|| self.own_hessian(false)),
            None => self.own_hessian(last),
        };
        if last {
            self.point.clear();
        }
        self.latest.as_mut()?.exact = Some(found?);
        Some(())
    }

    /// Exact Hessian from the last point's own factor.
    fn own_hessian(&mut self, last: bool) -> Option<Vec<f64>> {
        let (base, reml) = (self.base, self.reml);
        let (factor, latest) = (self.factor.as_mut()?, self.latest.as_mut()?);
        let (inverse, solution) = (&mut latest.inverse, &latest.solution);
        let directions = &latest.derivatives.directions;
        let phis = &mut self.spare.phis;
        let traces = if last {
            inverse.y = Vec::new();
            hessian::traces_in_place(base, factor, inverse, solution, directions, reml, phis)
        } else {
            hessian::traces(base, factor, inverse, solution, directions, reml, phis)
        };
        let mut exact = std::mem::take(&mut self.spare.exact);
        exact.clear();
        exact.extend(latest.derivatives.exact_hessian(&traces));
        Some(exact)
    }

    /// Hessian in theta at fixed sigma^2 of the criterion in which sigma^2 is a parameter of its own.
    pub fn unprofiled_hessian(&mut self) -> Option<Vec<f64>> {
        let mut hessian = self.exact_hessian()?;
        // differences at fixed sigma^2 are these already
        if self.is_plain() || self.precision.is_none() {
            let rank_one = &self.latest()?.derivatives.rank_one;
            hessian.iter_mut().zip(rank_one).for_each(|(h, r)| *h += r);
        }
        Some(hessian)
    }

    /// Are rows independent?
    fn is_plain(&self) -> bool {
        self.residual.is_none()
    }

    /// T where some of them is nearly singular: those at a slightly larger G (see [`COARSE`]).
    fn coarse_factors(&mut self) -> Option<Vec<Vec<f64>>> {
        let parameters = self.parameters;
        let (moments, workers) = (&self.base.moments, &self.base.workers);
        let floor = |term: usize| {
            let levels = moments.factors[parameters.place[term].0].n_levels as f64;
            FLOOR.max(COARSE * (levels / moments.n as f64).sqrt())
        };
        let room = std::mem::take(&mut self.spare.coarse.factor.t);
        let (coarse, _) = parameters.factors_above(&self.point, floor, workers, room);
        if coarse == self.factor.as_ref()?.t {
            self.spare.coarse.factor.t = coarse;
            return None;
        }
        Some(coarse)
    }

    /// Exact Hessian from the factor at T of a slightly larger G.
    fn coarse_hessian(&mut self, coarse: Vec<Vec<f64>>, last: bool) -> Option<Vec<f64>> {
        let (system, parameters, reml) = (self.base, self.parameters, self.reml);
        let room = std::mem::take(&mut self.spare.coarse);
        let mut old = room.factor;
        let actual = old.actual.take().unwrap_or_default();
        let mut factor = Factor::new(system, coarse, self.center, old).ok()?;
        factor.actual = Some(parameters.factors(&self.point, actual));
        let inverse = factor.selected_inverse(system, room.inverse);
        let solution = solve(system, &factor, room.solution);
        let here = Here {
            system,
            factor: &factor,
            inverse: &inverse,
            solution: &solution,
            point: Point {
                parameters,
                theta: &self.point,
                reml,
                precision: self
                    .precision
                    .or(self.known_sigma2.map(f64::recip))
                    .unwrap_or(self.degrees() / factor.pwrss),
                profiled: self.known_sigma2.is_none(),
            },
            residual: None,
        };
        let derivatives = here.derivatives(room.derivatives)?;
        let (directions, phis) = (&derivatives.directions, &mut self.spare.phis);
        let traces = if last {
            let factor = &mut factor;
            hessian::traces_in_place(system, factor, &inverse, &solution, directions, reml, phis)
        } else {
            hessian::traces(system, &factor, &inverse, &solution, directions, reml, phis)
        };
        let mut exact = std::mem::take(&mut self.spare.exact);
        exact.clear();
        exact.extend(derivatives.exact_hessian(&traces));
        if !last {
            self.spare.coarse = Beside {
                factor,
                inverse,
                solution,
                derivatives,
            };
        }
        Some(exact)
    }

    /// Exact Hessian where it is affordable, else central differences of the exact gradient; the criterion is left evaluated
    /// at `theta`.
    pub fn hessian(&mut self, theta: &[f64]) -> Option<Vec<f64>> {
        if self.has_exact_hessian() || !self.is_plain() {
            return self.exact_hessian();
        }
        self.differenced_hessian(theta, true)
    }

    /// Differences of the exact gradient, central or forward; `None` where the criterion is not defined all around. It is
    /// left evaluated at `theta`.
    pub fn differenced_hessian(&mut self, theta: &[f64], central: bool) -> Option<Vec<f64>> {
        let hessian = self.differences(theta, central);
        if !self.is_at(theta) {
            let _ = self.value(theta);
        }
        hessian
    }

    fn differences(&mut self, theta: &[f64], central: bool) -> Option<Vec<f64>> {
        let m = theta.len();
        let scale = self.scale(theta);
        let own = self.latest()?.derivatives.gradient.clone();
        let (weights, size): (&[(f64, f64)], f64) = match (central, self.is_plain()) {
            (false, true) => (&FORWARD, DIFFERENCE),
            (true, false) => (&FOUR_POINTS, WIDE_DIFFERENCE),
            _ => (&CENTRAL, DIFFERENCE),
        };
        let moved: Vec<(usize, f64, f64)> = (0..m)
            .flat_map(|a| weights.iter().map(move |&(by, weight)| (a, by, weight)))
            .filter(|&(_, by, _)| by != 0.0)
            .collect();
        let points: Vec<Vec<f64>> = moved
            .iter()
            .map(|&(a, by, _)| {
                let mut x = theta.to_vec();
                x[a] += by * size * scale[a];
                x
            })
            .collect();
        let gradients = if self.has_room_beside() {
            self.gradients_beside(&points)?
        } else {
            self.gradients(theta, &points)?
        };
        let mut hessian = memory::zeros(m * m);
        for (&(a, _, weight), gradient) in moved.iter().zip(&gradients) {
            for b in 0..m {
                hessian[a * m + b] += weight * gradient[b] / (size * scale[a]);
            }
        }
        // what weighs on the point itself
        for &(_, weight) in weights.iter().filter(|(by, _)| *by == 0.0) {
            for e in 0..m * m {
                hessian[e] += weight * own[e % m] / (size * scale[e / m]);
            }
        }
        Some(memory::collect(
            (0..m * m).map(|e| 0.5 * (hessian[e] + hessian[(e % m) * m + e / m])),
        ))
    }

    /// Whether other points may have factors of their own at the same time.
    fn has_room_beside(&self) -> bool {
        let system = self.base;
        let complement = (2.0 * system.schur.storage.numbers()) as usize;
        let (moments, k1) = (&system.moments, system.k1());
        let rows = (system.q1() + system.schur.q2) * 4 * moments.p1;
        let blocks = 2 * k1 * (system.schur.effect_row.len() + system.q1());
        // weighted rows of X, y and Z and cross-products of their own
        let effects: usize = moments.factors.iter().map(|factor| factor.k).sum();
        let data = self.residual.map_or(0, |part| {
            part.rows.n() * (2 * moments.p1 + effects) + moments.numbers()
        });
        let each = complement + rows + blocks + data;
        self.estimator.is_none() && each * system.workers.count() <= ROOM_BESIDE
    }

    /// Gradients at other points, as many at a time as there are threads; this criterion stays where it is.
    fn gradients_beside(&mut self, points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        self.evaluations += points.len();
        self.clock.count(self.evaluations);
        let (base, parameters, center) = (self.base, self.parameters, self.center);
        let (reml, change) = (self.reml, self.log_det_change);
        let (residual, sigma2, precision) = (self.residual, self.known_sigma2, self.precision);
        let share = points.len().div_ceil(base.workers.count()).max(1);
        let shares: Vec<&[Vec<f64>]> = points.chunks(share).collect();
        let found = base.workers.map(shares.len(), |i| {
            let mut beside = Criterion::new(
                base,
                parameters,
                reml,
                center,
                change,
                Clock::without_limit(&|| false),
            )
            .with_residual(residual)
            .with_sigma2(sigma2);
            beside.precision = precision;
            let mut at = |x: &Vec<f64>| {
                beside.value(x)?;
                beside.gradient()
            };
            shares[i].iter().map(&mut at).collect::<Option<Vec<_>>>()
        });
        let found: Option<Vec<Vec<Vec<f64>>>> = found.into_iter().collect();
        Some(found?.into_iter().flatten().collect())
    }

    /// The same one after the other in the place of the factor at `theta`, which is found again.
    fn gradients(&mut self, theta: &[f64], points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        // estimates are put back instead of made again
        let aside = self.estimator.as_mut().map(Estimator::set_aside);
        let kept = aside.map(|aside| (aside, self.factor.take(), self.latest.take()));
        let mut gradients = Vec::with_capacity(points.len());
        for x in points {
            self.value(x)?;
            gradients.push(self.gradient()?);
        }
        match (kept, &mut self.estimator) {
            (Some((aside, factor, latest)), Some(estimator)) => {
                estimator.put_back(aside);
                (self.factor, self.latest) = (factor, latest);
                self.point = theta.to_vec();
            }
            _ => {
                self.value(theta)?;
                self.latest()?;
            }
        }
        Some(gradients)
    }

    /// Operations of one evaluation with its derivatives.
    #[must_use]
    pub fn evaluation_cost(&self) -> f64 {
        let system = self.base;
        if let Some(estimator) = &self.estimator {
            return estimator.work(system);
        }
        let rows = (system.q1() + system.schur.q2) as f64;
        let p1 = system.moments.p1 as f64;
        // with a residual structure all rows are gone through again
        let again = self
            .residual
            .map_or(0.0, |part| part.rows.n() as f64 * (p1 + 4.0) * (p1 + 8.0));
        system.schur.work(system.k1()) + 3.0 * rows * p1.powi(2) + again
    }

    /// Operations that the exact Hessian takes.
    #[must_use]
    pub fn exact_cost(&self) -> f64 {
        if !self.is_plain() || self.estimator.is_some() {
            return f64::INFINITY;
        }
        let p = if self.reml {
            self.base.moments.p1 - 1
        } else {
            0
        };
        hessian::cost(self.base, self.parameters, p)
    }
}

impl Objective for Criterion<'_> {
    fn value(&mut self, x: &[f64]) -> Option<f64> {
        let flag = self.base.workers.flag().clone();
        let value = flag.in_time(|| self.value_here(x));
        if value.is_none() && flag.is_late() {
            // left in the middle
            (self.factor, self.latest) = (None, None);
            self.failure = Some(EngineError::TimeLimit);
        }
        value
    }

    fn derivatives(&mut self, wanted: HessianRequest) -> (Vec<f64>, Vec<f64>, bool) {
        let m = self.parameters.len();
        let limit = match wanted {
            HessianRequest::Model => f64::NEG_INFINITY,
            HessianRequest::Cheap => 0.5 * self.evaluation_cost(),
            HessianRequest::Exact => 0.5 * self.evaluation_cost() + AFFORDABLE,
        };
        if self.exact_cost() <= limit {
            let flag = self.base.workers.flag().clone();
            let found = flag.in_time(|| self.find_exact(false));
            let found = found.and(self.latest.as_ref());
            if let Some((latest, hessian)) = found.and_then(|l| Some((l, l.exact.as_ref()?))) {
                return (
                    latest.derivatives.gradient.clone(),
                    memory::copy(hessian),
                    true,
                );
            }
        }
        match self.latest() {
            Some(latest) => (
                latest.derivatives.gradient.clone(),
                latest.derivatives.model_hessian().collect(),
                false,
            ),
            None => (memory::zeros(m), memory::zeros(m * m), false),
        }
    }

    /// Average information misses what bends in the parameters of correlations. Estimates say nothing else about it than
    /// factorisations do: with what they learn from long steps walks take twice as many.
    fn uses_secant(&self) -> bool {
        let structures = &self.parameters.structures;
        self.residual.is_some() || structures.iter().any(|s| s.linear().is_none())
    }

    fn scale(&self, x: &[f64]) -> Vec<f64> {
        let n = self.system().moments.n as f64;
        let unit = self.unit(x);
        let mut out = Vec::with_capacity(x.len());
        for term in 0..self.parameters.structures.len() {
            let f = self.parameters.place[term].0;
            let natural =
                0.3 * unit * (self.system().moments.factors[f].n_levels as f64 / n).sqrt();
            let own = self.parameters.of_term(x, term);
            out.extend(self.parameters.structures[term].scale(own, natural));
        }
        out.resize(x.len(), RESIDUAL_SCALE);
        out
    }

    fn noise(&self, f: f64) -> f64 {
        let own = self.factor.as_ref().filter(|factor| !factor.lx.is_empty());
        let lost = own.map_or(0.0, |factor| self.lost_digits(factor));
        // estimates too: the random vectors stay the same, and where iterations end makes no difference that can be measured
        // log weights and the logarithm of the residual sum of squares may cancel
        let moments = &self.system().moments;
        let size = f
            .abs()
            .max(moments.n as f64)
            .max(moments.sum_log_weights.abs());
        1e-14 * size + lost
    }
}

impl Criterion<'_> {
    /// Rounding errors of the criterion at a factor that come from differences of much larger numbers.
    fn lost_digits(&self, factor: &Factor) -> f64 {
        let system = self.system();
        if system.moments.rest.is_some() {
            return 0.0;
        }
        // [Q r]'V^-1[Q r] = [Q r]'[Q r] + U_0'U_0 - RZX'RZX: what is left of a column is known to machine epsilon of what it was
        let p1 = factor.rzx.m;
        let left = |j: usize| factor.lx[j * p1 + j].powi(2);
        let share = |j: usize| factor.before(system, j) / left(j);
        let fixed: f64 = (0..p1 - 1).map(share).sum();
        let of_response = self.degrees() * share(p1 - 1);
        // and so is what is left of a pivot of M
        2.0 * f64::EPSILON * (fixed + of_response) + factor.rounding(system)
    }

    fn value_here(&mut self, x: &[f64]) -> Option<f64> {
        self.evaluations += 1;
        self.clock.count(self.evaluations);
        self.point.clear();
        self.point.extend_from_slice(x);
        let parameters = self.parameters;
        if self.move_residual(x).is_none() {
            self.factor = None;
            self.latest = None;
            self.failure = Some(EngineError::numerical(RESIDUAL));
            return None;
        }
        let mut previous = self.factor.take().unwrap_or_default();
        let room = std::mem::take(&mut previous.t);
        let (t, changed) = parameters.regular_factors(x, self.unit(x), &self.base.workers, room);
        let actual =
            changed.then(|| parameters.factors(x, previous.actual.take().unwrap_or_default()));
        let latest = self.latest.take();
        // estimates take no room
        if let Some(latest) = latest.filter(|_| self.estimator.is_none()) {
            let spare = &mut self.spare;
            spare.inverse = latest.inverse;
            spare.solution = latest.solution;
            spare.derivatives = latest.derivatives;
            if let Some(exact) = latest.exact {
                spare.exact = exact;
            }
        }
        let found = match &mut self.estimator {
            Some(estimator) => estimator.evaluate(self.base, x, t, self.center),
            None => Factor::new(self.system(), t, self.center, previous),
        };
        let mut factor = match found {
            Ok(factor) => factor,
            Err(error) => {
                self.failure = Some(error);
                return None;
            }
        };
        factor.actual = actual;
        let value = self.at(&factor);
        // far from where it was centred, the response is what a sum of much larger ones leaves
        let is_noise = self.is_centred() && factor.pwrss < DIGITS * factor.total;
        self.factor = Some(factor);
        if is_noise || !value.is_finite() {
            self.failure = Some(EngineError::numerical("the criterion"));
            return None;
        }
        self.failure = None;
        Some(value)
    }
}
