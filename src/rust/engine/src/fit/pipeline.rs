//! The pipeline: bases -> moments -> criterion -> optimum -> estimates in the user's coordinates.

use std::time::{Duration, Instant};

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::api::result::{Fit, Status};
use crate::criterion::objective::Criterion;
use crate::fit::centring::{has_lost_digits, new_center, RECENTER};
use crate::fit::estimates::{estimates, raw_errors, require_held, RowResults};
use crate::fit::prepare::{begin, prepare, prepare_from, start, Begun, Prepared};
use crate::fit::sizes::{require_rows, Sizes};
use crate::moments::blocks::Center;
use crate::moments::start::{large_start, LARGEST_START};
use crate::optimize::{Objective, Outcome};
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::runtime::parallel::{interruptible_until, StopFlag};
use crate::search::certificate::certify;
use crate::search::kink;
use crate::search::optimum::{optimum, start_from, Run, EXACT};
use crate::search::starts::{self, Walks};
use crate::search::strategy::{estimated_optimum, Plan};
use crate::search::vanishing::{self, Ray};
use crate::system::equations::Factor;
use crate::system::solution::{solve, Solution};

/// Operations of an evaluation up to which a failure is looked at again with twice the digits.
const CHEAP: f64 = 1e6;

/// What may fail in floating point.
const OPTIMUM: &str = "the evaluation at the optimum";

/// What may be behind a residual variance of zero where the factorisation is in double precision.
const DIGITS: &str = "the factorisation of the equations of random effects that are many orders of magnitude larger than \
                      residuals";

/// Fits a linear mixed model.
///
/// `interrupt` is asked on the calling thread, every few milliseconds; once it says yes the fit ends with
/// [`EngineError::Interrupted`].
///
/// # Errors
/// See [`EngineError`].
pub fn fit(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    let mut fitted = memory::zeros(data.n());
    let mut residuals = memory::zeros(data.n());
    let rows = RowResults {
        fitted: &mut fitted,
        residuals: &mut residuals,
    };
    let fit = fit_into(data, options, interrupt, rows)?;
    Ok(Fit {
        fitted,
        residuals,
        ..fit
    })
}

/// The same as [`fit`], with fitted values and residuals written where the caller wants them: [`Fit::fitted`] and
/// [`Fit::residuals`] are empty.
///
/// # Errors
/// See [`EngineError`].
pub fn fit_into(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
    rows: RowResults<'_>,
) -> Result<Fit, EngineError> {
    if rows.fitted.len() != data.n() || rows.residuals.len() != data.n() {
        return Err(EngineError::Dimension(
            "fitted values and residuals need a place for each row".to_owned(),
        ));
    }
    interruptible_until(
        options.deadline,
        Sizes::of(data).are_long(1.0),
        interrupt,
        |stop, interrupt| fit_in_units(data, options, rows, stop, interrupt),
    )
}

/// Sums of squares of the response that are far from over- and underflow.
const SAFE_SQUARE: std::ops::Range<f64> = 1e-190..1e190;

/// Response magnitudes whose squares neither overflow nor underflow.
const SAFE_MAGNITUDE: std::ops::Range<f64> = 1e-100..1e100;

/// Fits with the response in units in which its squares are ordinary numbers.
fn fit_in_units(
    data: &ModelData<'_>,
    options: &Options,
    rows: RowResults<'_>,
    stop: &StopFlag,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    let begun = begin(data, options, stop)?;
    if options.optimize {
        require_rows(data, options, begun.fixed.rank())?;
    }
    if SAFE_SQUARE.contains(&begun.fixed.total) {
        return fit_here(data, options, begun, rows, stop, interrupt);
    }
    let largest = (0..data.n()).fold(0.0f64, |a, i| {
        a.max((data.y[i] - data.offset.map_or(0.0, |o| o[i])).abs())
    });
    if largest == 0.0 || !largest.is_finite() || SAFE_MAGNITUDE.contains(&largest) {
        return fit_here(data, options, begun, rows, stop, interrupt);
    }
    let y: Vec<f64> = data.y.iter().map(|v| v / largest).collect();
    let offset: Option<Vec<f64>> = data.offset.map(|o| o.iter().map(|v| v / largest).collect());
    let scaled = ModelData {
        y: &y,
        offset: offset.as_deref(),
        ..data.clone()
    };
    let begun = begin(&scaled, options, stop)?;
    let RowResults { fitted, residuals } = rows;
    let here = RowResults {
        fitted: &mut *fitted,
        residuals: &mut *residuals,
    };
    let fit = fit_here(&scaled, options, begun, here, stop, interrupt)?;
    for value in fitted.iter_mut().chain(residuals) {
        *value *= largest;
    }
    Ok(fit.with_response_times(largest, data.n(), options.reml))
}

fn fit_here(
    data: &ModelData<'_>,
    options: &Options,
    begun: Begun,
    rows: RowResults<'_>,
    stop: &StopFlag,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    let prepared = prepare_from(data, options, begun, stop)?;
    fit_prepared(data, options, prepared, rows, None, interrupt)
}

/// What is done at the optimum, with the criterion evaluated there.
pub(crate) type AtOptimum<'a> = &'a mut dyn FnMut(&Prepared, &mut Criterion<'_>, &[f64]);

/// From the moments to the fit.
pub(crate) fn fit_prepared(
    data: &ModelData<'_>,
    options: &Options,
    prepared: Prepared,
    rows: RowResults<'_>,
    at_optimum: Option<AtOptimum<'_>>,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    let plan = prepared.plan(options)?;
    fit_planned(data, options, prepared, plan, rows, at_optimum, interrupt)
}

/// The same as planned.
pub(crate) fn fit_planned(
    data: &ModelData<'_>,
    options: &Options,
    prepared: Prepared,
    plan: Plan,
    rows: RowResults<'_>,
    at_optimum: Option<AtOptimum<'_>>,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    let in_doubles = plan != Plan::Exact || !prepared.can_extend();
    let found = search(data, options, prepared, plan, rows, at_optimum, interrupt);
    // where effects many orders of magnitude larger than residuals leave no digits, nothing tells that residuals vanish
    found.map_err(|error| match error {
        EngineError::PerfectFit if in_doubles => EngineError::numerical(DIGITS),
        error => error,
    })
}

/// How often the response is centred at most.
const CENTRINGS: usize = 3;

/// Relative standard deviations from which a start of their own size is sought for them, and by how much it is sought ahead.
const FAR: f64 = 1e4;

/// Moves the start of effects that are orders of magnitude larger than residuals to where they are, if residuals have a
/// structure. On the way there from [`crate::search::optimum::term_start`] residuals that are as large as effects look like correlated ones: correlations
/// would go to 1, where they are as good as a random effect.
fn far_start(
    prepared: &Prepared,
    options: &Options,
    theta: &mut [f64],
    interrupt: &dyn Fn() -> bool,
) {
    let is_deviation =
        |a: usize| a < prepared.parameters.list.len() && prepared.parameters.is_deviation(a);
    let farthest = |theta: &[f64]| {
        let deviations = theta.iter().enumerate().filter(|(a, _)| is_deviation(*a));
        deviations.fold(0.0f64, |most, (_, v)| most.max(v.abs()))
    };
    if prepared.restriction.is_some() || farthest(theta) < 0.4 * LARGEST_START.sqrt() {
        return;
    }
    let clock = Clock::without_limit(interrupt);
    let mut criterion = prepared.criterion(&prepared.center.b, options.reml, clock);
    let (moments, bases) = (&prepared.system.moments, &prepared.bases);
    let mut at = theta.to_vec();
    let mut found = None;
    // what is left of the response tells how large residuals are at most: each look from further out
    for _ in 0..6 {
        for (a, value) in at.iter_mut().enumerate() {
            *value *= if is_deviation(a) { FAR } else { 1.0 };
        }
        let reached = farthest(&at);
        if criterion.value(&at).is_none() {
            break;
        }
        let Some(precision) = criterion.precision() else {
            break;
        };
        let own = start_from(
            &prepared.parameters,
            large_start(moments, bases, precision.recip()),
        );
        at[..own.len()].copy_from_slice(&own);
        found = (farthest(&own) > FAR && farthest(&own).is_finite()).then_some(own);
        if farthest(&at) < 0.1 * reached {
            break;
        }
    }
    if let Some(own) = found {
        theta[..own.len()].copy_from_slice(&own);
    }
}

/// Evaluations after a walk has come to its end, for the last digits.
const LAST_STEPS: usize = 8;

/// The optimum after so many centres. Once there is one, a step or two more are taken: what is of the first order in theta, as
/// standard errors and degrees of freedom are, then has the digits that the centre was sought for. A decrement of d leaves theta
/// off by some root of d, in standard errors.
fn optimum_after(
    rounds: usize,
    criterion: &mut Criterion<'_>,
    theta: &[f64],
    options: &Options,
) -> Result<Run, EngineError> {
    let mut run = optimum(criterion, theta, options)?;
    let is_there = matches!(run.status, Status::Converged | Status::Singular);
    if rounds == 0 || !is_there {
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

/// Optima that a search passed, to return to where a lower one turns out to be none.
#[derive(Default)]
struct Passed {
    /// The lowest last.
    optima: Vec<Run>,
    /// Little is left for residuals at the lower one: without a proof it is no optimum.
    is_in_question: bool,
}

impl Passed {
    /// Returns to the lowest of them from a walk that ended at this criterion, if it is known.
    fn back(
        &mut self,
        ended: Option<f64>,
        walks: &mut Walks,
        theta: &mut Vec<f64>,
        vanished: &mut Option<f64>,
    ) -> Option<Outcome> {
        let other = self.optima.pop()?.outcome;
        if let Some(ended) = ended {
            walks.correct(ended, None);
        }
        self.is_in_question = false;
        *vanished = None;
        theta.clone_from(&other.x);
        Some(other)
    }
}

/// From the start to the optimum, and what is estimated there.
fn search(
    data: &ModelData<'_>,
    options: &Options,
    mut prepared: Prepared,
    plan: Plan,
    rows: RowResults<'_>,
    mut at_optimum: Option<AtOptimum<'_>>,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    let mut theta = start(options, &prepared)?;
    let residual = prepared.fixed_residual();
    if options.start.is_none() && options.optimize && prepared.residual.is_some() {
        far_start(&prepared, options, &mut theta, interrupt);
    }
    if plan == Plan::Exact && prepared.starts_extreme(&theta) {
        prepared.settle(data, &theta, options, interrupt)?;
    }
    let mut rounds = 0;
    let mut optimizing = Duration::ZERO;
    // sigma^2 that stands for zero
    let mut vanished = None;
    let mut walks = Walks::default();
    let mut search = starts::are_wanted(options, plan);
    // that a residual variance went to zero is reason to look again, once
    let mut search_at_zero = search;
    let mut passed = Passed::default();
    let mut walked: Option<Outcome> = None;
    // where a walk ended that began anew
    let mut restarted = None;
    let mut evaluations = 0;
    // the last walk ended at the limit of evaluations
    let mut is_out = false;
    let begin = theta.clone();
    loop {
        let center = std::mem::take(&mut prepared.center.b);
        let started = Instant::now();
        let mut criterion = prepared
            .criterion(&center, options.reml, Clock::new(options, interrupt))
            .with_sigma2(prepared.sigma2.or(vanished));
        let bases = &prepared.bases;
        let run = match plan {
            Plan::Exact if rounds == 0 && walks.count() == 0 => {
                starts::first_optimum(&mut criterion, &theta, bases, options, &mut walks)
            }
            Plan::Exact => {
                // who was out of evaluations before the response was centred is so after it
                let rest = Options {
                    max_evaluations: if is_out {
                        LAST_STEPS.min(options.max_evaluations)
                    } else {
                        options.max_evaluations
                    },
                    ..options.clone()
                };
                optimum_after(rounds, &mut criterion, &theta, &rest)
            }
            plan => estimated_optimum(&mut criterion, &theta, options, plan),
        };
        is_out = matches!(&run, Ok(run) if run.status == Status::IterationLimit);
        // what is left describes what was found
        prepared.system.workers.flag().to_the_end(true);
        // differences that have lost their digits tell nothing: they are centred first
        let is_lost = |criterion: &mut Criterion<'_>, run: &Run| {
            let factor = criterion.factor_at(&run.outcome.x);
            // unless there is nothing left to have digits
            let pwrss = |factor: &Factor| prepared.in_rows(&run.outcome.x, factor.pwrss);
            let left = factor.filter(|factor| pwrss(factor) > EXACT * residual);
            left.filter(|_| rounds < CENTRINGS).is_some_and(|factor| {
                has_lost_digits(&prepared, factor) || prepared.is_near(rounds)
            })
        };
        let run = match run {
            Ok(run)
                if plan == Plan::Exact && options.optimize && !is_lost(&mut criterion, &run) =>
            {
                match vanishing::look(&mut criterion, &run, residual, options)? {
                    Ray::Inside => Ok(run),
                    Ray::Perfect => Err(EngineError::PerfectFit),
                    Ray::Zero(found, sigma2) => {
                        vanished = Some(sigma2);
                        search |= std::mem::take(&mut search_at_zero);
                        Ok(found)
                    }
                }
            }
            run => run,
        };
        optimizing += started.elapsed();
        criterion.evaluations += evaluations;
        evaluations = criterion.evaluations;
        let is_failure = matches!(
            &run,
            Err(EngineError::PerfectFit | EngineError::Numerical { .. })
        );
        let is_weighted = data.weights.is_some() && prepared.residual.is_none();
        let is_cheap = plan == Plan::Exact && criterion.evaluation_cost() <= CHEAP;
        if is_failure
            && passed.optima.is_empty()
            && is_weighted
            && is_cheap
            && !prepared.has_digits()
        {
            // of rows that weigh orders of magnitude more than others the squares may leave no digits of theirs
            drop(criterion);
            prepared.center.b = center;
            prepared.extend(data, &theta)?;
            continue;
        }
        let breaks_down = match &run {
            Ok(run) => criterion
                .factor_at(&run.outcome.x)
                .is_none_or(|factor| factor.pwrss < RECENTER * factor.total),
            Err(error) => matches!(error, EngineError::Numerical { .. }),
        };
        if breaks_down && criterion.is_centred() {
            // a variance goes to zero beside effects that were taken out of the response: better without
            drop(criterion);
            let b = vec![Vec::new(); center.len()];
            let beta = prepared.center.beta.clone();
            prepared.recentre(data, Center { beta, b }, &theta)?;
            if prepared.can_extend() {
                prepared.extend(data, &theta)?;
            }
            rounds = CENTRINGS;
            continue;
        }
        let higher = match (&run, passed.optima.last()) {
            (Ok(run), Some(other)) => run.outcome.value >= other.outcome.value,
            (Err(error), Some(_)) => *error != EngineError::Interrupted,
            _ => false,
        };
        if higher {
            drop(criterion);
            let ended = walked.as_ref().map(|walked| walked.value);
            walked = passed.back(ended, &mut walks, &mut theta, &mut vanished);
            prepared.center.b = center;
            continue;
        }
        let mut run = run?;
        if let Some(before) = restarted.take() {
            walks.correct(before, Some(run.outcome.value));
        }
        let has_failed = matches!(run.status, Status::Failed | Status::IterationLimit);
        if has_failed && is_almost_far(&prepared, &run.outcome.x) {
            return Err(EngineError::FarScale);
        }
        if let Some(before) = walked.take() {
            walks.correct(before.value, Some(run.outcome.value));
            run.follow(before);
        }
        theta.clone_from(&run.outcome.x);
        if options.optimize {
            if let Some((held, at_kink)) = kink::restriction_at(&mut criterion, &theta) {
                drop(criterion);
                theta = at_kink;
                prepared.restriction = Some(held);
                prepared.center.b = center;
                continue;
            }
        }
        if !criterion.is_at(&theta) {
            let _ = criterion.value(&theta);
        }
        let lost = |criterion: &Criterion<'_>| criterion.failure(OPTIMUM);
        let factor = criterion.factor.as_ref().ok_or_else(|| lost(&criterion))?;
        let pwrss = prepared.in_rows(&theta, factor.pwrss);
        let is_perfect = prepared.sigma2.is_none() && pwrss <= EXACT * residual;
        if is_perfect && passed.optima.is_empty() {
            return Err(EngineError::PerfectFit);
        }
        // with residual parameters likelihoods may have no bound
        let is_unproved = passed.is_in_question && has_failed && prepared.residual.is_some();
        if is_perfect {
            drop(criterion);
            let ended = Some(run.outcome.value);
            walked = passed.back(ended, &mut walks, &mut theta, &mut vanished);
            prepared.center.b = center;
            continue;
        }
        let lacks_digits = plan == Plan::Exact && prepared.lacks_digits(&theta);
        let wants_digits = rounds < CENTRINGS && (lacks_digits || prepared.is_near(rounds));
        // correlations that go to 1 far from here leave no digits beside effects so large: they would look like an optimum
        search &= prepared.residual.is_none() || !(lacks_digits || prepared.has_digits());
        // before the response is centred: that is only exact close to where it is done
        if search {
            search = false;
            let started = Instant::now();
            prepared.system.workers.flag().to_the_end(false);
            if vanished.is_some() {
                // elsewhere sigma^2 is what residuals leave
                criterion.know_sigma2(prepared.sigma2);
            }
            let (mut found, asked) = starts::lower_optima(
                &mut criterion,
                &begin,
                Some(&run),
                bases,
                options,
                &mut walks,
            )?;
            prepared.system.workers.flag().to_the_end(true);
            optimizing += started.elapsed();
            evaluations = criterion.evaluations;
            if let Some(lower) = found.pop() {
                drop(criterion);
                is_out = false;
                vanished = None;
                passed.is_in_question = asked;
                passed.optima.push(run);
                passed.optima.append(&mut found);
                theta.clone_from(&lower.outcome.x);
                walked = Some(lower.outcome);
                prepared.center.b = center;
                continue;
            }
            if vanished.is_some() {
                criterion.know_sigma2(vanished);
            }
            if !criterion.is_at(&theta) {
                let _ = criterion.value(&theta);
            }
        }
        let factor = criterion.factor.as_ref().ok_or_else(|| lost(&criterion))?;
        if wants_digits || (has_lost_digits(&prepared, factor) && rounds < CENTRINGS) {
            let solution = criterion.solution().ok_or_else(|| lost(&criterion))?;
            let factor = criterion.factor.as_ref().ok_or_else(|| lost(&criterion))?;
            let moved = new_center(&prepared, factor, &solution);
            let sigma2 = factor.pwrss / criterion.degrees();
            drop(criterion);
            // where one effect went so far, another may have been left behind, unless there is another optimum to return to
            let free =
                options.optimize && prepared.restriction.is_none() && passed.optima.is_empty();
            let again = (free && rounds == 0 && lacks_digits).then(|| {
                let tau = large_start(&prepared.system.moments, &prepared.bases, sigma2);
                start_from(&prepared.parameters, tau)
            });
            prepared.recentre(data, moved, &theta)?;
            if lacks_digits {
                prepared.extend(data, &theta)?;
            }
            if let Some(again) = again {
                theta[..again.len()].copy_from_slice(&again);
                // and if not, this is the optimum, as its digits are here
                let clock = Clock::without_limit(interrupt);
                let criterion = prepared.criterion(&prepared.center.b, options.reml, clock);
                let value = criterion.with_sigma2(prepared.sigma2).value(&run.outcome.x);
                let value = value.unwrap_or(run.outcome.value);
                walks.correct(run.outcome.value, Some(value));
                restarted = Some(value);
                run.outcome.value = value;
                passed.optima.push(run);
            }
            rounds += 1;
            continue;
        }
        if is_unproved {
            drop(criterion);
            let ended = Some(run.outcome.value);
            walked = passed.back(ended, &mut walks, &mut theta, &mut vanished);
            prepared.center.b = center;
            continue;
        }
        if vanished.is_some() && run.status == Status::Converged {
            run.status = Status::Singular;
        }
        let rounding = match &criterion.factor {
            Some(factor) if plan == Plan::Exact => factor.rounding(criterion.system()),
            _ => f64::EPSILON * prepared.largest_share(&theta).max(1.0),
        };
        let mut certificate = certify(&mut criterion, &run, at_optimum.is_none());
        certificate.rounding = rounding;
        certificate.residual_zero = vanished.is_some();
        if plan == Plan::Exact {
            certificate.starts = walks.count();
            certificate.agree = walks.agreeing(run.outcome.value);
            certificate.vanishing = walks.vanishing();
        }
        certificate.monte_carlo.theta =
            raw_errors(&prepared, &theta, &certificate.monte_carlo.theta);
        if let Some(at_optimum) = &mut at_optimum {
            at_optimum(&prepared, &mut criterion, &theta);
        }
        let factor = criterion.factor.take().ok_or_else(|| lost(&criterion))?;
        let solution = match criterion.latest.take() {
            Some(latest) => latest.solution,
            None => solve(criterion.system(), &factor, Solution::default()),
        };
        let value = criterion.at(&factor);
        drop(criterion);
        if let Some(part) = &prepared.residual {
            if !part
                .model
                .can_be_told(prepared.parameters.of_residual(&theta))
            {
                return Err(EngineError::CorrelationOfUnit);
            }
        }
        prepared.center.b = center;
        prepared.sigma2 = prepared.sigma2.or(vanished);
        let mut fit = estimates(
            data,
            options,
            &prepared,
            &theta,
            &factor,
            &solution,
            value,
            certificate,
            RowResults {
                fitted: &mut *rows.fitted,
                residuals: &mut *rows.residuals,
            },
        );
        fit.optimizer_seconds = optimizing.as_secs_f64();
        // the random effects take up all there is: only rounding keeps the criterion from falling for ever
        let wrss = prepared.in_rows(&theta, fit.wrss);
        let is_perfect = vanished.is_none() && wrss <= EXACT * residual;
        if options.optimize && options.sigma.is_none() && is_perfect {
            if passed.optima.is_empty() {
                return Err(EngineError::PerfectFit);
            }
            let ended = Some(fit.criterion);
            walked = passed.back(ended, &mut walks, &mut theta, &mut vanished);
            prepared.sigma2 = options.sigma.map(|sigma| sigma * sigma);
            continue;
        }
        require_held(options, &fit)?;
        return Ok(fit);
    }
}

/// Whether a walk that ended there was on its way, and half of it or more, to where no row is near sigma.
fn is_almost_far(prepared: &Prepared, theta: &[f64]) -> bool {
    let twice = |phi: &[f64]| -> Vec<f64> { phi.iter().map(|v| 2.0 * v).collect() };
    let phi = twice(prepared.parameters.of_residual(theta));
    let residual = prepared.residual.as_ref();
    residual.is_some_and(|part| part.model.has_origin() && part.model.is_far(&phi))
}

/// Criterion and gradient in internal coordinates, for tests: at `x`, or where a fit would start; with the point.
#[doc(hidden)]
#[must_use]
pub fn at_internal(
    data: &ModelData<'_>,
    options: &Options,
    x: Option<&[f64]>,
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    let prepared = prepare(data, options, &StopFlag::default()).ok()?;
    let x = match x {
        Some(x) => x.to_vec(),
        None => start(options, &prepared).ok()?,
    };
    let mut criterion = prepared.criterion(
        &prepared.center.b,
        options.reml,
        Clock::without_limit(&|| false),
    );
    let value = criterion.value(&x)?;
    let gradient = criterion.latest()?.derivatives.gradient.clone();
    Some((x, value, gradient))
}
