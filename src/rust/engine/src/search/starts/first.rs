//! The first walk, and those that begin where it fails.

use crate::api::error::EngineError;
use crate::api::options::Options;
use crate::api::result::Status;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::random::TermBasis;
use crate::criterion::objective::Criterion;
use crate::search::optimum::{optimum, term_start, Run};
use crate::search::starts::walks::Walks;

/// Standard deviations of random effects at a second attempt, relative to the first.
const SMALLER: f64 = 0.3;

/// Standard deviations at a third attempt.
const LARGER: f64 = 3.0;

/// The optimum from `theta`, or a lower one from the residual parameters that a structure wants tried in any case; where
/// that fails, the lowest from yet other starts. A start of the user's is the only one.
pub(crate) fn first_optimum(
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    bases: &[TermBasis],
    options: &Options,
    walks: &mut Walks,
) -> Result<Run, EngineError> {
    if !options.optimize || criterion.restriction.is_some() || options.start.is_some() {
        let run = optimum(criterion, theta, options);
        if options.optimize {
            walks.note(&run);
        }
        return run;
    }
    let (phis, worth) = criterion.residual_model().further_starts();
    if phis.is_empty() {
        return second_attempt(criterion, theta, options, walks);
    }
    let mut points = Vec::new();
    for phi in &phis {
        let point = |criterion: &mut Criterion<'_>, of_terms: &[f64]| {
            let x = InternalTheta::join(of_terms, phi);
            criterion.value(&x).map(|value| (value, x))
        };
        let Some(usual) = point(criterion, criterion.parameters.of_terms(theta)) else {
            continue;
        };
        // the variance components that go with this correlation
        let own = term_start(&criterion.system().moments, bases, criterion.parameters);
        let better = point(criterion, &own).filter(|own| own.0 < usual.0);
        points.push(better.unwrap_or(usual));
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points.truncate(worth);
    let best = optimum(criterion, theta, options);
    walks.note(&best);
    let others = points.into_iter().map(|(_, x)| x).collect();
    lowest(criterion, best, others, options, walks)
}

/// The optimum from `theta`; where that fails, the lowest of those from further starts.
fn second_attempt(
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    options: &Options,
    walks: &mut Walks,
) -> Result<Run, EngineError> {
    let first = optimum(criterion, theta, options);
    walks.note(&first);
    let failed = match &first {
        Ok(run) => run.has_failed(),
        Err(error) => !matches!(error, EngineError::Interrupted),
    };
    let parameters = criterion.parameters;
    if !failed {
        return first;
    }
    let smaller = parameters.with_deviations_times(theta, SMALLER);
    let larger = parameters.with_deviations_times(theta, LARGER);
    let mut others = Vec::new();
    if let Some(stronger) = criterion.residual_model().second_start() {
        for other in [theta, &smaller] {
            others.push(InternalTheta::join(parameters.of_terms(other), &stronger));
        }
    }
    others.extend([smaller, larger]);
    lowest(criterion, first, others, options, walks)
}

/// The lowest of `best` and the optima from `others`.
fn lowest(
    criterion: &mut Criterion<'_>,
    mut best: Result<Run, EngineError>,
    others: Vec<InternalTheta>,
    options: &Options,
    walks: &mut Walks,
) -> Result<Run, EngineError> {
    for x in others {
        if criterion.clock.out_of_time() {
            break;
        }
        let other = optimum(criterion, &x, options);
        if matches!(other, Err(EngineError::Interrupted)) {
            return other;
        }
        walks.note(&other);
        let Ok(run) = other else { continue };
        let better = best.as_ref().map_or(true, |b| {
            let gain = b.outcome.value - run.outcome.value;
            gain > criterion.noise(run.outcome.value) || (gain >= 0.0 && b.status == Status::Failed)
        });
        if better {
            best = Ok(run);
        }
    }
    best
}
