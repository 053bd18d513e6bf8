//! Cross-products [Z Q r]'R^-1[Z Q r] where the residuals of a group of rows are correlated: the rows are kept, and summed
//! again for every R.
//!
//! With R = D C D and B the rows divided by D, the cross-products are sums over groups of B'C^-1B. Rows s and t of a group
//! whose entry of C^-1 is not zero couple the levels that they belong to, also those of one grouping factor.

use std::borrow::Cow;

use crate::api::model::ModelData;
use crate::basis::gram::weighted_rows;
use crate::basis::random::FactorLayout;
use crate::basis::rows::{root_of_weight, Coordinates};
use crate::linalg::dense;
use crate::linalg::double2::Double2;
use crate::moments::blocks::{Center, FactorMoments, Moments, PairMoments, Rest};
use crate::moments::centred_rows::CenteredRows;
use crate::moments::compress::condense;
use crate::moments::coupling::{symmetric, Coupling, Sum};
use crate::moments::level_order::LevelOrder;
use crate::moments::residual_rows::{ResidualRows, ScaledRows};
use crate::moments::twice::Sums;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::{chunks, pieces};
use crate::structure::residual::{Residual, Stand, Whitening};

/// Levels of one piece of work.
const LEVELS: usize = 512;

/// Least number of groups with one R for which fewer are sought.
const MANY: usize = 16;

/// Groups that are replaced by fewer at a time, for each row and column of a group: where the new ones are more than half as
/// many, evaluations with them are not cheap enough to pay for finding them.
const BLOCK: usize = 16;

/// Rows of one piece of work.
const PIECE: usize = 16_384;

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
        at: Coordinates<'_>,
        center: &Center,
        model: Residual,
        workers: &Workers,
    ) -> Self {
        let part = Self::of_all_rows(data, at, center, model);
        part.condensed(workers).unwrap_or(part)
    }

    /// The rows as they are.
    pub fn of_all_rows(
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
        model: Residual,
    ) -> Self {
        Self {
            rows: ResidualRows::new(data, at, center, &model),
            model,
            layout: at.layout.to_vec(),
            whole: None,
        }
    }

    /// This model with its response centred elsewhere.
    pub fn recentred(
        &self,
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
        workers: &Workers,
    ) -> Self {
        let model = self.whole().clone();
        Self::new(data, at, center, model, workers)
    }

    /// This model with all of its rows, where fewer stand for them.
    pub fn with_all_rows<'a>(
        &'a self,
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
    ) -> Cow<'a, Self> {
        match &self.whole {
            None => Cow::Borrowed(self),
            Some(model) => Cow::Owned(Self::of_all_rows(data, at, center, model.clone())),
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
        let (rows, layout) = (&self.rows, &self.layout);
        let couple = Coupling::new(rows, &self.model, whitening, layout, &scaled);
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

impl ResidualRows {
    pub fn new(
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
        residual: &Residual,
    ) -> Self {
        let (order, layout) = (residual.order(), at.layout);
        let n = data.n();
        let z: Vec<Vec<f64>> = layout
            .iter()
            .map(|factor| basis_rows(data, at, factor, order))
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
        let mut x = fixed_rows(data, at, center, order);
        let p1 = at.fixed.rank() + 1;
        if center.has_effects() {
            let centred = CenteredRows::new(data, at, center);
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
        let couple = Coupling::new(self, residual, whitening, layout, &rows).with_sums();
        let weighted = whitening.inverse_times(residual, &self.x, self.p1, workers);
        let (own, pairs) = couple.all(workers);
        let factors = layout.iter().zip(own).enumerate();
        let factors = factors.map(|(f, (factor, zz))| FactorMoments {
            n_levels: factor.n_levels,
            k: factor.k,
            zz,
            zx: self.level_products(f, factor, &weighted, workers),
            level_precision: Vec::new(),
            multiplicity: Vec::new(),
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
    at: Coordinates<'_>,
    center: &Center,
    order: &[u32],
) -> Vec<f64> {
    let (n, p, r) = (data.n(), data.p, at.fixed.rank());
    let p1 = r + 1;
    let mut out = memory::zeros(n * p1);
    let mut place = vec![0u32; n];
    for (at, &row) in order.iter().enumerate() {
        place[row as usize] = at as u32;
    }
    let change = at.change_with_response();
    for range in pieces(n, 1024) {
        let m = range.len();
        let mut x = memory::zeros(m * (p + 1));
        let mut q = memory::zeros(m * p1);
        weighted_rows(data, range.clone(), p + 1, &mut x);
        for (i, row) in range.clone().zip(x.chunks_exact_mut(p + 1)) {
            let root = root_of_weight(data, i);
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
    at: Coordinates<'_>,
    factor: &FactorLayout,
    order: &[u32],
) -> Vec<f64> {
    if factor.n_levels == 0 {
        return Vec::new();
    }
    let k = factor.k;
    let mut out = memory::zeros(order.len() * k);
    for (&row, z) in order.iter().zip(out.chunks_exact_mut(k)) {
        let row = row as usize;
        at.write_z(data, factor, row, root_of_weight(data, row), z);
    }
    out
}
