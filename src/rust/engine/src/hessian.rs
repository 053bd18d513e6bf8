//! tr(P V_a P V_b) (ML: of V^-1), which turns the average information into the exact Hessian.
//!
//! With V_a = Z Lambda kappa_a Lambda'Z' and N = Lambda'Z'PZ Lambda = I - [Mbar^-1]_ZZ, Mbar being M bordered by Q (REML) or M
//! itself (ML), the trace is the sum over pairs of levels of tr(N_lj kappa_a N_jl kappa_b). Levels of the first factor
//! enter through N_jl = delta_jl (I - D_j^-1) - F_j'Rbar F_l, F_j' = L_j^-T [W_j, W_Xj], so that the J^2 pairs collapse into
//! Phi_a = sum_j F_j kappa_a F_j' and tr(Rbar Phi_a Rbar Phi_b): nothing of order q x q is formed for them.

use crate::covariance::Parameters;
use crate::factor::{assemble, Factor, SchurFactor, SelectedInverse, System, LEVELS};
use crate::gradient::{Direction, Solution};
use crate::linalg::dense::{self, Matrix};
use crate::linalg::small;
use crate::parallel::Workers;
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
#[must_use]
pub fn traces(
    system: &System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    directions: &[Direction],
    reml: bool,
) -> Vec<f64> {
    let m = directions.len();
    let fixed = if reml { solution.h.m } else { 0 };
    let r = bordered_inverse(system, factor, inverse, solution, fixed);
    let of = |f: usize| -> Vec<usize> { (0..m).filter(|&a| directions[a].factor == f).collect() };
    let first = of(0);
    let products: Vec<Matrix> = first
        .iter()
        .map(|&a| phi(system, factor, &directions[a].kappa, fixed).after(&r, system))
        .collect();
    let own = first_traces(system, factor, inverse, solution, directions, &first, fixed);
    let mut out = vec![0.0; m * m];
    let mut set = |a: usize, b: usize, value: f64| {
        out[b * m + a] = value;
        out[a * m + b] = value;
    };
    for (i, &a) in first.iter().enumerate() {
        for (j, &b) in first.iter().enumerate().skip(i) {
            set(
                a,
                b,
                own[i * first.len() + j]
                    + trace_of_product(&products[i], &products[j], &system.workers),
            );
        }
        for b in (0..m).filter(|&b| directions[b].factor != 0) {
            set(a, b, mixed_trace(system, &products[i], &r, &directions[b]));
        }
    }
    for f in 1..system.moments.factors.len() {
        for g in f..system.moments.factors.len() {
            for (a, b, value) in node_traces(system, &r, directions, (f, of(f)), (g, of(g))) {
                set(a, b, value);
            }
        }
    }
    out
}

/// Inverse of the Schur complement bordered by Q: [S^-1 + H H', -H Lx^-1; ., (Lx Lx')^-1].
fn bordered_inverse(
    system: &System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    p: usize,
) -> Matrix {
    let q2 = system.schur.q2;
    let order = q2 + p;
    let mut r = Matrix::zeros(order, order);
    match &inverse.r {
        SchurFactor::Dense(s) => {
            for j in 0..q2 {
                r.data[j * order..j * order + q2].copy_from_slice(s.column(j));
            }
        }
        SchurFactor::Sparse(_) => {
            if let (SchurFactor::Sparse(values), Storage::Sparse(pattern)) =
                (&factor.s, &system.schur.storage)
            {
                let mut identity = vec![0.0; q2 * q2];
                (0..q2).for_each(|i| identity[i * q2 + i] = 1.0);
                pattern.solve(values, &mut identity, q2);
                pattern.solve_transposed(values, &mut identity, q2);
                for j in 0..q2 {
                    r.data[j * order..j * order + q2]
                        .copy_from_slice(&identity[j * q2..(j + 1) * q2]);
                }
            }
        }
    }
    if p == 0 {
        return r;
    }
    let h = &solution.h.rest;
    if q2 > 0 {
        let mut outer = Matrix::zeros(q2, q2);
        let transposed: Vec<f64> = (0..p)
            .flat_map(|a| (0..q2).map(move |i| h[i * p + a]))
            .collect();
        dense::add_strips(
            &transposed,
            &transposed,
            p,
            q2,
            1.0,
            &mut outer,
            &system.workers,
        );
        outer.symmetrize_from_lower();
        for j in 0..q2 {
            r.data[j * order..j * order + q2]
                .iter_mut()
                .zip(outer.column(j))
                .for_each(|(x, y)| *x += y);
        }
    }
    let p1 = p + 1;
    let lx: Vec<f64> = (0..p * p)
        .map(|e| factor.lx[(e / p) * p1 + e % p])
        .collect();
    let li = small::invert_lower(&lx, p);
    for i in 0..q2 {
        for a in 0..p {
            // -(H Lx^-1)[i, a]
            let value: f64 = -(a..p).map(|b| h[i * p + b] * li[a * p + b]).sum::<f64>();
            r.data[(q2 + a) * order + i] = value;
            r.data[i * order + q2 + a] = value;
        }
    }
    for a in 0..p {
        for b in 0..p {
            r.data[(q2 + a) * order + q2 + b] =
                (a.max(b)..p).map(|c| li[a * p + c] * li[b * p + c]).sum();
        }
    }
    r
}

/// Phi_a = sum_j W_j'K_j W_j with K_j = L_j^-1 kappa_a L_j^-T and W_j = [W_2j, W_Xj].
fn phi(system: &System, factor: &Factor, kappa: &[f64], p: usize) -> Phi {
    let (schur, k1, q2) = (&system.schur, system.k1(), system.schur.q2);
    let levels = system.moments.factors[0].n_levels;
    let p1 = factor.rzx.m;
    let mut kw = vec![0.0; factor.w.len()];
    let mut kx = vec![0.0; levels * k1 * p];
    let mut x = vec![0.0; levels * k1 * p];
    for j in 0..levels {
        let l = &factor.l1[j * k1 * k1..(j + 1) * k1 * k1];
        let mut k = kappa.to_vec();
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
        for e in schur.effect_start[schur.start[j]]..schur.effect_start[schur.start[j + 1]] {
            small::mul_nn(
                &k,
                &factor.w[e * k1..(e + 1) * k1],
                k1,
                k1,
                1,
                &mut kw[e * k1..(e + 1) * k1],
            );
        }
        for a in 0..p {
            for i in 0..k1 {
                x[(j * k1 + i) * p + a] = factor.rzx.first[(j * k1 + i) * p1 + a];
                kx[(j * k1 + i) * p + a] = (0..k1)
                    .map(|c| k[c * k1 + i] * factor.rzx.first[(j * k1 + c) * p1 + a])
                    .sum();
            }
        }
    }
    let mut rest = if matches!(schur.storage, Storage::Dense) {
        SchurFactor::Dense(Matrix::zeros(q2, q2))
    } else {
        SchurFactor::Sparse(vec![0.0; factor_entries(schur)])
    };
    assemble(
        system,
        &factor.w,
        &kw,
        1.0,
        None,
        &mut Vec::new(),
        &mut rest,
    );
    if let SchurFactor::Dense(s) = &mut rest {
        s.symmetrize_from_lower();
    }
    let mut border = vec![0.0; q2 * p];
    for j in 0..levels {
        for e in schur.effect_start[schur.start[j]]..schur.effect_start[schur.start[j + 1]] {
            let row = schur.effect_row[e] as usize;
            for i in 0..k1 {
                let w = factor.w[e * k1 + i];
                for a in 0..p {
                    border[a * q2 + row] += w * kx[(j * k1 + i) * p + a];
                }
            }
        }
    }
    let mut fixed = vec![0.0; p * p];
    if p > 0 {
        dense::add_transposed_product(&x, &kx, levels * k1, p, p, 1.0, &mut fixed);
    }
    Phi {
        rest,
        border,
        fixed,
        p,
    }
}

fn factor_entries(schur: &crate::schur::Schur) -> usize {
    match &schur.storage {
        Storage::Sparse(pattern) => pattern.nnz(),
        Storage::Dense => 0,
    }
}

/// Phi_a: nodes (dense, or on the pattern of the factor), their border with Q, and Q itself.
struct Phi {
    rest: SchurFactor,
    border: Vec<f64>,
    fixed: Vec<f64>,
    p: usize,
}

impl Phi {
    /// R Phi for a symmetric R of the bordered order.
    fn after(&self, r: &Matrix, system: &System) -> Matrix {
        let (q2, p) = (system.schur.q2, self.p);
        let order = q2 + p;
        let mut out = Matrix::zeros(order, order);
        match (&self.rest, &system.schur.storage) {
            (SchurFactor::Dense(s), _) => {
                dense::add_product(&mut out, 0..q2, r, 0..q2, &s.data, &system.workers)
            }
            (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
                let columns: Vec<&mut [f64]> = out.data[..q2 * order].chunks_mut(order).collect();
                system.workers.for_each(columns, |j, column| {
                    pattern.for_each_symmetric(values, j, |i, value| {
                        if value != 0.0 {
                            column
                                .iter_mut()
                                .zip(r.column(i))
                                .for_each(|(x, y)| *x += value * y);
                        }
                    });
                });
            }
            (SchurFactor::Sparse(_), Storage::Dense) => {}
        }
        let transposed: Vec<f64> = (0..q2 * p)
            .map(|e| self.border[(e % p.max(1)) * q2 + e / p.max(1)])
            .collect();
        dense::add_product(&mut out, 0..q2, r, q2..order, &transposed, &system.workers);
        dense::add_product(&mut out, q2..order, r, 0..q2, &self.border, &system.workers);
        dense::add_product(
            &mut out,
            q2..order,
            r,
            q2..order,
            &self.fixed,
            &system.workers,
        );
        out
    }
}

/// tr(A B), by tiles: one of the two is read across its columns.
fn trace_of_product(a: &Matrix, b: &Matrix, workers: &Workers) -> f64 {
    const TILE: usize = 32;
    let n = a.nrows;
    let strips = workers.map(n.div_ceil(TILE), |strip| {
        let columns = strip * TILE..((strip + 1) * TILE).min(n);
        let mut sum = 0.0;
        for it in (0..n).step_by(TILE) {
            for j in columns.clone() {
                sum += (it..(it + TILE).min(n))
                    .map(|i| a.data[j * n + i] * b.data[i * n + j])
                    .sum::<f64>();
            }
        }
        sum
    });
    strips.iter().sum()
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
        let mut n = vec![0.0; square];
        let mut left = vec![vec![0.0; square]; count];
        let mut right = vec![vec![0.0; square]; count];
        for j in work[piece].clone() {
            let d = small::inverse_from_cholesky(&factor.l1[j * square..(j + 1) * square], k1);
            let mut g: Vec<f64> = (0..square)
                .map(|e| inverse.m11[j * square + e] - d[e])
                .collect();
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

/// sum over the nodes v of b's factor of tr([Rbar Phi_a Rbar]_vv kappa_b), from Rbar Phi_a.
fn mixed_trace(system: &System, product: &Matrix, r: &Matrix, direction: &Direction) -> f64 {
    let (g, kappa) = (direction.factor, &direction.kappa);
    let k = system.moments.factors[g].k;
    let starts: Vec<usize> = system.schur.node_of[g]
        .iter()
        .map(|&v| system.schur.offset[v as usize])
        .collect();
    let entries: Vec<(usize, usize, f64)> = (0..k * k)
        .filter(|&e| kappa[e] != 0.0)
        .map(|e| (e / k, e % k, kappa[e]))
        .collect();
    let mut sum = 0.0;
    for l in 0..r.nrows {
        let (x, y) = (product.column(l), r.column(l));
        for &(i, c, weight) in &entries {
            sum += weight
                * starts
                    .iter()
                    .map(|start| x[start + i] * y[start + c])
                    .sum::<f64>();
        }
    }
    sum
}

/// sum over the nodes v of factor f and l of factor g of tr(N_lv kappa_a N_vl kappa_b), N = I - Rbar.
fn node_traces(
    system: &System,
    r: &Matrix,
    directions: &[Direction],
    (f, of_f): (usize, Vec<usize>),
    (g, of_g): (usize, Vec<usize>),
) -> Vec<(usize, usize, f64)> {
    let schur = &system.schur;
    let (kf, kg) = (system.moments.factors[f].k, system.moments.factors[g].k);
    if of_f.is_empty() || of_g.is_empty() {
        return Vec::new();
    }
    let order = r.nrows;
    let nodes = &schur.node_of[f];
    let parts = system.workers.map(nodes.len(), |i| {
        let v = nodes[i] as usize;
        let mut sums = vec![0.0; of_f.len() * of_g.len()];
        let mut block = vec![0.0; kg * kf];
        let mut right = vec![vec![0.0; kg * kf]; of_f.len()];
        let mut left = vec![0.0; kg * kf];
        for &l in &schur.node_of[g] {
            let l = l as usize;
            for c in 0..kf {
                for row in 0..kg {
                    let (at_row, at_column) = (schur.offset[l] + row, schur.offset[v] + c);
                    let identity = f64::from(u8::from(at_row == at_column));
                    block[c * kg + row] = identity - r.data[at_column * order + at_row];
                }
            }
            for (x, &a) in right.iter_mut().zip(&of_f) {
                small::mul_nn(&block, &directions[a].kappa, kg, kf, kf, x);
            }
            for (j, &b) in of_g.iter().enumerate() {
                small::mul_nn(&directions[b].kappa, &block, kg, kg, kf, &mut left);
                for (i, x) in right.iter().enumerate() {
                    sums[i * of_g.len() + j] +=
                        x.iter().zip(&left).map(|(x, y)| x * y).sum::<f64>();
                }
            }
        }
        sums
    });
    let mut total = vec![0.0; of_f.len() * of_g.len()];
    for part in parts {
        total.iter_mut().zip(&part).for_each(|(x, y)| *x += y);
    }
    let mut out = Vec::new();
    for (i, &a) in of_f.iter().enumerate() {
        for (j, &b) in of_g.iter().enumerate() {
            out.push((a, b, total[i * of_g.len() + j]));
        }
    }
    out
}
