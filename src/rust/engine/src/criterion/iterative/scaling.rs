//! The operator at one T: W, the block diagonal P and what both are scaled by.

use std::ops::Range;

use crate::basis::covariances::Covariances;
use crate::criterion::iterative::operator::{Operator, Others, NODES};
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::partition::{chunks, cut, piece};
use crate::system::equations::System;
use crate::system::factor::eliminate_first;
use crate::system::pieces::LEVELS;
use crate::system::selected_inverse::y_slot;

impl Operator {
    /// The operator at T; `None` where M is not positive definite in floating point.
    #[must_use]
    pub fn new(system: &System, t: &Covariances) -> Option<Self> {
        let (l1, mut w, log_det_eliminated) = eliminate_first(system, t, Vec::new(), Vec::new())?;
        let (schur, k1) = (&system.schur, system.k1());
        let mut block = vec![0];
        for pair in schur.offset.windows(2) {
            block.push(block[block.len() - 1] + (pair[1] - pair[0]).pow(2));
        }
        let mut by_node = memory::zeros(w.len());
        let nodes = |i: usize| piece(schur.nodes(), NODES, i);
        let count = schur.nodes().div_ceil(NODES);
        let mut p = memory::zeros(block[schur.nodes()]);
        let mut own = p.clone();
        let mut sums: Vec<Option<NodeSums>> = vec![None; count];
        let partition = (
            cut(&mut by_node, |i| schur.y_start[nodes(i).start] * k1),
            (
                cut(&mut p, |i| block[nodes(i).start]),
                cut(&mut own, |i| block[nodes(i).start]),
            ),
            chunks(&mut sums, 1),
        );
        system
            .workers
            .for_each(count, partition, |i, (by_node, (p, own), sums)| {
                sums[0] = scale_nodes(system, t, &w, nodes(i), by_node, p, own);
            });
        let mut complement = zeros_of_each(t);
        let mut log_det_p = 0.0;
        for part in sums {
            let part = part?;
            log_det_p += part.log_det;
            for (total, block) in complement.iter_mut().zip(&part.complement) {
                total.iter_mut().zip(block).for_each(|(x, y)| *x += y);
            }
        }
        add_first_complement(system, t, &l1, &mut complement);
        // back to the order of the levels
        let levels = system.moments.factors[0].n_levels;
        let border = |i: usize| (i * LEVELS).min(levels);
        let start = |i| schur.effect_start[schur.start[border(i)]] * k1;
        system
            .workers
            .for_each(levels.div_ceil(LEVELS), cut(&mut w, start), |i, out| {
                let mut at = 0;
                for entry in schur.start[border(i)]..schur.start[border(i + 1)] {
                    let size = (schur.effect_start[entry + 1] - schur.effect_start[entry]) * k1;
                    let slot = y_slot(schur, entry) * k1;
                    out[at..at + size].copy_from_slice(&by_node[slot..slot + size]);
                    at += size;
                }
            });
        let others = others(system, t, &block, &p);
        Some(Self {
            l1,
            w,
            by_node,
            block,
            p,
            own,
            others,
            log_det_eliminated,
            log_det_p,
            complement,
        })
    }
}

#[derive(Debug, Clone)]
struct NodeSums {
    log_det: f64,
    complement: Vec<Vec<f64>>,
}

/// A k x k block of zeros for each factor and class.
fn zeros_of_each(t: &Covariances) -> Vec<Vec<f64>> {
    t.each()
        .map(|(f, class)| memory::zeros(t.of_class(f, class).len()))
        .collect()
}

/// P_v, its factor, W~ and C_v of some nodes.
fn scale_nodes(
    system: &System,
    t: &Covariances,
    w: &[f64],
    nodes: Range<usize>,
    by_node: &mut [f64],
    p: &mut [f64],
    own: &mut [f64],
) -> Option<NodeSums> {
    let (schur, k1) = (&system.schur, system.k1());
    let mut sums = NodeSums {
        log_det: 0.0,
        complement: zeros_of_each(t),
    };
    let (mut at_w, mut at_block) = (0, 0);
    for v in nodes {
        let (f, level) = schur.node[v];
        let (k, own_t) = (system.moments.factors[f].k, t.of(f, level));
        let count = schur.incidence_start[v + 1] - schur.incidence_start[v];
        let rows = &mut by_node[at_w..at_w + count * k * k1];
        for (i, x) in (schur.incidence_start[v]..schur.incidence_start[v + 1]).enumerate() {
            let from = schur.effect_start[schur.incidence[x]] * k1;
            rows[i * k * k1..(i + 1) * k * k1].copy_from_slice(&w[from..from + k * k1]);
        }
        // N_v = T'A_vv T - sum_j W_jv'W_jv, P_v = I + N_v
        let zz = &system.moments.factors[f].zz[level * k * k..(level + 1) * k * k];
        let mut half = memory::zeros(k * k);
        let mut n = memory::zeros(k * k);
        small::mul_nn(zz, own_t, k, k, k, &mut half);
        small::mul_tn(own_t, &half, k, k, k, &mut n);
        for w in rows.chunks_exact(k * k1) {
            for c in 0..k {
                for a in 0..k {
                    n[c * k + a] -= (0..k1).map(|i| w[a * k1 + i] * w[c * k1 + i]).sum::<f64>();
                }
            }
        }
        let l = &mut p[at_block..at_block + k * k];
        l.copy_from_slice(&n);
        (0..k).for_each(|a| l[a * k + a] += 1.0);
        if !small::cholesky(l, k) {
            return None;
        }
        sums.log_det += 2.0 * (0..k).map(|a| l[a * k + a].ln()).sum::<f64>();
        let place = t.place(f, t.class(f, level));
        // P^-1 N, then T^-T N P^-1
        for c in 0..k {
            let column = &mut n[c * k..(c + 1) * k];
            small::solve_lower(l, k, column);
            small::solve_lower_transposed(l, k, column);
        }
        for i in 0..k {
            // entry (c, i) of N P^-1 is entry (i, c) of P^-1 N
            let mut column: Vec<f64> = (0..k).map(|c| n[c * k + i]).collect();
            small::solve_lower_transposed(own_t, k, &mut column);
            for (x, y) in sums.complement[place][i * k..(i + 1) * k]
                .iter_mut()
                .zip(&column)
            {
                *x += y;
            }
        }
        // W~_jv = W_jv L_v^-T: rows of W~' = L_v^-1 W'
        let c_block = &mut own[at_block..at_block + k * k];
        for w in rows.chunks_exact_mut(k * k1) {
            small::solve_lower_rows(l, k, w, k1);
            for c in 0..k {
                for a in 0..k {
                    c_block[c * k + a] +=
                        (0..k1).map(|i| w[a * k1 + i] * w[c * k1 + i]).sum::<f64>();
                }
            }
        }
        at_w += count * k * k1;
        at_block += k * k;
    }
    Some(sums)
}

/// Adds sum_j A_jj T D_j^-1 over the levels of each class of the first factor.
fn add_first_complement(system: &System, t: &Covariances, l1: &[f64], sums: &mut [Vec<f64>]) {
    let (k, factor) = (system.k1(), &system.moments.factors[0]);
    let mut product = memory::zeros(k * k);
    let blocks = factor.zz.chunks_exact(k * k).zip(l1.chunks_exact(k * k));
    for (level, (a, l)) in blocks.enumerate() {
        let total = &mut sums[t.class(0, level)];
        small::mul_nn(a, t.of(0, level), k, k, k, &mut product);
        for i in 0..k {
            let mut row: Vec<f64> = (0..k).map(|c| product[c * k + i]).collect();
            small::solve_lower(l, k, &mut row);
            small::solve_lower_transposed(l, k, &mut row);
            (0..k).for_each(|c| total[c * k + i] += row[c]);
        }
    }
}

fn others(system: &System, t: &Covariances, block: &[usize], p: &[f64]) -> Others {
    let (schur, moments) = (&system.schur, &system.moments);
    let nodes = schur.nodes();
    let mut start = vec![0; nodes + 1];
    if schur.later.is_empty() {
        return Others {
            start,
            node: Vec::new(),
            value: Vec::new(),
        };
    }
    for v in 0..nodes {
        start[v + 1] += schur.later_start[v + 1] - schur.later_start[v];
        for &l in &schur.later[schur.later_start[v]..schur.later_start[v + 1]] {
            start[l as usize + 1] += 1;
        }
    }
    (0..nodes).for_each(|v| start[v + 1] += start[v]);
    let mut next = start.clone();
    let mut node = vec![0; start[nodes]];
    let mut value = vec![Vec::new(); start[nodes]];
    for v in 0..nodes {
        let (f, level) = schur.node[v];
        let k = moments.factors[f].k;
        for at in schur.later_start[v]..schur.later_start[v + 1] {
            let l = schur.later[at] as usize;
            let (g, other) = schur.node[l];
            let kg = moments.factors[g].k;
            let (source, own_rows) = schur.later_source[at];
            let stored = system.block(source);
            // L_v^-1 T_v' A_vl T_l L_l^-T, rows of v
            let a: Vec<f64> = memory::collect((0..k * kg).map(|e| {
                if own_rows {
                    stored[e]
                } else {
                    stored[(e % k) * kg + e / k]
                }
            }));
            let mut half = memory::zeros(k * kg);
            let mut s = memory::zeros(k * kg);
            small::mul_nn(&a, t.of(g, other), k, kg, kg, &mut half);
            small::mul_tn(t.of(f, level), &half, k, k, kg, &mut s);
            for column in s.chunks_exact_mut(k) {
                small::solve_lower(&p[block[v]..block[v + 1]], k, column);
            }
            // column-major k x kg read row by row is its transpose: L_l^-1 times it
            small::solve_lower_rows(&p[block[l]..block[l + 1]], kg, &mut s, k);
            let transposed = memory::collect((0..k * kg).map(|e| s[(e % kg) * k + e / kg]));
            (node[next[v]], node[next[l]]) = (l as u32, v as u32);
            (value[next[v]], value[next[l]]) = (s, transposed);
            next[v] += 1;
            next[l] += 1;
        }
    }
    Others { start, node, value }
}
