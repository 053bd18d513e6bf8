//! What the operator says about all pairs of neighbours: the diagonal blocks of E^2, without error.

use std::ops::Range;

use crate::basis::covariances::Covariances;
use crate::criterion::iterative::operator::Operator;
use crate::linalg::row_sums::dot;
use crate::linalg::small;
use crate::runtime::memory;
use crate::system::elimination::Schur;
use crate::system::equations::System;

/// Shares of the work on all pairs of neighbours, each of them nodes from all over.
const SHARES: usize = 16;

/// What needs all pairs of neighbours.
#[derive(Debug, Default)]
pub struct PairSums {
    /// sum_j L_j^-T W~_j E W~_j' L_j^-1 over the levels of each class, k1 x k1.
    pub eliminated: Vec<Vec<f64>>,
    /// Diagonal blocks of E^2, which stand as those of P do.
    pub squares: Vec<f64>,
}

impl Operator {
    /// What needs all pairs of neighbours.
    #[must_use]
    pub fn pair_sums(&self, system: &System, t: &Covariances) -> PairSums {
        let (schur, k1) = (&system.schur, system.k1());
        let zeros = || vec![memory::zeros(k1 * k1); t.classes(0)];
        let parts = system.workers.map(SHARES.min(schur.nodes()), |share| {
            let mut columns: Vec<Vec<f64>> = Vec::new();
            let mut first = zeros();
            let mut squares = memory::zeros(self.own.len());
            for v in (share..schur.nodes()).step_by(SHARES) {
                system.workers.check();
                let k = schur.offset[v + 1] - schur.offset[v];
                columns.resize_with(k.max(columns.len()), || memory::zeros(schur.q2));
                for (a, column) in columns[..k].iter_mut().enumerate() {
                    self.column_below(schur, k1, v, a, column);
                    self.column_products((schur, t), k1, v, a, column, &mut first);
                }
                self.add_squares(schur, v, &mut columns[..k], &mut squares);
            }
            (first, squares)
        });
        let mut total = zeros();
        let mut squares = memory::zeros(self.own.len());
        for (first, own) in parts {
            let numbers = total.iter_mut().flatten().zip(first.iter().flatten());
            numbers.for_each(|(x, y)| *x += y);
            squares.iter_mut().zip(own).for_each(|(x, y)| *x += y);
        }
        // what stands below the diagonal stands above it as well
        let whole = |half: &Vec<f64>| -> Vec<f64> {
            memory::collect((0..k1 * k1).map(|e| half[e] + half[(e % k1) * k1 + e / k1]))
        };
        PairSums {
            eliminated: total.iter().map(whole).collect(),
            squares,
        }
    }

    /// Adds to the diagonal blocks of E^2 what the columns of node v, below its own block, contribute to it and to the nodes
    /// below; the columns are zero afterwards.
    fn add_squares(&self, schur: &Schur, v: usize, columns: &mut [Vec<f64>], squares: &mut [f64]) {
        let later =
            |x: usize| schur.incidence[x] + 1..schur.start[schur.incidence_level[x] as usize + 1];
        let incidences = schur.incidence_start[v]..schur.incidence_start[v + 1];
        let touched: usize = incidences.clone().map(|x| later(x).len()).sum();
        if 4 * touched > schur.nodes() || !self.others.node.is_empty() {
            let rows = schur.offset[v + 1]..schur.q2;
            add_products(columns, rows.clone(), &mut squares[self.block[v]..]);
            for column in columns {
                for l in v + 1..schur.nodes() {
                    let own = &column[schur.offset[l]..schur.offset[l + 1]];
                    add_square(own, &mut squares[self.block[l]..]);
                }
                column[rows.clone()].fill(0.0);
            }
            return;
        }
        for entry in incidences.flat_map(later) {
            let l = schur.neighbour[entry] as usize;
            let rows = schur.offset[l]..schur.offset[l + 1];
            add_products(columns, rows.clone(), &mut squares[self.block[v]..]);
            for column in columns.iter_mut() {
                add_square(&column[rows.clone()], &mut squares[self.block[l]..]);
                // the next level may lead here again
                column[rows.clone()].fill(0.0);
            }
        }
    }

    /// Entries of E below the diagonal block of node v, in the column of its effect a.
    fn column_below(&self, schur: &Schur, k1: usize, v: usize, a: usize, column: &mut [f64]) {
        let k = schur.offset[v + 1] - schur.offset[v];
        for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
            let from = schur.effect_start[schur.incidence[x]];
            let to = schur.effect_start[schur.start[schur.incidence_level[x] as usize + 1]];
            let own = &self.w[(from + a) * k1..(from + a + 1) * k1];
            let rows = &schur.effect_row[from + k..to];
            if k1 == 1 {
                for (w, &row) in self.w[from + k..to].iter().zip(rows) {
                    column[row as usize] += own[0] * w;
                }
            } else {
                for (w, &row) in self.w[(from + k) * k1..to * k1].chunks_exact(k1).zip(rows) {
                    column[row as usize] += w.iter().zip(own).map(|(x, y)| x * y).sum::<f64>();
                }
            }
        }
        if !self.others.node.is_empty() {
            for at in self.others.start[v]..self.others.start[v + 1] {
                let l = self.others.node[at] as usize;
                if l > v {
                    for (i, row) in (schur.offset[l]..schur.offset[l + 1]).enumerate() {
                        column[row] -= self.others.value[at][i * k + a];
                    }
                }
            }
        }
    }

    fn column_products(
        &self,
        (schur, t): (&Schur, &Covariances),
        k1: usize,
        v: usize,
        a: usize,
        column: &[f64],
        totals: &mut [Vec<f64>],
    ) {
        let k = schur.offset[v + 1] - schur.offset[v];
        let mut sum = memory::zeros(k1);
        let mut own = memory::zeros(k1);
        for x in schur.incidence_start[v]..schur.incidence_start[v + 1] {
            let j = schur.incidence_level[x] as usize;
            let from = schur.effect_start[schur.incidence[x]];
            let to = schur.effect_start[schur.start[j + 1]];
            let rows = &schur.effect_row[from + k..to];
            own.copy_from_slice(&self.w[(from + a) * k1..(from + a + 1) * k1]);
            if k1 == 1 {
                sum[0] = self.w[from + k..to]
                    .iter()
                    .zip(rows)
                    .map(|(w, &row)| w * column[row as usize])
                    .sum();
            } else {
                sum.fill(0.0);
                for (w, &row) in self.w[(from + k) * k1..to * k1].chunks_exact(k1).zip(rows) {
                    let e = column[row as usize];
                    sum.iter_mut().zip(w).for_each(|(s, w)| *s += w * e);
                }
            }
            let l = &self.l1[j * k1 * k1..(j + 1) * k1 * k1];
            small::solve_lower_transposed(l, k1, &mut sum);
            small::solve_lower_transposed(l, k1, &mut own);
            let total = &mut totals[t.class(0, j)];
            for (c, y) in own.iter().enumerate() {
                for (i, x) in sum.iter().enumerate() {
                    total[c * k1 + i] += x * y;
                }
            }
        }
    }
}

/// out += C'C for some rows of the columns C.
fn add_products(columns: &[Vec<f64>], rows: Range<usize>, out: &mut [f64]) {
    for (b, y) in columns.iter().enumerate() {
        for (a, x) in columns.iter().enumerate() {
            out[b * columns.len() + a] += dot(&x[rows.clone()], &y[rows.clone()]);
        }
    }
}

/// out += x x'.
fn add_square(x: &[f64], out: &mut [f64]) {
    for (column, y) in out.chunks_exact_mut(x.len()).zip(x) {
        column.iter_mut().zip(x).for_each(|(out, x)| *out += x * y);
    }
}
