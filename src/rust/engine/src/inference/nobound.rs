//! Inference where random effects may have any symmetric covariance matrices. V is linear in the parameters, the entries of G and
//! sigma^2, so that all of it follows from the traces and cross-products of [`Derivatives`].

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::rows::combine;
use crate::criterion::nobound::{Condensed, Derivatives, Point};
use crate::fit::nobound::Model;
use crate::inference::evaluated::{is_long, sandwich, to_user_basis};
use crate::inference::kenward_roger_linear::KenwardRoger;
use crate::inference::new_rows::{NewRows, Predictions};
use crate::inference::satterthwaite::{invert_hessian, Satterthwaite};
use crate::linalg::small;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;

/// The model and its point, and all derivatives if wanted, at the entries of G in `options.start`.
fn evaluated<T: Send>(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
    then: impl FnOnce(&Model, &Point, &dyn Fn() -> bool) -> Result<T, EngineError> + Send,
) -> Result<T, EngineError> {
    interruptible(is_long(data), interrupt, |stop, interrupt| {
        let own = Options {
            start: None,
            ..options.clone()
        };
        let model = Model::new(data, &own, stop)?;
        let point = model.at(options.start.as_ref())?;
        then(&model, &point, interrupt)
    })
}

/// What Satterthwaite's degrees of freedom need: the parameters are sigma^2 G and sigma^2.
///
/// -2 log L has the second derivatives (2 y'PV_aPV_bPy / sigma^2 - tr(PV_aPV_b)) / sigma^4 with V relative to sigma^2; the covariance
/// matrix sigma^2 Phi of the fixed effects has the first ones Phi X'V^-1V_aV^-1X Phi.
///
/// # Errors
/// See [`EngineError`].
pub fn satterthwaite_nobound(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Satterthwaite, EngineError> {
    evaluated(data, options, interrupt, |model, point, _| {
        let condensed = &model.condensed;
        let found = Derivatives::new(condensed, point).with_residual(condensed, point);
        let s = found.len();
        let sigma2 = point.sigma2(condensed);
        let (_, traces) = found.projected_traces(point, options.reml);
        let (_, bend) = found.quadratics(point);
        let hessian: Vec<f64> = memory::collect(
            (0..s * s).map(|e| (2.0 * bend[e] / sigma2 - traces[e]) / (sigma2 * sigma2)),
        );
        let sizes: Vec<f64> = (point.s.iter().zip(&condensed.sizes))
            .map(|(own, size)| sigma2 * (own.abs() + size))
            .chain([sigma2])
            .collect();
        let r = condensed.rank;
        let slopes = found.single.iter().map(|block| {
            let own = of_fixed(block, r);
            to_user_basis(&model.prepared, &sandwich(&point.phi, &own, r))
        });
        let vcov_gradient = slopes.collect::<Vec<_>>().concat();
        let (jacobian, components) = jacobian(model);
        Ok(Satterthwaite {
            covariance: invert_hessian(&hessian, &sizes, s),
            vcov_gradient,
            jacobian,
            components,
            sigma2,
        })
    })
}

/// Kenward and Roger's (1997) adjustment, relative to sigma^2. V is linear in the parameters, and no second derivatives are left out.
///
/// With Q_ij = X'V^-1V_iV^-1V_jV^-1X and P_i = X'V^-1V_iV^-1X the information is I_ij = tr(PV_iPV_j) / 2, W its inverse, and
/// Phi_A = Phi + 2 Phi sum_ij W_ij (Q_ij - P_i Phi P_j) Phi.
///
/// # Errors
/// See [`EngineError`].
pub fn kenward_roger_nobound(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<KenwardRoger, EngineError> {
    evaluated(data, options, interrupt, |model, point, _| {
        let condensed = &model.condensed;
        let found = Derivatives::new(condensed, point).with_residual(condensed, point);
        let (s, r) = (found.len(), condensed.rank);
        let (_, information) = found.projected_traces(point, true);
        let size = |a: usize| information[a * s + a].max(f64::MIN_POSITIVE).sqrt();
        let mut root: Vec<f64> =
            memory::collect((0..s * s).map(|e| information[e] / (size(e % s) * size(e / s))));
        if !small::cholesky(&mut root, s) {
            return Err(EngineError::numerical("Kenward and Roger's adjustment"));
        }
        let mut w = small::inverse_from_cholesky(&root, s);
        for (e, value) in w.iter_mut().enumerate() {
            *value *= 2.0 / (size(e % s) * size(e / s));
        }
        let single: Vec<Vec<f64>> = (found.single.iter())
            .map(|block| of_fixed(block, r))
            .collect();
        let mut inner = memory::zeros(r * r);
        for i in 0..s {
            for j in 0..s {
                let mut block = of_fixed(&found.double[i][j], r);
                let mut half = memory::zeros(r * r);
                let mut taken = memory::zeros(r * r);
                small::mul_nn(&single[i], &point.phi, r, r, r, &mut half);
                small::mul_nn(&half, &single[j], r, r, r, &mut taken);
                block.iter_mut().zip(&taken).for_each(|(b, t)| *b -= t);
                let times = w[j * s + i];
                for c in 0..r {
                    for l in 0..r {
                        // symmetric in the sum
                        inner[c * r + l] += times * 0.5 * (block[c * r + l] + block[l * r + c]);
                    }
                }
            }
        }
        let added = sandwich(&point.phi, &inner, r);
        let adjusted: Vec<f64> = (point.phi.iter().zip(&added))
            .map(|(own, added)| own + 2.0 * added)
            .collect();
        let prepared = &model.prepared;
        let slopes = single
            .iter()
            .map(|own| to_user_basis(prepared, &sandwich(&point.phi, own, r)));
        Ok(KenwardRoger {
            unadjusted: to_user_basis(prepared, &point.phi),
            adjusted: to_user_basis(prepared, &adjusted),
            derivatives: slopes.collect::<Vec<_>>().concat(),
            w,
            components: s,
        })
    })
}

/// The block of Q of a block of [Q y].
fn of_fixed(block: &[f64], r: usize) -> Vec<f64> {
    memory::collect((0..r * r).map(|e| block[(e / r) * (r + 1) + e % r]))
}

/// Lower triangles of each term's sigma^2 G in the user's columns, then sigma^2, with respect to the internal entries of sigma^2 G and sigma^2.
fn jacobian(model: &Model) -> (Vec<f64>, usize) {
    let own = model.jacobian();
    let m = model.condensed.entries.len();
    let mut rows: Vec<Option<usize>> = Vec::new();
    let parameters = &model.prepared.parameters;
    for (t, basis) in model.prepared.bases.iter().enumerate() {
        let range = parameters.start[t]..parameters.start[t + 1];
        for j in 0..basis.k {
            for i in j..basis.k {
                let found = range
                    .clone()
                    .find(|&a| parameters.list[a].entries.first() == Some(&(i, j)));
                rows.push(found);
            }
        }
    }
    let components = rows.len() + 1;
    let mut out = memory::zeros(components * (m + 1));
    for (at, row) in rows.iter().enumerate() {
        if let Some(row) = row {
            (0..m).for_each(|a| out[a * components + at] = own[a * m + row]);
        }
    }
    out[m * components + components - 1] = 1.0;
    (out, components)
}

/// Prediction error variances of x'beta + z'b for each of `rows`, relative to sigma^2: z'Gz - k'V^-1k + d'(X'V^-1X)^-1d with k = Z Gz and d =
/// x - X'V^-1k (Henderson 1975), which takes no inverse of G. Random effects of levels that the model does not know are left out.
///
/// # Errors
/// See [`EngineError`].
pub fn prediction_variances_nobound(
    data: &ModelData<'_>,
    rows: &NewRows<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Predictions, EngineError> {
    evaluated(data, options, interrupt, |model, point, interrupt| {
        rows.validate(data)?;
        let errors = Errors::new(&model.condensed, point);
        let mut variances = Vec::with_capacity(rows.n);
        for i in 0..rows.n {
            if i % 256 == 0 && interrupt() {
                return Err(EngineError::Interrupted);
            }
            variances.push(row_variance(model, &errors, rows, i));
        }
        Ok(Predictions {
            variances,
            residual_means: Vec::new(),
            residual_variances: Vec::new(),
        })
    })
}

fn row_variance(model: &Model, errors: &Errors<'_>, rows: &NewRows<'_>, i: usize) -> f64 {
    let prepared = &model.prepared;
    let mut effects = Vec::new();
    for (f, layout) in prepared.layout.iter().enumerate() {
        for (level, weight) in rows.levels(layout.user, i) {
            let mut z = memory::zeros(layout.k);
            for basis in prepared.bases.iter().filter(|basis| basis.factor == f) {
                if let Some(columns) = &rows.terms[basis.term] {
                    let own = &mut z[basis.offset..basis.offset + basis.k];
                    combine(columns, &basis.change, i, weight, own);
                }
            }
            effects.push((f, level, z));
        }
    }
    let mut x = memory::zeros(model.condensed.rank);
    prepared.coordinates().write_q(&rows.x, i, 1.0, &mut x);
    errors.variance(&x, &effects)
}

/// Conditional variances of the random effects given the data and the covariance parameters, relative to sigma^2: the diagonal
/// blocks of G - G Z'V^-1Z G, an array k x k x levels for each term.
///
/// # Errors
/// See [`EngineError`].
pub fn conditional_variances_nobound(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Vec<f64>>, EngineError> {
    evaluated(data, options, interrupt, |model, point, interrupt| {
        let errors = Errors::new(&model.condensed, point);
        let mut out = Vec::with_capacity(data.terms.len());
        for basis in &model.prepared.bases {
            let layout = &model.prepared.layout[basis.factor];
            let k = basis.k;
            let mut array = Vec::with_capacity(layout.n_levels * k * k);
            for level in 0..layout.n_levels {
                if interrupt() {
                    return Err(EngineError::Interrupted);
                }
                let own = errors.of_level(basis.factor, level);
                let block: Vec<f64> = memory::collect(
                    (0..k * k)
                        .map(|e| own[(basis.offset + e / k) * layout.k + basis.offset + e % k]),
                );
                array.extend(basis.to_user(&block));
            }
            out.push(array);
        }
        Ok(out)
    })
}

/// Errors of predictions at one point.
struct Errors<'a> {
    model: &'a Condensed,
    point: &'a Point,
}

impl<'a> Errors<'a> {
    fn new(model: &'a Condensed, point: &'a Point) -> Self {
        Self { model, point }
    }

    /// Of x'gamma + z'b with the effects (factor, level, z), all of them internal.
    fn variance(&self, x: &[f64], effects: &[(usize, usize, Vec<f64>)]) -> f64 {
        let (own, covered, fixed) = self.point.covered(self.model, effects);
        let r = x.len();
        let d: Vec<f64> = x.iter().zip(&fixed).map(|(x, f)| x - f).collect();
        let of_fixed: f64 = (0..r)
            .map(|a| {
                (0..r)
                    .map(|b| d[a] * self.point.phi[b * r + a] * d[b])
                    .sum::<f64>()
            })
            .sum();
        own - covered + of_fixed
    }

    /// G - (G Z'V^-1Z G)_jj of a level, k x k: by polarisation of quadratic forms.
    fn of_level(&self, factor: usize, level: usize) -> Vec<f64> {
        let k = self.model.effects_of(factor);
        let form = |z: Vec<f64>| {
            let (own, covered, _) = self.point.covered(self.model, &[(factor, level, z)]);
            own - covered
        };
        let unit = |i: usize, j: usize| -> Vec<f64> {
            (0..k)
                .map(|l| f64::from(u8::from(l == i)) + f64::from(u8::from(l == j && i != j)))
                .collect()
        };
        let diagonal: Vec<f64> = (0..k).map(|i| form(unit(i, i))).collect();
        let mut out = memory::zeros(k * k);
        for i in 0..k {
            out[i * k + i] = diagonal[i];
            for j in 0..i {
                let both = 0.5 * (form(unit(i, j)) - diagonal[i] - diagonal[j]);
                out[j * k + i] = both;
                out[i * k + j] = both;
            }
        }
        out
    }
}
