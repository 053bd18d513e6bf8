//! The pipeline: bases -> moments -> criterion -> optimum -> estimates in the user's coordinates.

use crate::memory;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::centred::Centred;
use crate::certificate::{certify, reduce_rank};
use crate::clock::Clock;
use crate::covariance::Parameters;
use crate::criterion::{Criterion, RESIDUAL};
use crate::error::EngineError;
use crate::extended;
use crate::factor::{Factor, Rows, SelectedInverse, System};
use crate::fixed_basis::{dot, gram_with_response, require_residual, FixedBasis};
use crate::gradient::{solve, Solution};
use crate::inference::Satterthwaite;
use crate::kink;
use crate::linalg::small::{self, Shape};
use crate::moments::{Center, CenteredRows, FactorMoments, Moments};
use crate::optimize::{minimize, Objective, Outcome, Settings, Stop};
use crate::options::Options;
use crate::parallel::{interruptible, interruptible_until, piece, StopFlag, Workers};
use crate::parts::chunks;
use crate::plan::{estimated_optimum, require_factor, Plan};
use crate::random_basis::{lay_out, FactorLayout, TermBasis};
use crate::raw::{raw_factor, raw_parameters, theta_from_raw, RawFactor};
use crate::residual::Residual;
use crate::residual_rows::ResidualPart;
use crate::restriction::{restricted_terms, restriction, Restricted, Restriction};
use crate::result::{Fit, Status};
use crate::schur::Schur;
use crate::sizes::{require_rows, Sizes};
use crate::start::{large_start, moment_start, LARGEST_START};
use crate::starts::{self, Walks};
use crate::terms::ModelData;
use crate::vanishing::{self, Ray};

/// Share of the total sum of squares below which the residual one has lost too many digits: centre and start again.
const RECENTER: f64 = 1e-6;

/// The same of a column of Q, of which V^-1 leaves that share.
const RECENTER_FIXED: f64 = 1e-5;

/// The same of both once there is a centre, which may have been that of other parameters.
const RECENTER_AGAIN: f64 = 1e-2;

/// Variance of effects relative to that of the mean of the residuals of their level from which differences of cross-products may
/// have less than ten digits.
const CANCELLING: f64 = 1e6;

/// The same at which next to no digits of what a grouping factor leaves of columns of X are there.
const BREAKING: f64 = 1e14;

/// Operations of an evaluation up to which a failure is looked at again with twice the digits.
const CHEAP: f64 = 1e6;

/// Residual sum of squares, relative to that of the fixed effects alone, at which the random effects reproduce the
/// response.
pub(crate) const EXACT: f64 = 1e-22;

/// Largest value of a parameter that a start may have.
const LARGEST: f64 = 1e100;

/// What may fail in floating point.
const OPTIMUM: &str = "the evaluation at the optimum";

/// What may be behind a residual variance of zero where the factorisation is in double precision.
const DIGITS: &str = "the factorisation of the equations of random effects that are many orders of magnitude larger than \
                      residuals";

/// Residual over total sum of squares that is nothing but rounding.
const PERFECT: f64 = 1e-28;

/// Bases, layout and moments of one model.
pub(crate) struct Prepared {
    pub fixed: FixedBasis,
    pub layout: Vec<FactorLayout>,
    pub bases: Vec<TermBasis>,
    pub parameters: Parameters,
    pub system: System,
    pub center: Center,
    pub residual: Option<ResidualPart>,
    /// The rows' mean standard deviation relative to that which the moments are relative to.
    pub unit: f64,
    pub restriction: Option<Restriction>,
    /// Known residual variance.
    pub sigma2: Option<f64>,
}

impl Prepared {
    /// The rows' mean standard deviation relative to sigma: that of a row with d = 1, which may be far from all.
    fn unit_at(&self, theta: &[f64]) -> f64 {
        let phi = self.parameters.of_residual(theta);
        unit_of(self.residual.as_ref(), phi)
    }

    /// A sum of squares in units of the rows' mean variance.
    fn in_rows(&self, theta: &[f64], squares: f64) -> f64 {
        squares * self.unit_at(theta).powi(2)
    }

    /// Residual sum of squares of the fixed effects alone, in units of the rows' mean variance.
    fn fixed_residual(&self) -> f64 {
        self.system.moments.residual() * self.unit * self.unit
    }

    /// A copy for another response, without threads of its own.
    pub fn share(&self) -> Self {
        memory::require::<f64>(self.system.moments.numbers());
        Self {
            fixed: self.fixed.clone(),
            layout: self.layout.clone(),
            bases: self.bases.clone(),
            parameters: Parameters::new(&self.layout, &self.bases, self.parameters.residual),
            system: System {
                moments: self.system.moments.clone(),
                schur: Arc::clone(&self.system.schur),
                workers: Workers::sequential().into(),
            },
            center: self.center.clone(),
            residual: self.residual.clone(),
            unit: self.unit,
            restriction: self.restriction.clone(),
            sigma2: self.sigma2,
        }
    }

    /// The criterion of this model, not evaluated yet.
    pub fn criterion<'a>(
        &'a self,
        center: &'a [Vec<f64>],
        reml: bool,
        clock: Clock<'a>,
    ) -> Criterion<'a> {
        self.criterion_of(&self.system, center, reml, clock)
    }

    /// The same with other cross-products.
    pub fn criterion_of<'a>(
        &'a self,
        system: &'a System,
        center: &'a [Vec<f64>],
        reml: bool,
        clock: Clock<'a>,
    ) -> Criterion<'a> {
        Criterion::new(
            system,
            &self.parameters,
            reml,
            center,
            -2.0 * self.fixed.log_det_rinv,
            clock.with_flag(self.system.workers.flag()),
        )
        .with_residual(self.residual.as_ref())
        .with_restriction(self.restriction.as_ref())
        .with_sigma2(self.sigma2)
    }

    /// How the criterion was evaluated when the fit looked for its optimum.
    pub(crate) fn plan_of_fit(&self, options: &Options) -> Result<Plan, EngineError> {
        let as_fitted = Options {
            optimize: true,
            ..options.clone()
        };
        Plan::new(self, &as_fitted)
    }

    /// Takes the cross-products with as many digits as these parameters need, and centres [Q r] at what it is there, where
    /// differences would lose digits otherwise.
    pub(crate) fn settle(
        &mut self,
        data: &ModelData<'_>,
        theta: &[f64],
        options: &Options,
        interrupt: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        // a factor that the fit did without is too dear for this
        if !self
            .plan_of_fit(options)
            .is_ok_and(|plan| plan == Plan::Exact)
        {
            return Ok(());
        }
        if self.lacks_digits(theta) {
            self.extend(data, theta)?;
        }
        for round in 0..3 {
            if !self.is_extreme(theta) {
                break;
            }
            let mut criterion = self.criterion(
                &self.center.b,
                options.reml,
                Clock::without_limit(interrupt),
            );
            // what breaks down there may be centred from closer by
            let near = self.less_extreme(theta);
            let at = if criterion.value(theta).is_some() {
                theta
            } else if criterion.value(&near).is_some() {
                &near
            } else {
                break;
            };
            let Some(solution) = criterion.solution() else {
                break;
            };
            let Some(factor) = criterion.factor.as_ref() else {
                break;
            };
            // the first centre was found with the digits that were there
            if round != 1 && !has_lost_digits(self, factor) {
                break;
            }
            let moved = new_center(self, factor, &solution);
            drop(criterion);
            self.recentre(data, moved, at)?;
        }
        Ok(())
    }

    /// The same parameters with standard deviations at which about half of the digits are left.
    fn less_extreme(&self, theta: &[f64]) -> Vec<f64> {
        let factor = (1e8 / self.largest_share(theta)).sqrt().min(1.0);
        let deviation = |a| a < self.parameters.list.len() && self.parameters.is_deviation(a);
        let scaled = |(a, value): (usize, &f64)| value * if deviation(a) { factor } else { 1.0 };
        theta.iter().enumerate().map(scaled).collect()
    }

    /// Whether an effect explains so much of its level that the share of the residuals may be lost.
    fn is_extreme(&self, theta: &[f64]) -> bool {
        self.largest_share(theta) * RECENTER_FIXED > 0.1
    }

    /// Variance of an effect relative to that of the mean of the residuals of its level, at most.
    fn largest_share(&self, theta: &[f64]) -> f64 {
        let moments = &self.system.moments;
        let unit = self.unit / self.unit_at(theta);
        let share = |term: usize| {
            let (f, offset, k) = self.parameters.place[term];
            let t = self.parameters.term_factor(theta, term);
            let FactorMoments { k: all, zz, .. } = &moments.factors[f];
            // of the level of which the rows tell most
            let most = |i: usize| {
                let own = zz.iter().skip((offset + i) * (all + 1)).step_by(all * all);
                own.fold(0.0f64, |most, v| most.max(*v))
            };
            let shares = (0..k).map(|i| (unit * t[i * k + i]).powi(2) * most(i));
            shares.fold(0.0, f64::max)
        };
        (0..self.bases.len()).map(share).fold(0.0, f64::max)
    }

    /// Whether the first evaluation of a fit has to be prepared for.
    fn starts_extreme(&self, theta: &[f64]) -> bool {
        self.lacks_digits(theta) || self.largest_share(theta) > BREAKING
    }

    /// Whether effects are so large that eliminating some of them may lose digits of the others, and cross-products with twice
    /// the digits are not there though they can be.
    fn lacks_digits(&self, theta: &[f64]) -> bool {
        let system = &self.system;
        (system.schur.q2 > 0 || system.k1() > 1)
            && system.moments.rest.is_none()
            && self.largest_share(theta) > CANCELLING
            && self.can_extend()
    }

    /// Whether a factorisation with twice the digits takes not too long.
    fn can_extend(&self) -> bool {
        let system = &self.system;
        extended::is_affordable(&system.schur, system.k1(), system.moments.p1)
    }

    /// Whether cross-products have twice the digits.
    fn has_digits(&self) -> bool {
        self.system.moments.rest.is_some()
    }

    /// Whether, after so many centres, the last was found without all digits.
    fn is_near(&self, rounds: usize) -> bool {
        self.has_digits() && rounds < 2
    }

    /// Takes Z'[Z Q r], or Z'R^-1[Z Q r] at these parameters, with twice the digits.
    pub(crate) fn extend(
        &mut self,
        data: &ModelData<'_>,
        theta: &[f64],
    ) -> Result<(), EngineError> {
        let System {
            moments, workers, ..
        } = &mut self.system;
        match &self.residual {
            None => {
                let (layout, bases) = (&self.layout, &self.bases);
                let rows = CenteredRows::new(data, &self.fixed, layout, bases, &self.center);
                moments.extend(data, layout, bases, &rows, workers);
            }
            Some(part) => {
                let phi = self.parameters.of_residual(theta);
                let whitening = part
                    .model
                    .at_with(phi, workers)
                    .ok_or(EngineError::numerical(RESIDUAL))?;
                *moments = part.moments(&whitening, moments, workers);
                part.extend(moments, &whitening, workers);
                self.unit = unit_of(self.residual.as_ref(), phi);
            }
        }
        Ok(())
    }

    /// Centres [Q r] elsewhere and takes the cross-products again, at these parameters.
    fn recentre(
        &mut self,
        data: &ModelData<'_>,
        moved: Center,
        theta: &[f64],
    ) -> Result<(), EngineError> {
        let workers = Arc::clone(&self.system.workers);
        if let Some(part) = &mut self.residual {
            *part = part.recentred(data, &self.fixed, &self.bases, &moved, &workers);
            let phi = self.parameters.of_residual(theta);
            let whitening = part
                .model
                .at_with(phi, &workers)
                .ok_or(EngineError::numerical(RESIDUAL))?;
            self.system.moments = part.moments(&whitening, &self.system.moments, &workers);
            self.unit = unit_of(self.residual.as_ref(), phi);
            self.center = moved;
            return Ok(());
        }
        let is_extended = self.system.moments.rest.is_some();
        self.system.moments = Moments::new(
            data,
            &self.fixed,
            &self.layout,
            &self.bases,
            &moved,
            &workers,
        )?;
        self.center = moved;
        if is_extended {
            self.extend(data, theta)?;
        }
        Ok(())
    }
}

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

/// Where what a fit has for each row goes.
#[derive(Debug)]
pub struct RowResults<'a> {
    /// Fitted values, offset included.
    pub fitted: &'a mut [f64],
    /// y - fitted.
    pub residuals: &'a mut [f64],
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
    fit_prepared(data, options, prepared, rows, false, interrupt).map(|(fit, _)| fit)
}

/// From the moments to the fit; with `inference` also what Satterthwaite's degrees of freedom need.
pub(crate) fn fit_prepared(
    data: &ModelData<'_>,
    options: &Options,
    prepared: Prepared,
    rows: RowResults<'_>,
    inference: bool,
    interrupt: &dyn Fn() -> bool,
) -> Result<(Fit, Option<Satterthwaite>), EngineError> {
    let plan = Plan::new(&prepared, options)?;
    fit_planned(data, options, prepared, plan, rows, inference, interrupt)
}

/// The same as planned.
pub(crate) fn fit_planned(
    data: &ModelData<'_>,
    options: &Options,
    prepared: Prepared,
    plan: Plan,
    rows: RowResults<'_>,
    inference: bool,
    interrupt: &dyn Fn() -> bool,
) -> Result<(Fit, Option<Satterthwaite>), EngineError> {
    let in_doubles = plan != Plan::Exact || !prepared.can_extend();
    let found = search(data, options, prepared, plan, rows, inference, interrupt);
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
/// structure. On the way there from [`term_start`] residuals that are as large as effects look like correlated ones: correlations
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
    inference: bool,
    interrupt: &dyn Fn() -> bool,
) -> Result<(Fit, Option<Satterthwaite>), EngineError> {
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
        let mut certificate = certify(&mut criterion, &run, !inference);
        certificate.rounding = rounding;
        certificate.residual_zero = vanished.is_some();
        if plan == Plan::Exact {
            certificate.starts = walks.count();
            certificate.agree = walks.agreeing(run.outcome.value);
            certificate.vanishing = walks.vanishing();
        }
        certificate.monte_carlo.theta =
            raw_errors(&prepared, &theta, &certificate.monte_carlo.theta);
        let satterthwaite = if inference {
            crate::inference::at_point(&prepared, &mut criterion, &theta)
        } else {
            None
        };
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
        return Ok((fit, satterthwaite));
    }
}

/// Conditional variances of the random effects relative to sigma^2 at `options.start`: for each term k x k x J.
///
/// Var(b_j | y) = T [M^-1]_jj T', in the raw basis (Bates et al. 2015, eq. 58).
///
/// # Errors
/// See [`EngineError`].
pub fn conditional_variances(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Vec<f64>>, EngineError> {
    interruptible(
        Sizes::of(data).are_long(2.0),
        interrupt,
        |stop, interrupt| variances_here(data, options, stop, interrupt),
    )
}

fn variances_here(
    data: &ModelData<'_>,
    options: &Options,
    stop: &StopFlag,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Vec<f64>>, EngineError> {
    let mut prepared = prepare(data, options, stop)?;
    let theta = start(options, &prepared)?;
    if prepared.starts_extreme(&theta) {
        prepared.settle(data, &theta, options, interrupt)?;
    }
    let system = &prepared.system;
    require_factor(system, options)?;
    let (parameters, unit) = (&prepared.parameters, prepared.unit_at(&theta));
    let (t, _) = parameters.regular_factors(&theta, unit, &system.workers, Vec::new());
    let mut factor = Factor::new(system, t, &prepared.center.b, Factor::default())?;
    let inverse = factor.selected_inverse(system, SelectedInverse::default());
    Ok(prepared
        .bases
        .iter()
        .enumerate()
        .map(|(term, basis)| {
            let k = basis.k;
            // the regular T that M was formed with: M^-1 of one T between factors of another would be off by their difference
            let kf = prepared.layout[basis.factor].k;
            let t = &factor.t[basis.factor];
            let own: Vec<f64> = memory::collect(
                (0..k * k).map(|e| t[(basis.offset + e / k) * kf + basis.offset + e % k]),
            );
            let mut lambda = memory::zeros(k * k);
            small::mul_nn(&basis.change, &own, k, k, k, &mut lambda);
            let raw = raw_factor(basis, &prepared.parameters.term_factor(&theta, term));
            for column in lambda.chunks_exact_mut(k) {
                raw.remove_null(column);
            }
            crate::conditional::term_variances(system, &inverse, basis, &lambda)
        })
        .collect())
}

/// What the first pass over the rows gives.
struct Begun {
    workers: Workers,
    fixed: FixedBasis,
}

/// Checks the data and takes the cross-products of X and the response.
fn begin(data: &ModelData<'_>, options: &Options, stop: &StopFlag) -> Result<Begun, EngineError> {
    data.validate()?;
    require_residual(data, stop)?;
    Sizes::of(data).require_memory()?;
    let columns: usize = data.terms.iter().map(|t| t.columns.len()).sum();
    let (n, p) = (data.n() as f64, data.p as f64);
    let work = n * (p + 1.0) * (p / 2.0 + 2.0 * columns as f64);
    let workers = Workers::new(options.threads, work, stop);
    let gram = gram_with_response(data, &workers);
    if !gram.iter().all(|v| v.is_finite()) {
        data.check_finite()?;
    }
    data.check_sizes(&gram)?;
    let fixed = FixedBasis::from_gram(data, &gram, stop);
    Ok(Begun { workers, fixed })
}

/// Checks the data and takes the moments.
pub(crate) fn prepare(
    data: &ModelData<'_>,
    options: &Options,
    stop: &StopFlag,
) -> Result<Prepared, EngineError> {
    prepare_from(data, options, begin(data, options, stop)?, stop)
}

fn prepare_from(
    data: &ModelData<'_>,
    options: &Options,
    Begun { workers, fixed }: Begun,
    stop: &StopFlag,
) -> Result<Prepared, EngineError> {
    let n = data.n();
    if n <= fixed.rank() {
        return Err(EngineError::NoResidualDf {
            n,
            rank: fixed.rank(),
        });
    }
    let residual = data
        .residual
        .as_ref()
        .map(|structure| Residual::new(structure, n))
        .transpose()?;
    let independent = |factor: &FactorLayout| {
        let user = factor.user.map(|user| &data.factors[user]);
        let whole = || {
            residual
                .as_ref()
                .is_none_or(|r| contains(factor.codes(data), r))
        };
        user.is_some_and(|user| user.precision.is_none()) && whole()
    };
    let (layout, bases) = lay_out(
        data,
        independent,
        &restricted_terms(data, options),
        &workers,
    );
    let center = Center {
        beta: fixed.beta_center.clone(),
        b: vec![Vec::new(); layout.len()],
    };
    let (moments, residual) = match residual {
        None => (
            Moments::new(data, &fixed, &layout, &bases, &center, &workers)?,
            None,
        ),
        Some(model) => {
            let part = ResidualPart::new(data, &fixed, &layout, &bases, &center, model, &workers);
            let moments = first_moments(data, options, &part, &layout, &workers)?;
            (moments, Some(part))
        }
    };
    let mut squares = moments.factors.iter().flat_map(|factor| &factor.zz);
    if !squares.all(|v| v.is_finite()) {
        data.check_finite()?;
    }
    let schur = Schur::unless_stopped(&moments, stop);
    let per_evaluation =
        schur.work(moments.factors[0].k) + moments.factors[0].zx.len() as f64 * moments.p1 as f64;
    let workers = if workers.count() > 1 {
        workers
    } else {
        Workers::new(options.threads, 10.0 * per_evaluation, stop)
    };
    let residual_parameters = residual.as_ref().map_or(0, |part| part.model.len());
    let parameters = Parameters::new(&layout, &bases, residual_parameters);
    let system = System {
        moments,
        schur: Arc::new(schur),
        workers: workers.into(),
    };
    let unit = match &residual {
        Some(part) => unit_of(Some(part), &residual_start(options, &part.model)?),
        None => 1.0,
    };
    let mut prepared = Prepared {
        fixed,
        layout,
        bases,
        parameters,
        system,
        center,
        residual,
        unit,
        restriction: None,
        sigma2: options.sigma.map(|sigma| sigma * sigma),
    };
    if options.sigma.is_none() {
        check_residual(&prepared)?;
    }
    let own = start(options, &prepared)?;
    prepared.restriction = restriction(
        data,
        options,
        &prepared.parameters,
        &prepared.bases,
        prepared.residual.as_ref(),
        &own,
    )?;
    Ok(prepared)
}

/// Does each residual group lie within one level?
fn contains(codes: &[i32], residual: &Residual) -> bool {
    let order = residual.order();
    (0..residual.groups()).all(|g| {
        let mut rows = order[residual.group(g)].iter();
        let first = rows.next().map(|&row| codes[row as usize]);
        rows.all(|&row| Some(codes[row as usize]) == first)
    })
}

/// The cross-products at the residual parameters to start from.
fn first_moments(
    data: &ModelData<'_>,
    options: &Options,
    part: &ResidualPart,
    layout: &[FactorLayout],
    workers: &Workers,
) -> Result<Moments, EngineError> {
    let phi = residual_start(options, &part.model)?;
    let whitening = part.model.at_with(&phi, workers).ok_or_else(|| {
        EngineError::ResidualStart(
            "the residual parameters give no positive definite matrix".to_owned(),
        )
    })?;
    let mut moments = part.rows.moments(&part.model, &whitening, layout, workers);
    moments.add_priors(data, layout, workers.flag())?;
    Ok(moments)
}

/// The rows' mean standard deviation relative to sigma at these residual parameters; 1 without variance functions.
fn unit_of(residual: Option<&ResidualPart>, phi: &[f64]) -> f64 {
    residual.map_or(1.0, |part| part.model.mean_log_scale(phi).exp())
}

/// Internal residual parameters at the end of the user's start, or those of the structure.
fn residual_start(options: &Options, model: &Residual) -> Result<Vec<f64>, EngineError> {
    let Some(raw) = &options.start else {
        return Ok(model.start());
    };
    let natural = raw.len().checked_sub(model.len()).map(|at| &raw[at..]);
    let phi = natural
        .and_then(|natural| model.internal(natural))
        .ok_or_else(|| {
            EngineError::ResidualStart("impossible values of the residual parameters".to_owned())
        })?;
    if model.is_far(&phi) {
        return Err(EngineError::FarScale);
    }
    Ok(phi)
}

/// Whether a walk that ended there was on its way, and half of it or more, to where no row is near sigma.
fn is_almost_far(prepared: &Prepared, theta: &[f64]) -> bool {
    let twice = |phi: &[f64]| -> Vec<f64> { phi.iter().map(|v| 2.0 * v).collect() };
    let phi = twice(prepared.parameters.of_residual(theta));
    let residual = prepared.residual.as_ref();
    residual.is_some_and(|part| part.model.has_origin() && part.model.is_far(&phi))
}

/// Refuses a response that the fixed effects reproduce to rounding.
fn check_residual(prepared: &Prepared) -> Result<(), EngineError> {
    let residual = prepared.fixed_residual();
    if residual <= PERFECT * prepared.fixed.total || residual == 0.0 {
        return Err(EngineError::PerfectFit);
    }
    Ok(())
}

/// Where to start; held parameters have their values there.
fn start(options: &Options, prepared: &Prepared) -> Result<Vec<f64>, EngineError> {
    let theta = free_start(options, prepared)?;
    if options.hold.iter().all(|value| value.is_nan()) || options.start.is_some() {
        return Ok(theta);
    }
    // held values in the user's coordinates, then back
    let natural = [raw_theta(prepared, &theta), natural_phi(prepared, &theta)].concat();
    let with = |taken: &dyn Fn(usize) -> bool| {
        let values = natural.iter().zip(&options.hold).enumerate();
        let held = values.map(|(a, (own, held))| match held {
            held if !held.is_nan() && taken(a) => *held,
            _ => *own,
        });
        free_start(
            &Options {
                start: Some(held.collect()),
                ..options.clone()
            },
            prepared,
        )
    };
    let start = with(&|_| true);
    if matches!(
        start,
        Err(EngineError::Dimension(_) | EngineError::ResidualStart(_))
    ) && options.hold.len() == natural.len()
    {
        // the first that is impossible beside what the others are, or beside those held before it
        let held = || (0..natural.len()).filter(|&a| !options.hold[a].is_nan());
        let alone = held().find(|&a| with(&|b| b == a).is_err());
        let among = || held().find(|&a| with(&|b| b <= a).is_err());
        if let Some(parameter) = alone.or_else(among) {
            return Err(EngineError::HeldValue { parameter });
        }
    }
    start
}

/// Refuses an optimum at which held parameters have other values than they are held at, as one who reads the fit sees them: a
/// column of T and its negative are the same covariance matrix, and a held entry of one is that of the other once the diagonal
/// entry has gone through zero.
fn require_held(options: &Options, fit: &Fit) -> Result<(), EngineError> {
    let natural = fit.theta.iter().chain(&fit.phi);
    let lost = natural.zip(&options.hold).position(|(own, held)| {
        let near = (own - held).abs() <= 1e-8 * held.abs().max(1.0);
        !held.is_nan() && !near
    });
    match lost {
        Some(parameter) if options.optimize => Err(EngineError::HeldSign { parameter }),
        _ => Ok(()),
    }
}

fn free_start(options: &Options, prepared: &Prepared) -> Result<Vec<f64>, EngineError> {
    let parameters = &prepared.parameters;
    if let Some(raw) = &options.start {
        if raw.len() != parameters.len() {
            return Err(EngineError::Dimension(format!(
                "start has {} values, the model has {} covariance parameters",
                raw.len(),
                parameters.len()
            )));
        }
        if !raw.iter().all(|v| v.abs() <= LARGEST) {
            return Err(EngineError::Dimension(
                "start holds a value that is not finite, or too large to be squared".to_owned(),
            ));
        }
        let mut theta = theta_from_raw(raw, &prepared.bases, parameters).ok_or_else(|| {
            EngineError::Dimension("start holds impossible correlations".to_owned())
        })?;
        if let Some(part) = &prepared.residual {
            theta.extend(residual_start(options, &part.model)?);
        }
        return Ok(theta);
    }
    let mut theta = term_start(&prepared.system.moments, &prepared.bases, parameters);
    theta.extend(prepared.residual.iter().flat_map(|part| part.model.start()));
    Ok(theta)
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
fn start_from(parameters: &Parameters, tau: Vec<f64>) -> Vec<f64> {
    let of_terms = parameters.structures.iter().zip(tau);
    of_terms
        .flat_map(|(structure, tau)| structure.start(tau))
        .collect()
}

/// Internal parameters at the raw theta that the caller must give.
pub(crate) fn raw_start(options: &Options, prepared: &Prepared) -> Result<Vec<f64>, EngineError> {
    if options.start.is_none() {
        return Err(EngineError::Dimension("theta is missing".to_owned()));
    }
    start(options, prepared)
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

/// One optimisation and how it ended.
pub(crate) struct Run {
    pub outcome: Outcome,
    pub status: Status,
    pub multipliers: Vec<f64>,
    pub rank: Vec<usize>,
    pub steps_off: usize,
}

/// Standard errors of theta in the user's coordinates from a covariance matrix in internal ones.
fn raw_errors(prepared: &Prepared, theta: &[f64], covariance: &[f64]) -> Vec<f64> {
    let m = prepared.parameters.list.len();
    if covariance.len() != m * m || covariance.iter().all(|v| *v == 0.0) {
        return memory::zeros(m);
    }
    let at = |a: usize, step: f64| {
        let mut x = theta.to_vec();
        x[a] += step;
        raw_theta(prepared, &x)
    };
    let slopes: Vec<Vec<f64>> = (0..m)
        .map(|a| {
            let step = 1e-6 * theta[a].abs().max(1e-3);
            let (up, down) = (at(a, step), at(a, -step));
            let pairs = up.iter().zip(&down);
            pairs.map(|(x, y)| (x - y) / (2.0 * step)).collect()
        })
        .collect();
    (0..m)
        .map(|i| {
            let mut sum = 0.0;
            for a in 0..m {
                for b in 0..m {
                    sum += slopes[a][i] * covariance[b * m + a] * slopes[b][i];
                }
            }
            sum.sqrt()
        })
        .collect()
}

impl Run {
    /// A point of which nothing is known but its value.
    fn at(outcome: Outcome, status: Status, criterion: &Criterion<'_>) -> Self {
        let places = &criterion.parameters.place;
        Self {
            outcome,
            status,
            multipliers: vec![f64::NAN; places.len()],
            rank: places.iter().map(|place| place.2).collect(),
            steps_off: 0,
        }
    }

    /// Puts the trace of what came before in front.
    pub(crate) fn follow(&mut self, walked: Outcome) {
        for (own, before) in [
            (&mut self.outcome.trace_value, walked.trace_value),
            (&mut self.outcome.trace_gradient, walked.trace_gradient),
        ] {
            own.splice(0..0, before);
        }
    }
}

fn settings(options: &Options) -> Settings {
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
    theta: &[f64],
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
    let mut trace = (Vec::new(), Vec::new());
    loop {
        let mut outcome = minimize_free(criterion, &x, value, settings);
        // the limit holds for the whole way
        settings.max_evaluations = settings.max_evaluations.saturating_sub(outcome.evaluations);
        trace.0.append(&mut outcome.trace_value);
        trace.1.append(&mut outcome.trace_gradient);
        if criterion.clock.has_cut() && outcome.stop != Stop::Interrupted {
            // a point on the way: nothing is looked for there
            outcome.stop = Stop::Time;
            outcome.trace_value = trace.0;
            outcome.trace_gradient = trace.1;
            return Ok(Run::at(outcome, Status::TimeLimit, criterion));
        }
        if !criterion.is_at(&outcome.x) {
            let _ = criterion.value(&outcome.x);
        }
        let boundary = reduce_rank(criterion, &mut outcome);
        let may_leave = steps_off < 10 && matches!(outcome.stop, Stop::Converged | Stop::Stuck);
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
            .zip(&criterion.parameters.place)
            .any(|(r, place)| *r < place.2);
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
            steps_off,
        });
    }
}

/// Minimises over the parameters that are not held or tied.
fn minimize_free(
    criterion: &mut Criterion<'_>,
    x: &[f64],
    value: f64,
    settings: Settings,
) -> Outcome {
    let clock = criterion.clock;
    let Some(restriction) = criterion.restriction else {
        let Some(model) = criterion.scales() else {
            return minimize(criterion, x, value, settings, clock);
        };
        let mut centred = Centred::new(criterion, model).at(x);
        let z = centred.variables_at(x);
        let mut outcome = minimize(&mut centred, &z, value, settings, clock);
        outcome.x = centred.expand(&outcome.x);
        return outcome;
    };
    minimize_under(criterion, restriction, x, value, settings)
}

/// Minimises from `x`, where the criterion has this value, over what a restriction leaves free.
fn minimize_under(
    criterion: &mut Criterion<'_>,
    restriction: &Restriction,
    x: &[f64],
    value: f64,
    settings: Settings,
) -> Outcome {
    let clock = criterion.clock;
    let z = restriction.variables_at(x);
    let mut restricted = Restricted {
        criterion,
        restriction,
    };
    let mut outcome = minimize(&mut restricted, &z, value, settings, clock);
    outcome.x = restriction.expand(&outcome.x);
    outcome
}

/// The same with these options.
pub(crate) fn minimize_within(
    criterion: &mut Criterion<'_>,
    restriction: &Restriction,
    x: &[f64],
    value: f64,
    options: &Options,
) -> Outcome {
    minimize_under(criterion, restriction, x, value, settings(options))
}

/// The criterion at the start; between attempts a start at which it is not defined is drawn towards zero.
fn first_value(
    criterion: &mut Criterion<'_>,
    x: &mut Vec<f64>,
    attempts: usize,
) -> Result<f64, EngineError> {
    if let Some(factor) = criterion.factor.as_ref().filter(|_| criterion.is_at(x)) {
        return Ok(criterion.at(factor));
    }
    for _ in 0..attempts {
        if let Some(value) = criterion.value(x) {
            return Ok(value);
        }
        if criterion.clock.has_cut() {
            return Err(EngineError::TimeLimit);
        }
        x.iter_mut().for_each(|v| *v *= 0.1);
        *x = allowed(criterion, x);
    }
    Err(criterion.failure("the criterion at the start"))
}

/// The nearest point at which held and tied parameters have their values.
fn allowed(criterion: &Criterion<'_>, x: &[f64]) -> Vec<f64> {
    criterion
        .restriction
        .map_or_else(|| x.to_vec(), |r| r.expand(&r.variables_at(x)))
}

/// Whether too many digits of the residual sum of squares or of the fixed effects' information were lost in differences.
fn has_lost_digits(prepared: &Prepared, factor: &Factor) -> bool {
    let p1 = factor.rzx.m;
    // about the centre that belongs to these parameters nothing is taken away
    let (share, share_fixed) = if prepared.center.has_effects() {
        (RECENTER_AGAIN, RECENTER_AGAIN)
    } else {
        (RECENTER, RECENTER_FIXED)
    };
    let left = |j: usize| (0..=j).map(|c| factor.lx[c * p1 + j].powi(2)).sum::<f64>();
    let lost = |j: usize| left(j) < share_fixed * factor.before(&prepared.system, j);
    (factor.pwrss > 0.0 && factor.pwrss < share * factor.total) || (0..p1 - 1).any(lost)
}

/// Current estimates as the new centre: fixed effects always, random effects, and those that the columns of Q themselves have, of
/// terms whose covariance is regular.
fn new_center(prepared: &Prepared, factor: &Factor, solution: &Solution) -> Center {
    let beta = coefficients(prepared, &solution.gamma);
    let system = &prepared.system;
    let b = (0..prepared.layout.len())
        .map(|f| {
            let k = prepared.layout[f].k;
            let t = &factor.t[f];
            if !(0..k).all(|i| t[i * k + i].abs() > 1e-4) {
                return Vec::new();
            }
            let u = effects_of_factor(system, &solution.u, f);
            let c = effects_of_factor(system, &solution.c, f);
            let (p, p1) = (solution.c.m, solution.c.m + 1);
            let mut b = memory::zeros(u.len() * p1);
            for (level, block) in b.chunks_exact_mut(k * p1).enumerate() {
                for a in 0..k {
                    for i in 0..=a {
                        let (weight, from) = (t[i * k + a], level * k + i);
                        let to = &mut block[a * p1..(a + 1) * p1];
                        let own = &c[from * p..(from + 1) * p];
                        to.iter_mut().zip(own).for_each(|(x, c)| *x += weight * c);
                        to[p] += weight * u[from];
                    }
                }
            }
            b
        })
        .collect();
    Center { beta, b }
}

/// Rows of the effects of one factor, level after level.
fn effects_of_factor(system: &System, rows: &Rows, f: usize) -> Vec<f64> {
    if f == 0 {
        return rows.first.clone();
    }
    let (offset, m) = (&system.schur.offset, rows.m);
    system.schur.node_of[f]
        .iter()
        .flat_map(|&v| &rows.rest[offset[v as usize] * m..offset[v as usize + 1] * m])
        .copied()
        .collect()
}

/// beta_0 + Rinv gamma, zero where aliased.
pub(crate) fn coefficients(prepared: &Prepared, gamma: &[f64]) -> Vec<f64> {
    let p = prepared.fixed.p;
    let mut beta = prepared.center.beta.clone();
    for (c, value) in gamma.iter().enumerate() {
        for i in 0..p {
            beta[i] += prepared.fixed.rinv[c * p + i] * value;
        }
    }
    beta
}

#[allow(clippy::too_many_arguments)]
fn estimates(
    data: &ModelData<'_>,
    options: &Options,
    prepared: &Prepared,
    theta: &[f64],
    factor: &Factor,
    solution: &Solution,
    criterion: f64,
    certificate: crate::result::Certificate,
    rows: RowResults<'_>,
) -> Fit {
    let fixed = &prepared.fixed;
    let beta_full = coefficients(prepared, &solution.gamma);
    let raw: Vec<RawFactor> = prepared
        .bases
        .iter()
        .enumerate()
        .map(|(t, basis)| raw_factor(basis, &prepared.parameters.term_factor(theta, t)))
        .collect();
    let effects: Vec<(Vec<f64>, Vec<f64>)> = prepared
        .bases
        .iter()
        .enumerate()
        .map(|(t, basis)| raw_modes(prepared, factor, solution, t, basis, &raw[t]))
        .collect();
    let b: Vec<&[f64]> = effects.iter().map(|e| e.1.as_slice()).collect();
    let wrss = fitted_values(data, &beta_full, &b, rows, &prepared.system.workers);
    let u: Vec<f64> = effects.iter().flat_map(|e| e.0.iter().copied()).collect();
    let ussq = match crate::prior::times(&prepared.system, &solution.u) {
        Some(weighted) => {
            inner(&weighted.rest, &solution.u.rest) + inner(&weighted.first, &solution.u.first)
        }
        None => inner(&u, &u),
    };
    let wrss = if prepared.residual.is_some() {
        factor.pwrss - ussq
    } else {
        wrss
    };
    let degrees = data.n() as f64
        - if options.reml {
            fixed.rank() as f64
        } else {
            0.0
        };
    let mut beta = vec![f64::NAN; fixed.p];
    fixed.kept.iter().for_each(|&j| beta[j] = beta_full[j]);
    let (rx, vcov_unscaled) = fixed_covariance(fixed, factor);
    Fit {
        theta: raw_theta(prepared, theta),
        phi: natural_phi(prepared, theta),
        unseen: prepared
            .residual
            .as_ref()
            .map_or_else(Vec::new, |part| part.whole().unseen()),
        beta,
        rank: fixed.rank(),
        pivot: fixed.pivot.clone(),
        rx,
        vcov_unscaled,
        sigma: prepared.sigma2.unwrap_or(factor.pwrss / degrees).sqrt(),
        criterion,
        ld_l2: factor.log_det_m,
        ld_rx2: factor.log_det_x - 2.0 * fixed.log_det_rinv,
        pwrss: factor.pwrss,
        wrss,
        ussq,
        b: effects.iter().flat_map(|e| e.1.iter().copied()).collect(),
        u,
        fitted: Vec::new(),
        residuals: Vec::new(),
        optimizer_seconds: 0.0,
        certificate,
    }
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// theta as the user sees it.
pub(crate) fn raw_theta(prepared: &Prepared, theta: &[f64]) -> Vec<f64> {
    let bases = prepared.bases.iter().enumerate();
    bases
        .flat_map(|(t, basis)| raw_parameters(basis, &prepared.parameters, theta, t))
        .collect()
}

/// Residual parameters as the user sees them.
pub(crate) fn natural_phi(prepared: &Prepared, theta: &[f64]) -> Vec<f64> {
    prepared.residual.as_ref().map_or_else(Vec::new, |part| {
        part.model.natural(prepared.parameters.of_residual(theta))
    })
}

/// u and b of one term in the user's basis.
fn raw_modes(
    prepared: &Prepared,
    factor: &Factor,
    solution: &Solution,
    term: usize,
    basis: &TermBasis,
    raw: &RawFactor,
) -> (Vec<f64>, Vec<f64>) {
    let k = basis.k;
    let kf = prepared.layout[basis.factor].k;
    let own: Vec<f64> = memory::collect(
        (0..k * k)
            .map(|e| factor.t[basis.factor][(basis.offset + e / k) * kf + basis.offset + e % k]),
    );
    let mut lambda = memory::zeros(k * k);
    small::mul_nn(&basis.change, &own, k, k, k, &mut lambda);
    let internal = effects_of_factor(&prepared.system, &solution.u, basis.factor);
    let levels = internal.len() / kf;
    let (mut u, mut b) = (
        Vec::with_capacity(levels * k),
        Vec::with_capacity(levels * k),
    );
    let mut value = memory::zeros(k);
    let _ = term;
    for level in internal.chunks_exact(kf) {
        small::mul_nn(
            &lambda,
            &level[basis.offset..basis.offset + k],
            k,
            k,
            1,
            &mut value,
        );
        raw.remove_null(&mut value);
        b.extend_from_slice(&value);
        u.extend(raw.spherical(&value));
    }
    (u, b)
}

/// offset + X beta + Z b and the residuals into `rows`; their weighted sum of squares.
fn fitted_values(
    data: &ModelData<'_>,
    beta: &[f64],
    b: &[&[f64]],
    rows: RowResults<'_>,
    workers: &Workers,
) -> f64 {
    let n = data.n();
    const ROWS: usize = 2048;
    let RowResults { fitted, residuals } = rows;
    let mut sums = memory::zeros(n.div_ceil(ROWS));
    let parts = (
        chunks(fitted, ROWS),
        chunks(residuals, ROWS),
        chunks(&mut sums, 1),
    );
    workers.for_each(n.div_ceil(ROWS), parts, |i, (fitted, residuals, sum)| {
        let range = piece(n, ROWS, i);
        match data.offset {
            Some(offset) => fitted.copy_from_slice(&offset[range.clone()]),
            None => fitted.fill(0.0),
        }
        for (column, coefficient) in data.x.iter().zip(beta) {
            if *coefficient != 0.0 {
                column.visit(range.clone(), fitted.iter_mut(), |f, x| {
                    *f += coefficient * x;
                });
            }
        }
        for (term, b) in data.terms.iter().zip(b) {
            let k = term.columns.len();
            let codes = &data.factors[term.factor].codes[range.clone()];
            for (a, column) in term.columns.iter().enumerate() {
                let targets = fitted.iter_mut().zip(codes);
                column.visit(range.clone(), targets, |(f, code), z| {
                    *f += z * b[(*code as usize - 1) * k + a];
                });
            }
        }
        let y = &data.y[range.clone()];
        for (r, (y, f)) in residuals.iter_mut().zip(y.iter().zip(fitted.iter())) {
            *r = y - f;
        }
        sum[0] = match data.weights {
            None => dot(residuals, residuals),
            Some(w) => (residuals.iter().zip(&w[range]))
                .map(|(r, w)| w * r * r)
                .sum(),
        };
    });
    sums.iter().sum()
}

/// RX (upper, RX'RX = X'V^-1X) and its inverse cross-product, kept columns.
fn fixed_covariance(fixed: &FixedBasis, factor: &Factor) -> (Vec<f64>, Vec<f64>) {
    let r = fixed.rank();
    let p1 = r + 1;
    let rinv: Vec<f64> =
        memory::collect((0..r * r).map(|e| fixed.rinv[(e / r) * fixed.p + fixed.kept[e % r]]));
    let lx: Vec<f64> = memory::collect((0..r * r).map(|e| {
        if e % r >= e / r {
            factor.lx[(e / r) * p1 + e % r]
        } else {
            0.0
        }
    }));
    // (X'V^-1X)^-1 = (Rinv Lx^-T)(Rinv Lx^-T)'
    let li = small::invert_lower(&lx, r);
    let mut half = memory::zeros(r * r);
    fn upper(x: &[f64]) -> (&[f64], Shape, bool) {
        (x, Shape::Upper, false)
    }
    let turned = (li.as_slice(), Shape::Upper, true);
    small::mul_shaped(upper(&rinv), turned, r, false, &mut half);
    let mut vcov = memory::zeros(r * r);
    let turned = (half.as_slice(), Shape::Lower, true);
    small::mul_shaped(upper(&half), turned, r, true, &mut vcov);
    // RX = Lx' Rinv^-1: the upper triangular inverse through its transpose
    let mut transposed = half;
    small::transpose(&rinv, r, &mut transposed);
    let lower = small::invert_lower(&transposed, r);
    let turned = (lower.as_slice(), Shape::Upper, true);
    let mut rx = transposed;
    small::mul_shaped((&lx, Shape::Upper, true), turned, r, false, &mut rx);
    (rx, vcov)
}
