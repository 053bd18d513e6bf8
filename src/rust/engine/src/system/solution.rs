//! Solutions: conditional modes and fixed effects from the factor.

use crate::linalg::{dense, small};
use crate::runtime::memory;
use crate::runtime::partition::chunks;
use crate::system::equations::{Factor, Rows, System};
use crate::system::pieces::LEVELS;

/// Fixed effects and random effects at one factor.
#[derive(Debug, Clone, Default)]
pub struct Solution {
    /// Coefficients of Q, beyond the centre.
    pub gamma: Vec<f64>,
    /// Spherical conditional modes.
    pub u: Rows,
    /// M^-1 Lambda'Z'Q.
    pub c: Rows,
    /// M^-1 Lambda'Z'Q Lx^-T: its rows' products are Lambda'Z'V^-1Q (Q'V^-1Q)^-1 Q'V^-1Z Lambda.
    pub h: Rows,
    /// [c - c_0, u + c gamma - u_0] where the columns are centred at [c_0 u_0]: the difference itself, which keeps its digits
    /// where it is small; without rows where they are not.
    pub about: Rows,
}

/// Solves for fixed and random effects, in the workspace of another solution.
#[must_use]
pub fn solve(system: &System, factor: &Factor, mut old: Solution) -> Solution {
    let mut all = std::mem::take(&mut old.c);
    all.eliminated.clone_from(&factor.rzx.eliminated);
    all.complement.clone_from(&factor.rzx.complement);
    all.m = factor.rzx.m;
    factor.backward(system, &mut all);
    solution_of(system, factor, all, old)
}

/// Like [`solve`], from `all` = M^-1 Lambda'Z'[Q r].
#[must_use]
pub(crate) fn solution_of(
    system: &System,
    factor: &Factor,
    mut all: Rows,
    old: Solution,
) -> Solution {
    let p1 = factor.rzx.m;
    let p = p1 - 1;
    let mut about = old.about;
    about.eliminated.clear();
    about.complement.clear();
    about.m = p1;
    if factor.shift.iter().any(|shift| !shift.is_empty()) {
        about.eliminated.extend_from_slice(&all.eliminated);
        about.complement.extend_from_slice(&all.complement);
    }
    let mut gamma = old.gamma;
    gamma.clear();
    gamma.extend((0..p).map(|c| factor.lx[c * p1 + p]));
    for i in (0..p).rev() {
        for m in i + 1..p {
            gamma[i] -= factor.lx[i * p1 + m] * gamma[m];
        }
        gamma[i] /= factor.lx[i * p1 + i];
    }
    let split = |mut rows: Vec<f64>, mut u: Vec<f64>| {
        let effects = rows.len() / p1;
        u.clear();
        for i in 0..effects {
            let row = &rows[i * p1..(i + 1) * p1];
            let fixed: f64 = row[..p].iter().zip(&gamma).map(|(a, b)| a * b).sum();
            u.push(row[p] - fixed);
            // the rows of c stay where they are, moved together
            rows.copy_within(i * p1..i * p1 + p, i * p);
        }
        rows.truncate(effects * p);
        (rows, u)
    };
    add_shift(system, factor, &mut all);
    let (c1, u1) = split(all.eliminated, old.u.eliminated);
    let (c2, u2) = split(all.complement, old.u.complement);
    let c = Rows {
        eliminated: c1,
        complement: c2,
        m: p,
    };
    let mut h = old.h;
    h.m = p;
    times_inverse_lx(system, factor, &c.eliminated, p, &mut h.eliminated);
    times_inverse_lx(system, factor, &c.complement, p, &mut h.complement);
    Solution {
        gamma,
        u: Rows {
            eliminated: u1,
            complement: u2,
            m: 1,
        },
        c,
        h,
        about,
    }
}

/// All += U_0: what the columns were centred at.
fn add_shift(system: &System, factor: &Factor, all: &mut Rows) {
    let m = all.m;
    for (f, shift) in factor.shift.iter().enumerate() {
        let width = system.moments.factors[f].k * m;
        for (level, own) in shift.chunks_exact(width).enumerate() {
            let rows = if f == 0 {
                &mut all.eliminated[level * width..(level + 1) * width]
            } else {
                let node = system.schur.node_of[f][level] as usize;
                let at = system.schur.offset[node] * m;
                &mut all.complement[at..at + width]
            };
            rows.iter_mut().zip(own).for_each(|(x, u)| *x += u);
        }
    }
}

/// Rows of C times Lx^-T, in the workspace of `out`.
fn times_inverse_lx(system: &System, factor: &Factor, rows: &[f64], p: usize, out: &mut Vec<f64>) {
    memory::resize(out, rows.len());
    if p == 0 {
        return;
    }
    let p1 = p + 1;
    let workers = &system.workers;
    let count = (rows.len() / p).div_ceil(LEVELS);
    if p > small::LARGE {
        return workers.for_each(count, chunks(out, LEVELS * p), |piece, out| {
            let from = piece * LEVELS * p;
            out.copy_from_slice(&rows[from..from + out.len()]);
            dense::solve_columns(&factor.lx, p1, p, out);
        });
    }
    let [mut lower, mut inverse, mut transposed] = std::array::from_fn(|_| workers.buffer(p * p));
    for (to, from) in lower.chunks_exact_mut(p).zip(factor.lx.chunks_exact(p1)) {
        to.copy_from_slice(&from[..p]);
    }
    small::write_inverse_of_lower(&lower, p, &mut inverse);
    small::transpose(&inverse, p, &mut transposed);
    workers.for_each(count, chunks(out, LEVELS * p), |piece, out| {
        let from = piece * LEVELS * p;
        let rows = &rows[from..from + out.len()];
        dense::rows_times(rows, &transposed, out.len() / p, p, p, out);
    });
}
