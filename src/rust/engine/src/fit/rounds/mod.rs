//! The rounds of a fit: walk to an optimum, ask what it is, and change the model or the place to start from until it stands.
//!
//! A round looks at a model that does not change, with a criterion evaluated on it, and answers with what is to change
//! ([`Next`]); the loop in [`super::pipeline`] changes it and begins the next round.
//!
//! Which [`Next`] follows from what, in the order of the questions of [`Rounds::round`]:
//!
//! | the walk's end | answer |
//! |---|---|
//! | broke down, and rows of small weights may lack digits | `Extend` |
//! | broke down, or nothing is left, about effects taken out of the response | `Uncentre` |
//! | above an optimum that was passed, or no end and there is one | `Walk`, from that optimum |
//! | at a kink of the criterion | `Hold` |
//! | random effects reproduce the response | `Walk` from an optimum that was passed, else the error |
//! | walks from elsewhere find a lower optimum (they are made once) | `Walk`, from there |
//! | differences lack digits | `Centre`, at most [`CENTRINGS`] times |
//! | an optimum in question without proof | `Walk` from an optimum that was passed, else the error |
//! | none of these | `Finish`: the fit, or (its residuals turn out to be nothing) a walk from an optimum that was passed |

mod finish;
mod recentre;
mod step_back;
mod walk;

use std::time::Duration;

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::api::result::Certificate;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::restriction::Restriction;
use crate::criterion::objective::Criterion;
use crate::fit::prepared::Prepared;
use crate::moments::blocks::Center;
use crate::optimize::Outcome;
use crate::runtime::clock::Clock;
use crate::search::kink;
use crate::search::optimum::{Run, EXACT};
use crate::search::starts::{self, Walks};
use crate::search::strategy::Plan;
use crate::system::equations::Factor;
use crate::system::solution::Solution;

/// How often the response is centred at most.
const CENTRINGS: usize = 3;

/// What may fail in floating point.
const OPTIMUM: &str = "the evaluation at the optimum";

/// What is done at the optimum, with the criterion evaluated there.
pub(crate) type AtOptimum<'a> = &'a mut dyn FnMut(&Prepared, &mut Criterion<'_>, &InternalTheta);

/// What has to change before the next round.
pub(crate) enum Next {
    /// Nothing of the model: another place to start from is set.
    Walk,
    /// Its cross-products get twice the digits.
    Extend,
    /// The effects that were taken out of the response are put back.
    Uncentre,
    /// A parameter is held at a kink of the criterion.
    Hold(Restriction),
    /// The response is centred at the estimates of this run.
    Centre(Box<Centring>),
    /// Nothing: this is the optimum.
    Finish(Box<Found>),
}

/// Where the response is to be centred.
pub(crate) struct Centring {
    center: Center,
    run: Run,
    /// Residual variance there.
    sigma2: f64,
    /// Whether twice the digits are needed there.
    lacks_digits: bool,
}

/// An optimum that stands, with what is estimated there.
pub(crate) struct Found {
    factor: Factor,
    solution: Solution,
    /// The criterion without the penalty, and the latter.
    value: f64,
    penalty: f64,
    certificate: Certificate,
}

/// What the rounds of a fit have come to.
pub(crate) struct Rounds<'a, 'o> {
    data: &'a ModelData<'a>,
    options: &'a Options,
    interrupt: &'a dyn Fn() -> bool,
    plan: Plan,
    at_optimum: Option<AtOptimum<'o>>,
    /// Residual sum of squares of the fixed effects alone, in units of the rows' mean variance.
    fixed_rss: f64,
    /// Where the first walk began, and where the next one does (or the last one ended).
    begin: InternalTheta,
    theta: InternalTheta,
    /// How often the response was centred.
    centrings: usize,
    /// sigma^2 that stands for zero, where the residual variance vanished.
    vanished: Option<f64>,
    walks: Walks,
    /// Whether to look for other optima, and whether a vanishing residual variance triggers one more search.
    searches: bool,
    searches_at_zero: bool,
    /// Optima above one that was followed, the lowest last: one of them is the optimum where that one turns out to be none.
    passed: Vec<Run>,
    /// Little is left for residuals at the one that was followed: without a proof it is no optimum.
    is_in_question: bool,
    /// The walk to the place where the next one starts.
    walked: Option<Outcome<InternalTheta>>,
    /// Criterion where a walk ended that began anew.
    restarted: Option<f64>,
    /// The last walk ended at the limit of evaluations.
    is_out: bool,
    evaluations: usize,
    optimizing: Duration,
}

impl<'a, 'o> Rounds<'a, 'o> {
    /// Before the first, which starts at `theta`; `fixed_rss` is the residual sum of squares of the fixed effects alone, in
    /// units of the rows' mean variance.
    pub(crate) fn new(
        data: &'a ModelData<'a>,
        options: &'a Options,
        interrupt: &'a dyn Fn() -> bool,
        plan: Plan,
        at_optimum: Option<AtOptimum<'o>>,
        (theta, fixed_rss): (InternalTheta, f64),
    ) -> Self {
        let searches = starts::are_wanted(options, plan);
        Self {
            data,
            options,
            interrupt,
            plan,
            at_optimum,
            fixed_rss,
            begin: theta.clone(),
            theta,
            centrings: 0,
            vanished: None,
            walks: Walks::default(),
            searches,
            searches_at_zero: searches,
            passed: Vec::new(),
            is_in_question: false,
            walked: None,
            restarted: None,
            is_out: false,
            evaluations: 0,
            optimizing: Duration::ZERO,
        }
    }

    /// Where the next walk begins.
    pub(crate) fn theta(&self) -> &InternalTheta {
        &self.theta
    }

    /// The criterion of this round.
    pub(crate) fn criterion<'m>(&self, model: &'m Prepared) -> Criterion<'m>
    where
        'a: 'm,
    {
        let clock = Clock::new(self.options, self.interrupt);
        model
            .criterion(&model.center.b, self.options.reml, clock)
            .with_sigma2(model.sigma2.or(self.vanished))
    }

    /// One round: the questions that a walk's end has to answer, in the order in which they make sense.
    pub(crate) fn round(
        &mut self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
    ) -> Result<Next, EngineError> {
        let run = self.timed_walk(model, criterion)?;
        if let Some(next) = self.step_back(model, criterion, &run) {
            return Ok(next);
        }
        let run = self.accept(model, run?)?;
        if let Some(held) = self.hold_at_kink(criterion) {
            return Ok(Next::Hold(held));
        }
        if self.is_perfect(model, criterion)? {
            return self.back(Some(run.outcome.value), EngineError::PerfectFit);
        }
        let lacks_digits = self.plan == Plan::Exact && model.lacks_digits(&self.theta);
        let Some(run) = self.follow_lower(model, criterion, run, lacks_digits)? else {
            return Ok(Next::Walk);
        };
        if self.is_to_be_centred(model, criterion, lacks_digits)? {
            let centring = self.centring(model, criterion, run, lacks_digits)?;
            return Ok(Next::Centre(Box::new(centring)));
        }
        if self.is_unproved(model, &run) {
            return self.back(Some(run.outcome.value), EngineError::PerfectFit);
        }
        let found = self.finish_round(model, criterion, run)?;
        Ok(Next::Finish(Box::new(found)))
    }

    /// Takes note of a walk's end: its trace goes on from what was walked before, and the next round begins there.
    fn accept(&mut self, model: &Prepared, mut run: Run) -> Result<Run, EngineError> {
        if let Some(before) = self.restarted.take() {
            self.walks.correct(before, Some(run.outcome.value));
        }
        if run.has_failed() && is_almost_far(model, &run.outcome.x) {
            return Err(EngineError::FarScale);
        }
        if let Some(before) = self.walked.take() {
            self.walks.correct(before.value, Some(run.outcome.value));
            run.follow(before);
        }
        self.theta.clone_from(&run.outcome.x);
        Ok(run)
    }

    /// The restriction that holds a parameter where the criterion has a kink, if the minimum is there.
    fn hold_at_kink(&mut self, criterion: &mut Criterion<'_>) -> Option<Restriction> {
        if !self.options.optimize {
            return None;
        }
        let (held, at_kink) = kink::restriction_at(criterion, &self.theta)?;
        self.theta = at_kink;
        Some(held)
    }

    /// Whether random effects reproduce the response; leaves the criterion evaluated at the walk's end.
    fn is_perfect(
        &self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
    ) -> Result<bool, EngineError> {
        self.evaluate(criterion);
        let pwrss = model.in_rows(&self.theta, factor_of(criterion)?.pwrss);
        Ok(model.sigma2.is_none() && pwrss <= EXACT * self.fixed_rss)
    }

    /// Whether an optimum in question has no proof: with residual parameters likelihoods may have no bound.
    fn is_unproved(&self, model: &Prepared, run: &Run) -> bool {
        self.is_in_question && run.has_failed() && model.residual.is_some()
    }

    /// Evaluates the criterion at the walk's end, unless it is.
    fn evaluate(&self, criterion: &mut Criterion<'_>) {
        if !criterion.is_at(&self.theta) {
            let _ = criterion.value(&self.theta);
        }
    }
}

/// The factor at the last evaluation.
fn factor_of<'c>(criterion: &'c Criterion<'_>) -> Result<&'c Factor, EngineError> {
    let factor = criterion.factor.as_ref();
    factor.ok_or_else(|| criterion.failure(OPTIMUM))
}

/// Whether a walk that ended there was on its way, and half of it or more, to where no row is near sigma.
fn is_almost_far(model: &Prepared, theta: &InternalTheta) -> bool {
    let twice = |phi: &[f64]| -> Vec<f64> { phi.iter().map(|v| 2.0 * v).collect() };
    let phi = twice(model.parameters.of_residual(theta));
    let residual = model.residual_model();
    residual.has_origin() && residual.is_far(&phi)
}
