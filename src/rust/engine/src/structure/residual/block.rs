//! C^-1 of one pattern, stored as its structure allows, and what is done with it to the rows of one group.

use crate::linalg::dense::{self, Matrix};
use crate::linalg::hyperdual::Scalar;
use crate::linalg::small;
use crate::linalg::triangle::Triangle;
use crate::runtime::parallel::Workers;
use crate::structure::correlation::law::Law;
use crate::structure::residual::layout::{pair, Layout, Pattern};
use crate::structure::residual::rank_one::RankOne;
use crate::structure::residual::tridiagonal::Tridiagonal;

/// Order up to which plain loops beat the blocked kernels.
const SMALL: usize = 24;

/// C^-1 of one pattern.
#[derive(Debug, Clone)]
pub(super) enum Block {
    Identity(usize),
    Tridiagonal(Tridiagonal),
    RankOne(RankOne),
    Dense(Dense),
}

/// C = L L' and its inverse.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    l: Matrix,
    pub inverse: Matrix,
    log_det: f64,
}

/// C of a pattern by a law that is not in closed form, lower triangle and diagonal (1), both by `part`.
pub(super) fn correlations<S: Scalar>(
    law: &Law<S>,
    layout: &Layout,
    pattern: &Pattern,
    part: impl Fn(S) -> f64,
) -> Matrix {
    let m = pattern.m();
    let mut c = Matrix::zeros(m, m);
    let diagonal = part(S::constant(1.0));
    let first = pattern.places.start;
    for t in 0..m {
        c.data[t * m + t] = diagonal;
        for s in 0..t {
            let value = match law {
                Law::Decline(law, _) => law.at(pattern.distances[pair(s, t)]),
                Law::Known => S::constant(pattern.known[pair(s, t)]),
                _ => law.between(layout.point(first + s), layout.point(first + t)),
            };
            c.data[s * m + t] = part(value);
        }
    }
    c
}

impl Block {
    /// `None` where C is not positive definite.
    pub fn new(
        law: &Law<f64>,
        layout: &Layout,
        pattern: &Pattern,
        workers: &Workers,
    ) -> Option<Self> {
        let positions = layout.positions(pattern.places.clone());
        Some(match law {
            Law::Markov(law) => Self::Tridiagonal(Tridiagonal::new(law, positions)?),
            Law::Exchangeable(law) => Self::RankOne(RankOne::new(*law, pattern.m())?),
            _ => Self::Dense(Dense::new(
                correlations(law, layout, pattern, |v| v),
                workers,
            )?),
        })
    }

    pub fn log_det(&self) -> f64 {
        match self {
            Self::Identity(_) => 0.0,
            Self::Tridiagonal(t) => t.log_det,
            Self::RankOne(r) => r.log_det,
            Self::Dense(d) => d.log_det,
        }
    }

    pub fn m(&self) -> usize {
        match self {
            Self::Identity(m) => *m,
            Self::Tridiagonal(t) => t.diagonal.len(),
            Self::RankOne(r) => r.m,
            Self::Dense(d) => d.l.nrows,
        }
    }

    /// Super-diagonals of C^-1.
    pub fn band(&self) -> usize {
        let full = self.m().saturating_sub(1);
        match self {
            Self::Identity(_) => 0,
            Self::Tridiagonal(_) => full.min(1),
            Self::RankOne(_) | Self::Dense(_) => full,
        }
    }

    /// C^-1[s, t] for s <= t.
    pub fn entry(&self, s: usize, t: usize) -> f64 {
        match self {
            Self::Identity(_) => f64::from(u8::from(s == t)),
            Self::Tridiagonal(b) if s == t => b.diagonal[s],
            Self::Tridiagonal(b) if s + 1 == t => b.off[s],
            Self::Tridiagonal(_) => 0.0,
            Self::RankOne(b) if s == t => b.alpha - b.beta,
            Self::RankOne(b) => -b.beta,
            Self::Dense(b) => b.inverse.data[s * b.inverse.nrows + t],
        }
    }

    /// x <- C^-1 x for rows x, row-major with c columns.
    pub fn inverse_times(&self, x: &mut [f64], c: usize) {
        match self {
            Self::Identity(_) => {}
            Self::Tridiagonal(b) => b.inverse_times(x, c),
            Self::RankOne(b) => b.inverse_times(x, c),
            Self::Dense(b) => {
                b.solve(x, c, false);
                b.solve(x, c, true);
            }
        }
    }

    /// x <- C x.
    pub fn times(&self, x: &mut [f64], c: usize, scratch: &mut Vec<f64>) {
        match self {
            Self::Identity(_) => {}
            Self::Tridiagonal(b) => b.times(x, c, scratch),
            Self::RankOne(b) => b.times(x, c),
            Self::Dense(b) => {
                b.transposed_root_times(x, c);
                b.root_times(x, c);
            }
        }
    }

    /// x <- U x, U lower triangular, U'U = C^-1.
    pub fn whiten(&self, x: &mut [f64], c: usize) {
        match self {
            Self::Identity(_) => {}
            Self::Tridiagonal(b) => b.whiten(x, c),
            Self::RankOne(b) => b.whiten(x, c),
            Self::Dense(b) => b.solve(x, c, false),
        }
    }

    /// x <- U^-1 x.
    pub fn color(&self, x: &mut [f64], c: usize) {
        match self {
            Self::Identity(_) => {}
            Self::Tridiagonal(b) => b.color(x, c),
            Self::RankOne(b) => b.color(x, c),
            Self::Dense(b) => b.root_times(x, c),
        }
    }
}

impl Dense {
    pub(crate) fn new(mut c: Matrix, workers: &Workers) -> Option<Self> {
        let m = c.nrows;
        let mut inverse = Matrix::default();
        if m <= SMALL {
            if !small::cholesky(&mut c.data, m) {
                return None;
            }
            inverse.data = small::inverse_from_cholesky(&c.data, m);
            (inverse.nrows, inverse.ncols) = (m, m);
        } else {
            let mut l = Triangle::of_square(&c.data, m);
            if !l.cholesky(workers) {
                return None;
            }
            let mut r = Triangle::default();
            l.inverse_of_product(&mut r, workers);
            l.into_square(&mut c.data);
            inverse = Matrix::zeros(m, m);
            r.gather(0..m, &mut inverse.data);
        }
        let log_det = 2.0 * (0..m).map(|i| c.data[i * m + i].ln()).sum::<f64>();
        let finite = log_det.is_finite() && (0..m).all(|i| inverse.data[i * m + i].is_finite());
        finite.then_some(Self {
            l: c,
            inverse,
            log_det,
        })
    }

    /// x <- L^-1 x or, with `transposed`, L^-T x.
    fn solve(&self, x: &mut [f64], c: usize, transposed: bool) {
        let m = self.l.nrows;
        if m > SMALL {
            dense::solve_rows(&self.l, x, c, transposed);
        } else if c == 1 && transposed {
            small::solve_lower_transposed(&self.l.data, m, x);
        } else if c == 1 {
            small::solve_lower(&self.l.data, m, x);
        } else if transposed {
            small::solve_lower_transposed_rows(&self.l.data, m, x, c);
        } else {
            small::solve_lower_rows(&self.l.data, m, x, c);
        }
    }

    /// x <- L x, from the last row up.
    fn root_times(&self, x: &mut [f64], c: usize) {
        let m = self.l.nrows;
        for r in (0..m).rev() {
            let (head, tail) = x.split_at_mut((r + 1) * c);
            let own = &mut head[r * c..];
            for i in r + 1..m {
                axpy(
                    self.l.data[r * m + i],
                    own,
                    &mut tail[(i - r - 1) * c..(i - r) * c],
                );
            }
            let d = self.l.data[r * m + r];
            own.iter_mut().for_each(|v| *v *= d);
        }
    }

    /// x <- L' x, from the first row down.
    fn transposed_root_times(&self, x: &mut [f64], c: usize) {
        let m = self.l.nrows;
        for r in 0..m {
            let (head, tail) = x.split_at_mut((r + 1) * c);
            let own = &mut head[r * c..];
            let d = self.l.data[r * m + r];
            own.iter_mut().for_each(|v| *v *= d);
            for i in r + 1..m {
                axpy(
                    self.l.data[r * m + i],
                    &tail[(i - r - 1) * c..(i - r) * c],
                    own,
                );
            }
        }
    }
}

/// y += a x.
pub(super) fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    if a != 0.0 {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
    }
}
