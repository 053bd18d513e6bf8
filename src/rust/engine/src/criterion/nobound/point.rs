//! The criterion at one G.

use std::f64::consts::TAU;

use super::condensed::Condensed;
use super::product::{cross, product};
use crate::linalg::small;
use crate::runtime::memory;

/// Squared pivot of what is left of a column, relative to its length, from which on a factor is taken without looking for
/// columns that depend on each other.
const SAFE: f64 = 1e-8;

/// Share of a squared length that is no more than rounding.
const NOTHING: f64 = 1e-12;

/// What is known at a G for which V is positive definite.
#[derive(Debug)]
pub(crate) struct Point {
    /// Parameters.
    pub s: Vec<f64>,
    /// G of each factor.
    pub(super) g: Vec<Vec<f64>>,
    /// Cholesky factors of K of the levels of the largest factor.
    pub(super) own: Vec<f64>,
    /// C'V_1^-1C, r x r.
    pub(super) marginal: Vec<f64>,
    /// Z_2'V^-1[Z_2 Q y], q2 x r.
    pub(super) others: Vec<f64>,
    /// [Q y]'V^-1[Q y].
    pub h: Vec<f64>,
    /// Inverse of Q'V^-1Q.
    pub phi: Vec<f64>,
    /// Cholesky factor of Q'V^-1Q, lower.
    pub lx: Vec<f64>,
    /// Coefficients of Q.
    pub gamma: Vec<f64>,
    /// y'Py.
    pub squares: f64,
    /// log|V| relative to W^-1.
    pub log_det_v: f64,
    /// log|X'V^-1X|.
    pub log_det_x: f64,
    /// Smallest pivot of K, of 1 where there are no effects: 0 at the border of what is possible.
    pub smallest: f64,
    /// The criterion.
    pub value: f64,
}

impl Point {
    /// `None` where V is not positive definite.
    pub(crate) fn new(model: &Condensed, s: &[f64]) -> Option<Self> {
        let g = model.matrices(s);
        let r = model.width();
        let (q2, p1) = (model.q2, model.rank + 1);
        let mut smallest = f64::INFINITY;
        let (own, mut log_det_v, halves) = eliminate(model, &g[0], &mut smallest)?;
        let mut marginal = memory::copy(&model.within);
        for half in &halves {
            let added = cross(half, half, (r, model.n_levels, r));
            marginal.iter_mut().zip(&added).for_each(|(m, a)| *m += a);
        }
        let (others, h, log_det_k) = complement(model, &g, &marginal, &mut smallest)?;
        log_det_v += log_det_k;
        let rank = model.rank;
        let mut lx: Vec<f64> =
            memory::collect((0..rank * rank).map(|e| h[(e / rank.max(1)) * p1 + e % rank.max(1)]));
        if !small::cholesky(&mut lx, rank) {
            return None;
        }
        (0..rank).for_each(|j| (0..j).for_each(|i| lx[j * rank + i] = 0.0));
        let log_det_q: f64 = (0..rank).map(|i| 2.0 * lx[i * rank + i].ln()).sum();
        let log_det_x = log_det_q + model.log_det_change;
        let mut gamma = h[rank * p1..rank * p1 + rank].to_vec();
        small::solve_lower(&lx, rank, &mut gamma);
        let squares = h[p1 * p1 - 1] - gamma.iter().map(|v| v * v).sum::<f64>();
        small::solve_lower_transposed(&lx, rank, &mut gamma);
        let phi = small::inverse_from_cholesky(&lx, rank);
        let degrees = model.degrees();
        let of_fixed = if model.reml { log_det_x } else { 0.0 };
        let of_sigma = degrees * (1.0 + (TAU * squares / degrees).ln());
        let value = log_det_v + model.log_det_r + of_fixed + of_sigma;
        let found = Self {
            s: s.to_vec(),
            g,
            own,
            marginal,
            others: memory::copy(&others[..q2 * r]),
            h,
            phi,
            lx,
            gamma,
            squares,
            log_det_v,
            log_det_x,
            smallest,
            value,
        };
        (squares > 0.0 && value.is_finite()).then_some(found)
    }

    /// sigma^2, unless it is known.
    pub(crate) fn sigma2(&self, model: &Condensed) -> f64 {
        self.squares / model.degrees()
    }

    /// (-gamma, 1): y less its fixed part in terms of [Q y].
    pub(super) fn residual(&self) -> Vec<f64> {
        let mut out: Vec<f64> = self.gamma.iter().map(|v| -v).collect();
        out.push(1.0);
        out
    }

    /// V^-1 of columns [Q y], or of all columns [Z_2 Q y], as V_1^-1 of combinations of the latter: those combinations, r rows.
    pub(super) fn combinations(&self, model: &Condensed, from: usize) -> Vec<f64> {
        let (r, q2) = (model.width(), model.q2);
        let moved = model.times_g(&self.g, &self.others[from * q2..]);
        let mut out = memory::zeros(r * (r - from));
        for c in from..r {
            let column = &mut out[(c - from) * r..(c - from + 1) * r];
            for i in 0..q2 {
                column[i] = -moved[(c - from) * q2 + i];
            }
            column[c] += 1.0;
        }
        out
    }

    /// F K^-1 of a level of the largest factor, k x k: Z_j'V_1^-1 C is this times the rows of D.
    pub(super) fn leading(&self, model: &Condensed, level: usize) -> Vec<f64> {
        let k = model.k;
        let at = level * k * k..(level + 1) * k * k;
        let (root, own) = (&model.roots[at.clone()], &self.own[at]);
        let inverse = small::inverse_from_cholesky(own, k);
        let mut out = memory::zeros(k * k);
        small::mul_nn(root, &inverse, k, k, k, &mut out);
        out
    }

    /// Z_j'V_1^-1Z_j = F K^-1F' of a level.
    pub(super) fn information(&self, model: &Condensed, level: usize) -> Vec<f64> {
        let k = model.k;
        let leading = self.leading(model, level);
        let root = &model.roots[level * k * k..(level + 1) * k * k];
        let mut out = memory::zeros(k * k);
        small::mul_nt(&leading, root, k, k, k, &mut out);
        out
    }

    /// Z_j'V_1^-1C of a level, k x r.
    pub(super) fn level_products(&self, model: &Condensed, level: usize) -> Vec<f64> {
        let (k, r) = (model.k, model.width());
        let leading = self.leading(model, level);
        let mut out = memory::zeros(k * r);
        for c in 0..r {
            for (l, own) in model.reduced.iter().enumerate() {
                let d = own[c * model.n_levels + level];
                for i in 0..k {
                    out[c * k + i] += leading[l * k + i] * d;
                }
            }
        }
        out
    }

    /// For the sum z'b of some effects (factor, level, z): z'Gz, k'V^-1k and Q'V^-1k, k = Cov(y, z'b) = Z Gz.
    pub(crate) fn covered(
        &self,
        model: &Condensed,
        effects: &[(usize, usize, Vec<f64>)],
    ) -> (f64, f64, Vec<f64>) {
        let (r, q2, p1) = (model.width(), model.q2, model.rank + 1);
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
        // C'V_1^-1k and k'V_1^-1k
        let mut w = memory::zeros(r);
        let mut of_others = memory::zeros(r);
        let (mut own, mut covered) = (0.0, 0.0);
        for (factor, level, z) in effects {
            let k = z.len();
            let mut moved = memory::zeros(k);
            small::mul_nn(&self.g[*factor], z, k, k, 1, &mut moved);
            own += dot(z, &moved);
            if *factor == 0 {
                let products = self.level_products(model, *level);
                (w.iter_mut().zip(products.chunks_exact(k)))
                    .for_each(|(w, column)| *w += dot(column, &moved));
                let information = self.information(model, *level);
                let mut half = memory::zeros(k);
                small::mul_nn(&information, &moved, k, k, 1, &mut half);
                covered += dot(&moved, &half);
            } else {
                let start = model.places[*factor - 1].start + level * k;
                of_others[start..start + k].copy_from_slice(&moved);
            }
        }
        covered += 2.0 * dot(&w[..q2], &of_others[..q2]);
        if q2 > 0 {
            for (c, value) in w.iter_mut().enumerate() {
                let column = &self.marginal[c * r..c * r + q2];
                let added = dot(column, &of_others[..q2]);
                if c < q2 {
                    covered += added * of_others[c];
                }
                *value += added;
            }
            // Q_0 w = G_2 (w - Z_2'V^-1Z_2 G_2 w)
            let moved = model.times_g(&self.g, &w[..q2]);
            let mut less = product(&self.others[..q2 * q2], &moved, (q2, q2, 1));
            less.iter_mut().zip(&w).for_each(|(l, w)| *l = w - *l);
            covered -= dot(&w[..q2], &model.times_g(&self.g, &less));
        }
        let mut fixed: Vec<f64> = w[q2..q2 + p1 - 1].to_vec();
        let moved = model.times_g(&self.g, &w[..q2]);
        for (value, others) in fixed
            .iter_mut()
            .zip(self.others[q2 * q2..].chunks_exact(q2.max(1)))
        {
            *value -= dot(others, &moved);
        }
        (own, covered, fixed)
    }

    /// Random effects of each factor, level after level: G Z'Py.
    pub(crate) fn effects(&self, model: &Condensed) -> Vec<Vec<f64>> {
        let (k, q2) = (model.k, model.q2);
        let (r, p1) = (model.width(), model.rank + 1);
        let residual = self.residual();
        let at = product(&self.combinations(model, q2), &residual, (r, p1, 1));
        let mut first = memory::zeros(model.n_levels * k);
        for level in 0..model.n_levels {
            let score = product(&self.level_products(model, level), &at, (k, r, 1));
            small::mul_nn(
                &self.g[0],
                &score,
                k,
                k,
                1,
                &mut first[level * k..(level + 1) * k],
            );
        }
        let score = product(&self.others[q2 * q2..], &residual, (q2, p1, 1));
        let others = model.times_g(&self.g, &score);
        let of_place = |place: &super::condensed::Place| {
            others[place.start..place.start + place.n_levels * place.k].to_vec()
        };
        let mut out = vec![first];
        out.extend(model.places.iter().map(of_place));
        out
    }
}

/// Cholesky factors of K of the levels of the largest factor, log|K|, and the rows of the root of D'K^-1D.
#[allow(clippy::type_complexity)]
fn eliminate(
    model: &Condensed,
    g: &[f64],
    smallest: &mut f64,
) -> Option<(Vec<f64>, f64, Vec<Vec<f64>>)> {
    let (n_levels, k, r) = (model.n_levels, model.k, model.width());
    let mut own = memory::zeros(n_levels * k * k);
    let mut log_det = 0.0;
    let mut half = memory::zeros(k * k);
    for j in 0..n_levels {
        let root = &model.roots[j * k * k..(j + 1) * k * k];
        let to = &mut own[j * k * k..(j + 1) * k * k];
        small::mul_nn(g, root, k, k, k, &mut half);
        small::mul_tn(root, &half, k, k, k, to);
        (0..k).for_each(|i| to[i * k + i] += 1.0);
        if !small::cholesky(to, k) {
            return None;
        }
        for i in 0..k {
            let pivot = to[i * k + i];
            *smallest = smallest.min(pivot * pivot);
            log_det += 2.0 * pivot.ln();
            (0..i).for_each(|l| to[i * k + l] = 0.0);
        }
    }
    let mut halves = model.reduced.clone();
    for c in 0..r {
        for j in 0..n_levels {
            let l = &own[j * k * k..(j + 1) * k * k];
            let at = c * n_levels + j;
            for i in 0..k {
                let mut value = halves[i][at];
                for m in 0..i {
                    value -= l[m * k + i] * halves[m][at];
                }
                halves[i][at] = value / l[i * k + i];
            }
        }
    }
    Some((own, log_det, halves))
}

/// Z_2'V^-1[Z_2 Q y], [Q y]'V^-1[Q y] and log|K| of the other factors, from C'V_1^-1C.
fn complement(
    model: &Condensed,
    g: &[Vec<f64>],
    marginal: &[f64],
    smallest: &mut f64,
) -> Option<(Vec<f64>, Vec<f64>, f64)> {
    let (q2, p1, r) = (model.q2, model.rank + 1, model.width());
    let mut h: Vec<f64> =
        memory::collect((0..p1 * p1).map(|e| marginal[(q2 + e / p1) * r + q2 + e % p1]));
    if q2 == 0 {
        return Some((Vec::new(), h, 0.0));
    }
    let block: Vec<f64> = memory::collect((0..q2 * q2).map(|e| marginal[(e / q2) * r + e % q2]));
    let root = root(&block, q2);
    // D = F^+ Z_2'V_1^-1[Q y]
    let mut d: Vec<f64> =
        memory::collect((0..q2 * p1).map(|e| marginal[(q2 + e / q2) * r + e % q2]));
    for column in d.chunks_exact_mut(q2) {
        for i in 0..q2 {
            let pivot = root[i * q2 + i];
            let value = if pivot > 0.0 { column[i] / pivot } else { 0.0 };
            column[i] = value;
            if value != 0.0 {
                for l in i + 1..q2 {
                    column[l] -= root[i * q2 + l] * value;
                }
            }
        }
    }
    let taken = cross(&d, &d, (p1, q2, p1));
    h.iter_mut().zip(&taken).for_each(|(h, t)| *h -= t);
    let mut k = cross(&root, &model.times_g(g, &root), (q2, q2, q2));
    (0..q2).for_each(|i| k[i * q2 + i] += 1.0);
    if !small::cholesky(&mut k, q2) {
        return None;
    }
    let mut log_det = 0.0;
    for i in 0..q2 {
        let pivot = k[i * q2 + i];
        *smallest = smallest.min(pivot * pivot);
        log_det += 2.0 * pivot.ln();
        (0..i).for_each(|l| k[i * q2 + l] = 0.0);
    }
    let inverse = small::inverse_from_cholesky(&k, q2);
    let leading = product(&root, &inverse, (q2, q2, q2));
    let mut own = memory::zeros(q2 * q2);
    small::mul_nt(&leading, &root, q2, q2, q2, &mut own);
    let solved = product(&inverse, &d, (q2, q2, p1));
    let added = cross(&d, &solved, (p1, q2, p1));
    h.iter_mut().zip(&added).for_each(|(h, a)| *h += a);
    own.extend(product(&leading, &d, (q2, q2, p1)));
    Some((own, h, log_det))
}

/// F with F F' = A, lower triangular, columns of zeros where A is singular.
fn root(a: &[f64], n: usize) -> Vec<f64> {
    let mut l = memory::copy(a);
    let is_regular =
        small::cholesky(&mut l, n) && (0..n).all(|i| l[i * n + i].powi(2) > SAFE * a[i * n + i]);
    if !is_regular {
        return small::semidefinite_cholesky(a, n, NOTHING);
    }
    (0..n).for_each(|j| (0..j).for_each(|i| l[j * n + i] = 0.0));
    l
}
