//! What is factorised and what is estimated in a fit of crossed factors, chosen by cost, and the walks that follow from it.

use crate::criterion::Criterion;
use crate::error::EngineError;
use crate::factor::System;
use crate::fit::{optimum, Prepared, Run};
use crate::iterative::evaluation_work;
use crate::linalg::small;
use crate::optimize::Objective;
use crate::options::{Options, Solver};
use crate::result::Status;
use crate::schur::{Storage, DENSE_ADVANTAGE};

/// Bytes of a factor and its inverse, relative to the memory of the machine, up to which they are computed at all.
const MEMORY: f64 = 0.4;

/// Memory where it is not known.
const SOME_MEMORY: f64 = 8e9;

/// Operations of a factor and its inverse up to which they are computed without being asked for.
const LONG: f64 = 3e12;

/// The same up to which at least the factor is, which is a third of it.
const VERY_LONG: f64 = 4e13;

/// Multiply-adds (at the speed of sparse ones) of an evaluation below which nothing is to be gained.
const SHORT: f64 = 3e8;

/// Operations of a factor and its inverse below which it is not worth walking around them.
const MODERATE: f64 = 3e10;

/// Evaluations of a walk by estimates after which the rest is done by factorisations.
const STEPS: usize = 40;

/// Factorisations of a walk after which the rest is done by them alone.
const ANCHORS: usize = 2;

/// Monte-Carlo standard error of a criterion that counts as exact.
const CHANCE: f64 = 1e-8;

/// How a fit goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Factorisations only.
    Exact,
    /// Iteration until close to the optimum, then factorisations.
    Walk,
    /// Iteration to the optimum, where the criterion is taken from a factorisation.
    Value,
    /// Iteration only.
    Iterative,
}

impl Plan {
    /// What the user wants, else by cost.
    pub fn new(prepared: &Prepared, options: &Options) -> Self {
        let system = &prepared.system;
        let plain = prepared.residual.is_none()
            && prepared.restriction.is_none()
            && system.schur.q2 > 0
            && system.moments.factors.iter().all(|f| f.prior.is_empty());
        match options.solver {
            _ if !plain => Self::Exact,
            Solver::Exact => Self::Exact,
            Solver::Iterative => Self::Iterative,
            Solver::Auto => Self::by_cost(system, options.optimize),
        }
    }

    fn by_cost(system: &System, optimize: bool) -> Self {
        if out_of_reach(system) {
            return Self::Iterative;
        }
        if size(system).1 > LONG {
            return Self::Value;
        }
        let exact = system.schur.work(system.k1());
        let long = exact > SHORT && size(system).1 > MODERATE;
        if optimize && long && exact > 3.0 * evaluation_work(system) {
            Self::Walk
        } else {
            Self::Exact
        }
    }
}

/// Bytes of the factor of the complement with its inverse, and operations.
fn size(system: &System) -> (f64, f64) {
    match &system.schur.storage {
        Storage::Dense => {
            let q2 = system.schur.q2 as f64;
            (8.0 * q2.powi(2), q2.powi(3))
        }
        Storage::Sparse(pattern) => (
            16.0 * pattern.nnz() as f64,
            6.0 * pattern.flops() * DENSE_ADVANTAGE,
        ),
    }
}

fn out_of_reach(system: &System) -> bool {
    let (bytes, operations) = size(system);
    bytes > MEMORY * memory().unwrap_or(SOME_MEMORY) || operations > VERY_LONG
}

/// Refuses what needs a factor that is not to be computed without being asked for.
pub(crate) fn require_factor(system: &System, options: &Options) -> Result<(), EngineError> {
    if options.solver == Solver::Exact || !out_of_reach(system) {
        return Ok(());
    }
    Err(EngineError::Factor {
        order: system.schur.q2,
        gigabytes: 1e-9 * size(system).0,
    })
}

/// Memory of the machine in bytes, where that is easily found.
fn memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024.0 * kilobytes)
}

/// Where estimates lead, and what is left of the way by factorisation. What the estimates do not reach is left to it, but for
/// want of time.
pub(crate) fn estimated_optimum(
    criterion: &mut Criterion<'_>,
    theta: &[f64],
    options: &Options,
    plan: Plan,
) -> Result<Run, EngineError> {
    criterion.estimate();
    let steps = match plan {
        Plan::Walk => short(options),
        _ => options.clone(),
    };
    let run = match optimum(criterion, theta, &steps) {
        Err(EngineError::PerfectFit) if plan == Plan::Walk => {
            let _ = criterion.give_up_estimator();
            return optimum(criterion, theta, options);
        }
        run => run?,
    };
    if run.status == Status::TimeLimit {
        return Ok(run);
    }
    match plan {
        Plan::Walk => anchored_optimum(criterion, run, options),
        Plan::Value => with_exact_value(criterion, run),
        Plan::Exact | Plan::Iterative => {
            if options.optimize && criterion.refine() {
                return continued(criterion, run, options);
            }
            Ok(run)
        }
    }
}

/// The exact criterion at the optimum of the estimates.
fn with_exact_value(criterion: &mut Criterion<'_>, mut run: Run) -> Result<Run, EngineError> {
    let x = run.outcome.x.clone();
    if !evaluated(criterion, &x) {
        return Ok(run);
    }
    if let Some(estimated) = criterion.give_up_estimator() {
        run.outcome.value = criterion.value(&x).ok_or(EngineError::PerfectFit)?;
        criterion
            .anchor(estimated, false)
            .ok_or(EngineError::PerfectFit)?;
    }
    Ok(run)
}

/// The exact criterion and its gradient are taken at the optimum of the estimates; from there with estimates that agree with
/// them.
fn anchored_optimum(
    criterion: &mut Criterion<'_>,
    mut run: Run,
    options: &Options,
) -> Result<Run, EngineError> {
    for _ in 0..ANCHORS {
        let x = run.outcome.x.clone();
        if run.status != Status::Converged || !evaluated(criterion, &x) {
            break;
        }
        let Some(estimated) = criterion.give_up_estimator() else {
            break;
        };
        if !evaluated(criterion, &x) || criterion.anchor(estimated, true).is_none() {
            break;
        }
        run = continued(criterion, run, &short(options))?;
        let done = run.status == Status::Converged && precise(criterion, &run.outcome.x, options);
        if done || run.status == Status::TimeLimit {
            return Ok(run);
        }
    }
    let _ = criterion.give_up_estimator();
    continued(criterion, run, options)
}

/// Options of a walk that leaves what takes it long to factorisations.
fn short(options: &Options) -> Options {
    Options {
        max_evaluations: options.max_evaluations.min(STEPS),
        ..options.clone()
    }
}

/// Minimises again from the end of a run.
fn continued(
    criterion: &mut Criterion<'_>,
    before: Run,
    options: &Options,
) -> Result<Run, EngineError> {
    let mut run = optimum(criterion, &before.outcome.x, options)?;
    run.follow(before.outcome);
    Ok(run)
}

/// Evaluates the criterion and its derivatives, unless they are known.
fn evaluated(criterion: &mut Criterion<'_>, x: &[f64]) -> bool {
    (criterion.is_at(x) || criterion.value(x).is_some()) && criterion.latest().is_some()
}

/// Whether chance moves the optimum by no more than the optimiser's tolerance, and the criterion by nothing that counts.
fn precise(criterion: &mut Criterion<'_>, x: &[f64], options: &Options) -> bool {
    if !evaluated(criterion, x) {
        return false;
    }
    let (Some(latest), Some(estimator)) = (&criterion.latest, &criterion.estimator) else {
        return false;
    };
    if estimator.value_error(x) > CHANCE {
        return false;
    }
    let m = x.len();
    let mut hessian = latest.derivatives.model_hessian();
    if !small::cholesky(&mut hessian, m) {
        return false;
    }
    // half the squared decrement, on average
    let inverse = small::inverse_from_cholesky(&hessian, m);
    0.5 * small::trace_product(&inverse, &estimator.gradient_covariance(), m) <= options.tolerance
}
