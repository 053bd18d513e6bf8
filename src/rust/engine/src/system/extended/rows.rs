//! Single rows (s, q, r), s = Lambda'z, by the factor with twice the digits.
//!
//! The factor of [M B; B' D], B = Lambda'Z'[Q r] and D = [Q r]'[Q r], is [L 0; B'L^-T Lx]. Solving with it takes the row to
//! x = L^-1 s, v = Lx^-1 (q - RZX'x), e = r - x'L^-1 Lambda'Z'r - v'l, l the row of Lx of the response: with C the coefficient
//! matrix of Henderson's equations and t = (s, q),
//!
//! t'C^-1 t = |x|^2 + |v|^2, of which |v|^2 is due to the fixed effects; e = r - t'C^-1 (Lambda'Z, Q)'r is the residual.
//!
//! Both are sums of squares and forward solves, but of numbers that cancel: a row of weight w that nearly determines an effect
//! has w t'C^-1 t = 1 - 1 / (1 + w PEV'), PEV' the prediction error variance without it, and a residual of the same order. With
//! weights over twenty orders of magnitude nothing is left of both in double precision. About a centre [Q - Z B_0, r - Z b_0]
//! the same holds, as B is Lambda'Z'[Q r] - K^-1 U_0 and D has U_0'K^-1 U_0 more (see [`crate::moments::blocks::Center`]).

use crate::api::error::EngineError;
use crate::basis::covariances::Covariances;
use crate::linalg::double2::Double2;
use crate::linalg::double2_matrix::{cholesky_of_block, solve_lower, subtract_times};
use crate::runtime::memory;
use crate::system::complement::Storage;
use crate::system::equations::{Factor, System};
use crate::system::extended::{ExtendedFactor, MOST_WORK};

/// Factor, level, and the coefficients of its spherical effects.
pub(crate) type Touched = (usize, usize, Vec<Double2>);

/// Whether so many rows are solved for in so few operations that it may be done with twice the digits.
pub(crate) fn are_affordable(system: &System, rows: usize) -> bool {
    let of_border = (system.moments.p1 * (system.schur.q2 + system.moments.p1)) as f64;
    rows as f64 * (system.schur.storage.numbers() + of_border) <= MOST_WORK
}

/// The factor of the bordered matrix, for rows.
pub(crate) struct RowSolver<'a> {
    system: &'a System,
    t: Covariances,
    factor: ExtendedFactor,
    lx: Vec<Double2>,
}

/// L^-1 s.
#[derive(Debug, Default)]
pub(crate) struct SolvedEffects {
    /// Of each level of the first factor that a row touches.
    first: Vec<(usize, Vec<Double2>)>,
    complement: Vec<Double2>,
}

/// A row by the factor.
pub(crate) struct SolvedRow {
    /// |x|^2 + |v|^2.
    pub variance: Double2,
    /// |v|^2.
    pub of_fixed: Double2,
    /// Lx^-T v: the fixed part of C^-1 t.
    pub gamma: Vec<Double2>,
    /// e.
    pub residual: Double2,
}

impl<'a> RowSolver<'a> {
    /// At the U_0 of a factor and its T, which no small variance has to be added to: nothing is divided by it. `None` where cross-products have no more than double precision, or the residual sum of
    /// squares vanishes.
    ///
    /// # Errors
    /// See [`ExtendedFactor::new`].
    pub fn new(system: &'a System, factor: &Factor) -> Result<Option<Self>, EngineError> {
        let Some(rest) = &system.moments.rest else {
            return Ok(None);
        };
        let t = factor.exact_covariances();
        let factor = ExtendedFactor::new(system, rest, &t, factor)?;
        let mut lx = factor.bordered.clone();
        let done = cholesky_of_block(&mut lx, factor.rzx.m);
        Ok(done.map(|()| Self {
            system,
            t,
            factor,
            lx,
        }))
    }

    /// The T that M is formed with.
    pub fn covariances(&self) -> &Covariances {
        &self.t
    }

    /// L^-1 s, in the workspace of another.
    pub fn solve(&self, touched: Vec<Touched>, out: &mut SolvedEffects) {
        let (schur, k1) = (&self.system.schur, self.system.k1());
        let twice = &self.factor;
        out.first.clear();
        out.complement.clear();
        memory::resize(&mut out.complement, schur.q2);
        let mut first = schur.q2;
        for (f, level, s) in touched {
            if f > 0 {
                let start = schur.offset[schur.node_of[f][level] as usize];
                let to = &mut out.complement[start..start + s.len()];
                to.iter_mut().zip(&s).for_each(|(x, s)| *x += *s);
                first = first.min(start);
                continue;
            }
            let mut x = s;
            let block = k1 * k1;
            solve_lower(&twice.l1[level * block..(level + 1) * block], k1, &mut x);
            let effects =
                schur.effect_start[schur.start[level]]..schur.effect_start[schur.start[level + 1]];
            for e in effects {
                let row = schur.effect_row[e] as usize;
                first = first.min(row);
                for (w, x) in twice.w[e * k1..(e + 1) * k1].iter().zip(&x) {
                    out.complement[row] = out.complement[row] - *w * *x;
                }
            }
            out.first.push((level, x));
        }
        let zero = Double2::default();
        for j in first..schur.q2 {
            let (before, later) = out.complement.split_at_mut(j + 1);
            let own = &mut before[j];
            if *own == zero {
                continue;
            }
            match &schur.storage {
                Storage::Dense(layout) => {
                    let at = layout.column_start(j) + j - layout.first_row(j);
                    *own = own.over(twice.s[at]);
                    subtract_times(later, *own, &twice.s[at + 1..]);
                }
                Storage::Sparse(pattern) => {
                    let range = pattern.column_start[j]..pattern.column_start[j + 1];
                    *own = own.over(twice.s[range.start]);
                    let below = range.start + 1..range.end;
                    for (l, &row) in twice.s[below.clone()].iter().zip(&pattern.row[below]) {
                        let to = &mut later[row as usize - j - 1];
                        *to = *to - *l * *own;
                    }
                }
            }
        }
    }

    /// The row with these effects, and `border` = (q, r).
    pub fn row(&self, effects: &SolvedEffects, mut border: Vec<Double2>) -> SolvedRow {
        let (k1, m) = (self.system.k1(), border.len());
        let rzx = &self.factor.rzx;
        let mut of_random = Double2::default();
        let mut subtract = |x: &[Double2], rows: &[Double2]| {
            for (x, row) in x.iter().zip(rows.chunks_exact(m)) {
                of_random += *x * *x;
                subtract_times(&mut border, *x, row);
            }
        };
        for (level, x) in &effects.first {
            subtract(x, &rzx.eliminated[level * k1 * m..(level + 1) * k1 * m]);
        }
        subtract(&effects.complement, &rzx.complement);
        let p = m - 1;
        let mut of_fixed = Double2::default();
        for a in 0..p {
            let column = &self.lx[a * m + a..(a + 1) * m];
            let (own, later) = border[a..].split_at_mut(1);
            own[0] = own[0].over(column[0]);
            of_fixed += own[0] * own[0];
            subtract_times(later, own[0], &column[1..]);
        }
        let residual = border[p];
        let mut gamma = border;
        gamma.truncate(p);
        for a in (0..p).rev() {
            for b in a + 1..p {
                gamma[a] = gamma[a] - self.lx[a * m + b] * gamma[b];
            }
            gamma[a] = gamma[a].over(self.lx[a * m + a]);
        }
        let mut variance = of_random;
        variance += of_fixed;
        SolvedRow {
            variance,
            of_fixed,
            gamma,
            residual,
        }
    }
}

impl SolvedEffects {
    /// Products of solutions that touch the same levels.
    pub fn times(&self, other: &Self) -> Double2 {
        let mut sum = Double2::default();
        let first = self.first.iter().zip(&other.first);
        let first = first.flat_map(|(x, y)| x.1.iter().zip(&y.1));
        for (x, y) in first.chain(self.complement.iter().zip(&other.complement)) {
            sum += *x * *y;
        }
        sum
    }
}
