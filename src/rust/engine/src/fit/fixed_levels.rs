//! Fixed effects of levels: which are held at 0, and which columns of X they reproduce.

use std::sync::Arc;

use crate::api::error::EngineError;
use crate::api::model::{Column, ModelData};
use crate::api::options::Options;
use crate::basis::fixed::FixedBasis;
use crate::basis::random::FactorLayout;
use crate::moments::blocks::Moments;
use crate::moments::fixed_levels::{kind_of_factor, unit_covariances, FixedLevels};
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::stop::StopFlag;
use crate::system::elimination::Schur;
use crate::system::equations::{Factor, System};

/// Share of the squares of effects that is added to them, to see which of their pivots are nothing else.
const ADDED: f64 = 1e-10;

/// Largest squared relative length of what may be rounding of a column that the levels reproduce.
const ALIASED: f64 = 1e-11;

/// Columns of X that are the constant, where levels have fixed effects of it: these reproduce it.
pub(crate) fn absorbed_constants(data: &ModelData<'_>) -> Vec<usize> {
    let is_constant = |user| kind_of_factor(data, user) == Some(true);
    if !(0..data.factors.len()).any(is_constant) {
        return Vec::new();
    }
    let columns = data.x.iter().enumerate();
    columns
        .filter(|(_, column)| matches!(column, Column::Constant))
        .map(|(j, _)| j)
        .collect()
}

/// The fixed effects of levels of a model, from its cross-products; `None` where it has none.
///
/// # Errors
/// [`EngineError::Numerical`] where the rank of their columns is not found.
pub(crate) fn fixed_levels(
    data: &ModelData<'_>,
    layout: &[FactorLayout],
    moments: &Moments,
    options: &Options,
    stop: &StopFlag,
) -> Result<Option<FixedLevels>, EngineError> {
    let users = layout.iter().map(|factor| factor.user);
    let of_layout = users.enumerate().filter_map(|(f, user)| {
        let user = user?;
        Some((f, user, kind_of_factor(data, user)?))
    });
    let found: Vec<(usize, usize, bool)> = of_layout.collect();
    let which: Vec<usize> = found.iter().map(|(f, ..)| *f).collect();
    let mut held: Vec<Vec<usize>> = which.iter().map(|&f| moments.empty_levels(f)).collect();
    match found[..] {
        [] => return Ok(None),
        [_] => {}
        [(f, _, true), (g, _, true)] => held[1] = moments.one_of_each_component(f, g),
        _ => {
            let more = dependent(moments.of_factors(&which), &held, options, stop)?;
            for (own, more) in held.iter_mut().zip(more) {
                own.extend(more);
                own.sort_unstable();
            }
        }
    }
    let all: usize = which.iter().map(|&f| moments.factors[f].n_levels).sum();
    let rank = all - held.iter().map(Vec::len).sum::<usize>();
    let user = found.iter().map(|(_, user, _)| *user).collect();
    Ok(Some(FixedLevels { user, held, rank }))
}

/// The equations of some factors alone.
fn system_of(moments: Moments, options: &Options, stop: &StopFlag) -> System {
    let schur = Schur::unless_stopped(&moments, stop);
    let workers = Workers::new(options.threads, 10.0 * schur.work(1), stop);
    System {
        moments,
        schur: Arc::new(schur),
        workers: workers.into(),
    }
}

/// Levels of each factor whose columns those before them reproduce, without those that have no column.
///
/// A pivot of D'WD + e diag(D'WD) is the least of w'(D'WD + e diag(D'WD))w over the combinations w of a column with those before it: of
/// a column that these reproduce it is nothing but e times something, and twice that for 2e; all others do not change.
fn dependent(
    mut moments: Moments,
    empty: &[Vec<usize>],
    options: &Options,
    stop: &StopFlag,
) -> Result<Vec<Vec<usize>>, EngineError> {
    for (factor, empty) in moments.factors.iter_mut().zip(empty) {
        empty.iter().for_each(|&level| factor.zz[level] = 1.0);
    }
    let mut system = system_of(moments, options, stop);
    let mut pivots = |share: f64| -> Result<Vec<f64>, EngineError> {
        for factor in &mut system.moments.factors {
            factor.level_precision = factor.zz.iter().map(|v| share * v).collect();
        }
        let factor = Factor::of_effects(&system, unit_covariances(empty.len()))?;
        let roots = (0..system.schur.q2).map(|e| factor.s.diagonal(e).unwrap_or(f64::NAN));
        Ok(roots.map(|root| root.powi(2)).collect())
    };
    let (once, twice) = (pivots(ADDED)?, pivots(2.0 * ADDED)?);
    let mut out = vec![Vec::new(); empty.len()];
    for (v, &(f, level)) in system.schur.node.iter().enumerate() {
        let e = system.schur.offset[v];
        if twice[e] > 1.5 * once[e] {
            out[f].push(level);
        }
    }
    Ok(out)
}

/// Columns of X that fixed effects of levels reproduce, alone or with the columns before them.
///
/// # Errors
/// [`EngineError::Numerical`] where the equations of the levels have no factor.
pub(crate) fn aliased_columns(
    levels: &FixedLevels,
    fixed: &FixedBasis,
    layout: &[FactorLayout],
    moments: &Moments,
    options: &Options,
    stop: &StopFlag,
) -> Result<Vec<usize>, EngineError> {
    if fixed.rank() == 0 {
        return Ok(Vec::new());
    }
    let place = |user: &usize| layout.iter().position(|f| f.user == Some(*user));
    let which: Vec<usize> = levels.user.iter().filter_map(place).collect();
    let mut own = moments.of_factors(&which);
    for (factor, held) in own.factors.iter_mut().zip(&levels.held) {
        factor.level_precision = memory::zeros(factor.n_levels);
        for &level in held {
            factor.level_precision[level] = factor.zz[level].max(f64::MIN_POSITIVE);
        }
    }
    let system = system_of(own, options, stop);
    let factor = Factor::of_effects(&system, unit_covariances(which.len()))?;
    let mut left = factor.left_of_columns(&system);
    let (p, p1) = (fixed.p, system.moments.p1);
    let mut aliased = Vec::new();
    for (c, &j) in fixed.kept.iter().enumerate() {
        // of the column, of which the basis has what those before it leave, in units of that
        let square = fixed.gram[j * p + j] * fixed.rinv[c * p + j].powi(2);
        let pivot = left[c * p1 + c];
        if pivot <= ALIASED * square {
            aliased.push(j);
            continue;
        }
        for i in c + 1..p1 {
            left[c * p1 + i] /= pivot.sqrt();
        }
        for b in c + 1..p1 {
            let times = left[c * p1 + b];
            for i in b..p1 {
                left[b * p1 + i] -= times * left[c * p1 + i];
            }
        }
    }
    Ok(aliased)
}
