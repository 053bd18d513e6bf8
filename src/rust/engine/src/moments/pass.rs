//! Moments: the weighted cross-products of [Z Q r], all that the criterion sees of the rows without a residual structure (with
//! one: [`super::residual_part`]).
//!
//! Q = W^{1/2} X Rinv is the orthonormalised fixed-effects matrix ([`FixedBasis`]); Z holds the whitened basis columns times
//! W^{1/2} ([`crate::basis::random::TermBasis`]); r = W^{1/2} (y - offset - X beta_0 - Z b_0) is the response centred at
//! coefficients close to the solution, so that a residual sum of squares is no difference of large numbers; where it turns out to
//! be one, `fit/centring.rs` centres again.

use std::ops::Range;

use crate::api::model::ModelData;
use crate::basis::fixed::FixedBasis;
use crate::basis::gram::weighted_rows;
use crate::basis::rows::Coordinates;
use crate::linalg::dense::{self, Shape};
use crate::linalg::row_sums::accumulate_gram;
use crate::linalg::small;
use crate::moments::basis_rows::{basis_rows, BasisRows};
use crate::moments::blocks::{Center, FactorMoments, Moments, PairMoments};
use crate::moments::centred_rows::CenteredRows;
use crate::moments::level_order::LevelOrder;
use crate::moments::levels::{add_levels, add_members, add_same};
use crate::moments::pairs::{pair_blocks, Codes, Several, With};
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;

/// Numbers handled at once: they stay in the cache.
const BLOCK: usize = 8192;

/// Rows of one piece of work at least.
const PIECE: usize = 131_072;

/// The basis of a constant, before it is scaled.
const ONE: &[f64] = &[1.0];

impl Moments {
    /// One pass over the rows for each factor's own moments, one ordered by level for each pair of factors; without known
    /// precision matrices.
    pub(crate) fn of_rows(
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
        workers: &Workers,
    ) -> Self {
        let layout = at.layout;
        let rows: Vec<BasisRows> = layout
            .iter()
            .map(|f| basis_rows(data, at, f, layout.len() > 1, workers))
            .collect();
        let model = Rows {
            data,
            at,
            basis: &rows,
            center,
        };
        let (xx, factors) = own_moments(&model, workers);
        let mut pairs = Vec::new();
        for f in 0..layout.len() {
            let members = layout[f].members(data);
            let order = (layout.len() > f + 1 || members.is_some()).then(|| match members {
                Some(members) => LevelOrder::of_members(members, layout[f].n_levels),
                None => LevelOrder::new(layout[f].codes(data), layout[f].n_levels),
            });
            // levels that share rows are not independent
            let first = if members.is_some() { f } else { f + 1 };
            for g in first..layout.len() {
                if let Some(order) = &order {
                    pairs.push(pair_moments(&model, (f, g), order, workers));
                }
            }
        }
        Self {
            n: data.n(),
            p1: at.fixed.rank() + 1,
            xx,
            factors,
            pairs,
            sum_log_weights: data.sum_log_weights(),
            log_det_level_precision: 0.0,
            rest: None,
        }
    }
}

/// Cross-products between the levels of two factors, or of one whose levels share rows.
fn pair_moments(
    model: &Rows<'_>,
    (f, g): (usize, usize),
    order: &LevelOrder,
    workers: &Workers,
) -> PairMoments {
    let (kf, kg) = (model.at.layout[f].k, model.at.layout[g].k);
    let (zf, zg) = (&model.basis[f], &model.basis[g]);
    let add = |i: usize, weight: f64, block: &mut [f64]| {
        let zf = zf.row(i, kf);
        for (column, vg) in block.chunks_exact_mut(kf).zip(zg.row(i, kg)) {
            let vg = weight * vg;
            for (to, vf) in column.iter_mut().zip(zf) {
                *to += vf * vg;
            }
        }
    };
    let n_levels = model.at.layout[f].n_levels;
    let (other, size) = (&model.at.layout[g], kf * kg);
    let with = if f == g { With::Later } else { With::All };
    let found = match other.members(model.data) {
        Some(members) => {
            let other = Several(members, other.n_levels);
            pair_blocks(n_levels, order, (other, with), size, add, workers)
        }
        None => {
            let other = Codes(other.codes(model.data), other.n_levels);
            pair_blocks(n_levels, order, (other, with), size, add, workers)
        }
    };
    PairMoments {
        f,
        g,
        start: found.start,
        level: found.level,
        value: found.value,
        level_precision: Vec::new(),
    }
}

/// What the rows of a model are made of.
struct Rows<'a> {
    data: &'a ModelData<'a>,
    at: Coordinates<'a>,
    basis: &'a [BasisRows],
    center: &'a Center,
}

impl Rows<'_> {
    /// Whether cross-products of raw columns are taken, and transformed afterwards.
    fn transforms_moments(&self) -> bool {
        self.at.fixed.transform_moments && !self.center.has_effects()
    }
}

/// Sums over one piece of the rows.
struct Sums {
    xx: Vec<f64>,
    zz: Vec<Vec<f64>>,
    zx: Vec<Vec<f64>>,
}

/// Number of pieces: a function of the sizes alone, so that results do not depend on threads, and such that the tables of
/// all pieces together stay small beside the data.
fn number_of_pieces(n: usize, table: usize) -> usize {
    let by_rows = (n / PIECE).clamp(1, 8);
    let by_memory = (2 * n / table.max(1)).max(1);
    by_rows.min(by_memory)
}

fn own_moments(model: &Rows<'_>, workers: &Workers) -> (Vec<f64>, Vec<FactorMoments>) {
    let Rows { data, at, .. } = *model;
    let Coordinates { fixed, layout, .. } = at;
    let (n, p, r) = (data.rows(), data.p, fixed.rank());
    // columns accumulated: raw X where cross-products may be transformed, Q where rows have to be
    let transform = model.transforms_moments();
    let width = if transform { p } else { r } + 1;
    let table: usize = layout
        .iter()
        .map(|f| f.n_levels * f.k * (f.k + width))
        .sum();
    let count = number_of_pieces(n, table);
    let work = pieces(n, n.div_ceil(count));
    let mut parts = workers.map(work.len(), |piece| {
        piece_sums(model, work[piece].clone(), width)
    });
    let mut total = parts.remove(0);
    for part in parts {
        add(&mut total.xx, &part.xx);
        for f in 0..layout.len() {
            add(&mut total.zz[f], &part.zz[f]);
            add(&mut total.zx[f], &part.zx[f]);
        }
    }
    let p1 = r + 1;
    let xx = finish_xx(fixed, &total.xx, width, transform);
    let factors = layout
        .iter()
        .zip(total.zz)
        .zip(total.zx)
        .map(|((f, mut zz), zx)| {
            mirror_blocks(&mut zz, f.k);
            let zx = if transform {
                transform_rows(at, &zx, width)
            } else {
                zx
            };
            debug_assert_eq!(zx.len(), f.n_levels * f.k * p1);
            FactorMoments {
                n_levels: f.n_levels,
                k: f.k,
                zz,
                zx,
                level_precision: Vec::new(),
                multiplicity: Vec::new(),
            }
        })
        .collect();
    (xx, factors)
}

fn add(total: &mut [f64], part: &[f64]) {
    total.iter_mut().zip(part).for_each(|(a, b)| *a += b);
}

fn mirror_blocks(zz: &mut [f64], k: usize) {
    for block in zz.chunks_exact_mut(k * k) {
        for a in 0..k {
            for b in a + 1..k {
                block[b * k + a] = block[a * k + b];
            }
        }
    }
}

/// Rows [x r] of length p + 1 to rows [x Rinv, r].
fn transform_rows(at: Coordinates<'_>, rows: &[f64], width: usize) -> Vec<f64> {
    let fixed = at.fixed;
    let (p, r) = (fixed.p, fixed.rank());
    let m = rows.len() / width;
    let mut out = memory::zeros(m * (r + 1));
    if r > 8 {
        let change = at.change_with_response();
        dense::rows_times(rows, &change, m, width, r + 1, &mut out);
        return out;
    }
    for (row, to) in rows.chunks_exact(width).zip(out.chunks_exact_mut(r + 1)) {
        for c in 0..r {
            to[c] = (0..p).map(|i| row[i] * fixed.rinv[c * p + i]).sum();
        }
        to[r] = row[p];
    }
    out
}

/// [Q r]'[Q r] from what was accumulated: either just that, or only its last row and column beside X'WX.
fn finish_xx(fixed: &FixedBasis, sums: &[f64], width: usize, transform: bool) -> Vec<f64> {
    let (p, r) = (fixed.p, fixed.rank());
    let p1 = r + 1;
    let mut xx = memory::zeros(p1 * p1);
    if transform {
        let mut own = memory::zeros(r * r);
        if r == p {
            // of full rank: Rinv is upper triangular
            let rinv = (fixed.rinv.as_slice(), Shape::Upper, false);
            small::congruence(rinv, &fixed.gram, r, &mut own);
        } else {
            let mut half = memory::zeros(p * r);
            small::mul_nn(&fixed.gram, &fixed.rinv, p, p, r, &mut half);
            small::mul_tn(&fixed.rinv, &half, p, r, r, &mut own);
        }
        for (c, rinv) in fixed.rinv.chunks_exact(p.max(1)).take(r).enumerate() {
            xx[c * p1..c * p1 + r].copy_from_slice(&own[c * r..(c + 1) * r]);
            let with_response = rinv.iter().enumerate();
            xx[c * p1 + r] = with_response.map(|(i, v)| v * sums[i * width + p]).sum();
            xx[r * p1 + c] = xx[c * p1 + r];
        }
        xx[r * p1 + r] = sums[p * width + p];
    } else {
        xx.copy_from_slice(sums);
        for j in 0..p1 {
            for i in j + 1..p1 {
                xx[i * p1 + j] = xx[j * p1 + i];
            }
        }
    }
    xx
}

fn piece_sums(model: &Rows<'_>, range: Range<usize>, width: usize) -> Sums {
    let Rows {
        data, at, basis, ..
    } = *model;
    let layout = at.layout;
    let (p, transform) = (data.p, model.transforms_moments());
    let mut sums = Sums {
        xx: memory::zeros(width * width),
        zz: layout
            .iter()
            .map(|f| memory::zeros(f.n_levels * f.k * f.k))
            .collect(),
        zx: layout
            .iter()
            .map(|f| memory::zeros(f.n_levels * f.k * width))
            .collect(),
    };
    let size = (BLOCK / (p + 1)).clamp(128, 1024).min(range.len());
    let mut x = memory::zeros(size * (p + 1));
    let mut z: Vec<Vec<f64>> = (layout.iter().zip(basis))
        .map(|(factor, basis)| match basis {
            BasisRows::Passing => memory::zeros(size * factor.k),
            _ => Vec::new(),
        })
        .collect();
    let mut q = Vec::new();
    let mut change = Vec::new();
    if !transform {
        // [X r] -> [Q r]
        q = memory::zeros(size * width);
        change = at.change_with_response();
    }
    let centred = (model.center.has_effects()).then(|| CenteredRows::new(data, at, model.center));
    let mut with_response = memory::zeros(p + 1);
    for start in range.clone().step_by(size) {
        let block = start..(start + size).min(range.end);
        let m = block.len();
        let x = &mut x[..m * (p + 1)];
        weighted_rows(data, block.clone(), p + 1, x);
        for (f, z) in z.iter_mut().enumerate().filter(|(_, z)| !z.is_empty()) {
            let z = &mut z[..m * layout[f].k];
            model.at.fill_z(data, &layout[f], block.clone(), z);
        }
        centred_response(model, block.clone(), x);
        let rows: &[f64] = if transform {
            for row in x.chunks_exact(p + 1) {
                let response = row[p];
                for (sum, v) in with_response.iter_mut().zip(row) {
                    *sum += v * response;
                }
            }
            x
        } else {
            let q = &mut q[..m * width];
            match &centred {
                Some(centred) => block
                    .clone()
                    .zip(q.chunks_exact_mut(width))
                    .for_each(|(i, row)| centred.write(i, row)),
                None => dense::rows_times(x, &change, m, p + 1, width, q),
            }
            accumulate_gram(q, width, &mut sums.xx);
            q
        };
        for (f, factor) in layout.iter().enumerate() {
            let (zz, zx) = (&mut sums.zz[f], &mut sums.zx[f]);
            if let Some(members) = factor.members(data) {
                let (start, k) = (block.start, factor.k);
                let z = |i: usize| match &basis[f] {
                    BasisRows::Same(_) => ONE,
                    BasisRows::Passing => &z[f][(i - start) * k..(i - start + 1) * k],
                    BasisRows::Rows(z) => &z[i * k..(i + 1) * k],
                };
                add_members(members, block.clone(), z, rows, width, zz, zx);
                continue;
            }
            let Some(codes) = factor.codes(data).get(block.clone()) else {
                continue;
            };
            match &basis[f] {
                BasisRows::Same(_) => add_same(codes, rows, width, zz, zx),
                BasisRows::Passing => add_levels(codes, &z[f], factor.k, rows, width, zz, zx),
                BasisRows::Rows(z) => {
                    let z = &z[block.start * factor.k..block.end * factor.k];
                    add_levels(codes, z, factor.k, rows, width, zz, zx);
                }
            }
        }
    }
    if transform {
        for (i, sum) in with_response.iter().enumerate() {
            sums.xx[i * width + p] += sum;
        }
    }
    for (f, basis) in basis.iter().enumerate() {
        if let BasisRows::Same(c) = basis {
            sums.zz[f].iter_mut().for_each(|v| *v *= c * c);
            sums.zx[f].iter_mut().for_each(|v| *v *= c);
        }
    }
    sums
}

/// Puts W^{1/2} (y - offset - X beta_0) into the last place of each row of W^{1/2} [X .].
fn centred_response(model: &Rows<'_>, range: Range<usize>, rows: &mut [f64]) {
    let Rows { data, center, .. } = *model;
    let p = data.p;
    for (row, y) in rows.chunks_exact_mut(p + 1).zip(&data.y[range.clone()]) {
        row[p] = *y;
    }
    if let Some(offset) = data.offset {
        for (row, o) in rows.chunks_exact_mut(p + 1).zip(&offset[range.clone()]) {
            row[p] -= o;
        }
    }
    if let Some(w) = data.weights {
        for (row, w) in rows.chunks_exact_mut(p + 1).zip(&w[range.clone()]) {
            row[p] *= w.sqrt();
        }
    }
    for row in rows.chunks_exact_mut(p + 1) {
        let mean: f64 = row[..p].iter().zip(&center.beta).map(|(x, b)| x * b).sum();
        row[p] -= mean;
    }
}
