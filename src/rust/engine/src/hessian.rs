//! tr(P V_a P V_b) (ML: of V^-1), which turns the average information into the exact Hessian.
//!
//! With V_a = Z Lambda kappa_a Lambda'Z' and N = Lambda'Z'PZ Lambda = I - [Mbar^-1]_ZZ, Mbar being M bordered by Q (REML) or M
//! itself (ML), the trace is the sum over pairs of levels of tr(N_lj kappa_a N_jl kappa_b). Levels of the first factor
//! enter through N_jl = delta_jl (I - D_j^-1) - F_j'Rbar F_l, F_j' = L_j^-T [W_j, W_Xj], so that the J^2 pairs collapse into
//! Phi_a = sum_j F_j kappa_a F_j' and tr(Rbar Phi_a Rbar Phi_b): nothing of order q x q is formed for them.

use std::sync::Arc;

use crate::covariance::Parameters;
use crate::factor::{assemble, Factor, Rows, SchurFactor, SelectedInverse, System, LEVELS};
use crate::gradient::{apply_directions, Direction, Solution};
use crate::linalg::sparse::Pattern;
use crate::linalg::triangle::{Layout, Triangle};
use crate::linalg::{dense, small};
use crate::parallel::split_at_offsets;
use crate::schur::{Storage, DENSE_ADVANTAGE};

/// Multiply-adds (at the speed of sparse ones) that [`traces`] would take; infinite where it would need too much memory.
#[must_use]
pub fn cost(system: &System, parameters: &Parameters, p: usize) -> f64 {
    if system.moments.pairs.iter().any(|pair| pair.f == pair.g) {
        // the sums below are over independent levels
        return f64::INFINITY;
    }
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
        Storage::Dense => order.powi(3) / DENSE_ADVANTAGE,
        Storage::Sparse(pattern) => 2.0 * order * (pattern.nnz() as f64 + p as f64 * order),
    };
    let rows = system.q1() as f64 * (p as f64).powi(2);
    first * (product + rows + system.schur.pair_work(system.k1())) + 10.0 * order * order
}

/// tr(P V_a P V_b) (`reml`; else of V^-1) for all pairs of directions, m x m.
///
/// Rbar = S^-1 + G G' with G = [H; -Lx^-T] is not formed: with V_a = L_S^-1 [Phi_a G]_S and M_a = G'Phi_a G,
/// tr(Rbar Phi_a Rbar Phi_b) = tr(S^-1 Phi_a S^-1 Phi_b) + 2 tr(V_a'V_b) + tr(M_a M_b).
#[must_use]
pub fn traces(
    system: &System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    reml: bool,
) -> Vec<f64> {
    let images = images(system, factor, solution, directions, reml);
    let parts = (inverse, solution, images.as_slice());
    traces_from(system, factor, parts, directions, reml, None)
}

/// As [`traces`], but the factor of a dense complement gives its place to the products: it is gone afterwards.
#[must_use]
pub fn traces_in_place(
    system: &System,
    factor: &mut Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    reml: bool,
) -> Vec<f64> {
    let images = images(system, factor, solution, directions, reml);
    let room = factor.give_up_complement();
    let parts = (inverse, solution, images.as_slice());
    traces_from(system, factor, parts, directions, reml, room)
}

fn images(
    system: &System,
    factor: &Factor,
    solution: &Solution,
    directions: &[Direction],
    reml: bool,
) -> Vec<Image> {
    if !reml || solution.h.m == 0 {
        return Vec::new();
    }
    directions
        .iter()
        .filter(|direction| direction.factor == 0)
        .map(|direction| Image::new(system, factor, solution, direction))
        .collect()
}

fn traces_from(
    system: &System,
    factor: &Factor,
    (inverse, solution, images): (&SelectedInverse, &Solution, &[Image]),
    directions: &[Direction],
    reml: bool,
    room: Option<Triangle>,
) -> Vec<f64> {
    let m = directions.len();
    let p = if reml { solution.h.m } else { 0 };
    let of = |f: usize| -> Vec<usize> { (0..m).filter(|&a| directions[a].factor == f).collect() };
    let first = of(0);
    let own = first_traces(system, factor, inverse, solution, directions, &first, p);
    let r = Complement::new(system, factor, inverse);
    let products = products(system, factor, &r, directions, &first, room);
    let count = first.len();
    let mut out = vec![0.0; m * m];
    let mut set = |a: usize, b: usize, value: f64| {
        out[b * m + a] = value;
        out[a * m + b] = value;
    };
    for (i, &a) in first.iter().enumerate() {
        for (j, &b) in first.iter().enumerate().skip(i) {
            let fixed = match (images.get(i), images.get(j)) {
                (Some(x), Some(y)) => {
                    2.0 * dot(&x.half, &y.half) + small::trace_product(&x.inner, &y.inner, p)
                }
                _ => 0.0,
            };
            let at = i * count + j;
            set(a, b, own[at] + products.pairs[at] + fixed);
        }
    }
    for b in (0..m).filter(|&b| directions[b].factor != 0) {
        let turned = (p > 0).then(|| turned(system, solution, &directions[b]));
        for (i, &a) in first.iter().enumerate() {
            // tr(K_b (U H' + H U' + H M H')) with U = S^-1 [Phi_a G]_S
            let fixed = match (images.get(i), &turned) {
                (Some(x), Some((kh, hkh))) => {
                    2.0 * dot(kh, &x.solved) + small::trace_product(&x.inner, hkh, p)
                }
                _ => 0.0,
            };
            set(a, b, products.mixed[i * m + b] + fixed);
        }
    }
    for f in 1..system.moments.factors.len() {
        for g in f..system.moments.factors.len() {
            for (a, b, value) in
                node_traces(&r, &solution.h.rest, p, directions, (f, of(f)), (g, of(g)))
            {
                set(a, b, value);
            }
        }
    }
    out
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Phi_a G for one direction of the first factor, all from F_j'G = -L_j'h_j.
struct Image {
    /// V_a = L_S^-1 [Phi_a G]_S, q2 x p.
    half: Vec<f64>,
    /// S^-1 [Phi_a G]_S.
    solved: Vec<f64>,
    /// M_a = G'Phi_a G, p x p.
    inner: Vec<f64>,
}

impl Image {
    fn new(system: &System, factor: &Factor, solution: &Solution, direction: &Direction) -> Self {
        let h = &solution.h;
        let p = h.m;
        let mut rows = apply_directions(system, std::slice::from_ref(direction), h);
        let mut inner = vec![0.0; p * p];
        let effects = h.first.len() / p;
        dense::add_transposed_product(&h.first, &rows.first, effects, p, p, 1.0, &mut inner);
        if system.schur.q2 > 0 {
            factor.forward(system, &mut rows);
        }
        let half = rows.rest;
        let mut solved = half.clone();
        factor.solve_complement(system, &mut solved, p, true);
        Self {
            half,
            solved,
            inner,
        }
    }
}

/// K_b H (q2 x p) and H'K_b H (p x p) for a direction of another factor than the first.
fn turned(system: &System, solution: &Solution, direction: &Direction) -> (Vec<f64>, Vec<f64>) {
    let p = solution.h.m;
    let h = Rows {
        first: Vec::new(),
        rest: solution.h.rest.clone(),
        m: p,
    };
    let kh = apply_directions(system, std::slice::from_ref(direction), &h).rest;
    let mut hkh = vec![0.0; p * p];
    let q2 = system.schur.q2;
    dense::add_transposed_product(&h.rest, &kh, q2, p, p, 1.0, &mut hkh);
    (kh, hkh)
}

/// All of S^-1, in tiles.
struct Complement<'a> {
    system: &'a System,
    layout: Arc<Layout>,
    values: Values<'a>,
}

enum Values<'a> {
    /// As the gradient needed it.
    Dense(&'a Triangle),
    /// Column-major, computed from the sparse factor; and the pattern of the latter.
    Sparse(Vec<f64>, &'a Pattern),
}

impl<'a> Complement<'a> {
    fn new(system: &'a System, factor: &Factor, inverse: &'a SelectedInverse) -> Self {
        if let SchurFactor::Dense(r) = &inverse.r {
            return Self {
                system,
                layout: Arc::clone(&r.layout),
                values: Values::Dense(r),
            };
        }
        let layout = Arc::new(Layout::new(&system.schur.offset));
        let n = layout.order();
        let (SchurFactor::Sparse(l), Storage::Sparse(pattern)) = (&factor.s, &system.schur.storage)
        else {
            unreachable!("a dense complement has a dense inverse")
        };
        let mut values = vec![0.0; n * n];
        let offsets: Vec<usize> = (0..layout.strips())
            .map(|s| layout.columns(s).start * n)
            .chain([n * n])
            .collect();
        system
            .workers
            .for_each(split_at_offsets(&mut values, &offsets), |s, strip| {
                let columns = layout.columns(s);
                let width = columns.len();
                let mut rows = vec![0.0; n * width];
                (0..width).for_each(|c| rows[(columns.start + c) * width + c] = 1.0);
                pattern.solve(l, &mut rows, width);
                pattern.solve_transposed(l, &mut rows, width);
                for (i, row) in rows.chunks_exact(width).enumerate() {
                    for (c, value) in row.iter().enumerate() {
                        strip[c * n + i] = *value;
                    }
                }
            });
        Self {
            system,
            layout,
            values: Values::Sparse(values, pattern),
        }
    }

    /// Tile (i, j), column-major.
    fn tile(&self, (i, j): (usize, usize), out: &mut [f64]) {
        match &self.values {
            Values::Dense(r) => r.copy_tile((i, j), out),
            Values::Sparse(r, _) => {
                let (n, rows) = (self.layout.order(), self.layout.columns(i));
                for (l, column) in self.layout.columns(j).zip(out.chunks_exact_mut(rows.len())) {
                    column.copy_from_slice(&r[l * n + rows.start..l * n + rows.end]);
                }
            }
        }
    }

    /// Tile (i, j), i >= j, of S^-1 Phi and of Phi S^-1.
    fn times(
        &self,
        phi: &SchurFactor,
        (i, j): (usize, usize),
        left: &mut [f64],
        right: &mut [f64],
    ) {
        let (rows, columns) = (self.layout.columns(i), self.layout.columns(j));
        match (phi, &self.values) {
            (SchurFactor::Dense(phi), Values::Dense(r)) => {
                r.tile_of_product(phi, (i, j), left);
                if i > j {
                    phi.tile_of_product(r, (i, j), right);
                    return;
                }
            }
            (SchurFactor::Sparse(phi), Values::Sparse(r, pattern)) => {
                let n = self.layout.order();
                left.fill(0.0);
                for (column, out) in columns.clone().zip(left.chunks_exact_mut(rows.len())) {
                    pattern.for_each_symmetric(phi, column, |l, value| {
                        if value != 0.0 {
                            add_scaled(value, &r[l * n + rows.start..l * n + rows.end], out);
                        }
                    });
                }
                if i > j {
                    let mut mirrored = vec![0.0; rows.len() * columns.len()];
                    for (row, out) in rows.clone().zip(mirrored.chunks_exact_mut(columns.len())) {
                        pattern.for_each_symmetric(phi, row, |l, value| {
                            if value != 0.0 {
                                let own = &r[l * n + columns.start..l * n + columns.end];
                                add_scaled(value, own, out);
                            }
                        });
                    }
                    transpose(&mirrored, columns.len(), right);
                    return;
                }
            }
            _ => {}
        }
        transpose(left, rows.len(), right);
    }

    /// Nodes of factor `g` in strip `s`, as first effects counted from the strip's own.
    fn nodes(&self, s: usize, g: usize) -> Vec<usize> {
        let schur = &self.system.schur;
        let columns = self.layout.columns(s);
        let from = schur.offset.partition_point(|&e| e < columns.start);
        let to = schur.offset.partition_point(|&e| e < columns.end);
        (from..to)
            .filter(|&v| schur.node[v].0 == g)
            .map(|v| schur.offset[v] - columns.start)
            .collect()
    }
}

fn add_scaled(value: f64, x: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(x).for_each(|(o, v)| *o += value * v);
}

/// The transpose of a column-major matrix with so many rows.
fn transpose(a: &[f64], rows: usize, out: &mut [f64]) {
    let columns = a.len() / rows.max(1);
    for (j, column) in a.chunks_exact(rows.max(1)).enumerate() {
        for (i, value) in column.iter().enumerate() {
            out[i * columns + j] = *value;
        }
    }
}

/// What the products S^-1 Phi_a are needed for.
struct Products {
    /// tr(S^-1 Phi_a S^-1 Phi_b) for pairs of directions of the first factor.
    pairs: Vec<f64>,
    /// sum over the nodes v of b's factor of tr([S^-1 Phi_a S^-1]_vv kappa_b): a direction of the first factor by any other.
    mixed: Vec<f64>,
}

/// Tile by tile, of which none is kept: tile (i, j) of A = S^-1 Phi meets tile (j, i), which is that of A' = Phi S^-1 turned.
fn products(
    system: &System,
    factor: &Factor,
    r: &Complement<'_>,
    directions: &[Direction],
    first: &[usize],
    mut room: Option<Triangle>,
) -> Products {
    let (m, count) = (directions.len(), first.len());
    let others: Vec<usize> = (0..m).filter(|&b| directions[b].factor != 0).collect();
    let mut tiles: Vec<(usize, usize)> = Vec::new();
    if count > 0 {
        for i in 0..r.layout.strips() {
            tiles.extend((0..=i).map(|j| (i, j)));
        }
    }
    let mut total = Products {
        pairs: vec![0.0; count * count],
        mixed: vec![0.0; count * m],
    };
    if tiles.is_empty() {
        return total;
    }
    let phis: Vec<SchurFactor> = first
        .iter()
        .map(|&a| phi(system, factor, &r.layout, &directions[a].kappa, room.take()))
        .collect();
    let parts = system.workers.map(tiles.len(), |piece| {
        let (i, j) = tiles[piece];
        let (rows, columns) = (r.layout.columns(i).len(), r.layout.columns(j).len());
        let size = rows * columns;
        let mut left = vec![vec![0.0; size]; count];
        let mut right = vec![vec![0.0; size]; count];
        for (a, phi) in phis.iter().enumerate() {
            r.times(phi, (i, j), &mut left[a], &mut right[a]);
        }
        let mut pairs = vec![0.0; count * count];
        for a in 0..count {
            for b in a..count {
                pairs[a * count + b] = dot(&left[a], &right[b]);
                if i > j {
                    pairs[a * count + b] += dot(&right[a], &left[b]);
                }
            }
        }
        let mut mixed = vec![0.0; count * m];
        let mut own = vec![0.0; if others.is_empty() { 0 } else { size }];
        if !others.is_empty() {
            r.tile((i, j), &mut own);
        }
        for &b in &others {
            let (g, kappa) = (directions[b].factor, &directions[b].kappa);
            let k = system.moments.factors[g].k;
            let (above, beside) = (r.nodes(i, g), r.nodes(j, g));
            for e in (0..k * k).filter(|&e| kappa[e] != 0.0) {
                let (x, y) = (e % k, e / k);
                for a in 0..count {
                    let mut sum = 0.0;
                    for (p, q) in left[a].chunks_exact(rows).zip(own.chunks_exact(rows)) {
                        sum += above.iter().map(|v| p[v + x] * q[v + y]).sum::<f64>();
                    }
                    if i > j {
                        for v in &beside {
                            let p = &right[a][(v + x) * rows..(v + x + 1) * rows];
                            sum += dot(p, &own[(v + y) * rows..(v + y + 1) * rows]);
                        }
                    }
                    mixed[a * m + b] += kappa[e] * sum;
                }
            }
        }
        (pairs, mixed)
    });
    for (pairs, mixed) in parts {
        add_scaled(1.0, &pairs, &mut total.pairs);
        add_scaled(1.0, &mixed, &mut total.mixed);
    }
    total
}

/// [Phi_a]_S = sum_j W_j'K_j W_j with K_j = L_j^-1 kappa_a L_j^-T, stored as S is.
fn phi(
    system: &System,
    factor: &Factor,
    layout: &Arc<Layout>,
    kappa: &[f64],
    room: Option<Triangle>,
) -> SchurFactor {
    let (schur, k1) = (&system.schur, system.k1());
    let mut middle = vec![0.0; factor.l1.len()];
    for (k, l) in middle
        .chunks_exact_mut(k1 * k1)
        .zip(factor.l1.chunks_exact(k1 * k1))
    {
        k.copy_from_slice(kappa);
        for _ in 0..2 {
            for c in 0..k1 {
                small::solve_lower(l, k1, &mut k[c * k1..(c + 1) * k1]);
            }
            for c in 0..k1 {
                for i in c + 1..k1 {
                    k.swap(c * k1 + i, i * k1 + c);
                }
            }
        }
    }
    let mut rest = match &schur.storage {
        Storage::Dense => {
            SchurFactor::Dense(room.unwrap_or_else(|| Triangle::with_layout(Arc::clone(layout))))
        }
        Storage::Sparse(pattern) => SchurFactor::Sparse(vec![0.0; pattern.nnz()]),
    };
    let mut spread = Vec::new();
    let (w, middle) = (&factor.w, Some(middle.as_slice()));
    assemble(system, w, middle, 1.0, None, &mut spread, &mut rest);
    if let SchurFactor::Dense(s) = &mut rest {
        s.mirror();
    }
    rest
}

/// sum_j tr(N_jj kappa_a N_jj kappa_b) - tr(G_j kappa_a G_j kappa_b), N_jj = I - D_j^-1 - G_j.
fn first_traces(
    system: &System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    first: &[usize],
    p: usize,
) -> Vec<f64> {
    let k1 = system.k1();
    let square = k1 * k1;
    let count = first.len();
    let work = crate::parallel::pieces(system.moments.factors[0].n_levels, LEVELS);
    let parts = system.workers.map(work.len(), |piece| {
        let mut sums = vec![0.0; count * count];
        let [mut half, mut d, mut g, mut n] = std::array::from_fn(|_| vec![0.0; square]);
        let mut left = vec![vec![0.0; square]; count];
        let mut right = vec![vec![0.0; square]; count];
        for j in work[piece].clone() {
            let own = j * square..(j + 1) * square;
            small::write_inverse_from_cholesky(&factor.l1[own.clone()], k1, &mut half, &mut d);
            for (g, (m, d)) in g.iter_mut().zip(inverse.m11[own].iter().zip(&d)) {
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
            for (i, &a) in first.iter().enumerate() {
                small::mul_nn(&n, &directions[a].kappa, k1, k1, k1, &mut left[i]);
                small::mul_nn(&g, &directions[a].kappa, k1, k1, k1, &mut right[i]);
            }
            for i in 0..count {
                for l in i..count {
                    sums[i * count + l] += small::trace_product(&left[i], &left[l], k1)
                        - small::trace_product(&right[i], &right[l], k1);
                }
            }
        }
        sums
    });
    let mut total = vec![0.0; count * count];
    for part in parts {
        total.iter_mut().zip(&part).for_each(|(x, y)| *x += y);
    }
    total
}

/// sum over the nodes v of factor f and l of factor g of tr(N_lv kappa_a N_vl kappa_b), N = I - S^-1 - H H'.
fn node_traces(
    r: &Complement<'_>,
    h: &[f64],
    p: usize,
    directions: &[Direction],
    (f, of_f): (usize, Vec<usize>),
    (g, of_g): (usize, Vec<usize>),
) -> Vec<(usize, usize, f64)> {
    let factors = &r.system.moments.factors;
    let (kf, kg) = (factors[f].k, factors[g].k);
    let (count_f, count_g) = (of_f.len(), of_g.len());
    if count_f == 0 || count_g == 0 {
        return Vec::new();
    }
    // within one factor, tile (j, i) gives what (i, j) gives with a and b exchanged
    let strips = r.layout.strips();
    let tiles: Vec<(usize, usize)> = (0..strips * strips)
        .map(|e| (e / strips, e % strips))
        .filter(|&(i, j)| f != g || i >= j)
        .collect();
    let parts = r.system.workers.map(tiles.len(), |piece| {
        let (i, j) = tiles[piece];
        let (rows, columns) = (r.layout.columns(i), r.layout.columns(j));
        let mut sums = vec![0.0; count_f * count_g];
        let (from, to) = (r.nodes(j, f), r.nodes(i, g));
        if from.is_empty() || to.is_empty() {
            return sums;
        }
        let height = rows.len();
        let mut n = vec![0.0; height * columns.len()];
        r.tile((i, j), &mut n);
        if p > 0 {
            let (left, right) = (
                &h[rows.start * p..rows.end * p],
                &h[columns.start * p..columns.end * p],
            );
            dense::add_outer(left, right, p, &mut n);
        }
        n.iter_mut().for_each(|v| *v = -*v);
        if i == j {
            (0..height).for_each(|e| n[e * height + e] += 1.0);
        }
        if kf == 1 && kg == 1 {
            // all kappas are numbers
            let square: f64 = from
                .iter()
                .map(|&v| &n[v * height..(v + 1) * height])
                .map(|column| to.iter().map(|&l| column[l].powi(2)).sum::<f64>())
                .sum();
            for (x, &a) in of_f.iter().enumerate() {
                for (y, &b) in of_g.iter().enumerate() {
                    let both = if f == g && i > j { 2.0 } else { 1.0 };
                    sums[x * count_g + y] =
                        both * square * directions[a].kappa[0] * directions[b].kappa[0];
                }
            }
            return sums;
        }
        let mut block = vec![0.0; kg * kf];
        let mut right = vec![vec![0.0; kg * kf]; count_f];
        let mut left = vec![0.0; kg * kf];
        for &v in &from {
            for &l in &to {
                for c in 0..kf {
                    let at = (v + c) * height + l;
                    block[c * kg..(c + 1) * kg].copy_from_slice(&n[at..at + kg]);
                }
                for (x, &a) in right.iter_mut().zip(&of_f) {
                    small::mul_nn(&block, &directions[a].kappa, kg, kf, kf, x);
                }
                for (y, &b) in of_g.iter().enumerate() {
                    small::mul_nn(&directions[b].kappa, &block, kg, kg, kf, &mut left);
                    for (x, product) in right.iter().enumerate() {
                        sums[x * count_g + y] += dot(product, &left);
                    }
                }
            }
        }
        if f == g && i > j {
            let once = sums.clone();
            for x in 0..count_f {
                for y in 0..count_g {
                    sums[x * count_g + y] += once[y * count_g + x];
                }
            }
        }
        sums
    });
    let mut total = vec![0.0; count_f * count_g];
    for part in parts {
        add_scaled(1.0, &part, &mut total);
    }
    let mut out = Vec::new();
    for (i, &a) in of_f.iter().enumerate() {
        for (j, &b) in of_g.iter().enumerate() {
            out.push((a, b, total[i * count_g + j]));
        }
    }
    out
}
