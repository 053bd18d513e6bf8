//! Matrices of the order of the complement, whole and column-major, for [`super::singular_covariances`].

use crate::basis::covariances::Covariances;
use crate::inference::singular_covariances_pieces::Piece;
use crate::linalg::dense;
use crate::moments::blocks::Moments;
use crate::moments::level_precision::for_each_entry;
use crate::runtime::memory;
use crate::system::equations::System;

/// A B of square matrices, either of them transposed.
pub(super) fn product(a: (&[f64], bool), b: (&[f64], bool), n: usize) -> Vec<f64> {
    let mut out = memory::zeros(n * n);
    if n > 0 {
        dense::product((a.0, n, n, a.1), (b.0, n, n, b.1), &mut out);
    }
    out
}

/// Z_2'WZ_2, q2 x q2.
pub(super) fn others_alone(system: &System) -> Vec<f64> {
    let (moments, schur) = (&system.moments, &system.schur);
    let q = schur.q2;
    let mut s = memory::zeros(q * q);
    for (v, &(f, level)) in schur.node.iter().enumerate() {
        let (at, k) = (schur.offset[v], moments.factors[f].k);
        let own = &moments.factors[f].zz[level * k * k..(level + 1) * k * k];
        (0..k * k).for_each(|e| s[(at + e / k) * q + at + e % k] = own[e]);
    }
    for pair in moments.pairs.iter().filter(|pair| pair.f > 0) {
        let (k, size) = (
            moments.factors[pair.f].k,
            moments.factors[pair.f].k * moments.factors[pair.g].k,
        );
        let at = |f: usize, level: usize| schur.offset[schur.node_of[f][level] as usize];
        for j in 0..moments.factors[pair.f].n_levels {
            for entry in pair.start[j]..pair.start[j + 1] {
                let (x, y) = (at(pair.f, j), at(pair.g, pair.level[entry] as usize));
                for (e, &value) in pair.value[entry * size..(entry + 1) * size]
                    .iter()
                    .enumerate()
                {
                    s[(y + e / k) * q + x + e % k] += value;
                    s[(x + e % k) * q + y + e / k] += value;
                }
            }
        }
    }
    s
}

/// K of each factor whose K^-1 is known, else empty; `None` where K^-1 has no inverse.
pub(super) fn known_covariances(moments: &Moments) -> Option<Vec<Vec<f64>>> {
    let mut out = vec![Vec::new(); moments.factors.len()];
    for (f, factor) in moments.factors.iter().enumerate() {
        let n = factor.level_precision.len();
        if n == 0 {
            continue;
        }
        let mut lower = memory::zeros(n * n);
        for_each_entry(moments, f, |to, from, value| lower[from * n + to] += value);
        if !dense::cholesky(&mut lower, n) {
            return None;
        }
        let mut inverse = memory::zeros(n * n);
        dense::invert_lower(&lower, n, &mut inverse);
        (0..n).for_each(|c| inverse[c * n..c * n + c].fill(0.0));
        out[f] = product((&inverse, true), (&inverse, false), n);
    }
    Some(out)
}

/// A += K^-1 x I.
pub(super) fn add_level_precisions(system: &System, a: &mut [f64]) {
    let (moments, schur) = (&system.moments, &system.schur);
    let q = schur.q2;
    for (f, factor) in moments.factors.iter().enumerate().skip(1) {
        let at = |level: usize| schur.offset[schur.node_of[f][level] as usize];
        let mut add = |to: usize, from: usize, value: f64| {
            (0..factor.k).for_each(|i| a[(at(from) + i) * q + at(to) + i] += value);
        };
        if factor.level_precision.is_empty() {
            (0..factor.n_levels).for_each(|level| add(level, level, 1.0));
        } else {
            for_each_entry(moments, f, add);
        }
    }
}

/// T of a node of the complement, where it starts and its effects.
fn nodes<'a>(
    piece: &'a Piece<'_>,
    t: &'a Covariances,
) -> impl Iterator<Item = (&'a [f64], usize, usize)> + 'a {
    let system = &*piece.system;
    let schur = &system.schur;
    let of = move |(v, &(f, level)): (usize, &(usize, usize))| {
        let k = system.moments.factors[f].k;
        (t.of(f, piece.level(f, level)), schur.offset[v], k)
    };
    schur.node.iter().enumerate().map(of)
}

/// A <- A L for a square matrix, L block-diagonal of the T.
pub(super) fn times_t(piece: &Piece<'_>, t: &Covariances, a: &mut [f64]) {
    let q = piece.system.schur.q2;
    for (t, at, k) in nodes(piece, t) {
        for c in 0..k {
            // columns after c are as they were
            let (own, after) = a[(at + c) * q..(at + k) * q].split_at_mut(q);
            own.iter_mut().for_each(|x| *x *= t[c * k + c]);
            for (i, column) in after.chunks_exact(q).enumerate() {
                let weight = t[c * k + c + 1 + i];
                own.iter_mut()
                    .zip(column)
                    .for_each(|(x, y)| *x += weight * y);
            }
        }
    }
}

/// A <- A L'.
pub(super) fn times_transposed_t(piece: &Piece<'_>, t: &Covariances, a: &mut [f64]) {
    let q = piece.system.schur.q2;
    for (t, at, k) in nodes(piece, t) {
        for c in (0..k).rev() {
            let (before, own) = a[at * q..(at + c + 1) * q].split_at_mut(c * q);
            own.iter_mut().for_each(|x| *x *= t[c * k + c]);
            for (i, column) in before.chunks_exact(q).enumerate() {
                let weight = t[i * k + c];
                own.iter_mut()
                    .zip(column)
                    .for_each(|(x, y)| *x += weight * y);
            }
        }
    }
}

/// A <- L'A.
pub(super) fn t_times(piece: &Piece<'_>, t: &Covariances, a: &mut [f64]) {
    let q = piece.system.schur.q2;
    for column in a.chunks_exact_mut(q.max(1)) {
        for (t, at, k) in nodes(piece, t) {
            let own = &mut column[at..at + k];
            for r in 0..k {
                own[r] = (r..k).map(|i| t[r * k + i] * own[i]).sum();
            }
        }
    }
}

/// The other order of a matrix with `columns` values a row: rows to columns.
pub(super) fn transposed(a: &[f64], columns: usize) -> Vec<f64> {
    let rows = a.len() / columns.max(1);
    memory::collect((0..a.len()).map(|e| a[(e % rows.max(1)) * columns + e / rows.max(1)]))
}
