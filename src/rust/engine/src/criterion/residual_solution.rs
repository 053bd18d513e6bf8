//! Rows of a model with a residual structure at a solution.

use crate::moments::residual_part::ResidualPart;
use crate::runtime::partition::{chunks, piece};
use crate::structure::residual::Whitening;
use crate::system::equations::{Factor, Rows, System};
use crate::system::solution::Solution;

/// Residual parameters at one point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResidualPoint<'a> {
    /// Internal scale.
    pub phi: &'a [f64],
    pub whitening: &'a Whitening,
}

/// Rows at a solution: for each place (order of the residual groups) [X~ Lx^-T, e], times the root of the weight.
#[derive(Debug, Clone)]
pub(crate) struct ResidualSolution {
    pub columns: Vec<f64>,
    /// Rank of X, and one more.
    pub p1: usize,
}

impl ResidualSolution {
    /// The last column alone.
    pub fn response(&self) -> Vec<f64> {
        self.columns
            .chunks_exact(self.p1)
            .map(|row| row[self.p1 - 1])
            .collect()
    }

    /// All columns but the last.
    pub fn fixed(&self) -> Vec<f64> {
        self.columns
            .chunks_exact(self.p1)
            .flat_map(|row| row[..self.p1 - 1].iter().copied())
            .collect()
    }
}

impl ResidualPart {
    /// Rows at a solution.
    pub fn solution(
        &self,
        system: &System,
        factor: &Factor,
        solution: &Solution,
    ) -> ResidualSolution {
        let rows = &self.rows;
        let p1 = rows.p1;
        let p = p1 - 1;
        let mut columns = rows.x.clone();
        let count = rows.n().div_ceil(4096);
        let partition = chunks(&mut columns, 4096 * p1);
        system.workers.for_each(count, partition, |i, part| {
            for (place, row) in piece(rows.n(), 4096, i).zip(part.chunks_exact_mut(p1)) {
                for f in 0..self.layout.len() {
                    self.subtract_effects(system, factor, solution, f, place, row);
                }
                row[p] -= row[..p]
                    .iter()
                    .zip(&solution.gamma)
                    .map(|(q, g)| q * g)
                    .sum::<f64>();
                // x <- x Lx^-T
                for a in 0..p {
                    row[a] /= factor.lx[a * p1 + a];
                    let value = row[a];
                    for b in a + 1..p {
                        row[b] -= value * factor.lx[a * p1 + b];
                    }
                }
            }
        });
        ResidualSolution { columns, p1 }
    }

    /// Takes z'T [c - c_0, u + c gamma - u_0] of one factor from a row [q r], which is centred at [c_0 u_0].
    fn subtract_effects<'a>(
        &self,
        system: &System,
        factor: &Factor,
        solution: &'a Solution,
        f: usize,
        place: usize,
        row: &mut [f64],
    ) {
        let Some(&level) = self.rows.level[f].get(place) else {
            return;
        };
        let (k, p) = (self.layout[f].k, row.len() - 1);
        let level = level as usize;
        let start = match f {
            0 => level * k,
            _ => system.schur.offset[system.schur.node_of[f][level] as usize],
        };
        let part = |rows: &'a Rows| match f {
            0 => &rows.eliminated,
            _ => &rows.complement,
        };
        let (c, u) = (part(&solution.c), part(&solution.u));
        let about = part(&solution.about);
        let z = &self.rows.z[f][place * k..(place + 1) * k];
        let t = factor.t.of(f, level);
        for i in 0..k {
            let s: f64 = (i..k).map(|l| t[i * k + l] * z[l]).sum();
            if s == 0.0 {
                continue;
            }
            let effect = start + i;
            if let Some(about) = about.get(effect * (p + 1)..(effect + 1) * (p + 1)) {
                row.iter_mut().zip(about).for_each(|(x, a)| *x -= s * a);
                continue;
            }
            let c = &c[effect * p..(effect + 1) * p];
            let own = c.iter().zip(&solution.gamma).map(|(c, g)| c * g);
            let own = u[effect] + own.sum::<f64>();
            row.iter_mut().zip(c).for_each(|(x, c)| *x -= s * c);
            row[p] -= s * own;
        }
    }
}
