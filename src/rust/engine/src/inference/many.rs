//! The same model for many responses: everything that does not depend on the response is made once, and the responses are
//! fitted in parallel.
//!
//! A response with missing values, or with weights of its own, has rows of its own ([`crate::inference::many_rows`]): those
//! of one pattern of missing values are prepared once, and with weights of its own a response has moments of its own.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::{Options, Search};
use crate::api::result::Status;
use crate::api::theta::UserTheta;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::inference::many_rows::{stand_in, OwnRows, Patterns};
use crate::inference::many_single::{fit_one, Model, OneResponse};
use crate::runtime::interruptible::interruptible;
use crate::runtime::parallel::Workers;
use crate::runtime::stop::StopFlag;

pub use crate::inference::many_single::Wanted;

/// Responses that are fitted at a time, so that the moments of patterns of missing values do not pile up.
const BATCH: usize = 512;

/// m responses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Responses<'a> {
    /// One column each, n x m; values that are not finite are missing.
    pub values: &'a [f64],
    /// Weights of their own in the place of the model's, n x m; rows with a weight of zero are left out.
    pub weights: Option<&'a [f64]>,
}

/// Estimates for each of m responses, one column each.
#[derive(Debug, Clone, Default)]
pub struct ManyFits {
    /// Covariance parameters of each response.
    pub theta: Vec<UserTheta>,
    /// Residual parameters, one column of phi for each response.
    pub phi: Vec<f64>,
    /// Fixed effects, p x m, NaN where aliased.
    pub beta: Vec<f64>,
    /// Standard errors of the fixed effects, p x m.
    pub standard_error: Vec<f64>,
    /// Satterthwaite's degrees of freedom of each coefficient, p x m.
    pub ddf: Vec<f64>,
    /// Estimates of the contrasts, c x m.
    pub contrasts: Vec<f64>,
    /// Their standard errors.
    pub contrast_error: Vec<f64>,
    /// Satterthwaite's degrees of freedom of them.
    pub contrast_ddf: Vec<f64>,
    /// RX of the kept coefficients, r x r for each response; empty unless asked for.
    pub rx: Vec<f64>,
    /// Residual degrees of freedom: see [`crate::inference::residual_df`]; NaN unless asked for.
    pub residual_df: Vec<f64>,
    /// Residual standard deviations.
    pub sigma: Vec<f64>,
    /// REML criteria or deviances.
    pub criterion: Vec<f64>,
    /// How each optimisation ended.
    pub status: Vec<Status>,
    /// Why a response has no fit.
    pub failure: Vec<Option<EngineError>>,
    /// Rows of each.
    pub rows: Vec<usize>,
    /// Evaluations of each.
    pub evaluations: Vec<usize>,
}

/// Fits the model of `data` (whose own response is not looked at) to each of `responses`, to the rows where it is known. A
/// response that cannot be fitted gets NaN, [`Status::Failed`] and the reason; coefficients that its rows do not determine are NaN.
///
/// # Errors
/// See [`EngineError`]; a response of its own never fails the whole.
pub fn fit_many(
    data: &ModelData<'_>,
    responses: Responses<'_>,
    wanted: Wanted<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<ManyFits, EngineError> {
    data.require_rows("fits of many responses")?;
    let n = data.rows();
    let dimension = |ok: bool, text: &str| match ok {
        true => Ok(()),
        false => Err(EngineError::Dimension(text.to_owned())),
    };
    dimension(
        n > 0 && responses.values.len() % n == 0,
        "responses must have one row for each observation",
    )?;
    let weights = responses.weights;
    dimension(
        weights.is_none_or(|w| w.len() == responses.values.len()),
        "weights must have one value for each value of the responses",
    )?;
    dimension(
        data.p > 0 || wanted.contrasts.is_empty(),
        "contrasts need coefficients",
    )?;
    interruptible(true, interrupt, |stop, _| {
        many_here(data, responses, wanted, options, stop)
    })
}

/// Whether rows may be left out of the model, or weighted, for a response of its own.
fn can_have_rows(data: &ModelData<'_>) -> bool {
    data.residual.is_none()
        && data.stands_for.is_none()
        && !data.is_counted()
        && data.factors.iter().all(|factor| factor.members.is_none())
        && data.terms.iter().all(|term| term.classes.is_none())
}

fn many_here(
    data: &ModelData<'_>,
    responses: Responses<'_>,
    wanted: Wanted<'_>,
    options: &Options,
    stop: &StopFlag,
) -> Result<ManyFits, EngineError> {
    let n = data.rows();
    let count = responses.values.len() / n;
    let thrifty = &Options {
        search: Search::Thrifty,
        ..options.clone()
    };
    let all = prepare(data, thrifty, stop)?;
    let per_fit = 20.0 * (n as f64 * (data.p + 2) as f64 + all.system.schur.work(all.system.k1()));
    let workers = Workers::new(options.threads, per_fit * count as f64, stop);
    let model = &Model {
        data,
        prepared: &all,
        wanted,
        options: &Options {
            threads: 1,
            ..thrifty.clone()
        },
        stop,
    };
    let patterns = Patterns::new(responses.values, responses.weights, n);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&i| patterns.of_response[i]);
    let mut fits: Vec<_> = (0..count).map(|_| None).collect();
    for batch in order.chunks(BATCH) {
        let found = fit_batch(model, responses, &patterns, batch, &workers);
        for (&i, fit) in batch.iter().zip(found) {
            fits[i] = Some(fit);
        }
    }
    let rows = |i: usize| patterns.rows[patterns.of_response[i]].len();
    Ok(assembled(
        model,
        fits.into_iter().flatten(),
        (0..count).map(rows),
    ))
}

/// Rows of a pattern, and what responses without weights of their own share.
struct Prepatterned<'a> {
    /// `None`: all rows.
    rows: Option<OwnRows<'a>>,
    shared: Option<Result<Prepared, EngineError>>,
}

/// Responses of which those of one pattern follow each other.
fn fit_batch(
    model: &Model<'_>,
    responses: Responses<'_>,
    patterns: &Patterns,
    batch: &[usize],
    workers: &Workers,
) -> Vec<Result<OneResponse, EngineError>> {
    let n = model.data.rows();
    let mut present: Vec<usize> = batch.iter().map(|&i| patterns.of_response[i]).collect();
    present.dedup();
    let has_shared = responses.weights.is_none() && model.data.residual.is_none();
    let prepared = workers.map(present.len(), |k| {
        let rows = &patterns.rows[present[k]];
        if rows.len() == n || !can_have_rows(model.data) || rows.is_empty() {
            return Prepatterned {
                rows: None,
                shared: None,
            };
        }
        let rows = OwnRows::new(model.data, rows);
        let shared = has_shared.then(|| {
            let y = stand_in(rows.data().y.len());
            let data = ModelData {
                y: &y,
                ..rows.data()
            };
            prepare(&data, model.options, model.stop)
        });
        Prepatterned {
            rows: Some(rows),
            shared,
        }
    });
    workers.map(batch.len(), |k| {
        let i = batch[k];
        let pattern = patterns.of_response[i];
        let kept = patterns.rows[pattern].len();
        let Ok(own) = present.binary_search(&pattern).map(|at| &prepared[at]) else {
            return Err(EngineError::numerical("the pattern of a response"));
        };
        let column = i * n..(i + 1) * n;
        let y = &responses.values[column.clone()];
        let weights = responses.weights.map(|w| &w[column]);
        let Some(rows) = &own.rows else {
            if kept < n {
                return Err(missing(y, kept));
            }
            let data = ModelData {
                y,
                weights: weights.or(model.data.weights),
                ..model.data.clone()
            };
            return fit_one(model, &data, has_shared.then_some(model.prepared));
        };
        let (y, weights) = (rows.values(y), weights.map(|w| rows.values(w)));
        let of_rows = rows.data();
        let data = ModelData {
            y: &y,
            weights: weights.as_deref().or(of_rows.weights),
            ..of_rows
        };
        match &own.shared {
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(shared)) => fit_one(model, &data, Some(shared)),
            None => fit_one(model, &data, None),
        }
    })
}

/// A response without rows, or without some where the model needs all.
fn missing(y: &[f64], kept: usize) -> EngineError {
    if kept == 0 {
        return EngineError::RowsOfResponse {
            reason: "a response has no rows",
        };
    }
    let row = y.iter().position(|v| !v.is_finite()).map_or(0, |i| i + 1);
    EngineError::NotFinite {
        what: "the response",
        row,
    }
}

fn assembled(
    model: &Model<'_>,
    fits: impl Iterator<Item = Result<OneResponse, EngineError>>,
    rows: impl Iterator<Item = usize>,
) -> ManyFits {
    let (shared, p, wanted) = (model.prepared, model.data.p, model.wanted);
    let mut out = ManyFits::default();
    let c = wanted.contrasts.len() / p.max(1);
    let r = if wanted.rx { shared.fixed.rank() } else { 0 };
    for (fit, rows) in fits.zip(rows) {
        let (fit, failure) = match fit {
            Ok(fit) => (fit, None),
            Err(error) => (OneResponse::none(shared, p, c), Some(error)),
        };
        let [estimate, error, ddf] = fit.contrasts;
        out.theta.push(fit.theta);
        out.phi.extend(fit.phi);
        out.beta.extend(fit.beta);
        out.standard_error.extend(fit.standard_error);
        out.ddf.extend(fit.ddf);
        out.contrasts.extend(estimate);
        out.contrast_error.extend(error);
        out.contrast_ddf.extend(ddf);
        if fit.rx.len() == r * r {
            out.rx.extend(fit.rx);
        } else {
            out.rx.extend(std::iter::repeat_n(f64::NAN, r * r));
        }
        out.residual_df.push(fit.residual_df);
        out.sigma.push(fit.sigma);
        out.criterion.push(fit.criterion);
        out.status.push(fit.status);
        out.failure.push(failure);
        out.rows.push(rows);
        out.evaluations.push(fit.evaluations);
    }
    out
}
