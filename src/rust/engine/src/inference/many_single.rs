//! One response of many.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::api::result::{Fit, Status};
use crate::api::theta::UserTheta;
use crate::basis::fixed::FixedBasis;
use crate::basis::gram::weighted_rows;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::rows::root_of_weight;
use crate::criterion::objective::Criterion;
use crate::fit::estimates::RowResults;
use crate::fit::pipeline::fit_planned;
use crate::fit::prepare::{check_residual, prepare};
use crate::fit::prepared::Prepared;
use crate::fit::response_units::InUnits;
use crate::fit::rounds::AtOptimum;
use crate::fit::sizes::require_rows;
use crate::inference::many_rows::{require_identified, Relations};
use crate::inference::residual_df::residual_df;
use crate::inference::satterthwaite::{at_point, Satterthwaite};
use crate::moments::blocks::Moments;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// What is wanted of each fit besides its estimates.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Wanted<'a> {
    /// Satterthwaite's degrees of freedom of each coefficient and contrast.
    pub satterthwaite: bool,
    /// RX.
    pub rx: bool,
    /// Residual degrees of freedom, as moderated variances need them.
    pub residual_df: bool,
    /// Linear functions of the coefficients to estimate, p values each.
    pub contrasts: &'a [f64],
}

/// What is the same for all responses.
pub(super) struct Model<'a> {
    /// The model, all of its rows.
    pub data: &'a ModelData<'a>,
    /// Its preparation.
    pub prepared: &'a Prepared,
    pub wanted: Wanted<'a>,
    /// Of the fits, each in one thread.
    pub options: &'a Options,
    pub stop: &'a StopFlag,
}

/// What is kept of one fit.
pub(super) struct OneResponse {
    pub theta: UserTheta,
    pub phi: Vec<f64>,
    pub beta: Vec<f64>,
    pub standard_error: Vec<f64>,
    pub ddf: Vec<f64>,
    /// Estimates of the contrasts, their standard errors and degrees of freedom.
    pub contrasts: [Vec<f64>; 3],
    pub rx: Vec<f64>,
    pub residual_df: f64,
    pub sigma: f64,
    pub criterion: f64,
    pub status: Status,
    pub evaluations: usize,
}

impl OneResponse {
    /// Of a response that has no fit.
    pub fn none(model: &Prepared, p: usize, contrasts: usize) -> Self {
        let nan = |n: usize| vec![f64::NAN; n];
        Self {
            theta: nan(model.parameters.list.len()).into(),
            phi: nan(model.parameters.residual),
            beta: nan(p),
            standard_error: nan(p),
            ddf: nan(p),
            contrasts: [nan(contrasts), nan(contrasts), nan(contrasts)],
            rx: Vec::new(),
            residual_df: f64::NAN,
            sigma: f64::NAN,
            criterion: f64::NAN,
            status: Status::Failed,
            evaluations: 0,
        }
    }
}

/// Fits one response. `shared` is the preparation of these rows with another response, where the moments of the predictors are
/// the same.
pub(super) fn fit_one(
    model: &Model<'_>,
    own: &ModelData<'_>,
    shared: Option<&Prepared>,
) -> Result<OneResponse, EngineError> {
    let total = (0..own.rows()).map(|i| (root_of_weight(own, i) * less_offset(own, i)).powi(2));
    let Some(response) = InUnits::of(own, total.sum()) else {
        return in_these_units(model, own, shared, 1.0);
    };
    in_these_units(model, &response.model(own), shared, response.unit)
}

/// With the response divided by `unit`.
fn in_these_units(
    model: &Model<'_>,
    own: &ModelData<'_>,
    shared: Option<&Prepared>,
    unit: f64,
) -> Result<OneResponse, EngineError> {
    let Model {
        wanted,
        options,
        stop,
        ..
    } = *model;
    let has_all = own.rows() == model.data.rows();
    if !has_all && options.optimize {
        require_identified(own, model.data, options)?;
    }
    let prepared = match shared {
        Some(shared) => with_response(own, shared),
        None => prepare(own, options, stop)?,
    };
    if options.sigma.is_none() {
        check_residual(&prepared)?;
    }
    if !has_all && options.optimize {
        require_rows(own, options, prepared.fixed.rank())?;
    }
    let plan = prepared.plan(options)?;
    let fixed = prepared.fixed.clone();
    let (mut fitted, mut residuals) = (memory::zeros(own.y.len()), memory::zeros(own.y.len()));
    let rows = RowResults {
        fitted: &mut fitted,
        residuals: &mut residuals,
    };
    let stopped = || stop.is_set();
    let (mut inference, mut degrees) = (None, None);
    let mut ask = |prepared: &Prepared, criterion: &mut Criterion<'_>, theta: &InternalTheta| {
        if wanted.residual_df {
            degrees = residual_df(prepared, criterion);
        }
        if wanted.satterthwaite {
            inference = at_point(prepared, criterion, theta);
        }
    };
    let at_optimum: Option<AtOptimum<'_>> = if wanted.satterthwaite || wanted.residual_df {
        Some(&mut ask)
    } else {
        None
    };
    let fit = fit_planned(own, options, prepared, plan, rows, at_optimum, &stopped)?;
    let kappa = options.penalties.log_sigma2;
    let fit = match unit {
        1.0 => fit,
        unit => fit.with_response_times(unit, own.n(), options.reml, kappa),
    };
    let relations = Relations::new(&fixed, &model.prepared.fixed.kept);
    Ok(results(
        wanted,
        fit,
        &fixed,
        &relations,
        (inference.as_ref(), degrees),
    ))
}

/// What is asked of a fit, NaN where the rows do not determine it.
fn results(
    wanted: Wanted<'_>,
    fit: Fit,
    fixed: &FixedBasis,
    relations: &Relations,
    (inference, degrees): (Option<&Satterthwaite>, Option<f64>),
) -> OneResponse {
    let (p, kept) = (fixed.p, &fixed.kept);
    let r = kept.len();
    let mut beta = fit.beta.clone();
    let (mut standard_error, mut ddf) = (vec![f64::NAN; p], vec![f64::NAN; p]);
    let mut unit = memory::zeros(p);
    for (c, &j) in kept.iter().enumerate() {
        unit[j] = 1.0;
        if relations.leave(&unit) {
            standard_error[j] = fit.sigma * fit.vcov_unscaled[c * r + c].sqrt();
            ddf[j] = inference.map_or(f64::NAN, |s| s.ddf(c, r));
        } else {
            beta[j] = f64::NAN;
        }
        unit[j] = 0.0;
    }
    let mut contrasts = [Vec::new(), Vec::new(), Vec::new()];
    for l in wanted.contrasts.chunks_exact(p.max(1)) {
        let own: Vec<f64> = kept.iter().map(|&j| l[j]).collect();
        let columns = fit.vcov_unscaled.chunks_exact(r.max(1)).zip(&own);
        let variance: f64 = columns
            .map(|(column, a)| a * column.iter().zip(&own).map(|(v, b)| v * b).sum::<f64>())
            .sum();
        let estimate: f64 = kept.iter().map(|&j| l[j] * fit.beta[j]).sum();
        let found = if relations.leave(l) {
            let df = inference.map_or(f64::NAN, |s| s.ddf_of(&own));
            [estimate, fit.sigma * variance.sqrt(), df]
        } else {
            [f64::NAN; 3]
        };
        let columns = contrasts.iter_mut().zip(found);
        columns.for_each(|(column, value)| column.push(value));
    }
    OneResponse {
        theta: fit.theta,
        phi: fit.phi,
        beta,
        standard_error,
        ddf,
        contrasts,
        rx: if wanted.rx { fit.rx } else { Vec::new() },
        residual_df: degrees.unwrap_or(f64::NAN),
        sigma: fit.sigma,
        criterion: fit.criterion,
        status: fit.certificate.status,
        evaluations: fit.certificate.evaluations,
    }
}

fn less_offset(data: &ModelData<'_>, i: usize) -> f64 {
    data.y[i] - data.offset.map_or(0.0, |o| o[i])
}

/// The shared preparation with this response's cross-products.
fn with_response(data: &ModelData<'_>, shared: &Prepared) -> Prepared {
    let (n, p) = (data.rows(), data.p);
    let fixed = &shared.fixed;
    let mut x = memory::zeros(n * p.max(1));
    weighted_rows(data, 0..n, p.max(1), &mut x);
    let mut r: Vec<f64> = (0..n)
        .map(|i| root_of_weight(data, i) * less_offset(data, i))
        .collect();
    let total = r.iter().map(|v| v * v).sum();
    let products = |r: &[f64]| -> Vec<f64> {
        let mut sums = memory::zeros(p);
        for (row, value) in x.chunks_exact(p.max(1)).zip(r) {
            sums.iter_mut().zip(row).for_each(|(s, v)| *s += v * value);
        }
        (0..fixed.rank())
            .map(|c| (0..p).map(|i| fixed.rinv[c * p + i] * sums[i]).sum())
            .collect()
    };
    let projection = products(&r);
    let mut beta = memory::zeros(p);
    for (c, value) in projection.iter().enumerate() {
        for (i, b) in beta.iter_mut().enumerate() {
            *b += fixed.rinv[c * p + i] * value;
        }
    }
    for (row, value) in x.chunks_exact(p.max(1)).zip(r.iter_mut()) {
        *value -= row.iter().zip(&beta).map(|(a, b)| a * b).sum::<f64>();
    }
    let last = products(&r);
    let at = shared.coordinates();
    let mut prepared = shared.share();
    let moments: &mut Moments = &mut prepared.system.moments;
    let p1 = moments.p1;
    for (c, value) in last.iter().enumerate() {
        moments.xx[c * p1 + p1 - 1] = *value;
        moments.xx[(p1 - 1) * p1 + c] = *value;
    }
    moments.xx[p1 * p1 - 1] = r.iter().map(|v| v * v).sum();
    for (f, factor) in shared.layout.iter().enumerate() {
        let own = &mut moments.factors[f];
        for row in own.zx.chunks_exact_mut(p1) {
            row[p1 - 1] = 0.0;
        }
        let mut z = memory::zeros(factor.k);
        for (i, value) in r.iter().enumerate() {
            at.write_z(data, factor, i, root_of_weight(data, i), &mut z);
            for (level, weight) in factor.of_row(data, i) {
                for (a, za) in z.iter().enumerate() {
                    own.zx[(level * factor.k + a) * p1 + p1 - 1] += weight * za * value;
                }
            }
        }
    }
    prepared.center.beta = beta;
    prepared.fixed.total = total;
    prepared
}
