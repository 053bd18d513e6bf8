//! Factorise or estimate: the choice by cost for crossed factors, and how each reaches the optimum.

use crate::api::error::EngineError;
use crate::api::options::{Options, Solver};
use crate::api::result::Status;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::estimated::Estimated;
use crate::criterion::iterative::estimator::evaluation_work;
use crate::criterion::objective::Criterion;
use crate::linalg::small;
use crate::linalg::sparse::DENSE_ADVANTAGE;
use crate::runtime::memory;
use crate::search::optimum::{optimum, Run};
use crate::system::complement::Storage;
use crate::system::equations::System;

/// Bytes of a factor and its inverse, relative to the memory of the machine, up to which they are computed at all.
const MEMORY: f64 = 0.4;

/// Memory of a machine that does not tell.
const SOME_MEMORY: f64 = 8e9;

/// Bytes that every machine has, so that nothing is checked.
const LITTLE_MEMORY: f64 = 1e8;

/// Operations of a factor and its inverse up to which they are computed without being asked for.
const LONG: f64 = 3e12;

/// Operations of both up to which at least the factor is computed, which is a third of them.
const VERY_LONG: f64 = 4e13;

/// Multiply-adds (at the speed of sparse ones) of an evaluation below which nothing is to be gained.
const SHORT: f64 = 3e8;

/// Operations of a factor and its inverse below which avoiding them is not worth while.
const MODERATE: f64 = 3e10;

/// Evaluations of a walk by estimates after which the rest is done by factorisations.
const STEPS: usize = 40;

/// Factorisations of a walk after which the rest is done by them alone.
const ANCHORS: usize = 2;

/// Monte-Carlo standard error of a criterion that counts as exact.
const CHANCE: f64 = 1e-8;

/// How the criterion is evaluated on the way to the optimum.
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
    /// As the user asks, else by cost; only a plain model can do without a factor.
    ///
    /// # Errors
    /// [`EngineError::Memory`] where there is no other way than a factor that does not fit in memory.
    pub fn new(system: &System, is_plain: bool, options: &Options) -> Result<Self, EngineError> {
        match options.solver {
            Solver::Iterative if is_plain => Ok(Self::Iterative),
            Solver::Auto if is_plain => Ok(Self::by_cost(system, options.optimize)),
            _ => require_memory(system, memory::available).map(|()| Self::Exact),
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
        Storage::Dense(_) => {
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
    let too_large = || bytes > MEMORY * memory::of_machine().unwrap_or(SOME_MEMORY);
    operations > VERY_LONG || (bytes > LITTLE_MEMORY && too_large())
}

/// Refuses a factor that does not fit in the available memory, before any is allocated: the operating system would kill the
/// process.
fn require_memory(
    system: &System,
    available: impl FnOnce() -> Option<f64>,
) -> Result<(), EngineError> {
    let needed = size(system).0;
    if needed <= LITTLE_MEMORY {
        return Ok(());
    }
    match available() {
        Some(available) if needed > available => Err(EngineError::Memory {
            order: system.schur.q2,
            needed: 1e-9 * needed,
            available: 1e-9 * available,
        }),
        _ => Ok(()),
    }
}

/// Refuses what needs a factor that is computed only when asked for, or that does not fit in memory.
pub(crate) fn require_factor(system: &System, options: &Options) -> Result<(), EngineError> {
    if options.solver == Solver::Exact {
        return require_memory(system, memory::available);
    }
    if !out_of_reach(system) {
        return Ok(());
    }
    Err(EngineError::Factor {
        order: system.schur.q2,
        gigabytes: 1e-9 * size(system).0,
    })
}

/// The optimum of the estimated criterion, and from there by factorisation as far as the plan says. Where the estimates fail,
/// factorisation does it all; where time is over, nothing follows.
pub(crate) fn estimated_optimum(
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    options: &Options,
    plan: Plan,
) -> Result<Run, EngineError> {
    criterion.estimate();
    let steps = match plan {
        Plan::Walk => short(options),
        _ => options.clone(),
    };
    let run = match optimum(criterion, theta, &steps) {
        Err(EngineError::PerfectFit | EngineError::Numerical { .. }) if plan == Plan::Walk => {
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
const EXACT_VALUE: &str = "the exact criterion at the optimum of its estimate";

/// A run with the exact criterion at its end.
fn with_exact_value(criterion: &mut Criterion<'_>, mut run: Run) -> Result<Run, EngineError> {
    let x = run.outcome.x.clone();
    if !evaluated(criterion, &x) {
        return Ok(run);
    }
    if let Some(estimated) = criterion.give_up_estimator() {
        let Some(value) = criterion.value(&x) else {
            if criterion.clock.has_cut() {
                return Ok(stopped(criterion, run, Some(estimated)));
            }
            return Err(criterion.failure(EXACT_VALUE));
        };
        run.outcome.value = value;
        if criterion.anchor(estimated, false).is_none() {
            return Err(criterion.failure(EXACT_VALUE));
        }
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
        if !evaluated(criterion, &x) {
            if criterion.clock.has_cut() {
                return Ok(stopped(criterion, run, Some(estimated)));
            }
            break;
        }
        if criterion.anchor(estimated, true).is_none() {
            break;
        }
        run = continued(criterion, run, &short(options))?;
        let done = run.status == Status::Converged && precise(criterion, &run.outcome.x, options);
        if done || run.status == Status::TimeLimit {
            return Ok(run);
        }
    }
    if criterion.clock.has_cut() {
        return Ok(stopped(criterion, run, None));
    }
    let estimated = criterion.give_up_estimator();
    let run = continued(criterion, run, options)?;
    // a point at which there is no factor yet is described by what it was found with
    if run.status == Status::TimeLimit && !criterion.is_at(&run.outcome.x) {
        return Ok(stopped(criterion, run, estimated));
    }
    Ok(run)
}

/// A run whose time was over before its end was computed exactly.
fn stopped(criterion: &mut Criterion<'_>, mut run: Run, estimated: Option<Estimated>) -> Run {
    if let Some(estimated) = estimated {
        criterion.take_back(estimated);
    }
    run.status = Status::TimeLimit;
    run
}

/// Options with few evaluations: what takes longer is left to factorisations.
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
    let mut run = match optimum(criterion, &before.outcome.x, options) {
        Err(EngineError::TimeLimit) => return Ok(stopped(criterion, before, None)),
        run => run?,
    };
    run.follow(before.outcome);
    Ok(run)
}

/// Evaluates the criterion and its derivatives, unless they are known.
fn evaluated(criterion: &mut Criterion<'_>, x: &InternalTheta) -> bool {
    (criterion.is_at(x) || criterion.value(x).is_some()) && criterion.latest().is_some()
}

/// Whether the Monte-Carlo error of the optimum is within the optimiser's tolerance, and that of the criterion negligible.
fn precise(criterion: &mut Criterion<'_>, x: &InternalTheta, options: &Options) -> bool {
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
    let mut hessian: Vec<f64> = latest.derivatives.model_hessian().collect();
    if !small::cholesky(&mut hessian, m) {
        return false;
    }
    // half the squared decrement, on average
    let inverse = small::inverse_from_cholesky(&hessian, m);
    0.5 * small::trace_product(&inverse, &estimator.gradient_covariance(), m) <= options.tolerance
}

#[cfg(test)]
mod tests {
    use super::{require_memory, size, Plan};
    use crate::api::error::EngineError;
    use crate::api::model::{Column, GroupingFactor, ModelData, RandomTerm, Structure};
    use crate::api::options::{Options, Solver};
    use crate::fit::prepare::prepare;
    use crate::runtime::memory;
    use crate::runtime::stop::StopFlag;

    /// Two crossed factors of `q + 1` and `q` levels; one of the first meets all of the second.
    fn with_crossed<T>(q: i32, check: impl FnOnce(&ModelData<'_>) -> T) -> T {
        let first: Vec<i32> = (0..q).map(|_| 1).chain(2..q + 2).collect();
        let second: Vec<i32> = (1..=q).chain(1..=q).collect();
        let y: Vec<f64> = (0..2 * q).map(|i| f64::from(i % 997)).collect();
        let factor = |codes, n_levels| GroupingFactor {
            members: None,
            counts: None,
            codes,
            n_levels,
            precision: None,
        };
        let term = |factor| RandomTerm {
            factor,
            columns: vec![Column::Constant],
            structure: Structure::Unstructured,
            classes: None,
        };
        check(&ModelData {
            y: &y,
            x: vec![Column::Constant],
            p: 1,
            weights: None,
            offset: None,
            factors: vec![factor(&first, q as usize + 1), factor(&second, q as usize)],
            terms: vec![term(0), term(1)],
            residual: None,
            moments: None,
            stands_for: None,
        })
    }

    #[test]
    fn a_factor_that_does_not_fit_in_memory_is_refused() {
        with_crossed(5000, |data| {
            let prepared = prepare(data, &Options::default(), &StopFlag::default()).unwrap();
            let system = &prepared.system;
            assert!((size(system).0 - 8.0 * 5000.0 * 5000.0).abs() < 1.0);
            let refused = require_memory(system, || Some(1.5e8)).unwrap_err();
            let EngineError::Memory {
                order,
                needed,
                available,
            } = refused
            else {
                panic!("{refused}")
            };
            assert_eq!(order, 5000);
            assert!((needed - 0.2).abs() < 1e-12 && (available - 0.15).abs() < 1e-12);
            assert_eq!(require_memory(system, || Some(2e8)), Ok(()));
            assert_eq!(require_memory(system, || None), Ok(()));
        });
        // what every machine has is not asked for
        with_crossed(100, |data| {
            let prepared = prepare(data, &Options::default(), &StopFlag::default()).unwrap();
            let asked = require_memory(&prepared.system, || panic!("asked"));
            assert_eq!(asked, Ok(()));
        });
    }

    #[test]
    fn only_a_solver_that_needs_the_factor_asks_for_memory() {
        // 8e12 bytes for the factor: more than there is on any machine that runs this, and nothing of that size is made
        with_crossed(1_000_000, |data| {
            for (solver, plan) in [
                (Solver::Auto, Some(Plan::Iterative)),
                (Solver::Iterative, Some(Plan::Iterative)),
                (Solver::Exact, None),
            ] {
                let options = Options {
                    solver,
                    ..Options::default()
                };
                let prepared = prepare(data, &options, &StopFlag::default()).unwrap();
                match (prepared.plan(&options), plan) {
                    (Ok(found), Some(plan)) => assert_eq!(found, plan),
                    (Err(EngineError::Memory { needed, .. }), None) => {
                        assert!((needed - 8000.0).abs() < 1e-6)
                    }
                    // a system that does not tell what memory it has
                    (Ok(Plan::Exact), None) if memory::available().is_none() => {}
                    (found, _) => panic!("{solver:?}: {found:?}"),
                }
            }
        });
    }
}
