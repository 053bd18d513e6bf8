//! Moments: the weighted cross-products of [Z Q r], all that the criterion sees of the rows.
//!
//! Q = W^{1/2} X Rinv is the orthonormalised fixed-effects matrix ([`FixedBasis`]); Z holds the whitened basis columns times
//! W^{1/2} ([`TermBasis`]); r = W^{1/2} (y - offset - X beta_0 - Z b_0) is the response centred at coefficients close to the
//! solution, so that no residual sum of squares is ever a difference of large numbers.

use crate::memory;
use std::ops::Range;

use crate::error::EngineError;
use crate::extended::{self, Rest};
use crate::fixed_basis::{accumulate_gram, weighted_rows, FixedBasis};
use crate::linalg::dense;
use crate::linalg::double2::Double2;
use crate::linalg::small::{self, Shape};
use crate::parallel::{piece, pieces, StopFlag, Workers};
use crate::parts::chunks;
use crate::prior::prior;
use crate::random_basis::{FactorLayout, TermBasis};
use crate::terms::{Column, ModelData};

/// Numbers handled at once: they stay in the cache.
const BLOCK: usize = 8192;

/// Rows of one piece of work at least.
const PIECE: usize = 131_072;

/// Cross-products within one grouping factor.
#[derive(Debug, Clone)]
pub struct FactorMoments {
    /// Levels J.
    pub n_levels: usize,
    /// Effects of a level k.
    pub k: usize,
    /// Z_j'Z_j: J blocks k x k (symmetric).
    pub zz: Vec<f64>,
    /// Z_j'[Q r]: J blocks of k rows with p + 1 values.
    pub zx: Vec<f64>,
    /// Diagonal of the known precision matrix of the levels; empty where levels are independent.
    pub prior: Vec<f64>,
}

/// Cross-products between the levels of two grouping factors, or (above the diagonal) of one: compressed rows of blocks.
#[derive(Debug, Clone)]
pub struct PairMoments {
    /// First factor (engine's order).
    pub f: usize,
    /// Second factor, after the first or the same.
    pub g: usize,
    /// For each level of `f` the start of its entries.
    pub start: Vec<usize>,
    /// Level of `g` of each entry, ascending within a level of `f`.
    pub level: Vec<u32>,
    /// Z_j'Z_l: blocks k_f x k_g, column-major.
    pub value: Vec<f64>,
    /// Entries of the known precision matrix of the levels (f = g only); empty for none.
    pub prior: Vec<f64>,
}

/// All cross-products.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Rows.
    pub n: usize,
    /// Rank of X, and one more for the response.
    pub p1: usize,
    /// [Q r]'[Q r], symmetric.
    pub xx: Vec<f64>,
    /// One for each grouping factor, in elimination order.
    pub factors: Vec<FactorMoments>,
    /// Every pair f < g, and those within a factor whose levels are not independent.
    pub pairs: Vec<PairMoments>,
    /// sum of log w.
    pub sum_log_weights: f64,
    /// log |Q (x) I| of the known precision matrices.
    pub log_det_prior: f64,
    /// Digits of Z'Z beyond double precision, where they are needed.
    pub(crate) rest: Option<Box<Rest>>,
}

impl Moments {
    /// How many numbers there are.
    #[must_use]
    pub fn numbers(&self) -> usize {
        let factors = self.factors.iter().map(|f| f.zz.len() + f.zx.len());
        let pairs = self.pairs.iter().map(|pair| pair.value.len());
        factors.chain(pairs).sum()
    }

    /// r'r: what the fixed effects alone leave of the response.
    #[must_use]
    pub fn residual(&self) -> f64 {
        self.xx[self.p1 * self.p1 - 1]
    }
}

/// Point about which [Q r] is centred: the response at beta_0 (p, all columns of X), and every column at random effects B_0, that
/// is Q - Z B_0; the latter only after a first fit of data whose residual variance is tiny.
///
/// Where random effects are many times larger than residuals, V^-1 takes nearly all of a column in the span of Z away: of the
/// constant, with n rows a level, all but 1/(1 + n theta^2). Q'Q - RZX'RZX would be what rounding leaves. About its own B_0 =
/// Lambda M^-1 Lambda'Z'Q a column has the same Q'V^-1Q, as (Q - Z B_0)'(Q - Z B_0) + U_0'U_0 with U_0 = Lambda^-1 B_0, and next
/// to nothing to be taken from it: the penalised sum of squares of its own regression on Z.
#[derive(Debug, Clone)]
pub struct Center {
    /// Coefficients of X.
    pub beta: Vec<f64>,
    /// For each factor p1 values an effect, level after level in the internal basis; empty for zero.
    pub b: Vec<Vec<f64>>,
}

impl Center {
    /// Whether there are random effects among it.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        self.b.iter().any(|b| !b.is_empty())
    }
}

/// Internal basis columns of one factor for every row, times the root of the weight.
enum BasisRows {
    /// The same number in every row.
    Same(f64),
    /// k values a row, made where they are needed.
    Passing,
    /// k values a row.
    Rows(Vec<f64>),
}

impl BasisRows {
    fn row(&self, i: usize, k: usize) -> &[f64] {
        match self {
            Self::Same(v) => std::slice::from_ref(v),
            Self::Passing => &[],
            Self::Rows(z) => &z[i * k..(i + 1) * k],
        }
    }
}

impl Moments {
    /// One pass over the rows for each factor's own moments, one ordered by level for each pair of factors.
    ///
    /// # Errors
    /// [`EngineError::NotPositiveDefinite`] where a known precision matrix is not.
    pub fn new(
        data: &ModelData<'_>,
        fixed: &FixedBasis,
        layout: &[FactorLayout],
        bases: &[TermBasis],
        center: &Center,
        workers: &Workers,
    ) -> Result<Self, EngineError> {
        let rows: Vec<BasisRows> = layout
            .iter()
            .map(|f| basis_rows(data, f, bases, layout.len() > 1, workers))
            .collect();
        let model = Rows {
            data,
            fixed,
            layout,
            bases,
            basis: &rows,
            center,
        };
        let (xx, factors) = own_moments(&model, workers);
        let mut pairs = Vec::new();
        for f in 0..layout.len() {
            let order = (layout.len() > f + 1)
                .then(|| LevelOrder::new(layout[f].codes(data), layout[f].n_levels));
            for g in f + 1..layout.len() {
                if let Some(order) = &order {
                    pairs.push(pair_moments(data, layout, &rows, (f, g), order, workers));
                }
            }
        }
        let sum_log_weights = data.weights.map_or(0.0, |w| w.iter().map(|v| v.ln()).sum());
        let mut moments = Self {
            n: data.n(),
            p1: fixed.rank() + 1,
            xx,
            factors,
            pairs,
            sum_log_weights,
            log_det_prior: 0.0,
            rest: None,
        };
        moments.add_priors(data, layout, workers.flag())?;
        Ok(moments)
    }

    /// Takes Z'[Z Q r] with twice the digits from the same rows.
    pub(crate) fn extend(
        &mut self,
        data: &ModelData<'_>,
        layout: &[FactorLayout],
        bases: &[TermBasis],
        rows: &CenteredRows<'_>,
        workers: &Workers,
    ) {
        let zero = |values: &Vec<f64>| {
            let mut out: Vec<Double2> = Vec::new();
            memory::resize(&mut out, values.len());
            out
        };
        let mut own: Vec<_> = self.factors.iter().map(|f| zero(&f.zz)).collect();
        let mut zx: Vec<_> = self.factors.iter().map(|f| zero(&f.zx)).collect();
        let mut between: Vec<_> = self.pairs.iter().map(|pair| zero(&pair.value)).collect();
        let mut z: Vec<_> = layout
            .iter()
            .map(|f| vec![Double2::default(); f.k])
            .collect();
        let p1 = self.p1;
        let mut x = vec![Double2::default(); p1];
        let mut xx = vec![Double2::default(); p1 * p1];
        for block in pieces(data.n(), BLOCK) {
            workers.check();
            for i in block {
                let level = |f: usize| layout[f].codes(data).get(i).map(|c| *c as usize - 1);
                rows.write_extended(i, &mut x);
                add_product(&mut xx, &x, &x);
                let root = Double2::from(data.weights.map_or(1.0, |w| w[i].sqrt()));
                for f in 0..layout.len() {
                    let (k, Some(j)) = (layout[f].k, level(f)) else {
                        continue;
                    };
                    for &t in &layout[f].terms {
                        bases[t].write_extended(&data.terms[t].columns, i, root, &mut z[f]);
                    }
                    add_product(&mut own[f][j * k * k..(j + 1) * k * k], &z[f], &z[f]);
                    add_product(&mut zx[f][j * k * p1..(j + 1) * k * p1], &x, &z[f]);
                }
                for (pair, sums) in self.pairs.iter().zip(&mut between) {
                    let (Some(j), Some(l)) = (level(pair.f), level(pair.g)) else {
                        continue;
                    };
                    let range = pair.start[j]..pair.start[j + 1];
                    let found = pair.level[range.clone()].binary_search(&(l as u32));
                    if let (true, Ok(at)) = (pair.f != pair.g, found) {
                        let (left, right) = (&z[pair.f], &z[pair.g]);
                        let size = left.len() * right.len();
                        let to = (range.start + at) * size;
                        add_product(&mut sums[to..to + size], left, right);
                    }
                }
            }
        }
        let pairs = between;
        Rest::split(self, extended::Sums { xx, own, zx, pairs });
    }

    /// Takes one row out: [q r], z and the level of each factor, if it has any. The number of rows and what is known of weights
    /// stay.
    pub(crate) fn remove_row(
        &mut self,
        x: &[Double2],
        z: &[Vec<Double2>],
        level: &[Option<usize>],
    ) {
        let rest = &mut self.rest;
        let xx = rest.as_deref_mut().map_or(&mut [][..], |rest| &mut rest.xx);
        subtract_product(0, (&mut self.xx, xx), x, x);
        for (f, factor) in self.factors.iter_mut().enumerate() {
            let Some(j) = level[f] else {
                continue;
            };
            let [own, zx] = match rest.as_deref_mut() {
                Some(rest) => [&mut rest.own, &mut rest.zx].map(|all| all[f].as_mut_slice()),
                None => [&mut [][..], &mut []],
            };
            subtract_product(j, (&mut factor.zz, own), &z[f], &z[f]);
            subtract_product(j, (&mut factor.zx, zx), x, &z[f]);
        }
        for (at, pair) in self.pairs.iter_mut().enumerate() {
            let (false, Some(j), Some(l)) = (pair.f == pair.g, level[pair.f], level[pair.g]) else {
                continue;
            };
            let range = pair.start[j]..pair.start[j + 1];
            if let Ok(entry) = pair.level[range.clone()].binary_search(&(l as u32)) {
                let low = match rest.as_deref_mut() {
                    Some(rest) => rest.pairs[at].as_mut_slice(),
                    None => &mut [],
                };
                let entry = range.start + entry;
                let value = (&mut pair.value[..], low);
                subtract_product(entry, value, &z[pair.f], &z[pair.g]);
            }
        }
    }

    /// The same known precision matrices of the levels as other moments of the model have.
    pub(crate) fn take_priors(&mut self, other: &Self) {
        for (own, from) in self.factors.iter_mut().zip(&other.factors) {
            own.prior.clone_from(&from.prior);
        }
        let known = other.pairs.iter().filter(|pair| !pair.prior.is_empty());
        self.pairs.extend(known.cloned());
        self.log_det_prior = other.log_det_prior;
    }

    /// Takes the known precision matrices of the levels in.
    pub(crate) fn add_priors(
        &mut self,
        data: &ModelData<'_>,
        layout: &[FactorLayout],
        stop: &StopFlag,
    ) -> Result<(), EngineError> {
        for (f, factor) in layout.iter().enumerate() {
            let precision = factor.user.and_then(|user| data.factors[user].precision);
            if let Some(precision) = precision {
                let prior = prior(&precision, f, factor.k, stop).ok_or(
                    EngineError::NotPositiveDefinite {
                        factor: factor.user,
                    },
                )?;
                self.factors[f].prior = prior.diagonal;
                self.log_det_prior += factor.k as f64 * prior.log_det;
                self.pairs.push(prior.pair);
            }
        }
        Ok(())
    }
}

/// A += x y', column-major.
fn add_product(a: &mut [Double2], x: &[Double2], y: &[Double2]) {
    for (column, y) in a.chunks_exact_mut(x.len()).zip(y) {
        for (sum, x) in column.iter_mut().zip(x) {
            *sum += *x * *y;
        }
    }
}

/// A -= x y' for one block of several, column-major, given with what they have beyond double precision, or nothing.
fn subtract_product(
    block: usize,
    (high, low): (&mut [f64], &mut [f64]),
    x: &[Double2],
    y: &[Double2],
) {
    let size = x.len() * y.len();
    let range = block * size..(block + 1) * size;
    let products = y.iter().flat_map(|y| x.iter().map(move |x| *x * *y));
    let high = &mut high[range.clone()];
    match low.get_mut(range) {
        Some(low) => {
            for ((high, low), product) in high.iter_mut().zip(low).zip(products) {
                let rest = Double2 {
                    high: *high,
                    low: *low,
                } - product;
                (*high, *low) = (rest.high, rest.low);
            }
        }
        None => {
            let pairs = high.iter_mut().zip(products);
            pairs.for_each(|(high, product)| *high -= product.high);
        }
    }
}

/// What the rows of a model are made of.
struct Rows<'a> {
    data: &'a ModelData<'a>,
    fixed: &'a FixedBasis,
    layout: &'a [FactorLayout],
    bases: &'a [TermBasis],
    basis: &'a [BasisRows],
    center: &'a Center,
}

impl Rows<'_> {
    /// Whether cross-products of raw columns are taken, and transformed afterwards.
    fn transforms_moments(&self) -> bool {
        self.fixed.transform_moments && !self.center.has_effects()
    }
}

/// Basis columns of a factor; kept for all rows where pairs of factors look at them in another order.
fn basis_rows(
    data: &ModelData<'_>,
    factor: &FactorLayout,
    bases: &[TermBasis],
    keep: bool,
    workers: &Workers,
) -> BasisRows {
    let k = factor.k;
    let Some(&first) = factor.terms.first() else {
        return BasisRows::Same(1.0);
    };
    let constant = k == 1 && matches!(data.terms[first].columns[0], Column::Constant);
    if constant && data.weights.is_none() {
        return BasisRows::Same(bases[first].change[0]);
    }
    if !keep {
        return BasisRows::Passing;
    }
    let mut z = memory::zeros(data.n() * k);
    let count = data.n().div_ceil(PIECE / 2);
    workers.for_each(count, chunks(&mut z, PIECE / 2 * k), |i, out| {
        fill_basis(data, factor, bases, piece(data.n(), PIECE / 2, i), out);
    });
    BasisRows::Rows(z)
}

/// Basis columns of one factor in the rows `range`, k values a row.
fn fill_basis(
    data: &ModelData<'_>,
    factor: &FactorLayout,
    bases: &[TermBasis],
    range: Range<usize>,
    out: &mut [f64],
) {
    for &t in &factor.terms {
        let (basis, columns) = (&bases[t], &data.terms[t].columns);
        for (c, column) in columns.iter().enumerate() {
            let at = basis.offset + c;
            column.visit(range.clone(), out.chunks_exact_mut(factor.k), |row, z| {
                row[at] = z;
            });
        }
        let (own, k) = (basis.offset..basis.offset + basis.k, basis.k);
        if k == 1 {
            let change = basis.change[0];
            out.chunks_exact_mut(factor.k)
                .for_each(|row| row[own.start] *= change);
        } else {
            for row in out.chunks_exact_mut(factor.k) {
                let row = &mut row[own.clone()];
                // upper triangular: from the last column on, in place
                for c in (0..k).rev() {
                    row[c] = (0..=c).map(|a| row[a] * basis.change[c * k + a]).sum();
                }
            }
        }
    }
    if let Some(w) = data.weights {
        for (row, w) in out.chunks_exact_mut(factor.k).zip(&w[range]) {
            let root = w.sqrt();
            row.iter_mut().for_each(|v| *v *= root);
        }
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
    let Rows {
        data,
        fixed,
        layout,
        ..
    } = *model;
    let (n, p, r) = (data.n(), data.p, fixed.rank());
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
                transform_rows(fixed, &zx, width)
            } else {
                zx
            };
            debug_assert_eq!(zx.len(), f.n_levels * f.k * p1);
            FactorMoments {
                n_levels: f.n_levels,
                k: f.k,
                zz,
                zx,
                prior: Vec::new(),
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
fn transform_rows(fixed: &FixedBasis, rows: &[f64], width: usize) -> Vec<f64> {
    let (p, r) = (fixed.p, fixed.rank());
    let m = rows.len() / width;
    let mut out = memory::zeros(m * (r + 1));
    if r > 8 {
        let mut change = memory::zeros(width * (r + 1));
        for c in 0..r {
            change[c * width..c * width + p].copy_from_slice(&fixed.rinv[c * p..(c + 1) * p]);
        }
        change[r * width + p] = 1.0;
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
        // of full rank: Rinv is upper triangular
        let mut own = memory::zeros(r * r);
        let rinv = (fixed.rinv.as_slice(), Shape::Upper, false);
        small::congruence(rinv, &fixed.gram, r, &mut own);
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
        data,
        fixed,
        layout,
        basis,
        ..
    } = *model;
    let (p, r, transform) = (data.p, fixed.rank(), model.transforms_moments());
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
        change = memory::zeros((p + 1) * width);
        for c in 0..r {
            change[c * (p + 1)..c * (p + 1) + p].copy_from_slice(&fixed.rinv[c * p..(c + 1) * p]);
        }
        change[r * (p + 1) + p] = 1.0;
    }
    let centred = (model.center.has_effects())
        .then(|| CenteredRows::new(data, fixed, layout, model.bases, model.center));
    let mut with_response = memory::zeros(p + 1);
    for start in range.clone().step_by(size) {
        let block = start..(start + size).min(range.end);
        let m = block.len();
        let x = &mut x[..m * (p + 1)];
        weighted_rows(data, block.clone(), p + 1, x);
        for (f, z) in z.iter_mut().enumerate().filter(|(_, z)| !z.is_empty()) {
            let z = &mut z[..m * layout[f].k];
            fill_basis(data, &layout[f], model.bases, block.clone(), z);
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
            let Some(codes) = factor.codes(data).get(block.clone()) else {
                continue;
            };
            let (zz, zx) = (&mut sums.zz[f], &mut sums.zx[f]);
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

/// Rows of [Q r] about a centre with random effects, to full precision: what is left of them may be many orders of magnitude
/// smaller than they are.
pub(crate) struct CenteredRows<'a> {
    data: &'a ModelData<'a>,
    layout: &'a [FactorLayout],
    /// -[Q r] in terms of the columns of X, p x p1 row-major, but for the response itself.
    fixed: Vec<f64>,
    /// For each factor with a centre its effects on the user's columns, p1 values an effect.
    effects: Vec<Vec<f64>>,
    p1: usize,
}

impl<'a> CenteredRows<'a> {
    pub fn new(
        data: &'a ModelData<'a>,
        basis: &FixedBasis,
        layout: &'a [FactorLayout],
        bases: &[TermBasis],
        center: &Center,
    ) -> Self {
        let (p, r) = (data.p, basis.rank());
        let p1 = r + 1;
        let of_column = |c: usize, i: usize| match c {
            c if c < r => -basis.rinv[c * p + i],
            _ => center.beta[i],
        };
        let fixed = (0..p * p1).map(|e| of_column(e % p1, e / p1)).collect();
        let effects = layout.iter().zip(&center.b).map(|(factor, b)| {
            let mut out = memory::zeros(b.len());
            let levels = out.chunks_exact_mut(factor.k * p1);
            for (own, b) in levels.zip(b.chunks_exact(factor.k * p1)) {
                for &t in &factor.terms {
                    let (basis, k) = (&bases[t], bases[t].k);
                    for c in 0..k {
                        for a in 0..=c {
                            let weight = basis.change[c * k + a];
                            let to = &mut own[(basis.offset + a) * p1..(basis.offset + a + 1) * p1];
                            let from = &b[(basis.offset + c) * p1..(basis.offset + c + 1) * p1];
                            to.iter_mut().zip(from).for_each(|(x, b)| *x += weight * b);
                        }
                    }
                }
            }
            out
        });
        Self {
            data,
            layout,
            fixed,
            effects: effects.collect(),
            p1,
        }
    }

    /// W^{1/2} [Q - Z B_0, y - offset - X beta_0 - Z b_0] of row `i`.
    pub fn write(&self, i: usize, row: &mut [f64]) {
        let root = self.data.weights.map_or(1.0, |w| w[i].sqrt());
        row.iter_mut()
            .zip(self.row(i))
            .for_each(|(out, value)| *out = root * value.high);
    }

    /// The same with twice the digits.
    pub fn write_extended(&self, i: usize, row: &mut [Double2]) {
        let root = Double2::from(self.data.weights.map_or(1.0, |w| w[i].sqrt()));
        row.iter_mut()
            .zip(self.row(i))
            .for_each(|(out, value)| *out = root * value);
    }

    /// What is weighted there, column by column.
    fn row(&self, i: usize) -> impl Iterator<Item = Double2> + '_ {
        let (data, p1) = (self.data, self.p1);
        let x = move |j: usize| data.x[j].at(i);
        (0..p1).map(move |c| {
            let mut sum = Double2::default();
            if c + 1 == p1 {
                sum += Double2::from(data.y[i]);
                sum += Double2::from(-data.offset.map_or(0.0, |offset| offset[i]));
            }
            for j in 0..data.p {
                sum += Double2::product(-x(j), self.fixed[j * p1 + c]);
            }
            for (factor, effects) in self.layout.iter().zip(&self.effects) {
                if effects.is_empty() {
                    continue;
                }
                let level = factor.codes(data)[i] as usize - 1;
                let own = effects[level * factor.k * p1..].chunks_exact(p1);
                let columns = factor.terms.iter().flat_map(|&t| &data.terms[t].columns);
                for (column, own) in columns.zip(own) {
                    sum += Double2::product(-column.at(i), own[c]);
                }
            }
            sum
        })
    }
}

/// Sums of the rows of each level, and how many there are; times the basis afterwards.
fn add_same(codes: &[i32], rows: &[f64], width: usize, zz: &mut [f64], zx: &mut [f64]) {
    fn of_width<const W: usize>(codes: &[i32], rows: &[f64], zz: &mut [f64], zx: &mut [f64]) {
        for (code, row) in codes.iter().zip(rows.chunks_exact(W)) {
            let j = *code as usize - 1;
            zz[j] += 1.0;
            let sums = &mut zx[j * W..(j + 1) * W];
            for a in 0..W {
                sums[a] += row[a];
            }
        }
    }
    match width {
        1 => of_width::<1>(codes, rows, zz, zx),
        2 => of_width::<2>(codes, rows, zz, zx),
        3 => of_width::<3>(codes, rows, zz, zx),
        4 => of_width::<4>(codes, rows, zz, zx),
        5 => of_width::<5>(codes, rows, zz, zx),
        6 => of_width::<6>(codes, rows, zz, zx),
        7 => of_width::<7>(codes, rows, zz, zx),
        8 => of_width::<8>(codes, rows, zz, zx),
        _ => {
            for (code, row) in codes.iter().zip(rows.chunks_exact(width)) {
                let j = *code as usize - 1;
                zz[j] += 1.0;
                let sums = &mut zx[j * width..(j + 1) * width];
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
            }
        }
    }
}

/// Lower triangles of z z' and z [x r] of the rows of each level.
fn add_levels(
    codes: &[i32],
    z: &[f64],
    k: usize,
    rows: &[f64],
    width: usize,
    zz: &mut [f64],
    zx: &mut [f64],
) {
    fn of_shape<const K: usize, const W: usize>(
        codes: &[i32],
        z: &[f64],
        rows: &[f64],
        zz: &mut [f64],
        zx: &mut [f64],
    ) {
        let rows = z.chunks_exact(K).zip(rows.chunks_exact(W));
        for (code, (z, row)) in codes.iter().zip(rows) {
            let j = *code as usize - 1;
            let squares = &mut zz[j * K * K..(j + 1) * K * K];
            for a in 0..K {
                for b in a..K {
                    squares[a * K + b] += z[a] * z[b];
                }
            }
            let sums = &mut zx[j * K * W..(j + 1) * K * W];
            for a in 0..K {
                for c in 0..W {
                    sums[a * W + c] += z[a] * row[c];
                }
            }
        }
    }
    match (k, width) {
        (1, 2) => of_shape::<1, 2>(codes, z, rows, zz, zx),
        (1, 3) => of_shape::<1, 3>(codes, z, rows, zz, zx),
        (1, 4) => of_shape::<1, 4>(codes, z, rows, zz, zx),
        (2, 2) => of_shape::<2, 2>(codes, z, rows, zz, zx),
        (2, 3) => of_shape::<2, 3>(codes, z, rows, zz, zx),
        (2, 4) => of_shape::<2, 4>(codes, z, rows, zz, zx),
        (2, 5) => of_shape::<2, 5>(codes, z, rows, zz, zx),
        (3, 4) => of_shape::<3, 4>(codes, z, rows, zz, zx),
        (3, 5) => of_shape::<3, 5>(codes, z, rows, zz, zx),
        (4, 5) => of_shape::<4, 5>(codes, z, rows, zz, zx),
        _ => {
            let rows = z.chunks_exact(k).zip(rows.chunks_exact(width));
            for (code, (z, row)) in codes.iter().zip(rows) {
                let j = *code as usize - 1;
                let squares = &mut zz[j * k * k..(j + 1) * k * k];
                for a in 0..k {
                    for b in a..k {
                        squares[a * k + b] += z[a] * z[b];
                    }
                }
                let sums = zx[j * k * width..(j + 1) * k * width].chunks_exact_mut(width);
                for (sums, za) in sums.zip(z) {
                    sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += za * v);
                }
            }
        }
    }
}

impl PairMoments {
    /// No level yet.
    pub(crate) fn empty(f: usize, g: usize) -> Self {
        Self {
            f,
            g,
            start: vec![0],
            level: Vec::new(),
            value: Vec::new(),
            prior: Vec::new(),
        }
    }

    /// The levels of `part` after the own ones.
    pub(crate) fn append(&mut self, part: &Self) {
        let base = self.level.len();
        self.start.extend(part.start[1..].iter().map(|s| base + s));
        self.level.extend_from_slice(&part.level);
        self.value.extend_from_slice(&part.value);
    }
}

/// Rows ordered by level (counting sort).
#[derive(Debug, Clone)]
pub(crate) struct LevelOrder {
    start: Vec<usize>,
    row: Vec<u32>,
}

impl LevelOrder {
    /// Rows of one level.
    pub(crate) fn rows(&self, level: usize) -> &[u32] {
        &self.row[self.start[level]..self.start[level + 1]]
    }

    pub(crate) fn new(codes: &[i32], n_levels: usize) -> Self {
        let mut start = vec![0usize; n_levels + 1];
        for &c in codes {
            start[c as usize] += 1;
        }
        for j in 0..n_levels {
            start[j + 1] += start[j];
        }
        let mut next = start.clone();
        let mut row = vec![0u32; codes.len()];
        for (i, &c) in codes.iter().enumerate() {
            let slot = &mut next[c as usize - 1];
            row[*slot] = i as u32;
            *slot += 1;
        }
        Self { start, row }
    }
}

fn pair_moments(
    data: &ModelData<'_>,
    layout: &[FactorLayout],
    rows: &[BasisRows],
    (f, g): (usize, usize),
    order: &LevelOrder,
    workers: &Workers,
) -> PairMoments {
    let n_levels = layout[f].n_levels;
    let count = (data.n() / PIECE).clamp(1, 32);
    let work = pieces(n_levels, n_levels.div_ceil(count));
    let parts = workers.map(work.len(), |piece| {
        pair_piece(data, layout, rows, (f, g), order, work[piece].clone())
    });
    // the first goes on as it is, each other one ends once it is taken over
    let mut parts = parts.into_iter();
    let mut pair = parts.next().unwrap_or_else(|| PairMoments::empty(f, g));
    parts.for_each(|part| pair.append(&part));
    pair
}

fn pair_piece(
    data: &ModelData<'_>,
    layout: &[FactorLayout],
    rows: &[BasisRows],
    (f, g): (usize, usize),
    order: &LevelOrder,
    levels: Range<usize>,
) -> PairMoments {
    let (kf, kg) = (layout[f].k, layout[g].k);
    let size = kf * kg;
    let codes = layout[g].codes(data);
    let mut slot = vec![u32::MAX; layout[g].n_levels];
    let mut pair = PairMoments::empty(f, g);
    let mut found: Vec<u32> = Vec::new();
    let mut block: Vec<f64> = Vec::new();
    for j in levels {
        found.clear();
        block.clear();
        for &i in order.rows(j) {
            let i = i as usize;
            let level = codes[i] as u32 - 1;
            if slot[level as usize] == u32::MAX {
                slot[level as usize] = found.len() as u32;
                found.push(level);
                memory::resize(&mut block, found.len() * size);
            }
            let at = slot[level as usize] as usize * size;
            let (zf, zg) = (rows[f].row(i, kf), rows[g].row(i, kg));
            for (b, vg) in zg.iter().enumerate() {
                for (a, vf) in zf.iter().enumerate() {
                    block[at + b * kf + a] += vf * vg;
                }
            }
        }
        found.sort_unstable();
        for &level in &found {
            let at = slot[level as usize] as usize * size;
            pair.level.push(level);
            pair.value.extend_from_slice(&block[at..at + size]);
        }
        for &level in &found {
            slot[level as usize] = u32::MAX;
        }
        pair.start.push(pair.level.len());
    }
    pair
}
