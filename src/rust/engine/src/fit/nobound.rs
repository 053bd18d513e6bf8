//! Fits whose random effects may have any symmetric covariance matrices: in and out in the user's coordinates.
//!
//! The user's parameters are those of theta with entries of G, relative to sigma^2, in the place of those of its factor: of each term
//! the lower triangle, column by column, or the diagonal. G = B G_internal B' for the basis B of the term.

use crate::api::error::EngineError;
use crate::api::model::{ModelData, Structure};
use crate::api::options::Options;
use crate::api::result::Fit;
use crate::api::theta::UserTheta;
use crate::basis::random::TermBasis;
use crate::criterion::nobound::{Condensed, Derivatives, Point, LARGEST};
use crate::fit::estimates::{coefficients, fitted_values, fixed_covariance, RowResults};
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::response_units::InUnits;
use crate::fit::sizes::Sizes;
use crate::fit::user_start::start;
use crate::linalg::small;
use crate::runtime::clock::Clock;
use crate::runtime::interruptible::interruptible_until;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;
use crate::search::nobound::{search, Found};

/// A fit without bounds on the covariance matrices of its random effects.
#[derive(Debug, Clone)]
pub struct NoboundFit {
    /// Estimates; theta and u, which there may be none of, are NaN.
    pub fit: Fit,
    /// Entries of G relative to sigma^2, in the order of theta.
    pub covariances: Vec<f64>,
}

/// What is computed with: the model in internal coordinates.
pub(crate) struct Model {
    pub prepared: Prepared,
    pub condensed: Condensed,
}

impl Model {
    /// Moments of the model, which must be one of independent levels and residuals.
    pub(crate) fn new(
        data: &ModelData<'_>,
        options: &Options,
        stop: &StopFlag,
    ) -> Result<Self, EngineError> {
        let refuse = |text: &str| Err(EngineError::Dimension(text.to_owned()));
        let independent = data
            .factors
            .iter()
            .all(|f| f.precision.is_none() && f.members.is_none());
        let entries = data.terms.iter().all(|term| {
            term.classes.is_none()
                && (term.columns.len() == 1
                    || matches!(
                        term.structure,
                        Structure::Unstructured | Structure::Diagonal
                    ))
        });
        let has_rows = data.moments.is_none() && data.stands_for.is_none();
        let is_free = data.residual.is_none() && options.sigma.is_none();
        if !has_rows || !is_free || !independent || !entries {
            return refuse("this model has bounds on its covariance matrices");
        }
        let unconstrained = options.hold.values().iter().all(|v| v.is_nan())
            && options.tie.is_empty()
            && options.penalties.terms.is_empty();
        if !unconstrained {
            return refuse("covariance matrices without bounds go with no constraints");
        }
        let prepared = prepare(data, options, stop)?;
        let moments = &prepared.system.moments;
        let others = moments.factors[1..].iter();
        let order = prepared.fixed.rank() + others.map(|f| f.n_levels * f.k).sum::<usize>();
        if order > LARGEST {
            // the matrix and a few products for each parameter
            let copies = 4.0 + 3.0 * prepared.parameters.len() as f64;
            return Err(EngineError::TooLarge {
                order,
                gigabytes: 8e-9 * copies * (order as f64).powi(2),
            });
        }
        let rinv = prepared.fixed.log_det_rinv;
        let condensed = Condensed::new(moments, &prepared.parameters, rinv, options.reml);
        Ok(Self {
            prepared,
            condensed,
        })
    }

    /// The point of the user's parameters.
    pub(crate) fn at(&self, given: Option<&UserTheta>) -> Result<Point, EngineError> {
        let given = given.map_or(&[] as &[f64], |given| given.values());
        let m = self.condensed.entries.len();
        if given.len() != m || given.iter().any(|v| !v.is_finite()) {
            return Err(EngineError::Dimension(format!(
                "the model has {m} entries of covariance matrices, and {} are given",
                given.len()
            )));
        }
        let own = self.transformed(given, TermBasis::inverse);
        Point::new(&self.condensed, &own).ok_or(EngineError::numerical(
            "the criterion at these covariance matrices",
        ))
    }

    /// Parameters of each term with C G C' in the place of G, C a matrix of its basis.
    fn transformed(&self, values: &[f64], change: impl Fn(&TermBasis) -> Vec<f64>) -> Vec<f64> {
        let mut out = Vec::with_capacity(values.len());
        for (t, basis) in self.prepared.bases.iter().enumerate() {
            let parameters = &self.prepared.parameters;
            let own = parameters.start[t]..parameters.start[t + 1];
            let k = basis.k;
            let places: Vec<(usize, usize)> = (parameters.list[own.clone()].iter())
                .map(|p| p.entries.first().copied().unwrap_or((0, 0)))
                .collect();
            let mut g = memory::zeros(k * k);
            for (&(i, j), value) in places.iter().zip(&values[own]) {
                g[j * k + i] = *value;
                g[i * k + j] = *value;
            }
            let change = change(basis);
            let mut half = memory::zeros(k * k);
            let mut turned = memory::zeros(k * k);
            small::mul_nn(&change, &g, k, k, k, &mut half);
            small::mul_nt(&half, &change, k, k, k, &mut turned);
            out.extend(places.iter().map(|&(i, j)| turned[j * k + i]));
        }
        out
    }

    /// The user's parameters of internal ones.
    pub(crate) fn to_user(&self, s: &[f64]) -> Vec<f64> {
        self.transformed(s, |basis| basis.change.clone())
    }

    /// Derivatives of the user's parameters with respect to the internal ones, a column for each of these.
    pub(crate) fn jacobian(&self) -> Vec<f64> {
        let m = self.condensed.entries.len();
        let column = |a: usize| {
            let mut unit = memory::zeros(m);
            unit[a] = 1.0;
            self.to_user(&unit)
        };
        (0..m).flat_map(column).collect()
    }
}

/// The criterion and its derivatives at internal entries of covariance matrices, for tests.
#[doc(hidden)]
#[derive(Debug)]
pub struct NoboundPoint {
    pub entries: Vec<f64>,
    pub value: f64,
    pub gradient: Vec<f64>,
    pub hessian: Vec<f64>,
}

/// Criterion, gradient and Hessian at internal entries `s` of covariance matrices, or at those of `options.start`, with these
/// entries: for tests. `None` where V is not positive definite.
#[doc(hidden)]
#[must_use]
pub fn nobound_at(
    data: &ModelData<'_>,
    options: &Options,
    s: Option<&[f64]>,
) -> Option<NoboundPoint> {
    let model = Model::new(data, options, &StopFlag::default()).ok()?;
    let point = match s {
        Some(s) => Point::new(&model.condensed, s)?,
        None => model.at(options.start.as_ref()).ok()?,
    };
    let (gradient, hessian) =
        Derivatives::new(&model.condensed, &point).profiled(&model.condensed, &point);
    Some(NoboundPoint {
        entries: point.s,
        value: point.value,
        gradient,
        hessian,
    })
}

/// Fits without bounds on covariance matrices, from the optimum with bounds, `options.start`. Fitted values and residuals go to
/// `rows`.
///
/// # Errors
/// See [`EngineError`].
pub fn fit_nobound(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
    rows: RowResults<'_>,
) -> Result<NoboundFit, EngineError> {
    interruptible_until(
        options.deadline,
        Sizes::of(data).are_long(1.0),
        interrupt,
        |stop, interrupt| {
            let model = Model::new(data, options, stop)?;
            if InUnits::of(data, model.prepared.fixed.total).is_some() {
                return Err(EngineError::Size {
                    what: "the response",
                    size: model.prepared.fixed.total.sqrt(),
                });
            }
            let bounded = bounded_start(&model, options)?;
            let clock = Clock::new(options, interrupt);
            let found = search(&model.condensed, &bounded, options, clock)?;
            Ok(estimates(data, &model, found, rows))
        },
    )
}

/// T T' of the start, internal entries.
fn bounded_start(model: &Model, options: &Options) -> Result<Vec<f64>, EngineError> {
    let theta = start(options, &model.prepared)?;
    let parameters = &model.prepared.parameters;
    let mut out = Vec::with_capacity(parameters.list.len());
    for (t, &(_, _, k)) in parameters.place.iter().enumerate() {
        let factor = parameters.term_factor(&theta, t);
        let mut g = memory::zeros(k * k);
        small::mul_nt(&factor, &factor, k, k, k, &mut g);
        let own = &parameters.list[parameters.start[t]..parameters.start[t + 1]];
        out.extend(own.iter().map(|p| {
            let (i, j) = p.entries.first().copied().unwrap_or((0, 0));
            g[j * k + i]
        }));
    }
    Ok(out)
}

/// The optimum in the user's terms.
fn estimates(
    data: &ModelData<'_>,
    model: &Model,
    Found { point, certificate }: Found,
    rows: RowResults<'_>,
) -> NoboundFit {
    let (prepared, condensed) = (&model.prepared, &model.condensed);
    let fixed = &prepared.fixed;
    let beta_full = coefficients(prepared, &point.gamma);
    let internal = point.effects(condensed);
    let mut effects: Vec<Vec<f64>> = data
        .terms
        .iter()
        .map(|term| memory::zeros(data.factors[term.factor].n_levels * term.columns.len()))
        .collect();
    for basis in &prepared.bases {
        let k = basis.k;
        let kf = prepared.layout[basis.factor].k;
        let own = &internal[basis.factor];
        for (level, to) in effects[basis.term].chunks_exact_mut(k).enumerate() {
            let from = &own[level * kf + basis.offset..][..k];
            small::mul_nn(&basis.change, from, k, k, 1, to);
        }
    }
    let b: Vec<&[f64]> = effects.iter().map(Vec::as_slice).collect();
    let wrss = fitted_values(data, &beta_full, &b, rows, &prepared.system.workers);
    let mut beta = vec![f64::NAN; fixed.p];
    fixed.kept.iter().for_each(|&j| beta[j] = beta_full[j]);
    let (rx, vcov_unscaled) = fixed_covariance(fixed, &point.lx, fixed.rank());
    let unknown = f64::NAN;
    let fit = Fit {
        theta: UserTheta::from(vec![unknown; condensed.entries.len()].as_slice()),
        phi: Vec::new(),
        unseen: Vec::new(),
        beta,
        rank: fixed.rank(),
        eliminated: 0,
        pivot: fixed.pivot.clone(),
        rx,
        vcov_unscaled,
        sigma: point.sigma2(condensed).sqrt(),
        criterion: point.value,
        penalty: 0.0,
        ld_l2: point.log_det_v,
        ld_rx2: point.log_det_x,
        pwrss: point.squares,
        wrss,
        // b'G^-1 b, where G has an inverse
        ussq: point.squares - wrss,
        u: vec![unknown; b.iter().map(|own| own.len()).sum()],
        b: effects.concat(),
        fitted: Vec::new(),
        residuals: Vec::new(),
        optimizer_seconds: 0.0,
        certificate,
    };
    NoboundFit {
        covariances: model.to_user(&point.s),
        fit,
    }
}
