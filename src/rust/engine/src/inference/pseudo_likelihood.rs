//! Sandwich covariance matrix of all parameters of a pseudo-likelihood ([`crate::moments::counted`]), by clusters that are independent.
//!
//! With psi = (beta, theta, sigma^2) the estimate is H^-1 (sum_k s_k s_k') H^-1 (Binder 1983, International Statistical Review 51;
//! Asparouhov 2006; Rabe-Hesketh & Skrondal 2006, eq. 8): s_k are the slopes of the cluster's part of the criterion -2 log, H is the
//! Hessian of all of it. Under the model beta and theta are orthogonal; a pseudo-likelihood does not rest on that, and neither does
//! this. With e = y - X beta, q = e'V^-1e, f = 1 / sigma^2 and N rows (sum of weights)
//!
//! -2 log = log|M| + N log(2 pi sigma^2) + f q,
//! H_beta,beta = 2 f X'V^-1X,   H_beta,a = 2 f X'V^-1V_aV^-1e,   H_beta,sigma^2 = 0 at the optimum,
//! H_a,b = that of the criterion at its own beta, and 2 f (X'V^-1V_aV^-1e)'(X'V^-1X)^-1(X'V^-1V_bV^-1e) beside it,
//! H_a,sigma^2 = f^2 e'V^-1V_aV^-1e,   H_sigma^2,sigma^2 = N f^2,
//!
//! and a cluster's slopes are, with residuals r = e - Zb and spherical effects u,
//!
//! beta: -2 f sum_i w_i x_i r_i,   a: sum_v tr(kappa_a (N_v - f u_v u_v')),   sigma^2: N_k f - f^2 (sum_i w_i r_i^2 + sum_v u_v'u_v),
//!
//! over its rows i and levels v; N_v is I - [M^-1]_vv, counted as the levels are.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::direction::of_factor;
use crate::criterion::objective::Criterion;
use crate::criterion::products::products;
use crate::fit::estimates::{effects_of_factor, row_residuals};
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::{evaluated, fixed_root, is_long, regular};
use crate::inference::sandwich_parts::Clusters;
use crate::inference::satterthwaite::{covariance, full_hessian, jacobian, Size};
use crate::linalg::small;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// The step that fails where derivatives do not exist.
pub(super) const STEP: &str = "the derivatives of the pseudo-likelihood";

/// What is known of the parameters of a pseudo-likelihood; psi = (internal theta, sigma^2), s of them, after r kept coefficients.
#[derive(Debug, Clone, Default)]
pub struct PseudoLikelihood {
    /// Robust covariance matrix of (beta, psi), r + s square.
    pub covariance: Vec<f64>,
    /// Slopes of the clusters' parts of the criterion -2 log, r + s for each cluster.
    pub slopes: Vec<f64>,
    /// d gamma / d psi, see [`crate::inference::Satterthwaite::jacobian`].
    pub jacobian: Vec<f64>,
    /// Number of rows of `jacobian`.
    pub components: usize,
    /// r.
    pub rank: usize,
}

/// The sandwich estimate at `options.start`, the optimum; clusters are levels of the coarsest factor, or unions of them.
///
/// # Errors
/// See [`EngineError`].
pub fn pseudo_likelihood(
    data: &ModelData<'_>,
    clusters: Clusters<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<PseudoLikelihood, EngineError> {
    clusters.validate(data.rows())?;
    data.require_observations("a pseudo-likelihood")?;
    interruptible(is_long(data), interrupt, |stop: &StopFlag, interrupt| {
        let prepared = prepare(data, options, stop)?;
        let theta = regular(&required_start(options, &prepared)?, &prepared);
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let found = at_point(data, clusters, &prepared, &mut criterion, &theta);
        found.ok_or_else(|| criterion.failure(STEP))
    })
}

/// The optimum of a pseudo-likelihood.
pub(super) struct Point {
    /// Twice the inverse of the Hessian of psi with beta at its optimum.
    pub psi: Vec<f64>,
    pub sigma2: f64,
    /// Slopes of the clusters' parts of the criterion, r + s for each.
    pub slopes: Vec<f64>,
    pub fixed: FixedPart,
}

/// What of the Hessian is about the fixed effects, in coordinates of X in which A = 2 f I.
pub(super) struct FixedPart {
    /// Kept coefficients times these coordinates, r x r.
    pub root: Vec<f64>,
    /// V^-1V_aV^-1e in these coordinates, r x s; nothing for sigma^2.
    pub along: Vec<f64>,
}

impl Point {
    pub(super) fn new(
        data: &ModelData<'_>,
        clusters: Clusters<'_>,
        prepared: &Prepared,
        criterion: &mut Criterion<'_>,
        theta: &InternalTheta,
    ) -> Option<Self> {
        let hessian = full_hessian(criterion, theta)?;
        let sigma2 = criterion.inverse_sigma2()?.recip();
        Some(Self {
            psi: covariance(criterion, &hessian, (theta, sigma2), Size::Natural),
            sigma2,
            slopes: slopes(data, clusters, prepared, (criterion, theta), sigma2)?,
            fixed: FixedPart::new(prepared, criterion)?,
        })
    }
}

impl FixedPart {
    fn new(prepared: &Prepared, criterion: &Criterion<'_>) -> Option<Self> {
        let (factor, latest) = (criterion.factor.as_ref()?, criterion.latest.as_ref()?);
        let (system, directions) = (criterion.system(), &latest.derivatives.directions);
        let solution = &latest.solution;
        let products = products(system, factor, &solution.h, directions, &solution.u, None);
        let (r, m) = (prepared.fixed.rank(), directions.len());
        let mut along = memory::zeros(r * (m + 1));
        along[..r * m].copy_from_slice(&products.fixed[..r * m]);
        Some(Self {
            root: fixed_root(prepared, &factor.lx),
            along,
        })
    }
}

fn at_point(
    data: &ModelData<'_>,
    clusters: Clusters<'_>,
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
) -> Option<PseudoLikelihood> {
    let point = Point::new(data, clusters, prepared, criterion, theta)?;
    let (r, s) = (prepared.fixed.rank(), theta.len() + 1);
    let bread = bread(&point, r, s);
    let all = r + s;
    let mut half = memory::zeros(all * clusters.count);
    small::mul_nn(&bread, &point.slopes, all, all, clusters.count, &mut half);
    let mut covariance = memory::zeros(all * all);
    small::mul_nt(&half, &half, all, clusters.count, all, &mut covariance);
    let (jacobian, components) = jacobian(prepared, theta, point.sigma2);
    Some(PseudoLikelihood {
        covariance,
        slopes: point.slopes,
        jacobian,
        components,
        rank: r,
    })
}

/// H^-1 for kept coefficients and psi, from twice the inverse of what is left of H once beta is eliminated.
///
/// With H = [A B; B' D] and S = D - B'A^-1B it is [A^-1 + G S^-1 G', -G S^-1; -S^-1 G', S^-1], G = A^-1 B.
fn bread(point: &Point, r: usize, s: usize) -> Vec<f64> {
    let Point { psi, sigma2, .. } = point;
    let FixedPart { root, along } = &point.fixed;
    let all = r + s;
    let mut g = memory::zeros(r * s);
    small::mul_nn(root, along, r, r, s, &mut g);
    let mut out = memory::zeros(all * all);
    let mut own = memory::zeros(r * r);
    small::mul_nt(root, root, r, r, r, &mut own);
    let mut gs = memory::zeros(r * s);
    small::mul_nn(&g, psi, r, s, s, &mut gs);
    let mut gsg = memory::zeros(r * r);
    small::mul_nt(&gs, &g, r, s, r, &mut gsg);
    for c in 0..all {
        for i in 0..all {
            out[c * all + i] = match (i < r, c < r) {
                (true, true) => 0.5 * (sigma2 * own[c * r + i] + gsg[c * r + i]),
                (true, false) => -0.5 * gs[(c - r) * r + i],
                (false, true) => -0.5 * gs[(i - r) * r + c],
                (false, false) => 0.5 * psi[(c - r) * s + i - r],
            };
        }
    }
    out
}

/// Slopes of the criterion of each cluster in (kept coefficients, theta, sigma^2).
fn slopes(
    data: &ModelData<'_>,
    clusters: Clusters<'_>,
    prepared: &Prepared,
    (criterion, theta): (&Criterion<'_>, &InternalTheta),
    sigma2: f64,
) -> Option<Vec<f64>> {
    let (factor, latest) = (criterion.factor.as_ref()?, criterion.latest.as_ref()?);
    let (system, f) = (criterion.system(), sigma2.recip());
    let directions = &latest.derivatives.directions;
    let (r, m, n) = (prepared.fixed.rank(), directions.len(), data.rows());
    let all = r + m + 1;
    let cluster = |row: usize| clusters.codes[row] as usize - 1;
    let mut out = memory::zeros(all * clusters.count);
    let mut residuals = row_residuals(data, prepared, theta, factor, &latest.solution);
    for (i, residual) in residuals.iter_mut().enumerate() {
        let weight = data.weights.map_or(1.0, |w| w[i]);
        out[cluster(i) * all + r + m] += f * weight * (1.0 - f * *residual * *residual);
        *residual *= weight;
    }
    for (c, &column) in prepared.fixed.kept.iter().enumerate() {
        let mut row = 0;
        data.x[column].visit(0..n, residuals.iter(), |residual, x| {
            out[cluster(row) * all + c] -= 2.0 * f * x * residual;
            row += 1;
        });
    }
    for (g, layout) in prepared.layout.iter().enumerate() {
        let codes = layout.codes(data);
        let mut of_level = vec![0; layout.n_levels];
        (codes.iter().enumerate()).for_each(|(i, &code)| of_level[code as usize - 1] = cluster(i));
        let k = layout.k;
        let u = effects_of_factor(system, &latest.solution.u, g);
        let mut block = memory::zeros(k * k);
        for (level, u) in u.chunks_exact(k.max(1)).enumerate() {
            let to = &mut out[of_level[level] * all..(of_level[level] + 1) * all];
            to[r + m] -= f * f * u.iter().map(|v| v * v).sum::<f64>();
            complement(criterion, (g, level), &mut block)?;
            for c in 0..k {
                for i in 0..k {
                    block[c * k + i] -= f * u[i] * u[c];
                }
            }
            for a in of_factor(directions, g) {
                to[r + a] += small::trace_product(&directions[a].kappa, &block, k);
            }
        }
    }
    Some(out)
}

/// I - [M^-1]_vv of a level, as often as it counts: of the first factor as often as what it is nested in, and I - D^-1 for what it
/// counts beyond that.
fn complement(
    criterion: &Criterion<'_>,
    (f, level): (usize, usize),
    out: &mut [f64],
) -> Option<()> {
    let (system, factor) = (criterion.system(), criterion.factor.as_ref()?);
    let inverse = &criterion.latest.as_ref()?.inverse;
    let k = system.moments.factors[f].k;
    let times = system.moments.factors[f].times(level);
    out.fill(0.0);
    let mut add = |times: f64, inverse: &[f64]| {
        for (e, (value, inverse)) in out.iter_mut().zip(inverse).enumerate() {
            *value += times * (f64::from(u8::from(e % k == e / k)) - inverse);
        }
    };
    if f == 0 {
        let own = level * k * k..(level + 1) * k * k;
        let around = system.times_around(level);
        add(around, &inverse.m11[own.clone()]);
        let beyond = times - around;
        if beyond != 0.0 {
            add(beyond, &small::inverse_from_cholesky(&factor.l1[own], k));
        }
        return Some(());
    }
    let start = system.schur.offset[*system.schur.node_of[f].get(level)? as usize];
    let entries = (0..k * k).map(|e| inverse.r.entry(start + e % k, start + e / k));
    let block: Option<Vec<f64>> = entries.collect();
    add(times, &block?);
    Some(())
}
