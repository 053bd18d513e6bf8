//! What does not depend on G.

use super::product::cross;
use crate::basis::parameters::Parameters;
use crate::linalg::small;
use crate::moments::blocks::Moments;
use crate::runtime::memory;

/// Most columns of X and effects of all factors but the largest.
pub(crate) const LARGEST: usize = 2000;

/// Share of a squared length that is no more than rounding.
const NOTHING: f64 = 1e-12;

/// One parameter: an entry of the covariance matrix of one grouping factor, and its mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Grouping factor in elimination order.
    pub factor: usize,
    /// Row, among all effects of a level.
    pub row: usize,
    /// Column, not beyond the row.
    pub col: usize,
}

/// Effects of a factor among those that are not eliminated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub start: usize,
    pub n_levels: usize,
    pub k: usize,
}

/// Cross-products with what the largest factor's levels have to themselves taken out.
#[derive(Debug)]
pub(crate) struct Condensed {
    /// Observations.
    pub n: usize,
    /// Rank of X.
    pub rank: usize,
    /// Effects of the other factors.
    pub q2: usize,
    /// Levels and effects of a level of the largest factor.
    pub n_levels: usize,
    pub k: usize,
    /// F of each level, k x k lower triangular.
    pub(super) roots: Vec<f64>,
    /// D for each effect of a level: `n_levels` x r, r = q2 + rank + 1.
    pub(super) reduced: Vec<Vec<f64>>,
    /// C'WC - D'D, r x r, C = [Z_2 Q y].
    pub(super) within: Vec<f64>,
    /// The other factors, in elimination order from 1.
    pub(super) places: Vec<Place>,
    /// What is estimated.
    pub entries: Vec<Entry>,
    /// Size of each parameter: at which a variance weighs as much as the residuals of a level.
    pub sizes: Vec<f64>,
    /// -log|W|.
    pub(super) log_det_r: f64,
    /// Takes log|Q'V^-1Q| to log|X'V^-1X|.
    pub(super) log_det_change: f64,
    /// REML or ML.
    pub reml: bool,
}

impl Condensed {
    /// From cross-products of independent levels; terms must be unstructured or diagonal.
    pub(crate) fn new(
        moments: &Moments,
        parameters: &Parameters,
        log_det_rinv: f64,
        reml: bool,
    ) -> Self {
        let first = &moments.factors[0];
        let (n_levels, k, p1) = (first.n_levels, first.k, moments.p1);
        let mut places = Vec::new();
        let mut q2 = 0;
        for factor in &moments.factors[1..] {
            places.push(Place {
                start: q2,
                n_levels: factor.n_levels,
                k: factor.k,
            });
            q2 += factor.n_levels * factor.k;
        }
        let r = q2 + p1;
        let (within, mut reduced) = own_products(moments, &places, r);
        let mut within = within;
        let mut roots = memory::zeros(n_levels * k * k);
        for j in 0..n_levels {
            let root =
                small::semidefinite_cholesky(&first.zz[j * k * k..(j + 1) * k * k], k, NOTHING);
            for c in 0..r {
                for i in 0..k {
                    let mut value = reduced[i][c * n_levels + j];
                    for l in 0..i {
                        value -= root[l * k + i] * reduced[l][c * n_levels + j];
                    }
                    let pivot = root[i * k + i];
                    reduced[i][c * n_levels + j] = if pivot > 0.0 { value / pivot } else { 0.0 };
                }
            }
            roots[j * k * k..(j + 1) * k * k].copy_from_slice(&root);
        }
        for own in &reduced {
            let taken = cross(own, own, (r, n_levels, r));
            within.iter_mut().zip(&taken).for_each(|(w, t)| *w -= t);
        }
        let entries: Vec<Entry> = parameters
            .list
            .iter()
            .map(|parameter| {
                let (factor, offset, _) = parameters.place[parameter.basis];
                let (row, col) = parameter.entries.first().copied().unwrap_or((0, 0));
                Entry {
                    factor,
                    row: offset + row,
                    col: offset + col,
                }
            })
            .collect();
        let size = |entry: &Entry| moments.factors[entry.factor].n_levels as f64 / moments.n as f64;
        Self {
            n: moments.n,
            rank: p1 - 1,
            q2,
            n_levels,
            k,
            roots,
            reduced,
            within,
            places,
            sizes: entries.iter().map(size).collect(),
            entries,
            log_det_r: -moments.sum_log_weights,
            log_det_change: -2.0 * log_det_rinv,
            reml,
        }
    }

    /// Columns beside those of the largest factor.
    pub(super) fn width(&self) -> usize {
        self.q2 + self.rank + 1
    }

    /// Effects of a level of a factor.
    pub(crate) fn effects_of(&self, factor: usize) -> usize {
        match factor {
            0 => self.k,
            other => self.places[other - 1].k,
        }
    }

    /// Degrees of freedom of sigma^2.
    pub(crate) fn degrees(&self) -> f64 {
        self.n as f64 - if self.reml { self.rank as f64 } else { 0.0 }
    }

    /// G of each factor.
    pub(super) fn matrices(&self, s: &[f64]) -> Vec<Vec<f64>> {
        let sizes = std::iter::once(self.k).chain(self.places.iter().map(|place| place.k));
        let mut out: Vec<Vec<f64>> = sizes.clone().map(|k| memory::zeros(k * k)).collect();
        let sizes: Vec<usize> = sizes.collect();
        for (entry, value) in self.entries.iter().zip(s) {
            let k = sizes[entry.factor];
            out[entry.factor][entry.col * k + entry.row] = *value;
            out[entry.factor][entry.row * k + entry.col] = *value;
        }
        out
    }

    /// (I x G_2) times a matrix with q2 rows; `g` as [`Condensed::matrices`].
    pub(super) fn times_g(&self, g: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
        let mut out = memory::zeros(x.len());
        if self.q2 == 0 {
            return out;
        }
        for (to, from) in out.chunks_exact_mut(self.q2).zip(x.chunks_exact(self.q2)) {
            for (place, g) in self.places.iter().zip(&g[1..]) {
                let k = place.k;
                let own = place.start..place.start + place.n_levels * k;
                let levels = to[own.clone()]
                    .chunks_exact_mut(k)
                    .zip(from[own].chunks_exact(k));
                for (to, from) in levels {
                    for (c, x) in from.iter().enumerate() {
                        for (i, value) in to.iter_mut().enumerate() {
                            *value += g[c * k + i] * x;
                        }
                    }
                }
            }
        }
        out
    }

    /// (I x E) times a matrix with q2 rows, E the unit matrix of a parameter of one of the other factors.
    pub(super) fn times_unit(&self, entry: &Entry, x: &[f64]) -> Vec<f64> {
        let mut out = memory::zeros(x.len());
        let place = self.places[entry.factor - 1];
        for (to, from) in out.chunks_exact_mut(self.q2).zip(x.chunks_exact(self.q2)) {
            for level in 0..place.n_levels {
                let start = place.start + level * place.k;
                to[start + entry.row] = from[start + entry.col];
                to[start + entry.col] = from[start + entry.row];
            }
        }
        out
    }
}

/// [Z_2 Q y]'W[Z_2 Q y], and Z_1'W[Z_2 Q y] for each effect of a level of the largest factor.
fn own_products(moments: &Moments, places: &[Place], r: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let first = &moments.factors[0];
    let (n_levels, k, p1) = (first.n_levels, first.k, moments.p1);
    let q2 = r - p1;
    let mut all = memory::zeros(r * r);
    let mut of_first = vec![memory::zeros(n_levels * r); k];
    for j in 0..n_levels {
        for (i, own) in of_first.iter_mut().enumerate() {
            for c in 0..p1 {
                own[(q2 + c) * n_levels + j] = first.zx[(j * k + i) * p1 + c];
            }
        }
    }
    for a in 0..p1 {
        for b in 0..p1 {
            all[(q2 + a) * r + q2 + b] = moments.xx[a * p1 + b];
        }
    }
    for (place, factor) in places.iter().zip(&moments.factors[1..]) {
        let kf = place.k;
        for level in 0..place.n_levels {
            let start = place.start + level * kf;
            let block = &factor.zz[level * kf * kf..(level + 1) * kf * kf];
            for i in 0..kf {
                for l in 0..kf {
                    all[(start + l) * r + start + i] = block[l * kf + i];
                }
                for c in 0..p1 {
                    let value = factor.zx[(level * kf + i) * p1 + c];
                    all[(q2 + c) * r + start + i] = value;
                    all[(start + i) * r + q2 + c] = value;
                }
            }
        }
    }
    for pair in moments.pairs.iter().filter(|pair| pair.f != pair.g) {
        let (kf, kg) = (moments.factors[pair.f].k, moments.factors[pair.g].k);
        let place = places[pair.g - 1];
        for j in 0..moments.factors[pair.f].n_levels {
            for e in pair.start[j]..pair.start[j + 1] {
                let block = &pair.value[e * kf * kg..(e + 1) * kf * kg];
                let column = place.start + pair.level[e] as usize * kg;
                for c in 0..kg {
                    for i in 0..kf {
                        let value = block[c * kf + i];
                        if pair.f == 0 {
                            of_first[i][(column + c) * n_levels + j] = value;
                        } else {
                            let row = places[pair.f - 1].start + j * kf + i;
                            all[(column + c) * r + row] = value;
                            all[row * r + column + c] = value;
                        }
                    }
                }
            }
        }
    }
    (all, of_first)
}
