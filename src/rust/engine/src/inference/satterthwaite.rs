//! What Satterthwaite's degrees of freedom need (Giesbrecht & Burns 1985; Fai & Cornelius 1996; Kuznetsova, Brockhoff &
//! Christensen 2017, JSS 82(13), eq. 5): df = 2 (l'C l)^2 / (g'A g), g_a = l' (dC/dpsi_a) l, with C the covariance matrix of
//! the fixed effects and A that of the variance parameters psi = (theta, sigma^2), twice the inverse of the Hessian of the
//! (unprofiled) criterion.

use crate::api::error::EngineError;
use crate::api::model::{ModelData, Structure};
use crate::api::options::Options;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::objective::Criterion;
use crate::criterion::products::single_products;
use crate::criterion::residual_directions::ResidualColumns;
use crate::criterion::residual_solution::ResidualSolution;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::{
    estimated, evaluated, fixed_covariance, is_long, regular, sandwich, to_user_basis,
};
use crate::inference::singular_covariances;
use crate::inference::singular_point::SingularPoint;
use crate::linalg::dense::Shape;
use crate::linalg::small;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::workspace::Buffer;
use crate::search::strategy::Plan;
use crate::system::equations::Rows;

/// Eigenvalues of the scaled Hessian below this carry no information.
const FLAT: f64 = 1e-9;

/// Derivatives at one point; psi = (internal theta, sigma^2), s = m + 1 of them.
#[derive(Debug, Clone)]
pub struct Satterthwaite {
    /// Asymptotic covariance matrix of psi, s x s.
    pub covariance: Vec<f64>,
    /// dC/dpsi_a of the kept coefficients, r x r for each a, at the given sigma^2.
    pub vcov_gradient: Vec<f64>,
    /// d gamma / d psi: gamma = (lower triangle of each term's G in the user's basis, natural residual parameters, sigma^2),
    /// one row each, column-major.
    pub jacobian: Vec<f64>,
    /// Number of rows of `jacobian`.
    pub components: usize,
    /// sigma^2 there.
    pub sigma2: f64,
}

impl Satterthwaite {
    /// Degrees of freedom of kept coefficient `c` of `r`.
    #[must_use]
    pub fn ddf(&self, c: usize, r: usize) -> f64 {
        self.ddf_along(r, |slope| slope[c * r + c])
    }

    /// Degrees of freedom of the estimate l'beta, l of the kept coefficients.
    #[must_use]
    pub fn ddf_of(&self, l: &[f64]) -> f64 {
        let r = l.len();
        self.ddf_along(r, |slope| {
            let columns = slope.chunks_exact(r).zip(l);
            columns
                .map(|(column, own)| own * column.iter().zip(l).map(|(v, l)| v * l).sum::<f64>())
                .sum()
        })
    }

    /// `form` takes l'(dC/dpsi_a)l of an r x r matrix.
    fn ddf_along(&self, r: usize, form: impl Fn(&[f64]) -> f64) -> f64 {
        let g: Vec<f64> = (self.vcov_gradient.chunks_exact((r * r).max(1)))
            .map(form)
            .collect();
        let s = g.len();
        // dC/dsigma^2 = C / sigma^2
        let variance = g[s - 1] * self.sigma2;
        let spread: f64 = (0..s)
            .map(|a| {
                g[a] * (0..s)
                    .map(|b| self.covariance[b * s + a] * g[b])
                    .sum::<f64>()
            })
            .sum();
        2.0 * variance * variance / spread
    }
}

/// At the point `theta`, where the criterion was evaluated, with sigma^2 = q / (n - p) (ML: q / n). `given` is the same before
/// its variances were kept from zero.
pub(super) fn derivatives(
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    (theta, given): (&InternalTheta, &InternalTheta),
) -> Option<Satterthwaite> {
    let hessian = full_hessian(criterion, theta)?;
    let sigma2 = criterion.inverse_sigma2()?.recip();
    let (m, s) = (theta.len(), theta.len() + 1);
    let covariance = covariance(criterion, &hessian, (theta, sigma2), Size::Natural);
    let factor = criterion.factor.as_ref()?;
    let latest = criterion.latest.as_ref()?;
    let r = latest.solution.h.m;
    let lower: Vec<f64> =
        memory::collect((0..r * r).map(|e| factor.lx[(e / r.max(1)) * (r + 1) + e % r.max(1)]));
    let inverse = small::invert_lower(&lower, r);
    let fixed = latest.rows.as_ref().map(ResidualSolution::fixed);
    let residual = criterion.residual();
    let columns = residual
        .zip(fixed.as_ref())
        .map(|((part, point), e)| ResidualColumns { part, point, e });
    let inner = single_products(
        criterion.system(),
        &latest.derivatives.directions,
        &latest.solution.h,
        columns.as_ref(),
    );
    let base = fixed_covariance(&factor.lx, r);
    let mut vcov_gradient = Vec::with_capacity(s * r * r);
    for a in 0..m {
        if is_still(prepared, given, a) {
            vcov_gradient.resize(vcov_gradient.len() + r * r, 0.0);
            continue;
        }
        let block = &inner[a * r * r..(a + 1) * r * r];
        // dC = sigma^2 Lx^-T (H~'V_a-part H~) Lx^-1
        let slope = congruence(&inverse, block, r);
        vcov_gradient.extend(to_user_basis(prepared, &slope).iter().map(|v| v * sigma2));
    }
    Some(assembled(
        prepared,
        theta,
        sigma2,
        covariance,
        vcov_gradient,
        &base,
    ))
}

/// What degrees of freedom are computed from; `base`, the covariance of the fixed effects relative to sigma^2, is the derivative
/// along sigma^2.
fn assembled(
    prepared: &Prepared,
    theta: &InternalTheta,
    sigma2: f64,
    covariance: Vec<f64>,
    mut vcov_gradient: Vec<f64>,
    base: &[f64],
) -> Satterthwaite {
    vcov_gradient.extend(to_user_basis(prepared, base));
    let (jacobian, components) = jacobian(prepared, theta, sigma2);
    Satterthwaite {
        covariance,
        vcov_gradient,
        jacobian,
        components,
        sigma2,
    }
}

/// The same at a point with singular covariance matrices, where nothing divides by them. A standard deviation of zero has no
/// slope, and none of the others along it: what it leaves is the model without it.
fn derivatives_at_singular(
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
) -> Option<Satterthwaite> {
    let differenced = hessian_by_differences(prepared, criterion, theta)?;
    let criterion = &*criterion;
    let at = SingularPoint::new(prepared, criterion, theta)?;
    let sigma2 = at.sigma2;
    let hessian = differenced.unwrap_or_else(|| at.hessian(criterion));
    let covariance = covariance(criterion, &hessian, (theta, sigma2), Size::Natural);
    let (phi, r) = (&at.phi, at.rank());
    let slopes = at.singles();
    let vcov_gradient = slopes.iter().flat_map(|slope| {
        let own = to_user_basis(prepared, &sandwich(phi, slope, r));
        own.into_iter().map(|v| v * sigma2)
    });
    let vcov_gradient = vcov_gradient.collect();
    Some(assembled(
        prepared,
        theta,
        sigma2,
        covariance,
        vcov_gradient,
        phi,
    ))
}

/// The Hessian where rows are not independent, as there is none in closed form; what it is made of divides by no T twice.
pub(super) fn hessian_by_differences(
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
) -> Option<Option<Vec<f64>>> {
    if prepared.residual.is_none() {
        return Some(None);
    }
    full_hessian(criterion, theta).map(Some)
}

/// Does V not move with a parameter? With an entry ij of T, dG = E_ij T' + T E_ij' is zero where column j of T is: so it is
/// with a standard deviation of zero.
fn is_still(prepared: &Prepared, theta: &InternalTheta, a: usize) -> bool {
    let parameters = &prepared.parameters;
    let Some(parameter) = parameters.list.get(a) else {
        return false;
    };
    let k = parameters.place[parameter.basis].2;
    let t = parameters.term_factor(theta, parameter.basis);
    let mut entries = parameter.entries.iter();
    let is_zero = |&(_, j): &(usize, usize)| t[j * k..(j + 1) * k].iter().all(|v| *v == 0.0);
    !parameter.entries.is_empty() && entries.all(is_zero)
}

/// L' B L for a symmetric r x r matrix and a lower triangular L.
pub(super) fn congruence(l: &[f64], b: &[f64], r: usize) -> Vec<f64> {
    let mut out = memory::zeros(r * r);
    small::congruence((l, Shape::Lower, false), b, r, &mut out);
    out
}

/// On which scale a Hessian tells of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    /// The parameter's scale: what hardly curves there is flat.
    Natural,
    /// The Hessian's own scale, on which the diagonal is 1: an expected Hessian vanishes where a variance does, but tells of it still.
    Own,
}

/// Asymptotic covariance matrix of (theta, sigma^2): zero for what is held or known.
pub(super) fn covariance(
    criterion: &Criterion<'_>,
    hessian: &[f64],
    (theta, sigma2): (&InternalTheta, f64),
    size: Size,
) -> Vec<f64> {
    let (m, s) = (theta.len(), theta.len() + 1);
    let mut scale = criterion.reach(theta);
    scale.push(sigma2);
    let invert = |hessian: &[f64], scale: &mut [f64], s: usize| {
        if size == Size::Own {
            for (a, scale) in scale.iter_mut().enumerate() {
                let own = hessian[a * s + a];
                *scale = if own > 0.0 { own.sqrt().recip() } else { 0.0 };
            }
        }
        invert_hessian(hessian, scale, s)
    };
    let known = criterion.known_sigma2().is_some();
    if criterion.restriction.is_none() && !known {
        return invert(hessian, &mut scale, s);
    }
    // free variables, then sigma^2
    let of_theta = |e: usize| hessian[(e / m) * s + e % m];
    let block: Vec<f64> = memory::collect((0..m * m).map(of_theta));
    let mixed: Vec<f64> = (0..m).map(|a| hessian[m * s + a]).collect();
    let (block, mixed, mut scale, d) = match criterion.restriction {
        None => (block, mixed, scale[..m].to_vec(), m),
        Some(r) => (
            r.hessian(&block),
            r.gradient(&mixed),
            r.scale(&scale[..m]),
            r.variables(),
        ),
    };
    let order = if known { d } else { d + 1 };
    let mut own = memory::zeros(order * order);
    for b in 0..d {
        for a in 0..d {
            own[b * order + a] = block[b * d + a];
        }
        if !known {
            own[d * order + b] = mixed[b];
            own[b * order + d] = mixed[b];
        }
    }
    if !known {
        own[d * order + d] = hessian[m * s + m];
        scale.push(sigma2);
    }
    let inverse = invert(&own, &mut scale, order);
    let mut padded = memory::zeros((d + 1) * (d + 1));
    for b in 0..order {
        for a in 0..order {
            padded[b * (d + 1) + a] = inverse[b * order + a];
        }
    }
    match criterion.restriction {
        None => padded,
        Some(r) => r.covariance(&padded, 1),
    }
}

/// Hessian of log|M| + log|X'V^-1X| + (n - p) log sigma^2 + q / sigma^2 in (theta, sigma^2).
pub(super) fn full_hessian(
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
) -> Option<Vec<f64>> {
    let profiled = criterion.hessian(theta)?;
    let degrees = criterion.degrees();
    let sigma2 = criterion.inverse_sigma2()?.recip();
    let latest = criterion.latest.as_ref()?;
    let m = latest.derivatives.gradient.len();
    let s = m + 1;
    let mut full = memory::zeros(s * s);
    // slope_a = y'P V_a P y: rank_one = (f / q) slope slope'
    let slopes = &latest.derivatives.slopes;
    for a in 0..m {
        for b in 0..m {
            full[b * s + a] = profiled[b * m + a] + latest.derivatives.rank_one[b * m + a];
        }
        full[m * s + a] = slopes[a] / (sigma2 * sigma2);
        full[a * s + m] = full[m * s + a];
    }
    full[m * s + m] = degrees / (sigma2 * sigma2);
    Some(full)
}

/// 2 H^-1 by the eigenvalues of the scaled Hessian; directions without information (parameters on the boundary, or not
/// identified) are left out.
pub(super) fn invert_hessian(hessian: &[f64], scale: &[f64], s: usize) -> Vec<f64> {
    let size = |a: usize| scale[a];
    let scaled: Vec<f64> =
        memory::collect((0..s * s).map(|e| hessian[e] * size(e % s) * size(e / s)));
    let (values, vectors) = small::symmetric_eigen(&scaled, s);
    let limit = FLAT * values.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    let mut out = memory::zeros(s * s);
    for (i, value) in values.iter().enumerate().filter(|(_, v)| **v > limit) {
        let v = &vectors[i * s..(i + 1) * s];
        for b in 0..s {
            for a in 0..s {
                out[b * s + a] += 2.0 * v[a] * v[b] / value * size(a) * size(b);
            }
        }
    }
    out
}

/// A'B for matrices with r columns and one row for each random effect.
pub(super) fn cross(a: &Rows, b: &Rows<Buffer<'_>>, r: usize) -> Vec<f64> {
    let mut out = memory::zeros(r * r);
    for (x, y) in [
        (&a.eliminated, &b.eliminated),
        (&a.complement, &b.complement),
    ] {
        if r > 0 && !x.is_empty() {
            crate::linalg::dense::add_transposed_product(x, y, x.len() / r, r, r, 1.0, &mut out);
        }
    }
    out
}

/// dG = sigma^2 B G_a B' and dG = G / sigma^2 of each term.
pub(super) fn jacobian(
    prepared: &Prepared,
    theta: &InternalTheta,
    sigma2: f64,
) -> (Vec<f64>, usize) {
    let parameters = &prepared.parameters;
    let s = theta.len() + 1;
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for (term, basis) in prepared.bases.iter().enumerate() {
        if basis.structure == Structure::Fixed {
            // no variance component
            continue;
        }
        let k = basis.k;
        let t = parameters.term_factor(theta, term);
        let mut lambda = memory::zeros(k * k);
        small::mul_nn(&basis.change, &t, k, k, k, &mut lambda);
        let own: Vec<Vec<f64>> = (parameters.start[term]..parameters.start[term + 1])
            .map(|a| basis.to_user(&parameters.derivative(theta, a)))
            .collect();
        for j in 0..k {
            for i in j..k {
                let mut row = memory::zeros(s);
                for (a, slope) in own.iter().enumerate() {
                    row[parameters.start[term] + a] = sigma2 * slope[j * k + i];
                }
                row[s - 1] = (0..k).map(|c| lambda[c * k + i] * lambda[c * k + j]).sum();
                rows.push(row);
            }
        }
    }
    let phi = parameters.of_residual(theta);
    let own = prepared.residual_model().natural_jacobian(phi);
    for i in 0..phi.len() {
        let mut row = memory::zeros(s);
        for a in 0..phi.len() {
            row[parameters.list.len() + a] = own[a * phi.len() + i];
        }
        rows.push(row);
    }
    let mut last = memory::zeros(s);
    last[s - 1] = 1.0;
    rows.push(last);
    let components = rows.len();
    let mut out = memory::zeros(components * s);
    for (i, row) in rows.iter().enumerate() {
        for (a, value) in row.iter().enumerate() {
            out[a * components + i] = *value;
        }
    }
    (out, components)
}

/// Derivatives of the covariance matrix of the fixed effects, and the covariance matrix of the variance parameters, at
/// `options.start`.
///
/// # Errors
/// See [`EngineError`].
pub fn satterthwaite(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Satterthwaite, EngineError> {
    interruptible(is_long(data), interrupt, |stop, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let given = required_start(options, &prepared)?;
        let theta = regular(&given, &prepared);
        let is_exact = prepared.plan_of_fit(options)? == Plan::Exact;
        let is_singular = theta != given || prepared.parameters.is_of_reduced_rank();
        if is_singular && is_exact && singular_covariances::is_possible(&prepared, &given) {
            let mut criterion = evaluated(&prepared, options, &given, interrupt)?;
            if let Some(found) = derivatives_at_singular(&prepared, &mut criterion, &given) {
                return Ok(found);
            }
        }
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = if prepared.plan_of_fit(options)? == Plan::Exact {
            evaluated(&prepared, options, &theta, interrupt)?
        } else {
            estimated(&prepared, options, &theta, interrupt)?
        };
        let found = derivatives(&prepared, &mut criterion, (&theta, &given));
        found.ok_or_else(|| criterion.failure("the derivatives for Satterthwaite's method"))
    })
}

/// Satterthwaite's derivatives at the point where the criterion was evaluated last.
pub(crate) fn at_point(
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
) -> Option<Satterthwaite> {
    let safe = regular(theta, prepared);
    if safe == *theta && !prepared.parameters.is_of_reduced_rank() {
        return derivatives(prepared, criterion, (theta, theta));
    }
    if singular_covariances::is_possible(prepared, theta) {
        let found = derivatives_at_singular(prepared, criterion, theta);
        if found.is_some() {
            return found;
        }
    }
    criterion.value(&safe)?;
    let found = derivatives(prepared, criterion, (&safe, theta));
    criterion.value(theta)?;
    found
}
