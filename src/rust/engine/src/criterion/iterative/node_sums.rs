//! Sums over levels and nodes of blocks that stand as those of P do, lane by lane: what gradients are made of.

use crate::basis::covariances::Covariances;
use crate::criterion::iterative::lanes::{
    add, add_weighted, divide, divide_both, outer, sum_lanes, Lane, LANES,
};
use crate::criterion::iterative::operator::Operator;
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::partition::pieces;
use crate::system::equations::System;
use crate::system::pieces::LEVELS;

impl Operator {
    /// For each lane sum_j L_j^-T (sum_v W~_jv B_v W~_jv') L_j^-1 for symmetric blocks B that stand as those of P do: k1 x k1
    /// lanes for each class of levels.
    #[must_use]
    pub fn eliminated_weighted(
        &self,
        system: &System,
        t: &Covariances,
        blocks: &[Lane],
    ) -> Vec<Vec<Lane>> {
        let (schur, k1) = (&system.schur, system.k1());
        let levels = pieces(system.moments.factors[0].n_levels, LEVELS);
        let parts = system.workers.map(levels.len(), |piece| {
            let mut totals = vec![vec![[0.0; LANES]; k1 * k1]; t.classes(0)];
            let mut own = vec![[0.0; LANES]; k1 * k1];
            for j in levels[piece].clone() {
                own.fill([0.0; LANES]);
                for entry in schur.start[j]..schur.start[j + 1] {
                    let v = schur.neighbour[entry] as usize;
                    let range = schur.effect_start[entry]..schur.effect_start[entry + 1];
                    let w = &self.w[range.start * k1..range.end * k1];
                    let block = &blocks[self.block[v]..self.block[v + 1]];
                    add_weighted(w, range.len(), k1, block, &mut own);
                }
                divide_both(&self.l1[j * k1 * k1..(j + 1) * k1 * k1], k1, &mut own);
                let total = totals[t.class(0, j)].iter_mut();
                total.zip(&own).for_each(|(x, y)| add(x, 1.0, y));
            }
            totals
        });
        sum_of_classes(parts, t.classes(0), k1 * k1)
    }

    /// For each lane sum_j L_j^-T (W~_j x)(W~_j y)'L_j^-1, where the products with W~ are given: k1 x k1 lanes for each class
    /// of levels.
    #[must_use]
    pub fn eliminated_outer(
        &self,
        system: &System,
        t: &Covariances,
        x: &[Lane],
        y: &[Lane],
    ) -> Vec<Vec<Lane>> {
        let k1 = system.k1();
        let levels = pieces(system.moments.factors[0].n_levels, LEVELS);
        let parts = system.workers.map(levels.len(), |piece| {
            let mut totals = vec![vec![[0.0; LANES]; k1 * k1]; t.classes(0)];
            let (mut a, mut b) = (memory::zeros(k1 * LANES), memory::zeros(k1 * LANES));
            for j in levels[piece].clone() {
                let l = &self.l1[j * k1 * k1..(j + 1) * k1 * k1];
                for (to, from) in [(&mut a, x), (&mut b, y)] {
                    for (row, lane) in to.chunks_exact_mut(LANES).zip(&from[j * k1..(j + 1) * k1]) {
                        row.copy_from_slice(lane);
                    }
                    small::solve_lower_transposed_rows(l, k1, to, LANES);
                }
                outer(&a, &b, k1, &mut totals[t.class(0, j)]);
            }
            totals
        });
        sum_of_classes(parts, t.classes(0), k1 * k1)
    }

    /// Adds x_v y_v' of each node, lane by lane, to blocks that stand as those of P do.
    pub fn add_outer(&self, system: &System, x: &[Lane], y: &[Lane], blocks: &mut [Lane]) {
        for (v, pair) in system.schur.offset.windows(2).enumerate() {
            let k = pair[1] - pair[0];
            let block = &mut blocks[self.block[v]..self.block[v + 1]];
            for (column, y) in block.chunks_exact_mut(k).zip(&y[pair[0]..pair[1]]) {
                for (target, x) in column.iter_mut().zip(&x[pair[0]..pair[1]]) {
                    for ((t, x), y) in target.iter_mut().zip(x).zip(y) {
                        *t += x * y;
                    }
                }
            }
        }
    }

    /// For each factor, class and lane sum_v (L_v^-T B_v - L_v N_v) L_v^-1, k x k lanes, for symmetric B and any N; zero for
    /// the first factor.
    #[must_use]
    pub fn complement_weighted(
        &self,
        system: &System,
        t: &Covariances,
        b: &[Lane],
        n: &[Lane],
    ) -> Vec<Vec<Lane>> {
        let (schur, moments) = (&system.schur, &system.moments);
        let mut totals: Vec<Vec<Lane>> = t
            .each()
            .map(|(f, _)| vec![[0.0; LANES]; moments.factors[f].k.pow(2)])
            .collect();
        for (v, &(f, level)) in schur.node.iter().enumerate() {
            let (k, l) = (moments.factors[f].k, self.node_factor(v));
            let total = &mut totals[t.place(f, t.class(f, level))];
            let range = self.block[v]..self.block[v + 1];
            let mut own = b[range.clone()].to_vec();
            divide_both(l, k, &mut own);
            let sums = total.iter_mut().zip(&own);
            sums.for_each(|(x, y)| add(x, 1.0, y));
            // L^-T (L N)', whose transpose is L N L^-1
            own.fill([0.0; LANES]);
            for c in 0..k {
                for i in 0..k {
                    (0..=i).for_each(|m| {
                        add(
                            &mut own[i * k + c],
                            l[m * k + i],
                            &n[range.start + c * k + m],
                        );
                    });
                }
            }
            divide(l, k, &mut own);
            for c in 0..k {
                (0..k).for_each(|i| add(&mut total[c * k + i], -1.0, &own[i * k + c]));
            }
        }
        totals
    }
}

/// Sums of parts, class by class.
fn sum_of_classes(parts: Vec<Vec<Vec<Lane>>>, classes: usize, n: usize) -> Vec<Vec<Lane>> {
    let mut of_classes: Vec<Vec<Vec<Lane>>> = vec![Vec::with_capacity(parts.len()); classes];
    for part in parts {
        for (all, own) in of_classes.iter_mut().zip(part) {
            all.push(own);
        }
    }
    let sums = of_classes.into_iter();
    sums.map(|parts| sum_lanes(parts, n)).collect()
}
