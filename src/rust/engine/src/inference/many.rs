//! The same model for many responses: everything that does not depend on the response is made once, and the responses are
//! fitted in parallel.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::{Options, Search};
use crate::api::result::Status;
use crate::api::theta::UserTheta;
use crate::basis::gram::weighted_rows;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::rows::root_of_weight;
use crate::criterion::objective::Criterion;
use crate::fit::estimates::RowResults;
use crate::fit::pipeline::fit_planned;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::rounds::AtOptimum;
use crate::inference::satterthwaite::at_point;
use crate::moments::blocks::Moments;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::stop::StopFlag;
use crate::search::strategy::Plan;

/// What is wanted of each fit besides its estimates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Satterthwaite's degrees of freedom of each coefficient.
    pub satterthwaite: bool,
    /// RX.
    pub rx: bool,
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
    /// RX of the kept coefficients, r x r for each response; empty unless asked for.
    pub rx: Vec<f64>,
    /// Residual standard deviations.
    pub sigma: Vec<f64>,
    /// REML criteria or deviances.
    pub criterion: Vec<f64>,
    /// How each optimisation ended.
    pub status: Vec<Status>,
    /// Evaluations of each.
    pub evaluations: Vec<usize>,
}

/// Fits the model of `data` (whose own response is not looked at) to each column of `responses`, n x m column-major.
/// A response that the model reproduces exactly, or that is not finite, gets NaN and [`Status::Failed`].
///
/// # Errors
/// See [`EngineError`]; a response of its own never fails the whole.
pub fn fit_many(
    data: &ModelData<'_>,
    responses: &[f64],
    wanted: Wanted,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<ManyFits, EngineError> {
    data.require_rows("fits of many responses")?;
    let n = data.rows();
    if n == 0 || responses.len() % n != 0 {
        return Err(EngineError::Dimension(
            "responses must have one row for each observation".to_owned(),
        ));
    }
    interruptible(true, interrupt, |stop, _| {
        many_here(data, responses, wanted, options, stop)
    })
}

fn many_here(
    data: &ModelData<'_>,
    responses: &[f64],
    wanted: Wanted,
    options: &Options,
    stop: &StopFlag,
) -> Result<ManyFits, EngineError> {
    let n = data.rows();
    let count = responses.len() / n;
    let options = &Options {
        search: Search::Thrifty,
        ..options.clone()
    };
    let shared = prepare(data, options, stop)?;
    let plan = shared.plan(options)?;
    let per_fit =
        20.0 * (n as f64 * (data.p + 2) as f64 + shared.system.schur.work(shared.system.k1()));
    let workers = Workers::new(options.threads, per_fit * count as f64, stop);
    let fits = workers.map(count, |i| {
        one(
            data,
            &responses[i * n..(i + 1) * n],
            wanted,
            options,
            stop,
            (&shared, plan),
        )
    });
    let mut out = ManyFits::default();
    let (p, m) = (data.p, shared.parameters.list.len());
    for fit in fits {
        match fit {
            Some(fit) => {
                out.theta.push(fit.theta);
                out.phi.extend(fit.phi);
                out.beta.extend(fit.beta);
                out.standard_error.extend(fit.standard_error);
                out.ddf.extend(fit.ddf);
                out.rx.extend(fit.rx);
                out.sigma.push(fit.sigma);
                out.criterion.push(fit.criterion);
                out.status.push(fit.status);
                out.evaluations.push(fit.evaluations);
            }
            None => {
                out.theta.push(vec![f64::NAN; m].into());
                let residual = shared.parameters.residual;
                out.phi.extend(std::iter::repeat_n(f64::NAN, residual));
                for column in [&mut out.beta, &mut out.standard_error, &mut out.ddf] {
                    column.extend(std::iter::repeat_n(f64::NAN, p));
                }
                let r = if wanted.rx { shared.fixed.rank() } else { 0 };
                out.rx.extend(std::iter::repeat_n(f64::NAN, r * r));
                out.sigma.push(f64::NAN);
                out.criterion.push(f64::NAN);
                out.status.push(Status::Failed);
                out.evaluations.push(0);
            }
        }
    }
    Ok(out)
}

/// What is kept of one fit.
struct OneResponse {
    theta: UserTheta,
    phi: Vec<f64>,
    beta: Vec<f64>,
    standard_error: Vec<f64>,
    ddf: Vec<f64>,
    rx: Vec<f64>,
    sigma: f64,
    criterion: f64,
    status: Status,
    evaluations: usize,
}

fn one(
    data: &ModelData<'_>,
    y: &[f64],
    wanted: Wanted,
    options: &Options,
    stop: &StopFlag,
    (shared, plan): (&Prepared, Plan),
) -> Option<OneResponse> {
    if y.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let own = ModelData { y, ..data.clone() };
    let prepared = if shared.residual.is_some() {
        let sequential = Options {
            threads: 1,
            ..options.clone()
        };
        prepare(&own, &sequential, stop).ok()?
    } else {
        with_response(&own, shared)
    };
    let kept = prepared.fixed.kept.clone();
    let (mut fitted, mut residuals) = (memory::zeros(y.len()), memory::zeros(y.len()));
    let rows = RowResults {
        fitted: &mut fitted,
        residuals: &mut residuals,
    };
    let stopped = || stop.is_set();
    let mut inference = None;
    let mut ask = |prepared: &Prepared, criterion: &mut Criterion<'_>, theta: &InternalTheta| {
        inference = at_point(prepared, criterion, theta);
    };
    let at_optimum: Option<AtOptimum<'_>> = if wanted.satterthwaite {
        Some(&mut ask)
    } else {
        None
    };
    let fit = fit_planned(&own, options, prepared, plan, rows, at_optimum, &stopped).ok()?;
    let r = kept.len();
    let mut standard_error = vec![f64::NAN; data.p];
    let mut ddf = vec![f64::NAN; data.p];
    for (c, &j) in kept.iter().enumerate() {
        standard_error[j] = fit.sigma * fit.vcov_unscaled[c * r + c].sqrt();
        ddf[j] = inference.as_ref().map_or(f64::NAN, |s| s.ddf(c, r));
    }
    Some(OneResponse {
        theta: fit.theta,
        phi: fit.phi,
        beta: fit.beta,
        standard_error,
        ddf,
        rx: if wanted.rx { fit.rx } else { Vec::new() },
        sigma: fit.sigma,
        criterion: fit.criterion,
        status: fit.certificate.status,
        evaluations: fit.certificate.evaluations,
    })
}

/// The shared preparation with this response's cross-products.
fn with_response(data: &ModelData<'_>, shared: &Prepared) -> Prepared {
    let (n, p) = (data.rows(), data.p);
    let fixed = &shared.fixed;
    let mut x = memory::zeros(n * p.max(1));
    weighted_rows(data, 0..n, p.max(1), &mut x);
    let mut r: Vec<f64> = (0..n)
        .map(|i| root_of_weight(data, i) * (data.y[i] - data.offset.map_or(0.0, |o| o[i])))
        .collect();
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
    prepared
}
