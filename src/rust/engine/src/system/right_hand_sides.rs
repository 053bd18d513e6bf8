//! Lambda'Z'[Q r] about a centre, and products of its rows.

use std::ops::Deref;

use crate::basis::covariances::Covariances;
use crate::linalg::row_sums::accumulate_gram;
use crate::linalg::small;
use crate::moments::level_precision;
use crate::runtime::memory;
use crate::runtime::partition::piece;
use crate::runtime::workspace::Buffer;
use crate::system::equations::{Rows, System};
use crate::system::pieces::{for_each_level, LEVELS};

/// U_0 = T^-1 B_0 for each factor with a centre, in the workspace of `shift`.
pub(crate) fn shifts(
    system: &System,
    t: &Covariances,
    center: &[Vec<f64>],
    mut shift: Vec<Vec<f64>>,
) -> Vec<Vec<f64>> {
    shift.resize_with(center.len(), Vec::new);
    let m = system.moments.p1;
    let factors = system.moments.factors.iter().enumerate();
    for (u, (b, (f, factor))) in shift.iter_mut().zip(center.iter().zip(factors)) {
        u.clone_from(b);
        for (level, block) in u.chunks_exact_mut(factor.k * m).enumerate() {
            small::solve_lower_rows(t.of(f, level), factor.k, block, m);
        }
    }
    shift
}

/// K^-1 U_0 of each factor whose levels have a known precision, in the workspace of others; empty where U_0 is K^-1 U_0.
pub(crate) fn weighted_shifts(
    system: &System,
    shift: &[Vec<f64>],
    mut old: Vec<Vec<f64>>,
) -> Vec<Vec<f64>> {
    old.resize_with(shift.len(), Vec::new);
    for (f, (u, out)) in shift.iter().zip(&mut old).enumerate() {
        let factor = &system.moments.factors[f];
        out.clear();
        if factor.level_precision.is_empty() {
            continue;
        }
        memory::resize(out, u.len());
        let width = factor.k * system.moments.p1;
        level_precision::for_each_entry(&system.moments, f, |to, from, q| {
            let to = out.get_mut(to * width..(to + 1) * width);
            let from = u.get(from * width..(from + 1) * width);
            for (x, y) in to.into_iter().flatten().zip(from.into_iter().flatten()) {
                *x += q * y;
            }
        });
    }
    old
}

/// Lambda'Z'[Q r] less K^-1 U_0, which `shift` gives of each factor, in the workspace of `rows`.
pub(crate) fn right_hand_sides<'a>(
    system: &System,
    t: &Covariances,
    shift: impl Fn(usize) -> &'a [f64] + Sync,
    mut rows: Rows,
) -> Rows {
    let (moments, schur) = (&system.moments, &system.schur);
    let m = moments.p1;
    rows.m = m;
    for (part, len) in [
        (&mut rows.eliminated, system.q1()),
        (&mut rows.complement, schur.q2),
    ] {
        part.clear();
        memory::resize(part, len * m);
    }
    let scaled = |f: usize, level: usize, out: &mut [f64]| {
        let (k, t) = (moments.factors[f].k, t.of(f, level));
        let zx = &moments.factors[f].zx[level * k * m..(level + 1) * k * m];
        for a in 0..k {
            let row = &mut out[a * m..(a + 1) * m];
            for b in a..k {
                let c = t[a * k + b];
                if c != 0.0 {
                    row.iter_mut()
                        .zip(&zx[b * m..(b + 1) * m])
                        .for_each(|(x, y)| *x += c * y);
                }
            }
            let at = (level * k + a) * m;
            if let Some(u) = shift(f).get(at..at + m) {
                row.iter_mut().zip(u).for_each(|(x, u)| *x -= u);
            }
        }
    };
    let k1 = system.k1();
    for_each_level(system, &mut rows.eliminated, k1 * m, |j, block| {
        scaled(0, j, block)
    });
    for (v, &(f, level)) in schur.node.iter().enumerate() {
        scaled(
            f,
            level,
            &mut rows.complement[schur.offset[v] * m..schur.offset[v + 1] * m],
        );
    }
    rows
}

/// Lower triangle of B'B for rows of B, m x m.
#[must_use]
pub fn gram<'a, V: Deref<Target = [f64]> + Sync>(system: &'a System, rows: &Rows<V>) -> Buffer<'a> {
    let m = rows.m;
    let chunk = LEVELS * system.k1() * m.max(1);
    let first = rows.eliminated.len().div_ceil(chunk);
    let count = first + rows.complement.len().div_ceil(chunk);
    system.workers.sum(count, m * m, |i, total| {
        let (from, i) = if i < first {
            (&rows.eliminated, i)
        } else {
            (&rows.complement, i - first)
        };
        accumulate_gram(&from[piece(from.len(), chunk, i)], m, total);
    })
}
