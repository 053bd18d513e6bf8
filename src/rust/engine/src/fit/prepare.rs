//! Data to bases, layout, moments and a start.

use std::sync::Arc;

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::fixed::FixedBasis;
use crate::basis::parameters::Parameters;
use crate::basis::penalty::CovariancePenalty;
use crate::basis::random::{lay_out, FactorLayout, TermBasis};
use crate::basis::rank::require_residual;
use crate::basis::rows::Coordinates;
use crate::fit::fixed_levels::{absorbed_constants, aliased_columns, fixed_levels};
use crate::fit::held::{restricted_terms, restriction};
use crate::fit::penalised::{check_penalties, require_degrees};
use crate::fit::prepared::Prepared;
use crate::fit::sizes::Sizes;
use crate::fit::user_start::{residual_start, start};
use crate::moments::blocks::{Center, Moments};
use crate::moments::fixed_levels::kind_of_factor;
use crate::moments::residual_part::ResidualPart;
use crate::moments::source::{moments_of, source};
use crate::runtime::parallel::Workers;
use crate::runtime::stop::StopFlag;
use crate::structure::residual::Residual;
use crate::system::elimination::Schur;
use crate::system::elimination_choice::largest_eliminated;
use crate::system::equations::System;

/// What the first pass over the rows gives.
pub(crate) struct Begun {
    workers: Workers,
    pub(crate) fixed: FixedBasis,
}

/// Checks the data and takes the cross-products of X and the response.
pub(crate) fn begin(
    data: &ModelData<'_>,
    options: &Options,
    stop: &StopFlag,
) -> Result<Begun, EngineError> {
    data.validate()?;
    if data.moments.is_none() && data.stands_for.is_none() {
        require_residual(data, stop)?;
    }
    Sizes::of(data).require_memory()?;
    let columns: usize = data.terms.iter().map(|t| t.columns.len()).sum();
    let (n, p) = (data.rows() as f64, data.p as f64);
    let work = n * (p + 1.0) * (p / 2.0 + 2.0 * columns as f64);
    let workers = Workers::new(options.threads, work, stop);
    let source = source(data);
    let gram = source.gram(&workers);
    if !gram.iter().all(|v| v.is_finite()) {
        data.check_finite()?;
    }
    data.check_sizes(&gram)?;
    let excluded = absorbed_constants(data);
    let fixed = FixedBasis::without(data.p, &gram, &excluded, || source.triangle(stop), stop);
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

/// From the cross-products of X to the moments: layout and bases of the terms, moments, system, restriction.
pub(crate) fn prepare_from(
    data: &ModelData<'_>,
    options: &Options,
    Begun { workers, mut fixed }: Begun,
    stop: &StopFlag,
) -> Result<Prepared, EngineError> {
    let (n, rank) = (data.n(), fixed.rank());
    if n <= rank {
        return Err(EngineError::NoResidualDf { n, rank });
    }
    let residual = data
        .residual
        .as_ref()
        .map(|structure| Residual::new(structure, n))
        .transpose()?;
    check_penalties(data, options)?;
    data.check_counts(options)?;
    check_fixed_levels(data, options)?;
    let mut taken = take(data, options, &fixed, residual, true, &workers)?;
    let levels = fixed_levels(data, &taken.layout, &taken.moments, options, stop)?;
    if let Some(levels) = &levels {
        let (layout, moments) = (&taken.layout, &taken.moments);
        let aliased = aliased_columns(levels, &fixed, layout, moments, options, stop)?;
        if !aliased.is_empty() {
            let mut excluded = absorbed_constants(data);
            excluded.extend(aliased);
            let source = source(data);
            let gram = source.gram(&workers);
            fixed = FixedBasis::without(data.p, &gram, &excluded, || source.triangle(stop), stop);
            let residual = taken.residual.map(|part| part.whole().clone());
            taken = take(data, options, &fixed, residual, true, &workers)?;
        }
        levels.apply(&mut taken.moments, &taken.layout)?;
    }
    let schur = match largest_eliminated(&taken.moments, stop) {
        Some(schur) => schur,
        None => {
            let residual = taken.residual.map(|part| part.whole().clone());
            taken = take(data, options, &fixed, residual, false, &workers)?;
            if let Some(levels) = &levels {
                levels.apply(&mut taken.moments, &taken.layout)?;
            }
            Schur::unless_stopped(&taken.moments, stop)
        }
    };
    let Taken {
        layout,
        bases,
        center,
        moments,
        residual,
    } = taken;
    let system = system_of(moments, schur, options, workers, stop);
    let model = residual
        .as_ref()
        .map_or(Residual::independent(), |part| &part.model);
    let parameters = Parameters::new(&layout, &bases, model.len());
    let unit = model.unit(&residual_start(options, model)?);
    let penalty = CovariancePenalty::new(&options.penalties, &bases);
    let eliminated = levels.as_ref().map_or(0, |levels| levels.rank);
    require_degrees(options, penalty.as_ref(), n, fixed.rank() + eliminated)?;
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
        penalty,
        levels,
    };
    if options.sigma.is_none() {
        check_residual(&prepared)?;
    }
    let own = start(options, &prepared)?;
    prepared.restriction = restriction(
        options,
        &prepared.parameters,
        &prepared.bases,
        prepared.residual_model(),
        &own,
    )?;
    Ok(prepared)
}

/// Refuses what is not known beside fixed effects of levels.
///
/// The deviance needs log |Lambda'Z'WZ Lambda + I| alone, without log |D'V^-1D|, which takes a second factor without the levels: M
/// has both in one determinant.
fn check_fixed_levels(data: &ModelData<'_>, options: &Options) -> Result<(), EngineError> {
    let refuse = |what: &str| {
        Err(EngineError::FixedLevels {
            what: what.to_owned(),
        })
    };
    let is_fixed = |f: usize| kind_of_factor(data, f).is_some();
    if !(0..data.factors.len()).any(is_fixed) {
        return Ok(());
    }
    let mut terms = data.terms.iter();
    let is_shared = |f: usize| data.terms.iter().filter(|term| term.factor == f).count() > 1;
    if !options.reml {
        refuse("maximum likelihood")
    } else if data.is_counted() {
        refuse("sampling weights")
    } else if data.moments.is_some() {
        refuse("moments in the place of rows")
    } else if terms.any(|t| is_fixed(t.factor) && (t.columns.len() != 1 || is_shared(t.factor))) {
        refuse("several columns on one of their factors")
    } else {
        Ok(())
    }
}

/// Layout, bases and moments with one order of the grouping factors.
struct Taken {
    layout: Vec<FactorLayout>,
    bases: Vec<TermBasis>,
    center: Center,
    moments: Moments,
    residual: Option<ResidualPart>,
}

/// Lays the terms out, the largest factor that may be first, or (unless `eliminates`) none, and takes the moments.
fn take(
    data: &ModelData<'_>,
    options: &Options,
    fixed: &FixedBasis,
    residual: Option<Residual>,
    eliminates: bool,
    workers: &Workers,
) -> Result<Taken, EngineError> {
    let (layout, bases) = bases_of_terms(data, options, residual.as_ref(), eliminates, workers);
    let center = Center {
        beta: fixed.beta_center.clone(),
        b: vec![Vec::new(); layout.len()],
    };
    let at = Coordinates::new(fixed, &layout, &bases);
    let (moments, residual) = take_moments(data, options, at, &center, residual, workers)?;
    Ok(Taken {
        layout,
        bases,
        center,
        moments,
        residual,
    })
}

/// How grouping factors are laid out, and the basis of each term and class of its levels.
fn bases_of_terms(
    data: &ModelData<'_>,
    options: &Options,
    residual: Option<&Residual>,
    eliminates: bool,
    workers: &Workers,
) -> (Vec<FactorLayout>, Vec<TermBasis>) {
    let independent = |factor: &FactorLayout| {
        let user = factor.user.map(|user| &data.factors[user]);
        let model = residual.unwrap_or(Residual::independent());
        eliminates
            && user.is_some_and(|user| user.precision.is_none() && user.members.is_none())
            && contains(factor.codes(data), model)
    };
    let source = source(data);
    lay_out(
        data,
        independent,
        &restricted_terms(data, options),
        source.squares(workers),
    )
}

/// The moments, with a residual structure those where its parameters start, and the rows that it keeps.
fn take_moments(
    data: &ModelData<'_>,
    options: &Options,
    at: Coordinates<'_>,
    center: &Center,
    residual: Option<Residual>,
    workers: &Workers,
) -> Result<(Moments, Option<ResidualPart>), EngineError> {
    let (moments, residual) = match residual {
        None => (moments_of(data, at, center, workers)?, None),
        Some(model) => {
            let part = ResidualPart::new(data, at, center, model, workers);
            let moments = first_moments(data, options, &part, at.layout, workers)?;
            (moments, Some(part))
        }
    };
    let mut squares = moments.factors.iter().flat_map(|factor| &factor.zz);
    if !squares.all(|v| v.is_finite()) {
        data.check_finite()?;
    }
    Ok((moments, residual))
}

/// The equations of these moments, with as many threads as they, or the rows before, are worth.
fn system_of(
    moments: Moments,
    schur: Schur,
    options: &Options,
    workers: Workers,
    stop: &StopFlag,
) -> System {
    let per_evaluation =
        schur.work(moments.factors[0].k) + moments.factors[0].zx.len() as f64 * moments.p1 as f64;
    let workers = if workers.count() > 1 {
        workers
    } else {
        Workers::new(options.threads, 10.0 * per_evaluation, stop)
    };
    System {
        moments,
        schur: Arc::new(schur),
        workers: workers.into(),
    }
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
    moments.add_level_precisions(data, layout, workers.flag())?;
    Ok(moments)
}

/// Refuses a response that the fixed effects reproduce to rounding.
pub(crate) fn check_residual(prepared: &Prepared) -> Result<(), EngineError> {
    let fixed_rss = prepared.fixed_rss();
    if fixed_rss <= PERFECT * prepared.fixed.total || fixed_rss == 0.0 {
        return Err(EngineError::PerfectFit);
    }
    Ok(())
}

/// Residual over total sum of squares that is nothing but rounding.
const PERFECT: f64 = 1e-28;
