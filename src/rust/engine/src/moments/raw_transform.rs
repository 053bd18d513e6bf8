//! Cross-products in the user's columns to those in the internal coordinates, with twice the digits on the way.

use crate::api::model::ModelData;
use crate::api::raw_moments::{RawMoments, RawPair, Twice};
use crate::basis::covariances::Levels;
use crate::basis::random::FactorLayout;
use crate::basis::rows::Coordinates;
use crate::linalg::double2::Double2;
use crate::moments::blocks::{Center, FactorMoments, Moments, PairMoments, Rest};
use crate::moments::raw::of_pair;
use crate::moments::twice::Sums;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;

/// Share of the squared length of a column below which what others leave of it is rounding errors of cross-products.
const NOTHING: f64 = 1e-26;

/// Levels between two looks at the stop flag.
const LEVELS: usize = 1024;

impl RawMoments {
    /// R of W^{1/2} X, p x p: the Cholesky factor of X'WX with twice the digits, rows of zeros where a column depends on those
    /// before it.
    #[must_use]
    pub fn triangle(&self) -> Vec<f64> {
        let (p, p1) = (self.p, self.p + 1);
        let mut a: Vec<Double2> = (0..p * p)
            .map(|e| of_pair(self.xx[(e / p) * p1 + e % p]))
            .collect();
        let mut r = memory::zeros(p * p);
        for j in 0..p {
            let length = self.xx[j * p1 + j][0];
            let pivot = a[j * p + j];
            // also where nothing but rounding errors is left, which may be negative
            if pivot.high <= NOTHING * length {
                continue;
            }
            let root = pivot.root();
            let row: Vec<Double2> = (j..p).map(|i| a[i * p + j].over(root)).collect();
            for (c, i) in (j..p).enumerate() {
                r[i * p + j] = row[c].high;
                for (d, k) in (j..p).enumerate() {
                    a[i * p + k] = a[i * p + k] - row[c] * row[d];
                }
            }
        }
        r
    }

    /// Z'WZ of the columns of one term over all rows of some levels.
    pub(crate) fn squares(&self, data: &ModelData<'_>, term: usize, levels: &Levels) -> Vec<f64> {
        let own = &data.terms[term];
        let before = data.terms[..term].iter().filter(|t| t.factor == own.factor);
        let offset: usize = before.map(|t| t.columns.len()).sum();
        let factor = &self.factors[own.factor];
        let (k, all) = (own.columns.len(), factor.k);
        let mut sums = vec![Double2::default(); k * k];
        for level in levels.among(factor.n_levels) {
            let block = &factor.zz[level * all * all..(level + 1) * all * all];
            for (e, sum) in sums.iter_mut().enumerate() {
                *sum += of_pair(block[(offset + e / k) * all + offset + e % k]);
            }
        }
        sums.into_iter().map(|sum| sum.high).collect()
    }

    /// Moments in these coordinates about a centre, with twice the digits, without known precision matrices.
    ///
    /// With C = [Rinv, -beta_0; 0, 1] and B of each factor [Q r] = [X y] C, and Z becomes Z B. About effects B_0
    /// Z'([Q r] - Z B_0) = Z'[Q r] - Z'Z B_0, and ([Q r] - Z B_0)'([Q r] - Z B_0) = [Q r]'[Q r] - B_0'Z'[Q r] -
    /// ([Q r] - Z B_0)'Z B_0.
    pub(crate) fn moments(
        &self,
        at: Coordinates<'_>,
        center: &Center,
        workers: &Workers,
    ) -> Moments {
        let (p, r) = (self.p, at.fixed.rank());
        let p1 = r + 1;
        let mut change = at.change_with_response();
        for (to, beta) in change[r * (p + 1)..].iter_mut().zip(&center.beta) {
            *to = -beta;
        }
        // of each class of levels
        let of_factor: Vec<Vec<Vec<f64>>> = at.layout.iter().map(|f| at.changes_of(f)).collect();
        let xx: Vec<Double2> = self.xx.iter().copied().map(of_pair).collect();
        let mut sums = Sums {
            xx: between(&xx, (&change, p + 1, p1), (&change, p + 1, p1)),
            own: Vec::new(),
            zx: Vec::new(),
            pairs: Vec::new(),
        };
        let mut factors = Vec::new();
        for (factor, changes) in at.layout.iter().zip(&of_factor) {
            let (mut own, mut zx) = (Vec::new(), Vec::new());
            if let Some(raw) = factor.user.map(|user| &self.factors[user]) {
                let k = raw.k;
                let blocks = raw
                    .zz
                    .chunks_exact(k * k)
                    .zip(raw.zx.chunks_exact(k * (p + 1)));
                for (level, (zz, rows)) in blocks.enumerate() {
                    if level % LEVELS == 0 {
                        workers.check();
                    }
                    let change_z = &changes[factor.class(level)];
                    let zz: Vec<Double2> = zz.iter().copied().map(of_pair).collect();
                    own.append(&mut between(&zz, (change_z, k, k), (change_z, k, k)));
                    // rows of p + 1 values: the transpose, column after column
                    let rows: Vec<Double2> = rows.iter().copied().map(of_pair).collect();
                    zx.append(&mut between(&rows, (&change, p + 1, p1), (change_z, k, k)));
                }
            }
            factors.push(FactorMoments {
                n_levels: factor.n_levels,
                k: factor.k,
                zz: Vec::new(),
                zx: Vec::new(),
                level_precision: Vec::new(),
                multiplicity: Vec::new(),
            });
            sums.own.push(own);
            sums.zx.push(zx);
        }
        let mut pairs = Vec::new();
        for f in 0..at.layout.len() {
            for g in f + 1..at.layout.len() {
                let (kf, kg) = (at.layout[f].k, at.layout[g].k);
                let (start, level, raw) = match (at.layout[f].user, at.layout[g].user) {
                    (Some(a), Some(b)) => self.entries(a, b, (kf, kg)),
                    // the empty factor
                    _ => (vec![0; at.layout[f].n_levels + 1], Vec::new(), Vec::new()),
                };
                let mut value = memory::with_capacity(raw.len());
                for j in 0..start.len() - 1 {
                    let left = &of_factor[f][at.layout[f].class(j)];
                    for e in start[j]..start[j + 1] {
                        let right = &of_factor[g][at.layout[g].class(level[e] as usize)];
                        let block = &raw[e * kf * kg..(e + 1) * kf * kg];
                        value.append(&mut between(block, (left, kf, kf), (right, kg, kg)));
                    }
                }
                workers.check();
                pairs.push(PairMoments {
                    f,
                    g,
                    start,
                    level,
                    value: Vec::new(),
                    level_precision: Vec::new(),
                });
                sums.pairs.push(value);
            }
        }
        if center.has_effects() {
            sums.centre(at.layout, &pairs, center, p1);
        }
        let mut moments = Moments {
            n: self.n,
            p1,
            xx: Vec::new(),
            factors,
            pairs,
            sum_log_weights: self.sum_log_weights,
            log_det_level_precision: 0.0,
            rest: None,
        };
        Rest::split(&mut moments, sums);
        moments
    }

    /// The cells of two factors, by levels of the first one.
    fn entries(
        &self,
        a: usize,
        b: usize,
        (ka, kb): (usize, usize),
    ) -> (Vec<usize>, Vec<u32>, Vec<Double2>) {
        let is_it = |pair: &&RawPair| (pair.f, pair.g) == (a.min(b), a.max(b));
        let Some(pair) = self.pairs.iter().find(is_it) else {
            return (
                vec![0; self.factors[a].n_levels + 1],
                Vec::new(),
                Vec::new(),
            );
        };
        if a < b {
            let value = pair.value.iter().copied().map(of_pair).collect();
            return (pair.start.clone(), pair.level.clone(), value);
        }
        // by levels of the second one instead
        let n_levels = self.factors[a].n_levels;
        let mut start = vec![0; n_levels + 1];
        pair.level.iter().for_each(|&l| start[l as usize + 1] += 1);
        for j in 0..n_levels {
            start[j + 1] += start[j];
        }
        let mut next = start.clone();
        let mut level = vec![0u32; pair.level.len()];
        let mut value = vec![Double2::default(); pair.value.len()];
        let size = ka * kb;
        for j in 0..pair.start.len() - 1 {
            for e in pair.start[j]..pair.start[j + 1] {
                let slot = &mut next[pair.level[e] as usize];
                level[*slot] = j as u32;
                let from: &[Twice] = &pair.value[e * size..(e + 1) * size];
                for (i, to) in value[*slot * size..(*slot + 1) * size]
                    .iter_mut()
                    .enumerate()
                {
                    *to = of_pair(from[(i % ka) * kb + i / ka]);
                }
                *slot += 1;
            }
        }
        (start, level, value)
    }
}

/// L'A R for A of `rows` x `columns`, L `rows` x m and R `columns` x n, all column-major: m x n.
fn between(
    a: &[Double2],
    (left, rows, m): (&[f64], usize, usize),
    (right, columns, n): (&[f64], usize, usize),
) -> Vec<Double2> {
    let mut half = vec![Double2::default(); m * columns];
    for (column, to) in a.chunks_exact(rows).zip(half.chunks_exact_mut(m)) {
        for (to, left) in to.iter_mut().zip(left.chunks_exact(rows)) {
            for (x, l) in column.iter().zip(left).filter(|(_, l)| **l != 0.0) {
                *to += *x * Double2::from(*l);
            }
        }
    }
    let mut out = vec![Double2::default(); m * n];
    for (to, right) in out.chunks_exact_mut(m).zip(right.chunks_exact(columns)) {
        for (column, r) in half.chunks_exact(m).zip(right).filter(|(_, r)| **r != 0.0) {
            for (to, x) in to.iter_mut().zip(column) {
                *to += *x * Double2::from(*r);
            }
        }
    }
    out
}

impl Sums {
    /// Moves the centre of [Q r] to effects B_0.
    fn centre(
        &mut self,
        layout: &[FactorLayout],
        pairs: &[PairMoments],
        center: &Center,
        p1: usize,
    ) {
        let effects = |f: usize, level: usize| -> Option<&[f64]> {
            let width = layout[f].k * p1;
            center.b[f].get(level * width..(level + 1) * width)
        };
        let before = self.zx.clone();
        // own levels: Z_j'Z_j B_0j
        for (f, factor) in layout.iter().enumerate() {
            let k = factor.k;
            for level in 0..factor.n_levels {
                if let Some(b) = effects(f, level) {
                    let zz = &self.own[f][level * k * k..(level + 1) * k * k];
                    let to = &mut self.zx[f][level * k * p1..(level + 1) * k * p1];
                    subtract(to, |a, c| zz[c * k + a], k, b, p1);
                }
            }
        }
        for (pair, blocks) in pairs.iter().zip(&self.pairs) {
            let (kf, kg) = (layout[pair.f].k, layout[pair.g].k);
            for j in 0..pair.start.len() - 1 {
                for e in pair.start[j]..pair.start[j + 1] {
                    let l = pair.level[e] as usize;
                    let block = &blocks[e * kf * kg..(e + 1) * kf * kg];
                    if let Some(b) = effects(pair.g, l) {
                        let to = &mut self.zx[pair.f][j * kf * p1..(j + 1) * kf * p1];
                        subtract(to, |a, c| block[c * kf + a], kg, b, p1);
                    }
                    if let Some(b) = effects(pair.f, j) {
                        let to = &mut self.zx[pair.g][l * kg * p1..(l + 1) * kg * p1];
                        subtract(to, |a, c| block[a * kf + c], kf, b, p1);
                    }
                }
            }
        }
        for (f, b) in center.b.iter().enumerate() {
            let rows = b.chunks_exact(p1);
            let old = before[f].chunks_exact(p1).zip(self.zx[f].chunks_exact(p1));
            for (b, (old, new)) in rows.zip(old) {
                for i in 0..p1 {
                    for j in 0..p1 {
                        let to = &mut self.xx[i * p1 + j];
                        *to += -(old[j] * Double2::from(b[i]));
                        *to += -(new[i] * Double2::from(b[j]));
                    }
                }
            }
        }
    }
}

/// Takes A B off rows of p1 values: `a(row, column)` with `columns` columns, `b` their rows.
fn subtract(
    to: &mut [Double2],
    a: impl Fn(usize, usize) -> Double2,
    columns: usize,
    b: &[f64],
    p1: usize,
) {
    for (row, to) in to.chunks_exact_mut(p1).enumerate() {
        for c in 0..columns {
            let weight = -a(row, c);
            for (to, b) in to.iter_mut().zip(&b[c * p1..(c + 1) * p1]) {
                *to += weight * Double2::from(*b);
            }
        }
    }
}
