//! The pipeline: bases -> moments -> criterion -> optimum -> estimates in the user's coordinates.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::api::result::Fit;
use crate::basis::internal_theta::InternalTheta;
use crate::fit::estimates::RowResults;
use crate::fit::far_start::far_start;
use crate::fit::prepare::{begin, prepare, prepare_from, Begun};
use crate::fit::prepared::Prepared;
use crate::fit::response_units::InUnits;
use crate::fit::rounds::{AtOptimum, Next, Rounds};
use crate::fit::sizes::{require_rows, Sizes};
use crate::fit::user_start::start;
use crate::runtime::clock::Clock;
use crate::runtime::interruptible::interruptible_until;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;
use crate::search::strategy::Plan;

/// What may be behind a residual variance of zero where the factorisation is in double precision.
const DIGITS: &str = "the factorisation of the equations of random effects that are many orders of magnitude larger than \
                      residuals";

/// Fits a linear mixed model.
///
/// `interrupt` is asked on the calling thread, every 20 ms or, where a fit is soon over, between evaluations; once it says yes
/// the fit ends with [`EngineError::Interrupted`].
///
/// # Errors
/// See [`EngineError`].
pub fn fit(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    let mut fitted = memory::zeros(data.y.len());
    let mut residuals = memory::zeros(data.y.len());
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

/// Like [`fit`], but writes fitted values and residuals where the caller wants them: [`Fit::fitted`] and [`Fit::residuals`]
/// are empty.
///
/// # Errors
/// See [`EngineError`].
pub fn fit_into(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
    rows: RowResults<'_>,
) -> Result<Fit, EngineError> {
    if rows.fitted.len() != data.y.len() || rows.residuals.len() != data.y.len() {
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

/// Fits with the response in units in which its squares are ordinary numbers.
fn fit_in_units(
    data: &ModelData<'_>,
    options: &Options,
    mut rows: RowResults<'_>,
    stop: &StopFlag,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    let begun = begin(data, options, stop)?;
    if options.optimize {
        require_rows(data, options, begun.fixed.rank())?;
    }
    let Some(response) = InUnits::of(data, begun.fixed.total) else {
        return fit_begun(data, options, begun, rows, stop, interrupt);
    };
    let scaled = response.model(data);
    let begun = begin(&scaled, options, stop)?;
    let fit = fit_begun(&scaled, options, begun, rows.lend(), stop, interrupt)?;
    for value in rows.fitted.iter_mut().chain(rows.residuals) {
        *value *= response.unit;
    }
    let (n, kappa) = (data.n(), options.penalties.log_sigma2);
    Ok(fit.with_response_times(response.unit, n, options.reml, kappa))
}

/// From what the first pass over the rows gives to the fit.
fn fit_begun(
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

/// Like [`fit_prepared`], by a plan that is given.
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
    // effects many orders of magnitude larger than residuals leave no digits to tell whether residuals vanish
    found.map_err(|error| match error {
        EngineError::PerfectFit if in_doubles => EngineError::numerical(DIGITS),
        error => error,
    })
}

/// From the start to the optimum, and what is estimated there: one round after the other, and between them the changes of the
/// model that a round asks for.
fn search(
    data: &ModelData<'_>,
    options: &Options,
    mut model: Prepared,
    plan: Plan,
    mut rows: RowResults<'_>,
    at_optimum: Option<AtOptimum<'_>>,
    interrupt: &dyn Fn() -> bool,
) -> Result<Fit, EngineError> {
    // before the response is centred
    let fixed_rss = model.fixed_rss();
    let begin = search_start(data, options, &mut model, plan, interrupt)?;
    let mut rounds = Rounds::new(
        data,
        options,
        interrupt,
        plan,
        at_optimum,
        (begin, fixed_rss),
    );
    loop {
        let mut criterion = rounds.criterion(&model);
        let next = rounds.round(&model, &mut criterion)?;
        drop(criterion);
        match next {
            Next::Walk => {}
            Next::Extend => model.extend(data, rounds.theta())?,
            Next::Uncentre => rounds.uncentre(&mut model)?,
            Next::Hold(restriction) => model.restriction = Some(restriction),
            Next::Centre(to) => rounds.centre(&mut model, *to)?,
            Next::Finish(found) => {
                if let Some(fit) = rounds.finish(&mut model, *found, rows.lend())? {
                    return Ok(fit);
                }
            }
        }
    }
}

/// Where a search begins, with the digits that the first evaluation needs.
fn search_start(
    data: &ModelData<'_>,
    options: &Options,
    model: &mut Prepared,
    plan: Plan,
    interrupt: &dyn Fn() -> bool,
) -> Result<InternalTheta, EngineError> {
    let mut theta = start(options, model)?;
    if options.start.is_none() && options.optimize && model.residual.is_some() {
        far_start(model, options, &mut theta, interrupt);
    }
    if plan == Plan::Exact && model.starts_extreme(&theta) {
        model.settle(data, &theta, options, interrupt)?;
    }
    Ok(theta)
}

/// Criterion and gradient in internal coordinates, for tests: at `x`, or where a fit would start; with the point.
#[doc(hidden)]
#[must_use]
pub fn at_internal(
    data: &ModelData<'_>,
    options: &Options,
    x: Option<&InternalTheta>,
) -> Option<(InternalTheta, f64, Vec<f64>)> {
    let prepared = prepare(data, options, &StopFlag::default()).ok()?;
    let x = match x {
        Some(x) => x.clone(),
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
