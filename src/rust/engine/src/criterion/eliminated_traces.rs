//! Traces of products of [`crate::criterion::hessian`] in which a direction of the first factor takes part, from Phi_a.

use crate::criterion::block_traces::BlockTraces;
use crate::criterion::direction::{divide, dot, of_class, of_factor, Direction};
use crate::criterion::full_inverse::FullInverse;
use crate::linalg::small;
use crate::runtime::partition::piece;
use crate::runtime::workspace::Buffer;
use crate::system::assemble::assemble;
use crate::system::complement::Complement;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::pieces::LEVELS;
use crate::system::solution::Solution;

/// What the products S^-1 Phi_a are needed for, one after the other: tr(S^-1 Phi_a S^-1 Phi_b) for pairs of directions of the
/// first factor, and sum over the nodes v of b's factor of tr([S^-1 Phi_a S^-1 K^-1]_vv kappa_b), a direction of the first factor by
/// any other.
///
/// Tile by tile, of which none is kept: tile (i, j) of A = S^-1 Phi meets tile (j, i), which is that of A' = Phi S^-1 turned.
pub(super) fn products<'a>(
    system: &'a System,
    factor: &Factor,
    r: &FullInverse<'a>,
    directions: &[Direction],
    phis: &mut Vec<Complement>,
) -> Buffer<'a> {
    let (workers, m) = (&system.workers, directions.len());
    let first = of_factor(directions, 0);
    let count = first.clone().count();
    let strips = if count == 0 { 0 } else { r.layout.strips() };
    phis.resize_with(if strips > 0 { count } else { 0 }, Complement::default);
    for (to, a) in phis.iter_mut().zip(first) {
        *to = phi(system, factor, &directions[a], std::mem::take(to));
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
        let mut left = workers.buffer(size * count);
        let mut right = workers.buffer(size * count);
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
        let mut own = workers.buffer(size);
        r.weighted_tile((i, j), &mut own);
        // where K^-1 is the identity, both are S^-1
        let mut turned = workers.buffer(if r.weighted.is_some() { size } else { 0 });
        r.turned_tile((i, j), &mut turned);
        let turned = if turned.is_empty() { &own } else { &turned };
        for b in others.clone() {
            let Direction {
                factor: g,
                levels,
                kappa,
            } = &directions[b];
            let k = system.moments.factors[*g].k;
            let roots = |v: usize| system.times_at(v).sqrt();
            let nodes = |strip: usize| {
                let classes = levels.classes();
                classes.flat_map(move |class| r.nodes(strip, (*g, class)).iter())
            };
            for e in (0..k * k).filter(|&e| kappa[e] != 0.0) {
                let (x, y) = (e % k, e / k);
                for a in 0..count {
                    let mut sum = 0.0;
                    let columns_of_both = left[tile(a)]
                        .chunks_exact(height)
                        .zip(own.chunks_exact(height));
                    for (p, q) in columns_of_both {
                        let entries = nodes(i).map(|&v| (v - rows.start, roots(v)));
                        let products = entries.map(|(v, root)| root * p[v + x] * q[v + y]);
                        sum += products.sum::<f64>();
                    }
                    if i > j {
                        for (v, root) in nodes(j).map(|&v| (v - columns.start, roots(v))) {
                            let p = &right[tile(a)][(v + x) * height..(v + x + 1) * height];
                            sum += root * dot(p, &turned[(v + y) * height..(v + y + 1) * height]);
                        }
                    }
                    mixed[a * m + b] += kappa[e] * sum;
                }
            }
        }
    })
}

/// The block of S in Phi_a, sum_j W_j'K_j W_j with K_j = L_j^-1 kappa_a L_j^-T, stored as S is, in the workspace of another. Where
/// nodes count as many, times the root of how many: a trace of two has all of it.
fn phi(system: &System, factor: &Factor, direction: &Direction, old: Complement) -> Complement {
    let k1 = system.k1();
    let workers = &system.workers;
    let mut middle = workers.buffer(factor.l1.len());
    let blocks = middle.chunks_exact_mut(k1 * k1);
    for (level, (k, l)) in blocks.zip(factor.l1.chunks_exact(k1 * k1)).enumerate() {
        // none at other levels
        if direction.levels.contains(level) {
            k.copy_from_slice(&direction.kappa);
            divide(l, k1, k);
            let root = system.times_around(level).sqrt();
            k.iter_mut().for_each(|v| *v *= root);
        }
    }
    let mut phi = Complement::for_storage(&system.schur.storage, old);
    assemble(system, &factor.w, Some(&middle), 1.0, None, &mut phi);
    phi.mirror();
    phi
}

/// sum_j tr(N_jj kappa_a N_jj kappa_b) - tr(G_j kappa_a G_j kappa_b), N_jj = I - D_j^-1 - G_j: for each direction of the first
/// factor each other one, class by class. Levels that count as many do so as [`crate::moments::counted`] says.
pub(super) fn first_traces<'a>(
    system: &'a System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    p: usize,
) -> Buffer<'a> {
    let count = of_factor(directions, 0).count();
    let (workers, levels) = (&system.workers, system.moments.factors[0].n_levels);
    let blocks = FirstBlocks {
        system,
        factor,
        inverse,
        solution,
        p,
    };
    workers.sum(levels.div_ceil(LEVELS), count * count, |i, sums| {
        for class in 0..factor.t.classes(0) {
            let levels = piece(levels, LEVELS, i).filter(|&j| factor.t.class(0, j) == class);
            let own = blocks.traces(levels, directions, class);
            let places = of_factor(directions, 0).enumerate();
            let places = places.filter(|&(_, a)| directions[a].levels.has(class));
            let pairs = places
                .clone()
                .flat_map(|(x, _)| places.clone().map(move |(y, _)| x * count + y));
            pairs.zip(own.iter()).for_each(|(at, v)| sums[at] += *v);
        }
    })
}

/// N_jj and G_j of levels of the first factor.
struct FirstBlocks<'a> {
    system: &'a System,
    factor: &'a Factor,
    inverse: &'a SelectedInverse,
    solution: &'a Solution,
    p: usize,
}

impl<'a> FirstBlocks<'a> {
    /// The sums over some levels, all of one class, for the directions of that class.
    fn traces(
        &self,
        levels: impl Iterator<Item = usize>,
        directions: &[Direction],
        class: usize,
    ) -> Buffer<'a> {
        let k1 = self.system.k1();
        let square = k1 * k1;
        let workers = &self.system.workers;
        let kappas = || of_class(directions, 0, class).map(|a| directions[a].kappa.as_slice());
        let count = kappas().count();
        let mut sums = workers.buffer(count * count);
        let [mut half, mut d, mut g, mut n] = std::array::from_fn(|_| workers.buffer(square));
        let mut traces = BlockTraces::new(workers, (k1, kappas()), (k1, kappas()));
        let (h, m) = (&self.solution.h.eliminated, self.solution.h.m);
        for j in levels {
            let own = j * square..(j + 1) * square;
            let l = &self.factor.l1[own.clone()];
            small::write_inverse_from_cholesky(l, k1, &mut half, &mut d);
            for (g, (m, d)) in g.iter_mut().zip(self.inverse.m11[own].iter().zip(d.iter())) {
                *g = m - d;
            }
            for c in 0..k1 {
                for i in 0..k1 {
                    let (x, y) = (&h[(j * k1 + i) * m..], &h[(j * k1 + c) * m..]);
                    g[c * k1 + i] += (0..self.p).map(|a| x[a] * y[a]).sum::<f64>();
                }
            }
            for e in 0..square {
                n[e] = f64::from(u8::from(e % k1 == e / k1)) - d[e] - g[e];
            }
            let (own, around) = (
                self.system.moments.factors[0].times(j),
                self.system.times_around(j),
            );
            traces.add(&n, around, &mut sums);
            traces.add(&g, -around, &mut sums);
            let beyond = own - around;
            if beyond != 0.0 {
                // what counts beyond the level that it is nested in: I - D_j^-1
                n.iter_mut().zip(g.iter()).for_each(|(n, g)| *n += g);
                traces.add(&n, beyond, &mut sums);
            }
        }
        traces.finish(&mut sums);
        sums
    }
}
