//! Sandwich estimates of the fixed effects of a pseudo-likelihood ([`crate::moments::counted`]) whose scores are adjusted for few
//! clusters, and what their degrees of freedom are made of.
//!
//! In coordinates X~ = X C^1/2 in which C = (X'V^-1X)^-1 is the identity (see [`crate::inference::sandwich`]) the estimating equations
//! of a cluster are g_j = A_j(y_j - X_j beta), A_j = X~_j'V_j^-1 with the weights of rows and levels in V. With D = X~ - Z b(X~), w_i
//! the weights of the rows, c_v those of the levels and U_v the spherical effects that belong to X~, times c_v^1/2, Henderson's
//! equations give the rows w_i D_i of A_j, and
//!
//! h_j = A_j X~_j = sum_i w_i D_i D_i' + sum_v U_v U_v',   d_j = A_j (I + Z G Z') A_j' = sum_i w_i^2 D_i D_i' + sum_v c_v U_v U_v':
//!
//! where weights say nothing about the variance of a row, the scores at the estimates have the covariances (Bell & McCaffrey 2002,
//! Survey Methodology 28, of weighted least squares)
//!
//! P_ij = (i = j) d_i - d_i h_j - h_i d_j + h_i d h_j,   d = sum_j d_j.
//!
//! Adjusted scores are F_j g_j. `SymmetricRoot` has F_j = d_j^1/2 R_j^-1/2 d_j^-1/2 with R_j = d_j^-1/2 P_jj d_j^-1/2, so that
//! F_j P_jj F_j' = d_j: the estimate is unbiased if the model is right. Where all weights are 1, d_j = h_j and F_j = (I - h_j)^-1/2,
//! which is `Root` (Kauermann & Carroll 2001, JASA 96). `Inverse`, (I - h_j)^-1, is the change of beta without the cluster.
//!
//! P_ij is what [`ScoreMoments`] take: with e_i = d_i - d h_i / 2 it is (i = j) d_i - (h_i'e_j + e_i'h_j) = (i = j) d_i - T_i'T_j + N_i'N_j,
//! T_i = (h_i + e_i) / 2^1/2, N_i = (h_i - e_i) / 2^1/2.
//!
//! The other parameters psi enter by the Hessian between them and beta ([`crate::inference::pseudo_likelihood`]): with Phi = V^-1V_aV^-1e
//! in these coordinates, S^-1 the inverse of what is left of the Hessian and s_psi their slopes, the change of beta is C^1/2 times
//! (I + 2 f Phi S^-1 Phi') F_j g_j + Phi S^-1 s_psi.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::criterion::objective::Criterion;
use crate::fit::estimates::effects_of_factor;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::{evaluated, regular};
use crate::inference::pseudo_likelihood::{Point, STEP};
use crate::inference::sandwich::{Adjustment, Sandwich};
use crate::inference::sandwich_parts::{Clusters, Leverage};
use crate::linalg::small;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// Share of the largest eigenvalue of d_j up to which another one is rounding.
const ROUNDING: f64 = 1e-13;

/// Eigenvalue of R_j up to which nothing is left of a direction.
const ALONE: f64 = 1e-10;

/// What is asked for besides scores.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The Hessian of all parameters together, not of beta alone?
    pub joint: bool,
    /// What degrees of freedom are made of?
    pub moments: bool,
}

/// Adjusted scores of all clusters, and with `wanted.moments` what their covariances are, at `options.start`, the optimum.
///
/// # Errors
/// See [`EngineError`].
pub fn pseudo_likelihood_sandwich(
    data: &ModelData<'_>,
    clusters: Clusters<'_>,
    adjustment: Adjustment,
    wanted: Wanted,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Sandwich, EngineError> {
    clusters.validate(data.rows())?;
    data.require_observations("a pseudo-likelihood")?;
    interruptible(true, interrupt, |stop: &StopFlag, interrupt| {
        let prepared = prepare(data, options, stop)?;
        let theta = regular(&required_start(options, &prepared)?, &prepared);
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let point = Point::new(data, clusters, &prepared, &mut criterion, &theta);
        let sums = point
            .as_ref()
            .and_then(|_| Sums::new(data, clusters, &prepared, &criterion));
        match (point, sums) {
            (Some(point), Some(sums)) => {
                Ok(adjusted(&point, &sums, theta.len() + 1, adjustment, wanted))
            }
            _ => Err(criterion.failure(STEP)),
        }
    })
}

/// h_j and d_j of all clusters, r x r each.
struct Sums {
    r: usize,
    h: Vec<f64>,
    d: Vec<f64>,
    /// Sum of d_j.
    total: Vec<f64>,
}

impl Sums {
    fn new(
        data: &ModelData<'_>,
        clusters: Clusters<'_>,
        prepared: &Prepared,
        criterion: &Criterion<'_>,
    ) -> Option<Self> {
        let (factor, latest) = (criterion.factor.as_ref()?, criterion.latest.as_ref()?);
        let (system, at) = (criterion.system(), prepared.coordinates());
        let (r, p1) = (prepared.fixed.rank(), prepared.fixed.rank() + 1);
        let square = r * r;
        let mut out = Self {
            r,
            h: memory::zeros(square * clusters.count),
            d: memory::zeros(square * clusters.count),
            total: memory::zeros(square),
        };
        let t = factor.without_added(factor.t.clone());
        let effects: Vec<Vec<f64>> = (0..at.layout.len())
            .map(|f| effects_of_factor(system, &latest.solution.h, f))
            .collect();
        let mut of_level: Vec<Vec<usize>> = at.layout.iter().map(|f| vec![0; f.n_levels]).collect();
        let mut row = memory::zeros(r);
        for (i, &code) in clusters.codes.iter().enumerate() {
            let cluster = code as usize - 1;
            at.write_q(&data.x, i, 1.0, &mut row);
            // Q Lx^-T
            for c in 0..r {
                let done: f64 = (0..c).map(|a| factor.lx[a * p1 + c] * row[a]).sum();
                row[c] = (row[c] - done) / factor.lx[c * p1 + c];
            }
            for (f, layout) in at.layout.iter().enumerate() {
                let k = layout.k;
                let level = layout.codes(data)[i] as usize - 1;
                of_level[f][level] = cluster;
                let mut z = memory::zeros(k);
                at.write_z(data, layout, i, 1.0, &mut z);
                let root = system.moments.factors[f].times(level).sqrt();
                let own = &effects[f][level * k * r..(level + 1) * k * r];
                let t = t.of(f, level);
                for (a, own) in own.chunks_exact(r.max(1)).enumerate() {
                    let along: f64 = (a..k).map(|l| t[a * k + l] * z[l]).sum::<f64>() / root;
                    row.iter_mut().zip(own).for_each(|(x, u)| *x -= along * u);
                }
            }
            let weight = data.weights.map_or(1.0, |w| w[i]);
            out.add(cluster, &row, (weight, weight * weight));
        }
        for (f, layout) in at.layout.iter().enumerate() {
            let width = layout.k * r;
            for (level, own) in effects[f].chunks_exact(width.max(1)).enumerate() {
                let times = system.moments.factors[f].times(level);
                for u in own.chunks_exact(r.max(1)) {
                    out.add(of_level[f][level], u, (1.0, times));
                }
            }
        }
        for d in out.d.chunks_exact(square.max(1)) {
            out.total.iter_mut().zip(d).for_each(|(sum, v)| *sum += v);
        }
        Some(out)
    }

    /// Adds x x' to both sums of a cluster, so many times each.
    fn add(&mut self, cluster: usize, x: &[f64], (to_h, to_d): (f64, f64)) {
        let r = self.r;
        for (a, left) in x.iter().enumerate() {
            let start = (cluster * r + a) * r;
            for (b, right) in x.iter().enumerate() {
                self.h[start + b] += to_h * left * right;
                self.d[start + b] += to_d * left * right;
            }
        }
    }

    fn of(&self, cluster: usize) -> (&[f64], &[f64]) {
        let own = cluster * self.r * self.r..(cluster + 1) * self.r * self.r;
        (&self.h[own.clone()], &self.d[own])
    }
}

/// F_j of a cluster.
fn adjustment_of(
    adjustment: Adjustment,
    sums: &Sums,
    cluster: usize,
    leverage: &Leverage,
) -> Vec<f64> {
    let f = |of: fn(f64) -> f64| leverage.function(|_, left| left.map_or(0.0, of));
    match adjustment {
        Adjustment::None => leverage.function(|_, _| 1.0),
        Adjustment::Root => f(|left| left.sqrt().recip()),
        Adjustment::Inverse => f(f64::recip),
        Adjustment::SymmetricRoot => unbiased(sums, cluster),
    }
}

/// d^1/2 R^-1/2 d^-1/2 with R = d^-1/2 P d^-1/2; what has no variance, or of which nothing is left, stays without.
fn unbiased(sums: &Sums, cluster: usize) -> Vec<f64> {
    let r = sums.r;
    let (h, d) = sums.of(cluster);
    // P = d - d h - h d + h (sum d) h
    let mut p = memory::copy(d);
    let mut half = memory::zeros(r * r);
    small::mul_nn(d, h, r, r, r, &mut half);
    for c in 0..r {
        for i in 0..r {
            p[c * r + i] -= half[c * r + i] + half[i * r + c];
        }
    }
    let mut all = memory::zeros(r * r);
    small::mul_nn(&sums.total, h, r, r, r, &mut half);
    small::mul_nn(h, &half, r, r, r, &mut all);
    p.iter_mut().zip(&all).for_each(|(p, v)| *p += v);
    let (values, vectors) = small::symmetric_eigen(d, r);
    let largest = values.last().copied().unwrap_or(0.0);
    let kept: Vec<usize> = (0..r).filter(|&a| values[a] > ROUNDING * largest).collect();
    // columns of d^-1/2 and d^1/2 in the directions of d
    let scaled = |power: f64| -> Vec<f64> {
        let entry = |e: usize| {
            let a = kept[e / r];
            values[a].powf(power) * vectors[a * r + e % r]
        };
        memory::collect((0..r * kept.len()).map(entry))
    };
    let (down, up) = (scaled(-0.5), scaled(0.5));
    let k = kept.len();
    let mut pd = memory::zeros(r * k);
    small::mul_nn(&p, &down, r, r, k, &mut pd);
    let mut left = memory::zeros(k * k);
    small::mul_tn(&down, &pd, r, k, k, &mut left);
    let (values, vectors) = small::symmetric_eigen(&left, k);
    let mut root = memory::zeros(k * k);
    for (a, &value) in values.iter().enumerate().filter(|(_, v)| **v > ALONE) {
        let own = &vectors[a * k..(a + 1) * k];
        for c in 0..k {
            for i in 0..k {
                root[c * k + i] += own[i] * own[c] / value.sqrt();
            }
        }
    }
    let mut half = memory::zeros(r * k);
    small::mul_nn(&up, &root, r, k, k, &mut half);
    let mut out = memory::zeros(r * r);
    small::mul_nt(&half, &down, r, k, r, &mut out);
    out
}

fn adjusted(
    point: &Point,
    sums: &Sums,
    s: usize,
    adjustment: Adjustment,
    wanted: Wanted,
) -> Sandwich {
    let r = sums.r;
    let mut out = Sandwich {
        rank: r,
        root: point.fixed.root.clone(),
        ..Sandwich::default()
    };
    // Phi psi / 2, psi twice S^-1, and I + 2 f Phi S^-1 Phi'
    let mut along = memory::zeros(r * s);
    small::mul_nn(&point.fixed.along, &point.psi, r, s, s, &mut along);
    let mut between = memory::zeros(r * r);
    small::mul_nt(&along, &point.fixed.along, r, s, r, &mut between);
    for (e, value) in between.iter_mut().enumerate() {
        *value = *value / point.sigma2 + f64::from(u8::from(e % r == e / r));
    }
    let mut g = memory::zeros(r);
    let mut own = memory::zeros(r);
    let mut score = memory::zeros(r);
    for (cluster, slopes) in point.slopes.chunks_exact(r + s).enumerate() {
        let leverage = Leverage::new(sums.of(cluster).0, r);
        let f = adjustment_of(adjustment, sums, cluster, &leverage);
        small::mul_tn(&point.fixed.root, &slopes[..r], r, r, 1, &mut g);
        g.iter_mut().for_each(|v| *v *= -0.5 * point.sigma2);
        small::mul_nn(&f, &g, r, r, 1, &mut own);
        if wanted.joint {
            small::mul_nn(&between, &own, r, r, 1, &mut score);
            for (along, slope) in along.chunks_exact(r.max(1)).zip(&slopes[r..]) {
                score
                    .iter_mut()
                    .zip(along)
                    .for_each(|(x, v)| *x += 0.5 * v * slope);
            }
        } else {
            score.copy_from_slice(&own);
        }
        out.scores.extend_from_slice(&score);
        if wanted.moments {
            add_moments(sums, cluster, &f, &mut out);
        }
        for a in (0..r).filter(|&a| leverage.left(a).is_none()) {
            out.undetermined
                .extend_from_slice(&leverage.vectors[a * r..(a + 1) * r]);
            out.undetermined_in.push(cluster);
        }
    }
    out
}

/// F d F', T F' and N F' of a cluster.
fn add_moments(sums: &Sums, cluster: usize, f: &[f64], out: &mut Sandwich) {
    let r = sums.r;
    let (h, d) = sums.of(cluster);
    let mut half = memory::zeros(r * r);
    let mut own = memory::zeros(r * r);
    small::mul_nn(f, d, r, r, r, &mut half);
    small::mul_nt(&half, f, r, r, r, &mut own);
    out.spread.extend_from_slice(&own);
    let mut e = memory::zeros(r * r);
    small::mul_nn(&sums.total, h, r, r, r, &mut e);
    e.iter_mut().zip(d).for_each(|(e, d)| *e = d - *e / 2.0);
    for (sign, to) in [(1.0, &mut out.cross), (-1.0, &mut out.against)] {
        let sum = h
            .iter()
            .zip(&e)
            .map(|(h, e)| (h + sign * e) * std::f64::consts::FRAC_1_SQRT_2);
        let sum: Vec<f64> = memory::collect(sum);
        small::mul_nt(&sum, f, r, r, r, &mut own);
        to.extend_from_slice(&own);
    }
}
