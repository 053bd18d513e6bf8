//! Case deletion: estimates without a set of rows, for many sets.
//!
//! The rows of a set are taken out of the moments, with as many digits as these have; levels that lose all their rows stay,
//! with moments of zero, and drop out of every sum. On what is left the criterion is evaluated at the estimate from all rows,
//! which gives the exact estimates of the fixed effects and of sigma at that theta (Christensen, Pearson & Johnson 1992,
//! Technometrics 34); a Newton step with the exact gradient and Hessian of the reduced criterion, corrected by the gradient
//! where it leads, updates theta (Pregibon 1981, Ann. Stat. 9; Demidenko & Stukel 2005, Stat. Med. 24), and the optimiser
//! replaces the step where the exact refit is wanted.
//!
//! What is common to all sets is done once where there is one grouping factor with many levels that are alike
//! ([`super::condensed_levels`]); else each set costs an evaluation of the whole criterion and its gradient.
//!
//! For single rows at given theta the estimates follow without any of that: with C the coefficient matrix of the
//! mixed-model equations, t the row (x, Lambda'z), h = w t'C^-1 t and e the residual, the coefficients change by
//! -C^-1 t w e / (1 - h).

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::api::progress::Progress;
use crate::api::theta::UserTheta;
use crate::basis::fixed::FixedBasis;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::random::FactorLayout;
use crate::basis::rows::root_of_weight;
use crate::criterion::objective::Criterion;
use crate::data::subset::Subset;
use crate::fit::estimates::coefficients;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::sizes::Sizes;
use crate::fit::user_start::{required_start, with_phi};
use crate::inference::condensed_levels::CondensedLevels;
use crate::inference::evaluated::{fixed_covariance, to_user_basis, EVALUATIONS};
use crate::inference::newton_step::{newton_step, small_step, Curvature};
use crate::linalg::double2::Double2;
use crate::linalg::small;
use crate::moments::blocks::Moments;
use crate::moments::centred_rows::CenteredRows;
use crate::runtime::clock::Clock;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;
use crate::search::optimum::optimum;
use crate::search::strategy::require_factor;
use crate::system::equations::System;
use crate::system::solution::{solve, Solution};

/// Sets in one piece of work: they share the copies of what is modified.
const SETS: usize = 16;

/// Information left on a direction of the fixed effects, relative to that of all rows, below which it is none.
const DEFICIENT: f64 = 1e-10;

/// What happens to theta when rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// It stays.
    None,
    /// One Newton step and its corrections.
    Step,
    /// Optimised again.
    Exact,
}

/// Estimates without one set of rows.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// theta, then phi.
    pub theta: UserTheta,
    /// Coefficients of X (p), NaN where aliased.
    pub beta: Vec<f64>,
    /// (X'V^-1X)^-1 of the rows left, kept columns, r x r.
    pub vcov_unscaled: Vec<f64>,
    /// Residual standard deviation.
    pub sigma: f64,
    /// The criterion there.
    pub criterion: f64,
}

/// Estimates without each of `sets`; `None` where the rows left do not determine the fixed effects.
fn deletions_of(
    data: &ModelData<'_>,
    prepared: &Prepared,
    theta: &InternalTheta,
    sets: &[Vec<usize>],
    update: Update,
    options: &Options,
    stop: &StopFlag,
) -> Vec<Option<Deletion>> {
    let original = &prepared.system.moments;
    let size = original.factors.iter().map(|f| f.zx.len()).sum::<usize>() + original.xx.len();
    let evaluations = if update == Update::Exact { 30.0 } else { 10.0 };
    let each = prepared.system.schur.work(prepared.system.k1()) + (size * original.p1) as f64;
    let workers = Workers::new(
        options.threads,
        evaluations * each * sets.len() as f64,
        stop,
    );
    // the progress is that of the sets, not that of a search for one of them
    let counted = Counted::new(options.progress.as_deref(), sets.len());
    let options = Options {
        optimize: true,
        progress: None,
        ..options.clone()
    };
    let whole = if update == Update::Step {
        whole_curvature(prepared, theta, &options, stop)
    } else {
        None
    };
    if prepared.residual.is_some() {
        return workers.map(sets.len(), |s| {
            stop.check();
            let found = without_rows(data, &sets[s], update, &options, stop);
            counted.one_more();
            found
        });
    }
    let rows = RowsOf::new(data, prepared);
    let free = update != Update::Exact && prepared.restriction.is_none();
    let has_classes = prepared.parameters.classes.iter().any(Option::is_some);
    let few = (free && !has_classes && !prepared.center.has_effects())
        .then(|| CondensedLevels::new(original))
        .flatten();
    let work = pieces(sets.len(), SETS);
    let parts = workers.map(work.len(), |piece| {
        let mut system = System {
            moments: original.clone(),
            schur: prepared.system.schur.clone(),
            workers: Workers::sequential().into(),
        };
        work[piece]
            .clone()
            .map(|s| {
                stop.check();
                if !rows.determine_without(&sets[s]) {
                    return None;
                }
                rows.remove(&mut system.moments, &sets[s]);
                let update = (update, whole.as_ref());
                let of_few = few.as_ref().and_then(|few| {
                    let system = few.system(&system.moments, &rows.touched(&sets[s]));
                    without_of_few(prepared, &system, theta, update, &options, stop)
                });
                let found =
                    of_few.or_else(|| without(prepared, &system, theta, update, &options, stop));
                rows.restore(&mut system.moments, original, &sets[s]);
                counted.one_more();
                found
            })
            .collect::<Vec<_>>()
    });
    parts.into_iter().flatten().collect()
}

/// How many sets are done, told to the one who waits.
struct Counted<'a> {
    progress: Option<&'a Progress>,
    done: AtomicUsize,
    of: usize,
}

impl<'a> Counted<'a> {
    fn new(progress: Option<&'a Progress>, of: usize) -> Self {
        Self {
            progress,
            done: AtomicUsize::new(0),
            of,
        }
    }

    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(progress) = self.progress {
            progress.part(done, self.of);
        }
    }
}

/// Estimates without some rows where residuals have a structure: the rows that are left are a model of their own.
fn without_rows(
    data: &ModelData<'_>,
    set: &[usize],
    update: Update,
    options: &Options,
    stop: &StopFlag,
) -> Option<Deletion> {
    let mut gone = vec![false; data.rows()];
    set.iter().for_each(|&i| gone[i] = true);
    let keep: Vec<usize> = (0..data.rows()).filter(|&i| !gone[i]).collect();
    let subset = Subset::new(data, &keep);
    let options = Options {
        threads: 1,
        ..options.clone()
    };
    let own = subset.data();
    let mut prepared = prepare(&own, &options, stop).ok()?;
    // fewer fixed effects are another model
    if prepared.fixed.rank() < FixedBasis::new(data, &Workers::sequential()).rank() {
        return None;
    }
    let start = required_start(&options, &prepared).ok()?;
    let stopped = || stop.is_set();
    prepared.settle(&own, &start, &options, &stopped).ok()?;
    without(
        &prepared,
        &prepared.system,
        &start,
        (update, None),
        &options,
        stop,
    )
}

/// The rows of a model, one by one.
struct RowsOf<'a> {
    data: &'a ModelData<'a>,
    prepared: &'a Prepared,
    /// [Q r] as it is in the moments.
    centred: CenteredRows<'a>,
}

impl<'a> RowsOf<'a> {
    pub(crate) fn new(data: &'a ModelData<'a>, prepared: &'a Prepared) -> Self {
        Self {
            data,
            prepared,
            centred: CenteredRows::new(data, prepared.coordinates(), &prepared.center),
        }
    }

    /// Takes rows out of the moments.
    fn remove(&self, moments: &mut Moments, set: &[usize]) {
        let data = self.data;
        let mut x = vec![Double2::default(); moments.p1];
        for &i in set {
            self.centred.write_extended(i, &mut x);
            moments.remove_row(&x, &self.random(i), &self.levels(i));
            moments.sum_log_weights -= data.log_weight(i);
        }
        moments.n -= self.count(set);
    }

    /// Observations that these rows stand for.
    fn count(&self, set: &[usize]) -> usize {
        set.iter().map(|&i| self.data.count(i)).sum()
    }

    /// Puts the moments of all rows back where rows were removed.
    fn restore(&self, moments: &mut Moments, original: &Moments, set: &[usize]) {
        moments.n = original.n;
        moments.sum_log_weights = original.sum_log_weights;
        moments.xx.copy_from_slice(&original.xx);
        moments.rest.clone_from(&original.rest);
        let p1 = original.p1;
        for &i in set {
            let levels = self.levels(i);
            let factors = moments.factors.iter_mut().zip(&original.factors);
            for ((factor, from), levels) in factors.zip(&levels) {
                let k = from.k;
                for &(j, _) in levels {
                    let (zz, zx) = (j * k * k..(j + 1) * k * k, j * k * p1..(j + 1) * k * p1);
                    factor.zz[zz.clone()].copy_from_slice(&from.zz[zz]);
                    factor.zx[zx.clone()].copy_from_slice(&from.zx[zx]);
                }
            }
            for (pair, from) in moments.pairs.iter_mut().zip(&original.pairs) {
                // all blocks of a level: few, and copied in one piece
                let block = original.factors[from.f].k * original.factors[from.g].k;
                for &(j, _) in &levels[pair.f] {
                    let own = from.start[j] * block..from.start[j + 1] * block;
                    pair.value[own.clone()].copy_from_slice(&from.value[own]);
                }
            }
        }
    }

    /// Levels of the first factor of which rows go, each once.
    fn touched(&self, set: &[usize]) -> Vec<usize> {
        let first = |&i: &usize| self.prepared.layout[0].of_row(self.data, i);
        let mut levels: Vec<usize> = set.iter().flat_map(first).map(|own| own.0).collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    }

    /// The levels of each factor that a row belongs to, and their weights.
    fn levels(&self, i: usize) -> Vec<Vec<(usize, f64)>> {
        let layout = self.prepared.layout.iter();
        let levels = |f: &FactorLayout| f.of_row(self.data, i).collect();
        layout.map(levels).collect()
    }

    /// One row of Z: the internal basis columns of each factor.
    fn random(&self, i: usize) -> Vec<Vec<Double2>> {
        let root = Double2::from(root_of_weight(self.data, i));
        let at = self.prepared.coordinates();
        let of_factor = |factor: &FactorLayout| {
            let mut row = vec![Double2::default(); factor.k];
            at.write_z(self.data, factor, i, root, &mut row);
            row
        };
        self.prepared.layout.iter().map(of_factor).collect()
    }

    /// Do the rows that are left without some determine the fixed effects? Q'Q of all rows is the identity.
    fn determine_without(&self, set: &[usize]) -> bool {
        let (data, at) = (self.data, self.prepared.coordinates());
        let r = at.fixed.rank();
        let mut qq = memory::zeros(r * r);
        (0..r).for_each(|c| qq[c * r + c] = 1.0);
        let mut row = memory::zeros(r);
        for &i in set {
            at.write_q(&data.x, i, root_of_weight(data, i), &mut row);
            for (column, y) in qq.chunks_exact_mut(r.max(1)).zip(&row) {
                column.iter_mut().zip(&row).for_each(|(a, x)| *a -= x * y);
            }
        }
        let left = |i: usize, qq: &[f64]| qq[i * r + i].powi(2);
        data.n() - self.count(set) > r
            && (r == 0 || (small::cholesky(&mut qq, r) && (0..r).all(|i| left(i, &qq) > DEFICIENT)))
    }
}

fn criterion_of<'a>(
    prepared: &'a Prepared,
    system: &'a System,
    options: &Options,
    stopped: &'a dyn Fn() -> bool,
) -> Criterion<'a> {
    prepared.criterion_of(
        system,
        &prepared.center.b,
        options.reml,
        Clock::without_limit(stopped),
    )
}

/// The Hessian of all rows at theta.
fn whole_curvature(
    prepared: &Prepared,
    theta: &InternalTheta,
    options: &Options,
    stop: &StopFlag,
) -> Option<Curvature> {
    let stopped = || stop.is_set();
    let mut criterion = criterion_of(prepared, &prepared.system, options, &stopped);
    criterion.value(theta)?;
    Curvature::new(&mut criterion, theta)
}

/// Estimates from the moments that are left.
fn without(
    prepared: &Prepared,
    system: &System,
    theta: &InternalTheta,
    (update, whole): (Update, Option<&Curvature>),
    options: &Options,
    stop: &StopFlag,
) -> Option<Deletion> {
    let stopped = || stop.is_set();
    let mut criterion = criterion_of(prepared, system, options, &stopped);
    let mut x = theta.clone();
    let value = criterion.value(&x)?;
    match update {
        Update::None => {}
        Update::Step if prepared.restriction.is_none() => {
            x = newton_step(&mut criterion, &x, value, whole)?;
        }
        Update::Step | Update::Exact => x = optimum(&mut criterion, &x, options).ok()?.outcome.x,
    }
    estimates_at(prepared, criterion, &x)
}

/// Estimates where few levels stand for those of which no row goes; `None` where these will not do.
fn without_of_few(
    prepared: &Prepared,
    system: &System,
    theta: &InternalTheta,
    (update, whole): (Update, Option<&Curvature>),
    options: &Options,
    stop: &StopFlag,
) -> Option<Deletion> {
    let stopped = || stop.is_set();
    let mut criterion = criterion_of(prepared, system, options, &stopped);
    let value = criterion.value(theta)?;
    let x = match update {
        Update::None => theta.clone(),
        Update::Step => small_step(&mut criterion, theta, value, whole?)?,
        Update::Exact => return None,
    };
    estimates_at(prepared, criterion, &x)
}

/// Estimates at these parameters.
fn estimates_at(
    prepared: &Prepared,
    mut criterion: Criterion<'_>,
    x: &InternalTheta,
) -> Option<Deletion> {
    if !criterion.is_at(x) {
        criterion.value(x)?;
    }
    let degrees = criterion.degrees();
    let factor = criterion.factor.as_ref()?;
    let solution = solve(criterion.system(), factor, Solution::default());
    let all = coefficients(prepared, &solution.gamma);
    let mut beta = vec![f64::NAN; all.len()];
    prepared.fixed.kept.iter().for_each(|&j| beta[j] = all[j]);
    let covariance = fixed_covariance(&factor.lx, solution.c.m);
    Some(Deletion {
        theta: with_phi(prepared, x),
        beta,
        vcov_unscaled: to_user_basis(prepared, &covariance),
        sigma: prepared.sigma2.unwrap_or(factor.pwrss / degrees).sqrt(),
        criterion: criterion.at(factor),
    })
}

/// Estimates without each of `sets` of rows (from 0), starting from `options.start`; `None` where the rows left do
/// not determine the fixed effects.
///
/// # Errors
/// See [`EngineError`].
pub fn deletions(
    data: &ModelData<'_>,
    sets: &[Vec<usize>],
    update: Update,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Option<Deletion>>, EngineError> {
    data.require_rows("deletion diagnostics")?;
    if sets.iter().flatten().any(|&i| i >= data.rows()) {
        return Err(EngineError::Dimension(
            "rows to delete must be rows of the data".to_owned(),
        ));
    }
    let long = Sizes::of(data).are_long(EVALUATIONS * sets.len() as f64);
    interruptible(long, interrupt, |stop: &StopFlag, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        require_factor(&prepared.system, options)?;
        let theta = required_start(options, &prepared)?;
        prepared.settle(data, &theta, options, interrupt)?;
        Ok(deletions_of(
            data, &prepared, &theta, sets, update, options, stop,
        ))
    })
}
