//! tr(P V_a P V_b) (ML: of V^-1), which turns the average information into the exact Hessian.
//!
//! With V_a = Z Lambda kappa_a Lambda'Z' and N = Lambda'Z'PZ Lambda = I - [Mbar^-1]_ZZ, Mbar being M bordered by Q (REML) or M
//! itself (ML), the trace is the sum over pairs of levels of tr(N_lj kappa_a N_jl kappa_b). Levels of the first factor
//! enter through N_jl = delta_jl (I - D_j^-1) - F_j'Rbar F_l, F_j' = L_j^-T [W_j, W_Xj], so that the J^2 pairs collapse into
//! Phi_a = sum_j F_j kappa_a F_j' and tr(Rbar Phi_a Rbar Phi_b): nothing of order q x q is formed for them.
//!
//! Where levels have a known precision matrix P, V_a = Z Lambda (P^-1 x kappa_a) Lambda'Z' and Lambda'Z'PZ Lambda =
//! P - P [Mbar^-1]_ZZ P, so that N = I - P [Mbar^-1]_ZZ, which is not symmetric, takes the place of the N above: the trace is the
//! sum of tr(N_lj kappa_a N_jl kappa_b). P is the identity for the first factor and commutes with each kappa.

use crate::basis::parameters::Parameters;
use crate::criterion::direction::{apply_directions, divide, Direction};
use crate::linalg::sparse::DENSE_ADVANTAGE;
use crate::linalg::triangle::{Layout, Triangle};
use crate::linalg::{dense, small};
use crate::moments::level_precision;
use crate::runtime::parallel::{piece, Workers};
use crate::runtime::partition::cut;
use crate::runtime::workspace::Room;
use crate::system::assemble::assemble;
use crate::system::complement::{Complement, Storage};
use crate::system::equations::{Factor, Rows, SelectedInverse, System};
use crate::system::pieces::LEVELS;
use crate::system::precision_product;
use crate::system::solution::Solution;

/// Multiply-adds (at the speed of sparse ones) that [`traces`] would take; infinite where it would need too much memory.
#[must_use]
pub fn cost(system: &System, parameters: &Parameters, p: usize) -> f64 {
    let order = (system.schur.q2 + p) as f64;
    let first = parameters
        .list
        .iter()
        .filter(|a| parameters.place[a.term].0 == 0)
        .count() as f64;
    if order > 6000.0 || first * order * order > 2e8 {
        return f64::INFINITY;
    }
    let product = match &system.schur.storage {
        Storage::Dense(_) => order.powi(3) / DENSE_ADVANTAGE,
        Storage::Sparse(pattern) => 2.0 * order * (pattern.nnz() as f64 + p as f64 * order),
    };
    let rows = system.q1() as f64 * (p as f64).powi(2);
    let (levels, k1) = (system.moments.factors[0].n_levels as f64, system.k1());
    let (by_form, one_by_one) = block_work((k1, k1), (first as usize, first as usize));
    let blocks = 2.0 * levels * by_form.min(one_by_one) as f64;
    let weighted = level_precision::work(&system.moments) * order;
    first * (product + rows + system.schur.pair_work(system.k1()))
        + blocks
        + 10.0 * order * order
        + weighted
}

/// tr(P V_a P V_b) (`reml`; else of V^-1) for all pairs of directions, m x m.
///
/// Rbar = S^-1 + G G' with G = [H; -Lx^-T] is not formed: with V_a = L_S^-1 [Phi_a G]_S and M_a = G'Phi_a G,
/// tr(Rbar Phi_a Rbar Phi_b) = tr(S^-1 Phi_a S^-1 Phi_b) + 2 tr(V_a'V_b) + tr(M_a M_b).
///
/// `phis` is room for one Phi for each direction of the first factor, from one call to the next.
#[must_use]
pub fn traces<'a>(
    system: &'a System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    reml: bool,
    phis: &mut Vec<Complement>,
) -> Room<'a> {
    let images = Images::new(system, factor, solution, directions, reml);
    let parts = (inverse, solution, &images);
    traces_from(system, factor, parts, directions, reml, phis)
}

/// As [`traces`], but the factor of a dense complement gives its place to the products: it is gone afterwards.
#[must_use]
pub fn traces_in_place<'a>(
    system: &'a System,
    factor: &mut Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    reml: bool,
    phis: &mut Vec<Complement>,
) -> Room<'a> {
    let images = Images::new(system, factor, solution, directions, reml);
    if let Some(s) = factor.give_up_complement() {
        phis.insert(0, s);
    }
    let parts = (inverse, solution, &images);
    traces_from(system, factor, parts, directions, reml, phis)
}

/// The directions of one factor.
fn of_factor(directions: &[Direction], f: usize) -> impl Iterator<Item = usize> + Clone + '_ {
    (0..directions.len()).filter(move |&a| directions[a].factor == f)
}

fn traces_from<'a>(
    system: &'a System,
    factor: &Factor,
    (inverse, solution, images): (&SelectedInverse, &Solution, &Images<'_>),
    directions: &[Direction],
    reml: bool,
    phis: &mut Vec<Complement>,
) -> Room<'a> {
    let m = directions.len();
    let p = if reml { solution.h.m } else { 0 };
    let own = first_traces(system, factor, inverse, solution, directions, p);
    let r = FullInverse::new(system, factor, inverse);
    let products = products(system, factor, &r, directions, phis);
    let first = of_factor(directions, 0);
    let count = first.clone().count();
    let mut out = system.workers.room(m * m);
    let mut set = |a: usize, b: usize, value: f64| {
        out[b * m + a] = value;
        out[a * m + b] = value;
    };
    for (i, a) in first.clone().enumerate() {
        for (j, b) in first.clone().enumerate().skip(i) {
            let fixed = match (images.get(i), images.get(j)) {
                (Some(x), Some(y)) => {
                    2.0 * dot(x.half, y.half) + small::trace_product(x.inner, y.inner, p)
                }
                _ => 0.0,
            };
            let at = i * count + j;
            set(a, b, own[at] + products[at] + fixed);
        }
    }
    let mixed = &products[count * count..];
    let rest = Rows {
        first: &[][..],
        rest: &solution.h.rest[..],
        m: solution.h.m,
    };
    let weighted = if p > 0 {
        precision_product::times(system, &rest)
    } else {
        None
    };
    // P H
    let ph = weighted.as_ref().map_or(rest.rest, |rows| &rows.rest[..]);
    for b in (0..m).filter(|&b| directions[b].factor != 0) {
        let turned = (p > 0).then(|| turned(system, (&solution.h.rest, ph, p), &directions[b]));
        for (i, a) in first.clone().enumerate() {
            // tr(K_b (U H' + H U' + H M H')) with U = S^-1 [Phi_a G]_S
            let fixed = match (images.get(i), &turned) {
                (Some(x), Some((kh, hkh))) => {
                    2.0 * dot(kh, x.solved) + small::trace_product(x.inner, hkh, p)
                }
                _ => 0.0,
            };
            set(a, b, mixed[i * m + b] + fixed);
        }
    }
    for f in 1..system.moments.factors.len() {
        for g in f..system.moments.factors.len() {
            let sums = node_traces(&r, (&solution.h.rest, ph, p), directions, (f, g));
            let pairs = of_factor(directions, f)
                .flat_map(|a| of_factor(directions, g).map(move |b| (a, b)));
            for ((a, b), value) in pairs.zip(sums.iter()) {
                set(a, b, *value);
            }
        }
    }
    out
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Phi_a G for each direction of the first factor, all from F_j'G = -L_j'h_j; none without REML or fixed effects.
struct Images<'a> {
    values: Room<'a>,
    q2: usize,
    p: usize,
}

/// One of them.
struct Image<'a> {
    /// V_a = L_S^-1 [Phi_a G]_S, q2 x p.
    half: &'a [f64],
    /// S^-1 [Phi_a G]_S.
    solved: &'a [f64],
    /// M_a = G'Phi_a G, p x p.
    inner: &'a [f64],
}

impl<'a> Images<'a> {
    pub(crate) fn new(
        system: &'a System,
        factor: &Factor,
        solution: &Solution,
        directions: &[Direction],
        reml: bool,
    ) -> Self {
        let (h, q2) = (&solution.h, system.schur.q2);
        let p = h.m;
        let first = of_factor(directions, 0);
        let count = if reml && p > 0 {
            first.clone().count()
        } else {
            0
        };
        let each = (2 * q2 + p) * p;
        let mut values = system.workers.room(count * each);
        for (own, a) in values.chunks_exact_mut(each.max(1)).zip(first) {
            let mut rows = apply_directions(system, std::slice::from_ref(&directions[a]), h);
            let (half, rest) = own.split_at_mut(q2 * p);
            let (solved, inner) = rest.split_at_mut(q2 * p);
            let effects = h.first.len() / p;
            dense::add_transposed_product(&h.first, &rows.first, effects, p, p, 1.0, inner);
            if q2 > 0 {
                factor.forward(system, &mut rows);
            }
            half.copy_from_slice(&rows.rest);
            solved.copy_from_slice(half);
            factor.s.solve_transposed(solved, p);
        }
        Self { values, q2, p }
    }

    fn get(&self, i: usize) -> Option<Image<'_>> {
        let size = self.q2 * self.p;
        let each = 2 * size + self.p * self.p;
        let own = self.values.get(i * each..(i + 1) * each)?;
        let (half, rest) = own.split_at(size);
        let (solved, inner) = rest.split_at(size);
        (each > 0).then_some(Image {
            half,
            solved,
            inner,
        })
    }
}

/// K_b P H (q2 x p) and H'K_b P H (p x p) for a direction of another factor than the first, from H, P H and p.
fn turned<'a>(
    system: &'a System,
    (h, ph, p): (&[f64], &[f64], usize),
    direction: &Direction,
) -> (Room<'a>, Room<'a>) {
    let rows: Rows<&[f64]> = Rows {
        first: &[],
        rest: ph,
        m: p,
    };
    let kh = apply_directions(system, std::slice::from_ref(direction), &rows).rest;
    let mut hkh = system.workers.room(p * p);
    let q2 = system.schur.q2;
    dense::add_transposed_product(h, &kh, q2, p, p, 1.0, &mut hkh);
    (kh, hkh)
}

/// All of S^-1, in tiles.
struct FullInverse<'a> {
    system: &'a System,
    layout: &'a Layout,
    values: Values<'a>,
    /// All of P S^-1, column-major, where some P is not the identity.
    weighted: Option<Room<'a>>,
}

enum Values<'a> {
    /// As the gradient needed it.
    Dense(&'a Triangle),
    /// Column-major, computed from the sparse factor.
    OfSparse(Room<'a>),
}

impl<'a> FullInverse<'a> {
    pub(crate) fn new(system: &'a System, factor: &Factor, inverse: &'a SelectedInverse) -> Self {
        if let Complement::Dense(r) = &inverse.r {
            let values = Values::Dense(r);
            return Self::with_values(system, &r.layout, values);
        }
        let layout = &*system.schur.layout;
        let n = layout.order();
        let workers = &system.workers;
        let mut values = workers.room(n * n);
        let parts = cut(&mut values, |s| layout.columns(s).start * n);
        workers.for_each(layout.strips(), parts, |s, strip| {
            let columns = layout.columns(s);
            let width = columns.len();
            let mut rows = workers.room(n * width);
            (0..width).for_each(|c| rows[(columns.start + c) * width + c] = 1.0);
            factor.s.solve(&mut rows, width);
            factor.s.solve_transposed(&mut rows, width);
            for (i, row) in rows.chunks_exact(width).enumerate() {
                for (c, value) in row.iter().enumerate() {
                    strip[c * n + i] = *value;
                }
            }
        });
        Self::with_values(system, layout, Values::OfSparse(values))
    }

    fn with_values(system: &'a System, layout: &'a Layout, values: Values<'a>) -> Self {
        let mut out = Self {
            system,
            layout,
            values,
            weighted: None,
        };
        out.weighted = out.times_prior();
        out
    }

    /// P S^-1, strip by strip; `None` where every P is the identity.
    fn times_prior(&self) -> Option<Room<'a>> {
        if !level_precision::any(&self.system.moments) {
            return None;
        }
        let (n, workers) = (self.layout.order(), &self.system.workers);
        let matrices = level_precision::dense_matrices(&self.system.moments);
        let mut out = workers.room(n * n);
        let parts = cut(&mut out, |s| self.layout.columns(s).start * n);
        workers.for_each(self.layout.strips(), parts, |s, strip| {
            let columns = self.layout.columns(s);
            let width = columns.len();
            let mut rest = workers.room(n * width);
            match &self.values {
                Values::Dense(r) => r.gather(columns, strip),
                Values::OfSparse(r) => {
                    strip.copy_from_slice(&r[columns.start * n..columns.end * n]);
                }
            }
            small::transpose(strip, n, &mut rest);
            let rows = Rows {
                first: workers.room(0),
                rest,
                m: width,
            };
            if let Some(rows) = precision_product::times_many(self.system, &rows, &matrices) {
                small::transpose(&rows.rest, width, strip);
            }
        });
        Some(out)
    }

    /// Tile (i, j) of P S^-1, column-major.
    fn weighted_tile(&self, (i, j): (usize, usize), out: &mut [f64]) {
        let Some(weighted) = &self.weighted else {
            return self.tile((i, j), out);
        };
        let (n, rows) = (self.layout.order(), self.layout.columns(i));
        for (l, column) in self.layout.columns(j).zip(out.chunks_exact_mut(rows.len())) {
            column.copy_from_slice(&weighted[l * n + rows.start..l * n + rows.end]);
        }
    }

    /// Tile (i, j) of S^-1 P where some P is not the identity; else nothing is written.
    fn turned_tile(&self, (i, j): (usize, usize), out: &mut [f64]) {
        if let Some(weighted) = &self.weighted {
            let (n, rows) = (self.layout.order(), self.layout.columns(i));
            for (l, column) in self.layout.columns(j).zip(out.chunks_exact_mut(rows.len())) {
                for (value, row) in column.iter_mut().zip(rows.clone()) {
                    *value = weighted[row * n + l];
                }
            }
        }
    }

    /// Tile (i, j), column-major.
    fn tile(&self, (i, j): (usize, usize), out: &mut [f64]) {
        match &self.values {
            Values::Dense(r) => r.copy_tile((i, j), out),
            Values::OfSparse(r) => {
                let (n, rows) = (self.layout.order(), self.layout.columns(i));
                for (l, column) in self.layout.columns(j).zip(out.chunks_exact_mut(rows.len())) {
                    column.copy_from_slice(&r[l * n + rows.start..l * n + rows.end]);
                }
            }
        }
    }

    /// Tile (i, j), i >= j, of S^-1 Phi and of Phi S^-1.
    fn times(&self, phi: &Complement, (i, j): (usize, usize), left: &mut [f64], right: &mut [f64]) {
        let (rows, columns) = (self.layout.columns(i), self.layout.columns(j));
        match (phi, &self.values) {
            (Complement::Dense(phi), Values::Dense(r)) => {
                r.tile_of_product(phi, (i, j), left);
                if i > j {
                    phi.tile_of_product(r, (i, j), right);
                    return;
                }
            }
            (Complement::Sparse { pattern, values }, Values::OfSparse(r)) => {
                let n = self.layout.order();
                left.fill(0.0);
                for (column, out) in columns.clone().zip(left.chunks_exact_mut(rows.len())) {
                    pattern.for_each_symmetric(values, column, |l, value| {
                        if value != 0.0 {
                            add_scaled(value, &r[l * n + rows.start..l * n + rows.end], out);
                        }
                    });
                }
                if i > j {
                    let mut mirrored = self.system.workers.room(rows.len() * columns.len());
                    for (row, out) in rows.clone().zip(mirrored.chunks_exact_mut(columns.len())) {
                        pattern.for_each_symmetric(values, row, |l, value| {
                            if value != 0.0 {
                                let own = &r[l * n + columns.start..l * n + columns.end];
                                add_scaled(value, own, out);
                            }
                        });
                    }
                    small::transpose(&mirrored, columns.len(), right);
                    return;
                }
            }
            _ => unreachable!("Phi and S^-1 are stored as S is"),
        }
        small::transpose(left, rows.len(), right);
    }

    /// First effects of the nodes of factor `g` in strip `s`.
    fn nodes(&self, s: usize, g: usize) -> &'a [usize] {
        self.system.schur.offsets_in(g, self.layout.columns(s))
    }
}

fn add_scaled(value: f64, x: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(x).for_each(|(o, v)| *o += value * v);
}

/// What the products S^-1 Phi_a are needed for, one after the other: tr(S^-1 Phi_a S^-1 Phi_b) for pairs of directions of the
/// first factor, and sum over the nodes v of b's factor of tr([S^-1 Phi_a S^-1 P]_vv kappa_b), a direction of the first factor by
/// any other.
///
/// Tile by tile, of which none is kept: tile (i, j) of A = S^-1 Phi meets tile (j, i), which is that of A' = Phi S^-1 turned.
fn products<'a>(
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
fn first_traces<'a>(
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

/// Sums over blocks N (r x c) of tr(K N L N') for some symmetric K (r x r) and L (c x c).
///
/// Where these are many, as a bilinear form in their lower triangles, so that each block is looked at once: the coefficient of
/// K_ij L_kl is (N_jk N_il + N_jl N_ik) / 2, for each order of i and j and of k and l. Where they are few, one by one.
struct BlockTraces<'a, K, L> {
    workers: &'a Workers,
    r: usize,
    c: usize,
    of_rows: K,
    of_columns: L,
    /// The form, column by column, one for each entry of L; empty where it is not used.
    form: Room<'a>,
    /// K N and N L of one block otherwise.
    products: [Room<'a>; 2],
}

/// Entries of the lower triangle of a k x k matrix.
fn lower_entries(k: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..k).flat_map(move |j| (j..k).map(move |i| (i, j)))
}

/// Numbers in the lower triangle of a k x k matrix.
const fn triangle(k: usize) -> usize {
    k * (k + 1) / 2
}

/// Multiply-adds for one block: of the form, and one by one.
fn block_work((r, c): (usize, usize), (rows, columns): (usize, usize)) -> (usize, usize) {
    let products = rows * r * r * c + columns * r * c * c;
    (
        2 * triangle(r) * triangle(c),
        products + rows * columns * r * c,
    )
}

impl<'a, 'b, K, L> BlockTraces<'a, K, L>
where
    K: Iterator<Item = &'b [f64]> + Clone,
    L: Iterator<Item = &'b [f64]> + Clone,
{
    pub(crate) fn new(
        workers: &'a Workers,
        (r, of_rows): (usize, K),
        (c, of_columns): (usize, L),
    ) -> Self {
        let (rows, columns) = (of_rows.clone().count(), of_columns.clone().count());
        let (of_form, one_by_one) = block_work((r, c), (rows, columns));
        let by_form = of_form <= one_by_one;
        let size = |count: usize| if by_form { 0 } else { count * r * c };
        let form = if by_form {
            triangle(r) * triangle(c)
        } else {
            0
        };
        Self {
            workers,
            r,
            c,
            form: workers.room(form),
            products: [workers.room(size(rows)), workers.room(size(columns))],
            of_rows,
            of_columns,
        }
    }

    /// Adds `sign` times the traces with one block, column-major; `out` has those with one L after another.
    fn add(&mut self, n: &[f64], sign: f64, out: &mut [f64]) {
        let (r, c) = (self.r, self.c);
        if !self.form.is_empty() {
            self.add_to_form(n, sign);
            return;
        }
        let [left, right] = &mut self.products;
        let rows = left.len() / (r * c);
        for (to, k) in left.chunks_exact_mut(r * c).zip(self.of_rows.clone()) {
            small::mul_nn(k, n, r, r, c, to);
        }
        for (to, l) in right.chunks_exact_mut(r * c).zip(self.of_columns.clone()) {
            small::mul_nn(n, l, r, c, c, to);
        }
        for (out, y) in out
            .chunks_exact_mut(rows.max(1))
            .zip(right.chunks_exact(r * c))
        {
            for (value, x) in out.iter_mut().zip(left.chunks_exact(r * c)) {
                *value += sign * dot(x, y);
            }
        }
    }

    fn add_to_form(&mut self, n: &[f64], sign: f64) {
        let r = self.r;
        let half = 0.5 * sign;
        let entries = self.form.chunks_exact_mut(triangle(r));
        for (own, (k, l)) in entries.zip(lower_entries(self.c)) {
            let (at_k, at_l) = (&n[k * r..(k + 1) * r], &n[l * r..(l + 1) * r]);
            let mut rest = own;
            for j in 0..r {
                let (column, later) = rest.split_at_mut(r - j);
                let (x, y) = (half * at_k[j], half * at_l[j]);
                for ((value, a), b) in column.iter_mut().zip(&at_l[j..]).zip(&at_k[j..]) {
                    *value += x * a + y * b;
                }
                rest = later;
            }
        }
    }

    /// What is not in `out` yet.
    fn finish(self, out: &mut [f64]) {
        if self.form.is_empty() {
            return;
        }
        let lower = |matrices: &mut dyn Iterator<Item = &'b [f64]>, k: usize, out: &mut [f64]| {
            for (to, matrix) in out.chunks_exact_mut(triangle(k)).zip(matrices) {
                for (value, (i, j)) in to.iter_mut().zip(lower_entries(k)) {
                    *value = matrix[j * k + i] * if i == j { 1.0 } else { 2.0 };
                }
            }
        };
        let (r, c) = (triangle(self.r), triangle(self.c));
        let rows = self.of_rows.clone().count();
        let columns = self.of_columns.clone().count();
        let workers = self.workers;
        let [mut left, mut right] = [workers.room(rows * r), workers.room(columns * c)];
        lower(&mut self.of_rows.clone(), self.r, &mut left);
        lower(&mut self.of_columns.clone(), self.c, &mut right);
        let mut half = workers.room(r * columns);
        small::mul_nn(&self.form, &right, r, c, columns, &mut half);
        small::mul_tn(&left, &half, r, rows, columns, out);
    }
}

/// sum over the nodes v of factor f and l of factor g of tr(N_lv kappa_a N_vl kappa_b), N = I - P S^-1 - P H H': for each direction
/// of f those of g.
///
/// With O_lv = N_vl' the trace is a symmetric bilinear form of N_lv and O_lv: that of their mean with itself less that of half
/// their difference, which is zero where every P is the identity.
fn node_traces<'a>(
    r: &FullInverse<'a>,
    (h, ph, p): (&[f64], &[f64], usize),
    directions: &[Direction],
    (f, g): (usize, usize),
) -> Room<'a> {
    let factors = &r.system.moments.factors;
    let (kf, kg) = (factors[f].k, factors[g].k);
    let (of_f, of_g) = (of_factor(directions, f), of_factor(directions, g));
    let (count_f, count_g) = (of_f.clone().count(), of_g.clone().count());
    let (workers, len) = (&r.system.workers, count_f * count_g);
    let strips = if len == 0 { 0 } else { r.layout.strips() };
    workers.sum(strips * strips, len, |piece, sums| {
        let (i, j) = (piece / strips, piece % strips);
        // within one factor, tile (j, i) gives what (i, j) gives with a and b exchanged
        let twice = f == g && i > j;
        if f == g && i < j {
            return;
        }
        let (rows, columns) = (r.layout.columns(i), r.layout.columns(j));
        let (from, to) = (r.nodes(j, f), r.nodes(i, g));
        if from.is_empty() || to.is_empty() {
            return;
        }
        let height = rows.len();
        let size = height * columns.len();
        let mut n = workers.room(size);
        r.weighted_tile((i, j), &mut n);
        let mut other = workers.room(if r.weighted.is_some() { size } else { 0 });
        r.turned_tile((i, j), &mut other);
        let complete = |tile: &mut [f64], left: &[f64], right: &[f64]| {
            if p > 0 {
                let (rows, columns) = (rows.start * p..rows.end * p, &columns);
                let columns = columns.start * p..columns.end * p;
                dense::add_outer(&left[rows], &right[columns], p, tile);
            }
            tile.iter_mut().for_each(|v| *v = -*v);
            if i == j {
                (0..height).for_each(|e| tile[e * height + e] += 1.0);
            }
        };
        complete(&mut n, ph, h);
        if !other.is_empty() {
            complete(&mut other, h, ph);
            for (n, o) in n.iter_mut().zip(other.iter_mut()) {
                (*n, *o) = (0.5 * (*n + *o), 0.5 * (*n - *o));
            }
        }
        let parts = [(&n, 1.0), (&other, -1.0)];
        let parts = || parts.iter().filter(|(part, _)| !part.is_empty());
        let column = |v: usize| (v - columns.start) * height;
        if kf == 1 && kg == 1 {
            // all kappas are numbers
            let square_of = |part: &[f64]| -> f64 {
                from.iter()
                    .map(|&v| &part[column(v)..column(v + 1)])
                    .map(|column| {
                        let own = to.iter().map(|&l| column[l - rows.start].powi(2));
                        own.sum::<f64>()
                    })
                    .sum()
            };
            let square: f64 = parts().map(|(part, sign)| sign * square_of(part)).sum();
            let both = if twice { 2.0 } else { 1.0 };
            for (x, a) in of_f.clone().enumerate() {
                for (y, b) in of_g.clone().enumerate() {
                    sums[x * count_g + y] =
                        both * square * directions[a].kappa[0] * directions[b].kappa[0];
                }
            }
            return;
        }
        let mut block = workers.room(kg * kf);
        let kappas = |a: usize| directions[a].kappa.as_slice();
        let own = (kg, of_g.clone().map(kappas));
        let mut traces = BlockTraces::new(workers, own, (kf, of_f.clone().map(kappas)));
        for &v in from {
            for &l in to {
                for (part, sign) in parts() {
                    for c in 0..kf {
                        let at = column(v + c) + l - rows.start;
                        block[c * kg..(c + 1) * kg].copy_from_slice(&part[at..at + kg]);
                    }
                    traces.add(&block, *sign, sums);
                }
            }
        }
        traces.finish(sums);
        if twice {
            let once = workers.copy(sums);
            for x in 0..count_f {
                for y in 0..count_g {
                    sums[x * count_g + y] += once[y * count_g + x];
                }
            }
        }
    })
}
