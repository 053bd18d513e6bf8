//! One walk from a start to a point that is an optimum.

use crate::api::error::EngineError;
use crate::api::options::Options;
use crate::api::result::Status;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::basis::random::TermBasis;
use crate::criterion::objective::Criterion;
use crate::moments::blocks::Moments;
use crate::moments::start::moment_start;
use crate::optimize::{Outcome, Settings, Stop};
use crate::search::boundary::reduce_rank;
use crate::search::charted::minimize_under;

/// Residual sum of squares, relative to that of the fixed effects alone, at which the random effects reproduce the
/// response.
pub(crate) const EXACT: f64 = 1e-22;

/// One optimisation and how it ended.
pub(crate) struct Run {
    pub outcome: Outcome<InternalTheta>,
    pub status: Status,
    pub multipliers: Vec<f64>,
    pub rank: Vec<usize>,
    pub steps_off: usize,
}

impl Run {
    /// A point of which only the value is known.
    fn at(outcome: Outcome<InternalTheta>, status: Status, criterion: &Criterion<'_>) -> Self {
        let rank = criterion.parameters.largest_ranks();
        Self {
            outcome,
            status,
            multipliers: vec![f64::NAN; rank.len()],
            rank,
            steps_off: 0,
        }
    }

    /// Whether it reached an optimum.
    pub(crate) fn is_stationary(&self) -> bool {
        matches!(self.status, Status::Converged | Status::Singular)
    }

    /// Whether it reached none, for other reasons than time.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.status, Status::Failed | Status::IterationLimit)
    }

    /// Puts the trace of the steps before this run in front.
    pub(crate) fn follow(&mut self, walked: Outcome<InternalTheta>) {
        for (own, before) in [
            (&mut self.outcome.trace_value, walked.trace_value),
            (&mut self.outcome.trace_gradient, walked.trace_gradient),
        ] {
            own.splice(0..0, before);
        }
    }
}

/// The options of one run of the optimiser.
pub(crate) fn settings(options: &Options) -> Settings {
    Settings {
        tolerance: options.tolerance,
        max_evaluations: options.max_evaluations,
        detour: options.detour,
    }
}

/// Minimises, reduces rank-deficient covariance matrices to exact ones, and steps off a boundary where the criterion still
/// decreases in a variance (theta = 0 always has gradient zero: only a non-negative multiplier makes it a minimum).
pub(crate) fn optimum(
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    options: &Options,
) -> Result<Run, EngineError> {
    let mut settings = settings(options);
    let mut x = allowed(criterion, theta);
    let attempts = if options.optimize { 20 } else { 1 };
    let mut value = first_value(criterion, &mut x, attempts)?;
    if !options.optimize {
        let outcome = Outcome {
            x,
            value,
            stop: Stop::Converged,
            evaluations: 1,
            decrement: f64::INFINITY,
            trace_value: vec![value],
            trace_gradient: Vec::new(),
        };
        return Ok(Run::at(outcome, Status::Evaluated, criterion));
    }
    let mut steps_off = 0;
    let structures = criterion.parameters.structures.iter();
    let from_start: usize = structures.map(|s| s.steps_from_start()).sum();
    let mut trace = (Vec::new(), Vec::new());
    loop {
        let restriction = criterion.restriction;
        let mut outcome = minimize_under(criterion, restriction, &x, value, settings);
        // the limit is for all runs together
        settings.max_evaluations = settings.max_evaluations.saturating_sub(outcome.evaluations);
        trace.0.append(&mut outcome.trace_value);
        trace.1.append(&mut outcome.trace_gradient);
        if criterion.clock.has_cut() && outcome.stop != Stop::Interrupted {
            // time is over at a point on the way: its boundary is not examined
            outcome.stop = Stop::Time;
            outcome.trace_value = trace.0;
            outcome.trace_gradient = trace.1;
            return Ok(Run::at(outcome, Status::TimeLimit, criterion));
        }
        if !criterion.is_at(&outcome.x) {
            let _ = criterion.value(&outcome.x);
        }
        let boundary = reduce_rank(criterion, &mut outcome);
        let may_leave =
            steps_off < 10 + from_start && matches!(outcome.stop, Stop::Converged | Stop::Stuck);
        if let (true, Some((away, lower))) = (may_leave, boundary.way_off) {
            steps_off += 1;
            x = away;
            value = lower;
            if criterion.value(&x).is_some() {
                continue;
            }
        }
        let deficient = boundary
            .rank
            .iter()
            .zip(criterion.parameters.largest_ranks())
            .any(|(r, largest)| *r < largest);
        let status = match outcome.stop {
            Stop::Converged if deficient => Status::Singular,
            Stop::Converged => Status::Converged,
            Stop::Evaluations => Status::IterationLimit,
            Stop::Time => Status::TimeLimit,
            Stop::Interrupted => return Err(EngineError::Interrupted),
            Stop::Stuck => Status::Failed,
        };
        outcome.trace_value = trace.0;
        outcome.trace_gradient = trace.1;
        return Ok(Run {
            outcome,
            status,
            multipliers: boundary.multipliers,
            rank: boundary.rank,
            steps_off: steps_off.saturating_sub(from_start),
        });
    }
}

/// Evaluations for the last digits, after the optimum is reached.
pub(crate) const LAST_STEPS: usize = 8;

/// The optimum, and once there is one a step or two more: what is of the first order in theta, as standard errors and degrees
/// of freedom are, then has the digits that the response was centred for. A decrement of d leaves theta off by some root of d,
/// in standard errors.
pub(crate) fn refined_optimum(
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    options: &Options,
) -> Result<Run, EngineError> {
    let mut run = optimum(criterion, theta, options)?;
    if !run.is_stationary() {
        return Ok(run);
    }
    let closer = Options {
        tolerance: options.tolerance.powi(2),
        max_evaluations: LAST_STEPS,
        ..options.clone()
    };
    let last = match optimum(criterion, &run.outcome.x, &closer) {
        Ok(last) => last,
        Err(EngineError::Interrupted) => return Err(EngineError::Interrupted),
        Err(_) => return Ok(run),
    };
    let noise = criterion.noise(run.outcome.value);
    if last.rank == run.rank && last.outcome.value <= run.outcome.value + 4.0 * noise {
        run.outcome.x = last.outcome.x;
        run.outcome.value = last.outcome.value;
        run.outcome.decrement = last.outcome.decrement;
    }
    Ok(run)
}

/// The criterion at the start, which is moved towards zero as long as the criterion is not defined there.
fn first_value(
    criterion: &mut Criterion<'_>,
    x: &mut InternalTheta,
    attempts: usize,
) -> Result<f64, EngineError> {
    if let Some(factor) = criterion.factor.as_ref().filter(|_| criterion.is_at(x)) {
        return Ok(criterion.at(factor) + criterion.penalty_at(x, factor));
    }
    for _ in 0..attempts {
        if let Some(value) = criterion.value(x) {
            return Ok(value);
        }
        if criterion.clock.has_cut() {
            return Err(EngineError::TimeLimit);
        }
        x.values_mut().iter_mut().for_each(|v| *v *= 0.1);
        *x = allowed(criterion, x);
    }
    Err(criterion.failure("the criterion at the start"))
}

/// The nearest point at which held and tied parameters have their values.
fn allowed(criterion: &Criterion<'_>, x: &InternalTheta) -> InternalTheta {
    criterion
        .restriction
        .map_or_else(|| x.clone(), |r| r.allowed(x))
}

/// Where the parameters of the terms start.
pub(crate) fn term_start(
    moments: &Moments,
    bases: &[TermBasis],
    parameters: &Parameters,
) -> Vec<f64> {
    start_from(parameters, moment_start(moments, bases))
}

/// Parameters of the terms at T = tau I.
pub(crate) fn start_from(parameters: &Parameters, tau: Vec<f64>) -> Vec<f64> {
    let of_terms = parameters.structures.iter().zip(tau);
    of_terms
        .flat_map(|(structure, tau)| structure.start(tau))
        .collect()
}
