//! Cross-products [Z Q r]'R^-1[Z Q r] where the residuals of a group of rows are correlated: the rows are kept, and summed
//! again for every R.
//!
//! With R = D C D and B the rows divided by D, the cross-products are sums over groups of B'C^-1B. Rows s and t of a group
//! whose entry of C^-1 is not zero couple the levels that they belong to, also those of one grouping factor.

use std::borrow::Cow;
use std::ops::Range;

use crate::api::model::ModelData;
use crate::basis::fixed::{weighted_rows, FixedBasis};
use crate::basis::random::{FactorLayout, TermBasis};
use crate::linalg::dense;
use crate::linalg::double2::Double2;
use crate::moments::blocks::{Center, FactorMoments, Moments, PairMoments, Rest};
use crate::moments::centred_rows::CenteredRows;
use crate::moments::compress::condense;
use crate::moments::level_order::LevelOrder;
use crate::moments::twice::Sums;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::{chunks, pieces};
use crate::structure::residual::{Residual, Stand, Whitening};

/// Least number of groups with one R for which fewer are sought.
const MANY: usize = 16;

/// Groups that are replaced by fewer at a time, for each row and column of a group: where the new ones are more than half as
/// many, evaluations with them are not cheap enough to pay for finding them.
const BLOCK: usize = 16;

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
    /// Rows of the data, for which these may stand.
    observations: usize,
}

/// A residual structure and the rows that it applies to.
///
/// Without random effects the groups with one R are replaced by as few as have the same sum of cross-products of their rows
/// (see [`crate::structure::residual::Residual::classes`]), so that no evaluation depends on the number of subjects.
#[derive(Debug, Clone)]
pub(crate) struct ResidualPart {
    pub model: Residual,
    pub rows: ResidualRows,
    pub layout: Vec<FactorLayout>,
    /// The structure of all rows, where `model` is that of fewer.
    whole: Option<Residual>,
}

impl ResidualPart {
    pub fn new(
        data: &ModelData<'_>,
        fixed: &FixedBasis,
        layout: &[FactorLayout],
        bases: &[TermBasis],
        center: &Center,
        model: Residual,
        workers: &Workers,
    ) -> Self {
        let part = Self::of_all_rows(data, fixed, layout, bases, center, model);
        part.condensed(workers).unwrap_or(part)
    }

    /// The rows as they are.
    pub fn of_all_rows(
        data: &ModelData<'_>,
        fixed: &FixedBasis,
        layout: &[FactorLayout],
        bases: &[TermBasis],
        center: &Center,
        model: Residual,
    ) -> Self {
        Self {
            rows: ResidualRows::new(data, fixed, layout, bases, center, &model),
            model,
            layout: layout.to_vec(),
            whole: None,
        }
    }

    /// The same model with its response centred elsewhere.
    pub fn recentred(
        &self,
        data: &ModelData<'_>,
        fixed: &FixedBasis,
        bases: &[TermBasis],
        center: &Center,
        workers: &Workers,
    ) -> Self {
        let model = self.whole().clone();
        Self::new(data, fixed, &self.layout, bases, center, model, workers)
    }

    /// The same with all rows, where there are fewer.
    pub fn with_all_rows<'a>(
        &'a self,
        data: &ModelData<'_>,
        fixed: &FixedBasis,
        bases: &[TermBasis],
        center: &Center,
    ) -> Cow<'a, Self> {
        match &self.whole {
            None => Cow::Borrowed(self),
            Some(model) => Cow::Owned(Self::of_all_rows(
                data,
                fixed,
                &self.layout,
                bases,
                center,
                model.clone(),
            )),
        }
    }

    /// The structure of all rows of the data.
    pub fn whole(&self) -> &Residual {
        self.whole.as_ref().unwrap_or(&self.model)
    }

    /// Fewer groups; `None` where there are random effects, or no groups enough with one R.
    fn condensed(&self, workers: &Workers) -> Option<Self> {
        if self.layout.iter().any(|factor| factor.n_levels > 0) {
            return None;
        }
        let (model, rows) = (&self.model, &self.rows);
        let p1 = rows.p1;
        let own = |g: u32| {
            let places = model.group(g as usize);
            &rows.x[places.start * p1..places.end * p1]
        };
        let mut stands = Vec::new();
        let mut x = Vec::new();
        for class in model.classes()? {
            let first = *class.first()?;
            let m = model.group(first as usize).len();
            let mut here: Vec<f64> = class.iter().flat_map(|&g| own(g)).copied().collect();
            if class.len() >= MANY && m > 0 {
                if let Some(few) = condense(&here, m * p1, BLOCK * (m + p1), workers) {
                    here = few;
                }
            }
            stands.push(Stand {
                like: first as usize,
                groups: if m == 0 {
                    class.len()
                } else {
                    here.len() / (m * p1)
                },
                count: class.len(),
            });
            x.extend(here);
        }
        if 2 * x.len() > rows.x.len() {
            return None;
        }
        let few = model.over(&stands);
        Some(Self {
            rows: rows.with_rows(x, &few),
            model: few,
            layout: self.layout.clone(),
            whole: Some(model.clone()),
        })
    }

    /// All cross-products at one R; what does not depend on R is taken from those at another.
    pub fn moments(&self, whitening: &Whitening, other: &Moments, workers: &Workers) -> Moments {
        let mut moments = self
            .rows
            .moments(&self.model, whitening, &self.layout, workers);
        moments.take_level_precisions(other);
        if other.rest.is_some() {
            self.extend(&mut moments, whitening, workers);
        }
        moments
    }

    /// Takes Z'R^-1[Z Q r] of the same R with twice the digits.
    pub fn extend(&self, moments: &mut Moments, whitening: &Whitening, workers: &Workers) {
        let scaled = self.rows.scaled(whitening);
        let couple = Coupling {
            rows: &self.rows,
            scaled: &scaled,
            residual: &self.model,
            whitening,
            layout: &self.layout,
            sums: None,
        };
        let (own, pairs) = couple.all(workers);
        let pairs = pairs.into_iter().map(|(_, sums)| sums).collect();
        let p1 = self.rows.p1;
        let weighted = whitening.inverse_times(&self.model, &self.rows.x, p1, workers);
        let factors = self.layout.iter().enumerate();
        let zx = factors.map(|(f, factor)| {
            self.rows
                .level_products::<Double2>(f, factor, &weighted, workers)
        });
        let zx = zx.collect();
        let mut xx = vec![Double2::default(); p1 * p1];
        let rows = self.rows.x.chunks_exact(p1).zip(weighted.chunks_exact(p1));
        rows.for_each(|(x, y)| Sum::add(&mut xx, 1.0, x, y));
        let xx = symmetric(&xx, p1);
        Rest::split(moments, Sums { xx, own, zx, pairs });
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
        if center.has_effects() {
            let centred = CenteredRows::new(data, fixed, layout, bases, center);
            for (row, &i) in x.chunks_exact_mut(p1).zip(order) {
                centred.write(i as usize, row);
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
        Self {
            p1,
            x,
            z,
            level,
            group: group_of_places(residual),
            by_level,
            sum_log_weights: data.weights.map_or(0.0, |w| w.iter().map(|v| v.ln()).sum()),
            observations: n,
        }
    }

    /// Other rows \[Q r\] that stand for these, which have no random effects.
    fn with_rows(&self, x: Vec<f64>, residual: &Residual) -> Self {
        Self {
            p1: self.p1,
            x,
            z: self.z.clone(),
            level: self.level.clone(),
            group: group_of_places(residual),
            by_level: self.by_level.clone(),
            sum_log_weights: self.sum_log_weights,
            observations: self.observations,
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
        let (own, pairs) = couple.all(workers);
        let factors = layout.iter().zip(own).enumerate();
        let factors = factors.map(|(f, (factor, zz))| FactorMoments {
            n_levels: factor.n_levels,
            k: factor.k,
            zz,
            zx: self.level_products(f, factor, &weighted, workers),
            level_precision: Vec::new(),
        });
        let factors = factors.collect();
        let pairs = pairs
            .into_iter()
            .map(|(pair, value)| PairMoments { value, ..pair });
        let pairs = pairs.collect();
        Moments {
            n: self.observations,
            p1: self.p1,
            xx: self.products(&weighted, workers),
            factors,
            pairs,
            sum_log_weights: self.sum_log_weights - whitening.log_det,
            log_det_level_precision: 0.0,
            rest: None,
        }
    }

    /// [Q r]'(R^-1[Q r]), symmetric.
    fn products(&self, weighted: &[f64], workers: &Workers) -> Vec<f64> {
        let p1 = self.p1;
        let work = pieces(self.n(), PIECE);
        let parts = workers.map(work.len(), |piece| {
            let range = work[piece].start * p1..work[piece].end * p1;
            let mut out = memory::zeros(p1 * p1);
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
        let mut total = memory::zeros(p1 * p1);
        for part in parts {
            total.iter_mut().zip(&part).for_each(|(a, b)| *a += b);
        }
        memory::collect((0..p1 * p1).map(|e| 0.5 * (total[e] + total[(e % p1) * p1 + e / p1])))
    }

    /// Z_j'(R^-1 [Q r]) of every level.
    fn level_products<S: Sum>(
        &self,
        f: usize,
        factor: &FactorLayout,
        weighted: &[f64],
        workers: &Workers,
    ) -> Vec<S> {
        let (k, p1, z) = (factor.k, self.p1, &self.z[f]);
        let mut out = Vec::new();
        memory::resize(&mut out, factor.n_levels * k * p1);
        let order = &self.by_level[f];
        let count = factor.n_levels.div_ceil(LEVELS);
        workers.for_each(count, chunks(&mut out, LEVELS * k * p1), |piece, out| {
            for (i, block) in out.chunks_exact_mut(k * p1).enumerate() {
                for &place in order.rows(piece * LEVELS + i) {
                    let place = place as usize;
                    let row = &weighted[place * p1..(place + 1) * p1];
                    S::add(block, 1.0, row, &z[place * k..(place + 1) * k]);
                }
            }
        });
        out
    }
}

fn group_of_places(residual: &Residual) -> Vec<u32> {
    (0..residual.groups())
        .flat_map(|g| residual.group(g).map(move |_| g as u32))
        .collect()
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
    let mut out = memory::zeros(n * p1);
    let mut place = vec![0u32; n];
    for (at, &row) in order.iter().enumerate() {
        place[row as usize] = at as u32;
    }
    let mut change = memory::zeros((p + 1) * p1);
    for c in 0..r {
        change[c * (p + 1)..c * (p + 1) + p].copy_from_slice(&fixed.rinv[c * p..(c + 1) * p]);
    }
    change[r * (p + 1) + p] = 1.0;
    for range in pieces(n, 1024) {
        let m = range.len();
        let mut x = memory::zeros(m * (p + 1));
        let mut q = memory::zeros(m * p1);
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
pub(crate) fn basis_rows(
    data: &ModelData<'_>,
    factor: &FactorLayout,
    bases: &[TermBasis],
    order: &[u32],
) -> Vec<f64> {
    if factor.n_levels == 0 {
        return Vec::new();
    }
    let k = factor.k;
    let mut out = memory::zeros(order.len() * k);
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
    /// Whether C^-1 has to be symmetric to the last digit.
    mirrored: bool,
}

impl Neighbours<'_> {
    /// Places t with an entry of C^-1 in the row of place s of group g, and the entry.
    fn for_each(&self, g: usize, s: usize, mut f: impl FnMut(usize, f64)) {
        let places = self.residual.group(g);
        let pattern = self.residual.pattern_of(g);
        let band = self.whitening.band(pattern);
        let own = s - places.start;
        if let (true, Some(row)) = (!self.mirrored, self.whitening.row(pattern, own)) {
            for (t, &entry) in places.zip(row) {
                f(t, entry);
            }
            return;
        }
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
    /// For each factor and group with exchangeable rows; `None` where they are met one by one, for products whose sums cancel.
    sums: Option<Vec<Vec<Vec<LevelSum>>>>,
}

/// What products are summed in.
trait Sum: Copy + Default + Send {
    /// A += weight x y', column-major.
    fn add(a: &mut [Self], weight: f64, x: &[f64], y: &[f64]);

    /// (x + y) / 2.
    fn mean(x: Self, y: Self) -> Self;
}

impl Sum for f64 {
    fn add(a: &mut [Self], weight: f64, x: &[f64], y: &[f64]) {
        if let ([a], [x], [y]) = (&mut *a, x, y) {
            *a += weight * x * y;
            return;
        }
        for (column, y) in a.chunks_exact_mut(x.len()).zip(y) {
            let weight = weight * y;
            column.iter_mut().zip(x).for_each(|(a, x)| *a += weight * x);
        }
    }

    fn mean(x: Self, y: Self) -> Self {
        0.5 * (x + y)
    }
}

impl Sum for Double2 {
    fn add(a: &mut [Self], weight: f64, x: &[f64], y: &[f64]) {
        for (column, y) in a.chunks_exact_mut(x.len()).zip(y) {
            let weight = Self::product(weight, *y);
            for (a, x) in column.iter_mut().zip(x) {
                *a += weight * Self::from(*x);
            }
        }
    }

    fn mean(mut x: Self, y: Self) -> Self {
        x += y;
        x * Self::from(0.5)
    }
}

/// Levels that rows of two factors couple, and the values of their blocks.
type Pair<S> = (PairMoments, Vec<S>);

impl<'a> Coupling<'a> {
    pub(crate) fn new(
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
            sums: Some(sums),
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
            match &self.sums {
                Some(sums) => sums[g][group]
                    .iter()
                    .for_each(|sum| f(sum.level, off, &sum.z)),
                None => self
                    .residual
                    .group(group)
                    .for_each(|t| f(level[t], off, z(t))),
            }
            return;
        }
        let neighbours = Neighbours {
            residual: self.residual,
            whitening: self.whitening,
            mirrored: self.sums.is_none(),
        };
        neighbours.for_each(group, s, |t, entry| f(level[t], entry, z(t)));
    }

    /// Blocks Z_j'C^-1Z_j of each factor, and those of all pairs that have any.
    fn all<S: Sum>(&self, workers: &Workers) -> (Vec<Vec<S>>, Vec<Pair<S>>) {
        let mut own = vec![Vec::new(); self.layout.len()];
        let mut pairs = Vec::new();
        for f in 0..self.layout.len() {
            if self.layout[f].n_levels == 0 {
                continue;
            }
            for g in f..self.layout.len() {
                let (zz, pair) = self.pair(f, g, workers);
                if f == g {
                    own[f] = zz;
                }
                if f != g || !pair.0.level.is_empty() {
                    pairs.push(pair);
                }
            }
        }
        (own, pairs)
    }

    /// Blocks Z_j'C^-1Z_l for the levels j of f and l of g: those of j = l (f = g), and the others (f = g: above the
    /// diagonal).
    fn pair<S: Sum>(&self, f: usize, g: usize, workers: &Workers) -> (Vec<S>, Pair<S>) {
        let work = pieces(self.layout[f].n_levels, LEVELS);
        let parts = workers.map(work.len(), |piece| {
            self.piece::<S>(f, g, work[piece].clone())
        });
        let mut own = Vec::new();
        let (mut pair, mut values) = (PairMoments::empty(f, g), Vec::new());
        for (zz, (part, value)) in parts {
            own.extend(zz);
            pair.append(&part);
            values.extend(value);
        }
        (own, (pair, values))
    }

    fn piece<S: Sum>(&self, f: usize, g: usize, levels: Range<usize>) -> (Vec<S>, Pair<S>) {
        let (kf, kg) = (self.layout[f].k, self.layout[g].k);
        let size = kf * kg;
        let mut slot = vec![u32::MAX; self.layout[g].n_levels];
        let mut found: Vec<u32> = Vec::new();
        let mut block: Vec<S> = Vec::new();
        let mut zz = Vec::new();
        let (mut pair, mut values) = (PairMoments::empty(f, g), Vec::new());
        for j in levels {
            found.clear();
            block.clear();
            if f == g {
                found.push(j as u32);
                slot[j] = 0;
                memory::resize(&mut block, size);
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
                        memory::resize(&mut block, found.len() * size);
                    }
                    let at = *at as usize * size;
                    S::add(&mut block[at..at + size], weight, left, right);
                });
            }
            if f == g {
                zz.extend_from_slice(&symmetric(&block[..size], kf));
            }
            found.sort_unstable();
            for &level in found.iter().filter(|&&level| f != g || level as usize != j) {
                let at = slot[level as usize] as usize * size;
                pair.level.push(level);
                values.extend_from_slice(&block[at..at + size]);
            }
            found
                .iter()
                .for_each(|&level| slot[level as usize] = u32::MAX);
            pair.start.push(pair.level.len());
        }
        (zz, (pair, values))
    }
}

fn symmetric<S: Sum>(a: &[S], k: usize) -> Vec<S> {
    memory::collect((0..k * k).map(|e| S::mean(a[e], a[(e % k) * k + e / k])))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model::{Column, Correlation, GroupingFactor, ResidualStructure, Scale};
    use crate::api::options::Options;
    use crate::api::result::Fit;
    use crate::criterion::objective::Criterion;
    use crate::fit::estimates::RowResults;
    use crate::fit::pipeline::fit_prepared;
    use crate::fit::prepare::{prepare, Prepared};
    use crate::fit::rounds::AtOptimum;
    use crate::inference;
    use crate::inference::{at_point, Satterthwaite};
    use crate::runtime::stop::StopFlag;

    /// Subjects with up to four visits, in two arms; the predictors are badly conditioned.
    struct Trial {
        y: Vec<f64>,
        x: Vec<f64>,
        weights: Vec<f64>,
        subject: Vec<i32>,
        visit: Vec<i32>,
        stratum: Vec<i32>,
        subjects: usize,
    }

    const P: usize = 5;

    fn trial(subjects: usize, by_arm: bool) -> Trial {
        let mut seed = 7u64;
        let mut uniform = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut normal = move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        let mut out = Trial {
            y: Vec::new(),
            x: Vec::new(),
            weights: Vec::new(),
            subject: Vec::new(),
            visit: Vec::new(),
            stratum: Vec::new(),
            subjects,
        };
        let mut rows: Vec<[f64; P]> = Vec::new();
        for s in 0..subjects {
            let arm = s % 2;
            let (level, baseline) = (normal(), normal());
            for v in 1..=4 {
                if normal() > 1.5 {
                    continue;
                }
                let time = f64::from(v) + 2000.0;
                rows.push([
                    1.0,
                    arm as f64,
                    time,
                    time * time,
                    1e4 + 1e-2 * baseline * f64::from(v),
                ]);
                let noise = 0.7 * level + normal() * (1.0 + 0.3 * f64::from(v));
                out.y.push(3.0 + 0.5 * arm as f64 + noise);
                out.weights.push(1.0 + f64::from(v % 2));
                out.subject.push(s as i32 + 1);
                out.visit.push(v);
                out.stratum
                    .push(if by_arm { v + 4 * arm as i32 } else { v });
            }
        }
        out.x = (0..P)
            .flat_map(|j| rows.iter().map(move |r| r[j]).collect::<Vec<_>>())
            .collect();
        out
    }

    impl Trial {
        fn data(&self, correlation: Option<Correlation<'static>>) -> ModelData<'_> {
            let correlation = correlation.map(|kind| match kind {
                Correlation::Unstructured { .. } => Correlation::Unstructured {
                    visit: &self.visit,
                    visits: 4,
                },
                Correlation::Ar1 { .. } => Correlation::Ar1 { time: &self.visit },
                other => other,
            });
            ModelData {
                moments: None,
                y: &self.y,
                x: Column::of_matrix(&self.x, self.y.len(), P),
                p: P,
                weights: Some(&self.weights),
                offset: None,
                factors: Vec::new(),
                terms: Vec::new(),
                residual: Some(ResidualStructure {
                    groups: Some(GroupingFactor {
                        codes: &self.subject,
                        n_levels: self.subjects,
                        precision: None,
                    }),
                    correlation,
                    scales: vec![Scale::Ident {
                        stratum: &self.stratum,
                        strata: self.stratum.iter().copied().max().unwrap_or(1) as usize,
                    }],
                    start: Vec::new(),
                    held: Vec::new(),
                }),
            }
        }
    }

    fn of_all_rows(data: &ModelData<'_>, prepared: &mut Prepared) {
        let part = ResidualPart::of_all_rows(
            data,
            &prepared.fixed,
            &prepared.layout,
            &prepared.bases,
            &prepared.center,
            Residual::new(data.residual.as_ref().expect("a structure"), data.n()).expect("valid"),
        );
        prepared.residual = Some(part);
    }

    fn fits(data: &ModelData<'_>, options: &Options, whole: bool) -> (Fit, Satterthwaite, usize) {
        let mut prepared = prepare(data, options, &StopFlag::default()).expect("prepared");
        if whole {
            of_all_rows(data, &mut prepared);
        }
        let rows = prepared.residual.as_ref().expect("a structure").rows.n();
        let (mut fitted, mut residuals) = (vec![0.0; data.n()], vec![0.0; data.n()]);
        let places = RowResults {
            fitted: &mut fitted,
            residuals: &mut residuals,
        };
        let mut s = None;
        let mut ask = |prepared: &Prepared, criterion: &mut Criterion<'_>, theta: &[f64]| {
            s = at_point(prepared, criterion, theta);
        };
        let at_optimum: Option<AtOptimum<'_>> = Some(&mut ask);
        let fit = fit_prepared(data, options, prepared, places, at_optimum, &|| false);
        let fit = fit.expect("fitted");
        let fit = Fit {
            fitted,
            residuals,
            ..fit
        };
        (fit, s.expect("inference"), rows)
    }

    fn near(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
        assert_eq!(a.len(), b.len(), "{what}");
        let size = a.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (x, y) in a.iter().zip(b) {
            assert!((x - y).abs() <= tolerance * size, "{what}: {x} {y}");
        }
    }

    #[test]
    fn fewer_groups_give_the_same_fit() {
        let (visit, time) = (&[][..], &[][..]);
        let kinds = [
            Some(Correlation::Unstructured { visit, visits: 4 }),
            Some(Correlation::Ar1 { time }),
            Some(Correlation::CompoundSymmetric),
            None,
        ];
        for by_arm in [false, true] {
            let trial = trial(900, by_arm);
            for kind in &kinds {
                for reml in [true, false] {
                    let data = trial.data(kind.clone());
                    let options = Options {
                        reml,
                        tolerance: 1e-12,
                        threads: 1,
                        ..Options::default()
                    };
                    let (all, s, rows) = fits(&data, &options, true);
                    assert_eq!(rows, data.n());
                    let (few, t, rows) = fits(&data, &options, false);
                    assert!(rows < data.n() / 2, "{rows}");
                    near("criterion", &[all.criterion], &[few.criterion], 1e-12);
                    near("phi", &all.phi, &few.phi, 1e-8);
                    near("sigma", &[all.sigma], &[few.sigma], 1e-8);
                    near("vcov", &all.vcov_unscaled, &few.vcov_unscaled, 1e-7);
                    near("fitted", &all.fitted, &few.fitted, 1e-9);
                    near("covariance", &s.covariance, &t.covariance, 1e-5);
                    // at one point nothing but rounding is left
                    let at = Options {
                        start: Some(few.phi.clone().into()),
                        optimize: false,
                        ..options.clone()
                    };
                    let (all, s, _) = fits(&data, &at, true);
                    let (few, t, _) = fits(&data, &at, false);
                    near("criterion", &[all.criterion], &[few.criterion], 1e-13);
                    near("wrss", &[all.wrss], &[few.wrss], 1e-11);
                    near("vcov", &all.vcov_unscaled, &few.vcov_unscaled, 1e-10);
                    near("fitted", &all.fitted, &few.fitted, 1e-10);
                    near("beta", &all.beta, &few.beta, 1e-10);
                    near("gradient", &s.vcov_gradient, &t.vcov_gradient, 1e-9);
                    let threads = Options {
                        threads: 4,
                        ..options.clone()
                    };
                    let (other, ..) = fits(&data, &threads, false);
                    let (one, ..) = fits(&data, &options, false);
                    assert_eq!(one.phi, other.phi);
                    assert_eq!(one.criterion.to_bits(), other.criterion.to_bits());
                    if reml {
                        let kr = inference::kenward_roger(&data, false, &at, &|| false);
                        assert!(kr.is_ok_and(|kr| kr.adjusted.iter().all(|v| v.is_finite())));
                    }
                }
            }
        }
    }

    #[test]
    fn rows_with_random_effects_stay() {
        let trial = trial(200, false);
        let mut data = trial.data(Some(Correlation::CompoundSymmetric));
        let codes: Vec<i32> = (0..data.n() as i32).map(|i| i % 7 + 1).collect();
        data.factors = vec![GroupingFactor {
            codes: &codes,
            n_levels: 7,
            precision: None,
        }];
        data.terms = vec![crate::api::model::RandomTerm {
            factor: 0,
            columns: vec![Column::Constant],
            structure: crate::api::model::Structure::Unstructured,
            classes: None,
        }];
        let prepared = prepare(&data, &Options::default(), &StopFlag::default()).expect("prepared");
        assert_eq!(prepared.residual.expect("a structure").rows.n(), data.n());
    }
}
