//! Traces of products of [`crate::criterion::hessian`] in which a direction of the first factor takes part, from Phi_a.

use crate::criterion::block_traces::BlockTraces;
use crate::criterion::direction::{divide, dot, of_factor, Direction};
use crate::criterion::full_inverse::FullInverse;
use crate::linalg::small;
use crate::runtime::parallel::piece;
use crate::runtime::workspace::Room;
use crate::system::assemble::assemble;
use crate::system::complement::Complement;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::pieces::LEVELS;
use crate::system::solution::Solution;

/// What the products S^-1 Phi_a are needed for, one after the other: tr(S^-1 Phi_a S^-1 Phi_b) for pairs of directions of the
/// first factor, and sum over the nodes v of b's factor of tr([S^-1 Phi_a S^-1 P]_vv kappa_b), a direction of the first factor by
/// any other.
///
/// Tile by tile, of which none is kept: tile (i, j) of A = S^-1 Phi meets tile (j, i), which is that of A' = Phi S^-1 turned.
pub(super) fn products<'a>(
    system: &'a System,
    factor: &Factor,
    r: &FullInverse<'a>,
    directions: &[Direction],
    phis: &mut Vec<Complement>,
) -> Room<'a> {
    let (workers, m) = (&system.workers, directions.len());
    let first = of_factor(directions, 0);
    let count = first.clone().count();
    let strips = if count == 0 { 0 } else { r.layout.strips() };
    phis.resize_with(if strips > 0 { count } else { 0 }, Complement::default);
    for (room, a) in phis.iter_mut().zip(first) {
        *room = phi(system, factor, &directions[a].kappa, std::mem::take(room));
    }
    let phis = &*phis;
    let others = (0..m).filter(|&b| directions[b].factor != 0);
    let len = count * count + count * m;
    workers.sum(strips * strips, len, |piece, sums| {
        let (i, j) = (piece / strips, piece % strips);
        if i < j {
            return;
        }
        let (pairs, mixed) = sums.split_at_mut(count * count);
        let (rows, columns) = (r.layout.columns(i), r.layout.columns(j));
        let (height, size) = (rows.len(), rows.len() * columns.len());
        let mut left = workers.room(size * count);
        let mut right = workers.room(size * count);
        let tile = |a: usize| a * size..(a + 1) * size;
        for (a, phi) in phis.iter().enumerate() {
            r.times(phi, (i, j), &mut left[tile(a)], &mut right[tile(a)]);
        }
        for a in 0..count {
            for b in a..count {
                pairs[a * count + b] = dot(&left[tile(a)], &right[tile(b)]);
                if i > j {
                    pairs[a * count + b] += dot(&right[tile(a)], &left[tile(b)]);
                }
            }
        }
        if others.clone().next().is_none() {
            return;
        }
        let mut own = workers.room(size);
        r.weighted_tile((i, j), &mut own);
        // where P is the identity, both are S^-1
        let mut turned = workers.room(if r.weighted.is_some() { size } else { 0 });
        r.turned_tile((i, j), &mut turned);
        let turned = if turned.is_empty() { &own } else { &turned };
        for b in others.clone() {
            let (g, kappa) = (directions[b].factor, &directions[b].kappa);
            let k = system.moments.factors[g].k;
            let (above, beside) = (r.nodes(i, g), r.nodes(j, g));
            for e in (0..k * k).filter(|&e| kappa[e] != 0.0) {
                let (x, y) = (e % k, e / k);
                for a in 0..count {
                    let mut sum = 0.0;
                    let columns_of_both = left[tile(a)]
                        .chunks_exact(height)
                        .zip(own.chunks_exact(height));
                    for (p, q) in columns_of_both {
                        let entries = above.iter().map(|v| v - rows.start);
                        sum += entries.map(|v| p[v + x] * q[v + y]).sum::<f64>();
                    }
                    if i > j {
                        for v in beside.iter().map(|v| v - columns.start) {
                            let p = &right[tile(a)][(v + x) * height..(v + x + 1) * height];
                            sum += dot(p, &turned[(v + y) * height..(v + y + 1) * height]);
                        }
                    }
                    mixed[a * m + b] += kappa[e] * sum;
                }
            }
        }
    })
}

/// The block of S in Phi_a, sum_j W_j'K_j W_j with K_j = L_j^-1 kappa_a L_j^-T, stored as S is, in the workspace of another.
fn phi(system: &System, factor: &Factor, kappa: &[f64], old: Complement) -> Complement {
    let k1 = system.k1();
    let workers = &system.workers;
    let mut middle = workers.room(factor.l1.len());
    for (k, l) in middle
        .chunks_exact_mut(k1 * k1)
        .zip(factor.l1.chunks_exact(k1 * k1))
    {
        k.copy_from_slice(kappa);
        divide(l, k1, k);
    }
    let mut phi = Complement::for_storage(&system.schur.storage, old);
    assemble(system, &factor.w, Some(&middle), 1.0, None, &mut phi);
    phi.mirror();
    phi
}

/// sum_j tr(N_jj kappa_a N_jj kappa_b) - tr(G_j kappa_a G_j kappa_b), N_jj = I - D_j^-1 - G_j.
pub(super) fn first_traces<'a>(
    system: &'a System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    p: usize,
) -> Room<'a> {
    let k1 = system.k1();
    let square = k1 * k1;
    let first = of_factor(directions, 0);
    let count = first.clone().count();
    let (workers, levels) = (&system.workers, system.moments.factors[0].n_levels);
    workers.sum(levels.div_ceil(LEVELS), count * count, |i, sums| {
        let [mut half, mut d, mut g, mut n] = std::array::from_fn(|_| workers.room(square));
        let kappas = || first.clone().map(|a| directions[a].kappa.as_slice());
        let mut traces = BlockTraces::new(workers, (k1, kappas()), (k1, kappas()));
        let block = |i: usize| i * square..(i + 1) * square;
        for j in piece(levels, LEVELS, i) {
            let own = block(j);
            small::write_inverse_from_cholesky(&factor.l1[own.clone()], k1, &mut half, &mut d);
            for (g, (m, d)) in g.iter_mut().zip(inverse.m11[own].iter().zip(d.iter())) {
                *g = m - d;
            }
            let h = &solution.h.first;
            for c in 0..k1 {
                for i in 0..k1 {
                    let (x, y) = (
                        &h[(j * k1 + i) * solution.h.m..],
                        &h[(j * k1 + c) * solution.h.m..],
                    );
                    g[c * k1 + i] += (0..p).map(|a| x[a] * y[a]).sum::<f64>();
                }
            }
            for e in 0..square {
                n[e] = f64::from(u8::from(e % k1 == e / k1)) - d[e] - g[e];
            }
            traces.add(&n, 1.0, sums);
            traces.add(&g, -1.0, sums);
        }
        traces.finish(sums);
    })
}
