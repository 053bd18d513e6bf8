//! Known precision matrices of the levels of a grouping factor: b ~ N(0, sigma^2 Q^-1 (x) T T'), as for animals in a pedigree
//! (Henderson 1976, Biometrics 32) or a spatial graph.
//!
//! With spherical effects u ~ N(0, sigma^2 Q^-1 (x) I) the mixed-model equations are those of independent levels with Q (x) I
//! in the place of the identity: M = Lambda'Z'R^-1Z Lambda + Q (x) I, V = R + Z Lambda (Q^-1 (x) I) Lambda'Z', and
//! |V| = |R| |M| / |Q (x) I|. Only Q is needed, never its inverse.

use crate::memory;
use std::ops::Deref;

use crate::factor::{Rows, System};
use crate::linalg::sparse::{fill_reducing_order, Pattern};
use crate::moments::{Moments, PairMoments};
use crate::room::Room;
use crate::terms::Precision;

/// Diagonal of Q, its entries above the diagonal as a pair of the factor with itself, and log |Q|.
pub(crate) struct Prior {
    pub diagonal: Vec<f64>,
    pub pair: PairMoments,
    pub log_det: f64,
}

/// The parts of Q for factor `f` with `k` effects a level; `None` if Q is not positive definite.
pub(crate) fn prior(precision: &Precision<'_>, f: usize, k: usize) -> Option<Prior> {
    let levels = precision.start.len() - 1;
    let mut diagonal = memory::zeros(levels);
    let mut pair = PairMoments::empty(f, f);
    for j in 0..levels {
        for at in precision.start[j] as usize..precision.start[j + 1] as usize {
            let l = precision.row[at] as usize;
            if l == j {
                diagonal[j] += precision.value[at];
            } else if l > j && precision.value[at] != 0.0 {
                pair.level.push(l as u32);
                pair.prior.push(precision.value[at]);
            }
        }
        pair.start.push(pair.level.len());
    }
    pair.value = memory::zeros(pair.level.len() * k * k);
    let log_det = log_det(&diagonal, &pair)?;
    Some(Prior {
        diagonal,
        pair,
        log_det,
    })
}

/// log |Q| by a sparse Cholesky factor.
fn log_det(diagonal: &[f64], pair: &PairMoments) -> Option<f64> {
    let n = diagonal.len();
    let mut graph: Vec<Vec<(usize, f64)>> = vec![Vec::new(); n];
    for j in 0..n {
        for at in pair.start[j]..pair.start[j + 1] {
            let l = pair.level[at] as usize;
            graph[j].push((l, pair.prior[at]));
            graph[l].push((j, pair.prior[at]));
        }
    }
    let mut column_start = vec![0];
    let mut row = Vec::new();
    for list in &mut graph {
        list.sort_unstable_by_key(|entry| entry.0);
        row.extend(list.iter().map(|entry| entry.0));
        column_start.push(row.len());
    }
    let order = fill_reducing_order(n, &column_start, &row);
    let mut position = vec![0; n];
    for (new, &old) in order.iter().enumerate() {
        position[old] = new;
    }
    let below: Vec<Vec<u32>> = order
        .iter()
        .enumerate()
        .map(|(new, &old)| {
            let mut rows: Vec<u32> = graph[old]
                .iter()
                .map(|entry| position[entry.0] as u32)
                .filter(|&l| l as usize > new)
                .collect();
            rows.sort_unstable();
            rows
        })
        .collect();
    let pattern = Pattern::factorize(&below);
    let mut values = memory::zeros(pattern.nnz());
    for (new, &old) in order.iter().enumerate() {
        let range = pattern.column_start[new]..pattern.column_start[new + 1];
        values[range.start] = diagonal[old];
        for &(l, value) in &graph[old] {
            if let Ok(at) = pattern.row[range.clone()].binary_search(&(position[l] as u32)) {
                if position[l] > new {
                    values[range.start + at] = value;
                }
            }
        }
    }
    if !pattern.cholesky(&mut values, &mut memory::zeros(n)) {
        return None;
    }
    let sum: f64 = (0..n).map(|j| values[pattern.column_start[j]].ln()).sum();
    sum.is_finite().then_some(2.0 * sum)
}

/// Has any factor a precision matrix?
pub(crate) fn any(moments: &Moments) -> bool {
    moments.factors.iter().any(|f| !f.prior.is_empty())
}

/// Number of entries of every Q (x) I but the identities.
pub(crate) fn entries(moments: &Moments) -> f64 {
    let mut sum = 0.0;
    for (f, factor) in moments.factors.iter().enumerate() {
        let pairs = moments.pairs.iter().filter(|p| p.f == f && p.g == f);
        let above: usize = pairs.map(|pair| pair.prior.len()).sum();
        sum += ((factor.prior.len() + 2 * above) * factor.k) as f64;
    }
    sum
}

/// (Q (x) I) x for the effects of factor `f`, level after level with `width` values each: for each entry of Q, `add` is told the
/// level that the sum is for, the one that is summed, and the entry.
pub(crate) fn for_each_entry(moments: &Moments, f: usize, mut add: impl FnMut(usize, usize, f64)) {
    let factor = &moments.factors[f];
    for (level, &q) in factor.prior.iter().enumerate() {
        add(level, level, q);
    }
    let known = |pair: &&PairMoments| pair.f == f && pair.g == f && !pair.prior.is_empty();
    for pair in moments.pairs.iter().filter(known) {
        for j in 0..factor.n_levels {
            for at in pair.start[j]..pair.start[j + 1] {
                let (l, q) = (pair.level[at] as usize, pair.prior[at]);
                add(j, l, q);
                add(l, j, q);
            }
        }
    }
}

/// (Q (x) I) rows, for rows of random effects; `None` where every Q is the identity.
pub(crate) fn times<'a, V: Deref<Target = [f64]>>(
    system: &'a System,
    rows: &Rows<V>,
) -> Option<Rows<Room<'a>>> {
    if !any(&system.moments) {
        return None;
    }
    let mut out = Rows {
        first: system.workers.copy(&rows.first),
        rest: system.workers.copy(&rows.rest),
        m: rows.m,
    };
    let (schur, m) = (&system.schur, rows.m);
    for (f, factor) in system.moments.factors.iter().enumerate() {
        if factor.prior.is_empty() {
            continue;
        }
        let width = factor.k * m;
        let place = |level: usize| {
            let start = schur.offset[schur.node_of[f][level] as usize] * m;
            start..start + width
        };
        for level in 0..factor.n_levels {
            out.rest[place(level)].fill(0.0);
        }
        for_each_entry(&system.moments, f, |to, from, q| {
            for (x, y) in place(to).zip(place(from)) {
                out.rest[x] += q * rows.rest[y];
            }
        });
    }
    Some(out)
}
