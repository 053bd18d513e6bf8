//! Rows of [Q r] and Z in the order of the residual groups.

use std::borrow::Cow;

use crate::api::model::ModelData;
use crate::basis::gram::weighted_rows;
use crate::basis::random::FactorLayout;
use crate::basis::rows::{root_of_weight, Coordinates};
use crate::linalg::dense;
use crate::moments::blocks::Center;
use crate::moments::centred_rows::CenteredRows;
use crate::moments::level_order::LevelOrder;
use crate::runtime::memory;
use crate::runtime::partition::pieces;
use crate::structure::residual::{Residual, Whitening};

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
    pub(super) by_level: Vec<LevelOrder>,
    pub(super) sum_log_weights: f64,
    /// Rows of the data, for which these may stand.
    pub(super) observations: usize,
}

/// Basis columns of each factor divided by D.
pub(crate) type ScaledRows<'a> = Vec<Cow<'a, [f64]>>;

impl ResidualRows {
    pub fn new(
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
        residual: &Residual,
    ) -> Self {
        let (order, layout) = (residual.order(), at.layout);
        let n = data.rows();
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
            sum_log_weights: data.sum_log_weights(),
            observations: n,
        }
    }

    /// Other rows \[Q r\] that stand for these, which have no random effects.
    pub(super) fn with_rows(&self, x: Vec<f64>, residual: &Residual) -> Self {
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
    pub(super) fn scaled(&self, whitening: &Whitening) -> ScaledRows<'_> {
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
    let (n, p, r) = (data.rows(), data.p, at.fixed.rank());
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
