//! The profiled REML criterion or deviance as a function of the internal parameters.
//!
//! REML: log|M| + log|R| + log|X'V^-1X| + (n - p)(1 + log(2 pi q/(n - p))); ML: log|M| + log|R| + n (1 + log(2 pi q/n)), with
//! q = y'Py the penalised residual sum of squares (Bates et al. 2015, eqs. 34 and 41, in the form without sigma).

use crate::api::error::EngineError;
use crate::api::result::Path;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::basis::penalty::CovariancePenalty;
use crate::basis::restriction::Restriction;
use crate::criterion::hessian;
use crate::criterion::iterative::estimator::Estimator;
use crate::criterion::latest::{CriterionWorkspace, Latest};
use crate::criterion::residual_solution::ResidualPoint;
use crate::moments::residual_part::ResidualPart;
use crate::optimize::HessianRequest;
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::structure::residual::{Residual, Whitening};
use crate::system::equations::{Factor, System};

/// The step that fails where residual parameters give no matrix.
pub(crate) const RESIDUAL: &str = "the factorisation of the residual covariance matrix";

/// Penalised over total sum of squares below which the former is nothing but rounding.
const DIGITS: f64 = 1e-12;

/// Size of a residual parameter, all of them on logarithmic, angular or similar scales.
const RESIDUAL_SCALE: f64 = 0.5;

/// Operations that an exact Hessian may take in any case where nothing else helps.
const AFFORDABLE: f64 = 1e6;

/// The criterion of one model with its latest evaluation.
pub struct Criterion<'a> {
    /// What does not change unless there is a residual structure.
    pub(super) base: &'a System,
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
    pub fixed_inverse_sigma2: Option<f64>,
    /// Evaluations so far.
    pub evaluations: usize,
    /// Factor at the last point.
    pub factor: Option<Factor>,
    /// Why there is none.
    pub(super) failure: Option<EngineError>,
    /// Solution and derivatives at the last point, once asked for.
    pub latest: Option<Latest>,
    /// Which parameters are held or tied.
    pub(crate) restriction: Option<&'a Restriction>,
    pub(super) residual: Option<&'a ResidualPart>,
    pub(super) known_sigma2: Option<f64>,
    /// What is added to the likelihood.
    pub(crate) penalty: Option<&'a CovariancePenalty>,
    /// Stands in for the factor of the complement where there is one.
    pub(crate) estimator: Option<Estimator>,
    /// Where the last evaluations come from.
    pub(crate) path: Path,
    pub(super) at_residual: Option<ResidualState>,
    pub(super) workspace: CriterionWorkspace,
    pub(super) point: InternalTheta,
}

/// The cross-products at the last residual parameters.
pub(super) struct ResidualState {
    phi: Vec<f64>,
    whitening: Whitening,
    pub(super) system: System,
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
            fixed_inverse_sigma2: None,
            evaluations: 0,
            factor: None,
            failure: None,
            latest: None,
            restriction: None,
            residual: None,
            known_sigma2: None,
            penalty: None,
            estimator: None,
            path: Path::Exact,
            at_residual: None,
            workspace: CriterionWorkspace::default(),
            point: InternalTheta::default(),
        }
    }

    /// Gives it a residual structure.
    #[must_use]
    pub(crate) fn with_residual(mut self, residual: Option<&'a ResidualPart>) -> Self {
        self.residual = residual;
        self
    }

    /// Gives it parameters that are held or tied.
    #[must_use]
    pub(crate) fn with_restriction(mut self, restriction: Option<&'a Restriction>) -> Self {
        self.restriction = restriction;
        self
    }

    /// Gives it a known residual variance, if there is one.
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
    fn move_residual(&mut self, x: &InternalTheta) -> Option<()> {
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
    pub(crate) fn factor_at(&mut self, x: &InternalTheta) -> Option<&Factor> {
        let there = self.is_at(x) || self.value(x).is_some();
        self.factor.as_ref().filter(|_| there)
    }

    /// The rows' mean standard deviation relative to sigma, 1 without variance functions.
    #[must_use]
    pub(crate) fn unit(&self, x: &InternalTheta) -> f64 {
        let phi = self.parameters.of_residual(x);
        self.residual_model().unit(phi)
    }

    /// The residual structure.
    #[must_use]
    pub(crate) fn residual_model(&self) -> &'a Residual {
        self.residual
            .map_or(Residual::independent(), |part| &part.model)
    }

    /// The variance functions, if there are any.
    #[must_use]
    pub(crate) fn scales(&self) -> Option<&'a Residual> {
        Some(self.residual_model()).filter(|model| model.has_scales())
    }

    /// Whether second derivatives in closed form are there: rows must be independent.
    #[must_use]
    pub fn has_exact_hessian(&self) -> bool {
        self.exact_cost().is_finite()
    }

    /// Whether the last evaluation was at this very point.
    #[must_use]
    pub fn is_at(&self, x: &InternalTheta) -> bool {
        self.factor.is_some() && self.point == *x
    }

    /// n - p or n.
    pub(super) fn own_degrees(&self) -> f64 {
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

    /// The criterion at a factor, without the penalty.
    #[must_use]
    pub fn at(&self, factor: &Factor) -> f64 {
        let (own, degrees) = (self.own_degrees(), self.degrees());
        let fixed = if self.reml {
            factor.log_det_x + self.log_det_change
        } else {
            0.0
        };
        let tau = 2.0 * std::f64::consts::PI;
        let of_sigma = match self.known_sigma2 {
            Some(sigma2) => own * (tau * sigma2).ln() + factor.pwrss / sigma2,
            None => own * (1.0 + (tau * factor.pwrss / degrees).ln()) + (degrees - own),
        };
        factor.log_det_m + fixed - self.system().moments.sum_log_weights + of_sigma
    }

    /// 1 / sigma^2 at the last point.
    #[must_use]
    pub fn inverse_sigma2(&self) -> Option<f64> {
        let factor = self.factor.as_ref()?;
        let known = self.known_sigma2.map(f64::recip);
        Some(
            self.fixed_inverse_sigma2
                .or(known)
                .unwrap_or(self.degrees() / factor.pwrss),
        )
    }

    /// Whether the model has no residual structure.
    pub(super) fn has_independent_rows(&self) -> bool {
        self.residual.is_none()
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
        if !self.has_independent_rows() || self.estimator.is_some() {
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

impl Criterion<'_> {
    /// The criterion at `x`; `None` where it is not defined ([`Self::failure`] says why).
    pub fn value(&mut self, x: &InternalTheta) -> Option<f64> {
        let flag = self.base.workers.flag().clone();
        let Some(value) = flag.in_time(|| self.evaluate(x)) else {
            // left in the middle
            (self.factor, self.latest) = (None, None);
            self.failure = Some(EngineError::TimeLimit);
            return None;
        };
        value
    }

    /// Gradient and Hessian (m x m) at the last point, and whether that Hessian is exact.
    pub fn derivatives(&mut self, wanted: HessianRequest) -> (Vec<f64>, Vec<f64>, bool) {
        let m = self.parameters.len();
        let limit = match wanted {
            HessianRequest::Model => f64::NEG_INFINITY,
            HessianRequest::Cheap => 0.5 * self.evaluation_cost(),
            HessianRequest::Exact => 0.5 * self.evaluation_cost() + AFFORDABLE,
        };
        if self.exact_cost() <= limit {
            let flag = self.base.workers.flag().clone();
            let found = flag.in_time(|| self.find_exact(false)).flatten();
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

    /// Whether secant updates pay along long steps: average information misses what bends in the parameters of correlations.
    /// Elsewhere they do not, by Monte-Carlo estimates either: walks of three crossed models took 5 steps with them, 3 or 4 without.
    pub(crate) fn uses_secant(&self) -> bool {
        let structures = &self.parameters.structures;
        !self.has_independent_rows() || structures.iter().any(|s| s.linear().is_none())
    }

    /// Natural size of each parameter at `x`.
    #[must_use]
    pub fn scale(&self, x: &InternalTheta) -> Vec<f64> {
        let (moments, unit) = (&self.system().moments, self.unit(x));
        let n = moments.n as f64;
        let mut out = Vec::with_capacity(x.len());
        for term in 0..self.parameters.structures.len() {
            let f = self.parameters.place[term].0;
            let natural = 0.3 * unit * (moments.factors[f].n_levels as f64 / n).sqrt();
            let own = self.parameters.of_term(x, term);
            out.extend(self.parameters.structures[term].scale(own, natural));
        }
        out.resize(x.len(), RESIDUAL_SCALE);
        out
    }

    /// The size of each parameter at `x` in which derivatives are of one order: that of a correlation is what is left to its
    /// end.
    pub(crate) fn reach(&self, x: &InternalTheta) -> Vec<f64> {
        let (parameters, mut out) = (self.parameters, self.scale(x));
        let structures = parameters.structures.iter().enumerate();
        let of_terms =
            structures.flat_map(|(t, structure)| structure.reach(parameters.of_term(x, t)));
        let of_residual = self.residual_model().reach(parameters.of_residual(x));
        let reach = of_terms.chain(of_residual);
        out.iter_mut().zip(reach).for_each(|(scale, r)| *scale *= r);
        out
    }

    /// Size of rounding errors in the value `f`.
    pub(crate) fn noise(&self, f: f64) -> f64 {
        let own = self.factor.as_ref().filter(|factor| !factor.lx.is_empty());
        let lost = own.map_or(0.0, |factor| self.lost_digits(factor));
        // log weights and the logarithm of the residual sum of squares may cancel; a Monte-Carlo estimate adds nothing to that, as
        // its random vectors stay the same, and where iterations end makes no measurable difference
        let moments = &self.system().moments;
        let size = f
            .abs()
            .max(moments.n as f64)
            .max(moments.sum_log_weights.abs());
        1e-14 * size + lost
    }

    /// Rounding errors of the criterion at a factor that come from differences of much larger numbers.
    fn lost_digits(&self, factor: &Factor) -> f64 {
        let system = self.system();
        if system.moments.rest.is_some() {
            return 0.0;
        }
        // [Q r]'V^-1[Q r] = [Q r]'[Q r] + U_0'U_0 - RZX'RZX: what is left of a column is known to machine epsilon of what it
        // was
        let p1 = factor.rzx.m;
        let left = |j: usize| factor.lx[j * p1 + j].powi(2);
        let share = |j: usize| factor.before(system, j) / left(j);
        let fixed: f64 = (0..p1 - 1).map(share).sum();
        let of_response = self.degrees() * share(p1 - 1);
        // and so is what is left of a pivot of M
        2.0 * f64::EPSILON * (fixed + of_response) + factor.rounding(system)
    }

    fn evaluate(&mut self, x: &InternalTheta) -> Option<f64> {
        self.evaluations += 1;
        self.clock.count(self.evaluations);
        self.point.copy_from(x);
        let parameters = self.parameters;
        if self.move_residual(x).is_none() {
            self.factor = None;
            self.latest = None;
            self.failure = Some(EngineError::numerical(RESIDUAL));
            return None;
        }
        let mut previous = self.factor.take().unwrap_or_default();
        let old = std::mem::take(&mut previous.t);
        let (t, changed) = parameters.regular_factors(x, self.unit(x), &self.base.workers, old);
        let actual =
            changed.then(|| parameters.factors(x, previous.actual.take().unwrap_or_default()));
        let latest = self.latest.take();
        // estimates take no workspace
        if let Some(latest) = latest.filter(|_| self.estimator.is_none()) {
            let workspace = &mut self.workspace;
            workspace.inverse = latest.inverse;
            workspace.solution = latest.solution;
            workspace.derivatives = latest.derivatives;
            if let Some(exact) = latest.exact {
                workspace.exact = exact;
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
        let value = self.at(&factor) + self.penalty_at(x, &factor);
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
