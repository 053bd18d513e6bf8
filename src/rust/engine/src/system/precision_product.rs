//! Known precision matrices of levels times rows of random effects.

use std::ops::Deref;

use crate::linalg::dense;
use crate::moments::level_precision::{any, for_each_entry};
use crate::runtime::workspace::Buffer;
use crate::system::equations::{Rows, System};

/// (K^-1 (x) I) rows, for rows of random effects; `None` where every K^-1 is the identity.
pub(crate) fn times<'a, V: Deref<Target = [f64]>>(
    system: &'a System,
    rows: &Rows<V>,
) -> Option<Rows<Buffer<'a>>> {
    times_many(system, rows, &[])
}

/// Like [`times`], for many columns, with what [`crate::moments::level_precision::dense_matrices`] returns.
pub(crate) fn times_many<'a, V: Deref<Target = [f64]>>(
    system: &'a System,
    rows: &Rows<V>,
    matrices: &[Vec<f64>],
) -> Option<Rows<Buffer<'a>>> {
    if !any(&system.moments) {
        return None;
    }
    let mut out = Rows {
        eliminated: system.workers.copy(&rows.eliminated),
        complement: system.workers.copy(&rows.complement),
        m: rows.m,
    };
    let (schur, m) = (&system.schur, rows.m);
    for (f, factor) in system.moments.factors.iter().enumerate() {
        if factor.level_precision.is_empty() {
            continue;
        }
        let width = factor.k * m;
        if f == 0 {
            // of fixed effects: diagonal
            let levels = out.eliminated.chunks_exact_mut(width.max(1));
            for (row, q) in levels.zip(&factor.level_precision) {
                row.iter_mut().for_each(|x| *x *= q);
            }
            continue;
        }
        let place = |level: usize| {
            let start = schur.offset[schur.node_of[f][level] as usize] * m;
            start..start + width
        };
        if let Some(matrix) = matrices.get(f).filter(|matrix| !matrix.is_empty()) {
            let n = factor.n_levels;
            let mut own = system.workers.buffer(n * width);
            let mut product = system.workers.buffer(n * width);
            for (level, own) in own.chunks_exact_mut(width.max(1)).enumerate() {
                own.copy_from_slice(&rows.complement[place(level)]);
            }
            dense::add_transposed_product(&own, matrix, n, width, n, 1.0, &mut product);
            for (level, product) in product.chunks_exact(width.max(1)).enumerate() {
                out.complement[place(level)].copy_from_slice(product);
            }
            continue;
        }
        for level in 0..factor.n_levels {
            out.complement[place(level)].fill(0.0);
        }
        for_each_entry(&system.moments, f, |to, from, q| {
            for (x, y) in place(to).zip(place(from)) {
                out.complement[x] += q * rows.complement[y];
            }
        });
    }
    Some(out)
}
