//! Cross-products [Z Q r]'R^-1[Z Q r] where the residuals of a group of rows are correlated: the rows are kept, and summed
//! again for every R.
//!
//! With R = D C D and B the rows divided by D, the cross-products are sums over groups of B'C^-1B. Rows s and t of a group
//! whose entry of C^-1 is not zero couple the levels that they belong to, also those of one grouping factor.

use std::borrow::Cow;
use std::ops::Range;

use crate::fixed_basis::{weighted_rows, FixedBasis};
use crate::linalg::dense;
use crate::moments::{Center, FactorMoments, LevelOrder, Moments, PairMoments};
use crate::parallel::{pieces, Workers};
use crate::random_basis::{FactorLayout, TermBasis};
use crate::residual::{Residual, Whitening};
use crate::terms::ModelData;

/// Rows of one piece of work.
const PIECE: usize = 16_384;

/// Levels of one piece of work.
const LEVELS: usize = 512;

/// The rows of a model in the order of its residual groups, in internal coordinates, times the root of the weight.
#[derive(Debug, Clone)]
pub(crate) struct ResidualRows {
    /// Rank of X, and one more for the response.
    pub p1: usize,
    /// n x p1: rows of [Q r].
    pub x: Vec<f64>,
    /// For each grouping factor n x k: the basis columns.
    pub z: Vec<Vec<f64>>,
    /// For each grouping factor the level of each row from 0; empty for the empty factor.
    pub level: Vec<Vec<u32>>,
    /// Residual group of each row.
    pub group: Vec<u32>,
    by_level: Vec<LevelOrder>,
    sum_log_weights: f64,
}

/// A residual structure and the rows that it applies to.
#[derive(Debug, Clone)]
pub(crate) struct ResidualPart {
    pub model: Residual,
    pub rows: ResidualRows,
    pub layout: Vec<FactorLayout>,
}

impl ResidualPart {
    /// All cross-products at one R; what does not depend on R is taken from those at another.
    pub fn moments(&self, whitening: &Whitening, other: &Moments, workers: &Workers) -> Moments {
        let mut moments = self
            .rows
            .moments(&self.model, whitening, &self.layout, workers);
        moments.take_priors(other);
        moments
    }
}

/// Basis columns of each factor divided by D.
type ScaledRows<'a> = Vec<Cow<'a, [f64]>>;

impl ResidualRows {
    pub fn new(
        data: &ModelData<'_>,
        fixed: &FixedBasis,
        layout: &[FactorLayout],
        bases: &[TermBasis],
        center: &Center,
        residual: &Residual,
    ) -> Self {
        let order = residual.order();
        let n = data.n();
        let z: Vec<Vec<f64>> = layout
            .iter()
            .map(|factor| basis_rows(data, factor, bases, order))
            .collect();
        let level: Vec<Vec<u32>> = layout
            .iter()
            .map(|factor| {
                let codes = factor.codes(data);
                order
                    .iter()
                    .filter_map(|&row| codes.get(row as usize))
                    .map(|&code| code as u32 - 1)
                    .collect()
            })
            .collect();
        let mut x = fixed_rows(data, fixed, center, order);
        let p1 = fixed.rank() + 1;
        for ((factor, b), (z, level)) in layout.iter().zip(&center.b).zip(z.iter().zip(&level)) {
            if b.is_empty() {
                continue;
            }
            let k = factor.k;
            for ((row, z), &j) in x.chunks_exact_mut(p1).zip(z.chunks_exact(k)).zip(level) {
                let own = &b[j as usize * k..(j as usize + 1) * k];
                row[p1 - 1] -= z.iter().zip(own).map(|(a, b)| a * b).sum::<f64>();
            }
        }
        let by_level = layout
            .iter()
            .zip(&level)
            .map(|(factor, level)| {
                let codes: Vec<i32> = level.iter().map(|&j| j as i32 + 1).collect();
                LevelOrder::new(&codes, factor.n_levels)
            })
            .collect();
        let mut group = vec![0; n];
        for g in 0..residual.groups() {
            group[residual.group(g)].fill(g as u32);
        }
        Self {
            p1,
            x,
            z,
            level,
            group,
            by_level,
            sum_log_weights: data.weights.map_or(0.0, |w| w.iter().map(|v| v.ln()).sum()),
        }
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        self.group.len()
    }

    /// The basis columns divided by D.
    fn scaled(&self, whitening: &Whitening) -> ScaledRows<'_> {
        let scale = &whitening.inverse_scale;
        let divided = |z: &Vec<f64>| {
            let mut out = z.clone();
            for (row, s) in out.chunks_exact_mut(z.len() / self.n()).zip(scale) {
                row.iter_mut().for_each(|v| *v *= s);
            }
            out
        };
        self.z
            .iter()
            .map(|z| {
                if scale.is_empty() || z.is_empty() {
                    Cow::Borrowed(z.as_slice())
                } else {
                    Cow::Owned(divided(z))
                }
            })
            .collect()
    }

    /// All cross-products at one R.
    pub fn moments(
        &self,
        residual: &Residual,
        whitening: &Whitening,
        layout: &[FactorLayout],
        workers: &Workers,
    ) -> Moments {
        let rows = self.scaled(whitening);
        let couple = Coupling::new(self, residual, whitening, layout, &rows);
        let weighted = whitening.inverse_times(residual, &self.x, self.p1, workers);
        let mut factors: Vec<FactorMoments> = layout
            .iter()
            .enumerate()
            .map(|(f, factor)| FactorMoments {
                n_levels: factor.n_levels,
                k: factor.k,
                zz: vec![0.0; factor.n_levels * factor.k * factor.k],
                zx: self.level_products(f, factor, &weighted, workers),
                prior: Vec::new(),
            })
            .collect();
        let mut pairs = Vec::new();
        for f in 0..layout.len() {
            if layout[f].n_levels == 0 {
                continue;
            }
            for g in f..layout.len() {
                let (zz, pair) = couple.pair(f, g, workers);
                if f == g {
                    factors[f].zz = zz;
                }
                if f != g || !pair.level.is_empty() {
                    pairs.push(pair);
                }
            }
        }
        Moments {
            n: self.n(),
            p1: self.p1,
            xx: self.products(&weighted, workers),
            factors,
            pairs,
            sum_log_weights: self.sum_log_weights - whitening.log_det,
            log_det_prior: 0.0,
        }
    }

    /// [Q r]'(R^-1[Q r]), symmetric.
    fn products(&self, weighted: &[f64], workers: &Workers) -> Vec<f64> {
        let p1 = self.p1;
        let work = pieces(self.n(), PIECE);
        let parts = workers.map(work.len(), |piece| {
            let range = work[piece].start * p1..work[piece].end * p1;
            let mut out = vec![0.0; p1 * p1];
            dense::add_transposed_product(
                &self.x[range.clone()],
                &weighted[range],
                work[piece].len(),
                p1,
                p1,
                1.0,
                &mut out,
            );
            out
        });
        let mut total = vec![0.0; p1 * p1];
        for part in parts {
            total.iter_mut().zip(&part).for_each(|(a, b)| *a += b);
        }
        (0..p1 * p1)
            .map(|e| 0.5 * (total[e] + total[(e % p1) * p1 + e / p1]))
            .collect()
    }

    /// Z_j'(R^-1 [Q r]) of every level.
    fn level_products(
        &self,
        f: usize,
        factor: &FactorLayout,
        weighted: &[f64],
        workers: &Workers,
    ) -> Vec<f64> {
        let (k, p1, z) = (factor.k, self.p1, &self.z[f]);
        let mut out = vec![0.0; factor.n_levels * k * p1];
        let order = &self.by_level[f];
        let parts: Vec<&mut [f64]> = out.chunks_mut(LEVELS * k * p1).collect();
        workers.for_each(parts, |piece, out| {
            for (i, block) in out.chunks_exact_mut(k * p1).enumerate() {
                for &place in order.rows(piece * LEVELS + i) {
                    let place = place as usize;
                    let row = &weighted[place * p1..(place + 1) * p1];
                    for (a, za) in z[place * k..(place + 1) * k].iter().enumerate() {
                        block[a * p1..(a + 1) * p1]
                            .iter_mut()
                            .zip(row)
                            .for_each(|(sum, v)| *sum += za * v);
                    }
                }
            }
        });
        out
    }
}

/// Rows of [Q r] by place, r not yet centred at random effects.
fn fixed_rows(
    data: &ModelData<'_>,
    fixed: &FixedBasis,
    center: &Center,
    order: &[u32],
) -> Vec<f64> {
    let (n, p, r) = (data.n(), data.p, fixed.rank());
    let p1 = r + 1;
    let mut out = vec![0.0; n * p1];
    let mut place = vec![0u32; n];
    for (at, &row) in order.iter().enumerate() {
        place[row as usize] = at as u32;
    }
    let mut change = vec![0.0; (p + 1) * p1];
    for c in 0..r {
        change[c * (p + 1)..c * (p + 1) + p].copy_from_slice(&fixed.rinv[c * p..(c + 1) * p]);
    }
    change[r * (p + 1) + p] = 1.0;
    for range in pieces(n, 1024) {
        let m = range.len();
        let mut x = vec![0.0; m * (p + 1)];
        let mut q = vec![0.0; m * p1];
        weighted_rows(data, range.clone(), p + 1, &mut x);
        for (i, row) in range.clone().zip(x.chunks_exact_mut(p + 1)) {
            let root = data.weights.map_or(1.0, |w| w[i].sqrt());
            let mean: f64 = row[..p].iter().zip(&center.beta).map(|(x, b)| x * b).sum();
            row[p] = root * (data.y[i] - data.offset.map_or(0.0, |o| o[i])) - mean;
        }
        dense::rows_times(&x, &change, m, p + 1, p1, &mut q);
        for (i, row) in range.zip(q.chunks_exact(p1)) {
            let at = place[i] as usize * p1;
            out[at..at + p1].copy_from_slice(row);
        }
    }
    out
}

/// Internal basis columns of one factor by place, times the root of the weight.
fn basis_rows(
    data: &ModelData<'_>,
    factor: &FactorLayout,
    bases: &[TermBasis],
    order: &[u32],
) -> Vec<f64> {
    if factor.n_levels == 0 {
        return Vec::new();
    }
    let k = factor.k;
    let mut out = vec![0.0; order.len() * k];
    for (&row, z) in order.iter().zip(out.chunks_exact_mut(k)) {
        let row = row as usize;
        let root = data.weights.map_or(1.0, |w| w[row].sqrt());
        for &t in &factor.terms {
            bases[t].add_row(&data.terms[t].columns, row, root, z);
        }
    }
    out
}

/// Rows of a group seen from one of them.
struct Neighbours<'a> {
    residual: &'a Residual,
    whitening: &'a Whitening,
}

impl Neighbours<'_> {
    /// Places t with an entry of C^-1 in the row of place s of group g, and the entry.
    fn for_each(&self, g: usize, s: usize, mut f: impl FnMut(usize, f64)) {
        let places = self.residual.group(g);
        let pattern = self.residual.pattern_of(g);
        let band = self.whitening.band(pattern);
        let own = s - places.start;
        let (low, high) = (own.saturating_sub(band), (own + band + 1).min(places.len()));
        for t in low..high {
            // a zero may be none at another R, where the same blocks are needed
            let entry = self.whitening.entry(pattern, own.min(t), own.max(t));
            f(places.start + t, entry);
        }
    }
}

/// Sums of the rows of an exchangeable group by level: what stands in for each of them.
struct LevelSum {
    level: u32,
    z: Vec<f64>,
}

/// Products between rows of the same residual group.
struct Coupling<'a> {
    rows: &'a ResidualRows,
    scaled: &'a ScaledRows<'a>,
    residual: &'a Residual,
    whitening: &'a Whitening,
    layout: &'a [FactorLayout],
    /// For each factor and group with exchangeable rows.
    sums: Vec<Vec<Vec<LevelSum>>>,
}

impl<'a> Coupling<'a> {
    fn new(
        rows: &'a ResidualRows,
        residual: &'a Residual,
        whitening: &'a Whitening,
        layout: &'a [FactorLayout],
        scaled: &'a ScaledRows<'a>,
    ) -> Self {
        let sums = layout
            .iter()
            .enumerate()
            .map(|(f, factor)| {
                (0..residual.groups())
                    .map(|g| {
                        let exchangeable = whitening.rank_one(residual.pattern_of(g)).is_some();
                        if exchangeable && factor.n_levels > 0 {
                            level_sums(&rows.level[f], &scaled[f], factor.k, residual.group(g))
                        } else {
                            Vec::new()
                        }
                    })
                    .collect()
            })
            .collect();
        Self {
            rows,
            scaled,
            residual,
            whitening,
            layout,
            sums,
        }
    }

    /// What the row at place s meets in factor g: levels with the weighted sums of their rows in its group.
    fn for_each(&self, s: usize, g: usize, mut f: impl FnMut(u32, f64, &[f64])) {
        let group = self.rows.group[s] as usize;
        let k = self.layout[g].k;
        let z = |t: usize| &self.scaled[g][t * k..(t + 1) * k];
        let level = &self.rows.level[g];
        if let Some((diagonal, off)) = self.whitening.rank_one(self.residual.pattern_of(group)) {
            f(level[s], diagonal - off, z(s));
            for sum in &self.sums[g][group] {
                f(sum.level, off, &sum.z);
            }
            return;
        }
        let neighbours = Neighbours {
            residual: self.residual,
            whitening: self.whitening,
        };
        neighbours.for_each(group, s, |t, entry| f(level[t], entry, z(t)));
    }

    /// Blocks Z_j'C^-1Z_l for the levels j of f and l of g: those of j = l (f = g), and the others (f = g: above the
    /// diagonal).
    fn pair(&self, f: usize, g: usize, workers: &Workers) -> (Vec<f64>, PairMoments) {
        let work = pieces(self.layout[f].n_levels, LEVELS);
        let parts = workers.map(work.len(), |piece| self.piece(f, g, work[piece].clone()));
        let mut own = Vec::new();
        let mut pair = PairMoments::empty(f, g);
        for (zz, part) in parts {
            own.extend(zz);
            pair.append(&part);
        }
        (own, pair)
    }

    fn piece(&self, f: usize, g: usize, levels: Range<usize>) -> (Vec<f64>, PairMoments) {
        let (kf, kg) = (self.layout[f].k, self.layout[g].k);
        let size = kf * kg;
        let mut slot = vec![u32::MAX; self.layout[g].n_levels];
        let mut found: Vec<u32> = Vec::new();
        let mut block: Vec<f64> = Vec::new();
        let mut zz = Vec::new();
        let mut pair = PairMoments::empty(f, g);
        for j in levels {
            found.clear();
            block.clear();
            if f == g {
                found.push(j as u32);
                slot[j] = 0;
                block.resize(size, 0.0);
            }
            for &s in self.rows.by_level[f].rows(j) {
                let s = s as usize;
                let left = &self.scaled[f][s * kf..(s + 1) * kf];
                self.for_each(s, g, |level, weight, right| {
                    if f == g && (level as usize) < j {
                        return;
                    }
                    let at = &mut slot[level as usize];
                    if *at == u32::MAX {
                        *at = found.len() as u32;
                        found.push(level);
                        block.resize(found.len() * size, 0.0);
                    }
                    let out = &mut block[*at as usize * size..(*at as usize + 1) * size];
                    for (column, r) in out.chunks_exact_mut(kf).zip(right) {
                        let weight = weight * r;
                        column
                            .iter_mut()
                            .zip(left)
                            .for_each(|(o, l)| *o += weight * l);
                    }
                });
            }
            if f == g {
                zz.extend_from_slice(&symmetric(&block[..size], kf));
            }
            found.sort_unstable();
            for &level in found.iter().filter(|&&level| f != g || level as usize != j) {
                let at = slot[level as usize] as usize * size;
                pair.level.push(level);
                pair.value.extend_from_slice(&block[at..at + size]);
            }
            found
                .iter()
                .for_each(|&level| slot[level as usize] = u32::MAX);
            pair.start.push(pair.level.len());
        }
        (zz, pair)
    }
}

fn symmetric(a: &[f64], k: usize) -> Vec<f64> {
    (0..k * k)
        .map(|e| 0.5 * (a[e] + a[(e % k) * k + e / k]))
        .collect()
}

fn level_sums(level: &[u32], z: &[f64], k: usize, places: Range<usize>) -> Vec<LevelSum> {
    let mut sorted: Vec<usize> = places.collect();
    sorted.sort_by_key(|&place| level[place]);
    let mut out: Vec<LevelSum> = Vec::new();
    for place in sorted {
        let own = &z[place * k..(place + 1) * k];
        match out.last_mut() {
            Some(sum) if sum.level == level[place] => {
                sum.z.iter_mut().zip(own).for_each(|(a, b)| *a += b);
            }
            _ => out.push(LevelSum {
                level: level[place],
                z: own.to_vec(),
            }),
        }
    }
    out
}
