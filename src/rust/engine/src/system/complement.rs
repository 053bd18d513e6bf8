//! Matrices of the order of the Schur complement: the complement itself, its factor, its inverse and products of its blocks.
//! All of them stand where the factor does, in a dense triangle or on the pattern of a sparse factor.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use crate::linalg::sparse::Pattern;
use crate::linalg::strip_layout::StripLayout;
use crate::linalg::triangle::Triangle;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::workspace::Buffer;

/// Where the values of a complement stand: chosen once, by cost.
#[derive(Debug, Clone)]
pub enum Storage {
    /// All of the lower triangle.
    Dense(Arc<StripLayout>),
    /// The pattern of its Cholesky factor.
    Sparse(Arc<Pattern>),
}

impl Storage {
    /// Numbers in the factor, roughly.
    #[must_use]
    pub fn numbers(&self) -> f64 {
        match self {
            Self::Dense(layout) => 0.5 * (layout.order() as f64).powi(2),
            Self::Sparse(pattern) => pattern.nnz() as f64,
        }
    }

    /// Multiply-adds of one factorisation.
    #[must_use]
    pub fn multiply_adds(&self) -> f64 {
        match self {
            Self::Dense(layout) => (layout.order() as f64).powi(3) / 6.0,
            Self::Sparse(pattern) => pattern.flops(),
        }
    }
}

/// Pattern of what has no rows.
static EMPTY: LazyLock<Arc<Pattern>> = LazyLock::new(Arc::default);

/// A lower triangular or symmetric matrix (of which the lower triangle is stored). The default has no rows and takes no memory
/// of its own: it stands for a factor that is not there or was given away.
#[derive(Debug, Clone)]
pub enum Complement {
    /// All of it.
    Dense(Triangle),
    /// What is in the pattern of the factor.
    Sparse {
        /// The pattern, which all matrices of one complement share.
        pattern: Arc<Pattern>,
        /// A value for each entry of the pattern.
        values: Vec<f64>,
    },
}

impl Default for Complement {
    fn default() -> Self {
        Self::Sparse {
            pattern: Arc::clone(&EMPTY),
            values: Vec::new(),
        }
    }
}

impl Complement {
    /// A matrix to write to, in the workspace of another one; its values are arbitrary.
    #[must_use]
    pub fn for_storage(storage: &Storage, old: Self) -> Self {
        match storage {
            Storage::Dense(layout) => Self::Dense(match old {
                Self::Dense(triangle) if Arc::ptr_eq(&triangle.layout, layout) => triangle,
                _ => Triangle::with_layout(Arc::clone(layout)),
            }),
            Storage::Sparse(pattern) => {
                let mut values = old.into_values();
                memory::resize(&mut values, pattern.nnz());
                Self::Sparse {
                    pattern: Arc::clone(pattern),
                    values,
                }
            }
        }
    }

    fn into_values(self) -> Vec<f64> {
        match self {
            Self::Dense(_) => Vec::new(),
            Self::Sparse { values, .. } => values,
        }
    }

    /// Cholesky factor in place. `false` if not positive definite.
    #[must_use]
    pub fn cholesky(&mut self, workers: &Workers) -> bool {
        match self {
            Self::Dense(s) => s.cholesky(workers),
            Self::Sparse { pattern, values } => pattern.cholesky(values, workers),
        }
    }

    /// Logarithms of the diagonal, summed.
    #[must_use]
    pub fn log_diagonal(&self) -> f64 {
        match self {
            Self::Dense(s) => s.log_diagonal(),
            Self::Sparse { pattern, values } => {
                let diagonal = &pattern.column_start[..pattern.n];
                diagonal.iter().map(|&at| values[at].ln()).sum()
            }
        }
    }

    /// B <- L^-1 B for this factor L and row-major B with m columns.
    pub fn solve(&self, b: &mut [f64], m: usize) {
        match self {
            Self::Dense(s) => s.solve_rows(b, m, false),
            Self::Sparse { pattern, values } => pattern.solve(values, b, m),
        }
    }

    /// B <- L^-T B.
    pub fn solve_transposed(&self, b: &mut [f64], m: usize) {
        match self {
            Self::Dense(s) => s.solve_rows(b, m, true),
            Self::Sparse { pattern, values } => pattern.solve_transposed(values, b, m),
        }
    }

    /// (L L')^-1 of this factor L, where it stands, in the workspace of another matrix.
    #[must_use]
    pub fn selected_inverse(&self, old: Self, workers: &Workers) -> Self {
        match self {
            Self::Dense(s) => {
                let mut out = match old {
                    Self::Dense(triangle) => triangle,
                    Self::Sparse { .. } => Triangle::default(),
                };
                s.inverse_of_product(&mut out, workers);
                Self::Dense(out)
            }
            Self::Sparse { pattern, values } => {
                let mut out = old.into_values();
                pattern.selected_inverse(values, &mut out, workers);
                Self::Sparse {
                    pattern: Arc::clone(pattern),
                    values: out,
                }
            }
        }
    }

    /// Diagonal entry; `None` beyond the order.
    #[must_use]
    pub fn diagonal(&self, j: usize) -> Option<f64> {
        match self {
            Self::Dense(s) => (j < s.order()).then(|| s.entry(j, j)),
            Self::Sparse { pattern, values } => {
                (j < pattern.n).then(|| values[pattern.column_start[j]])
            }
        }
    }

    /// Entry of a symmetric matrix; `None` where it is not in the pattern.
    #[must_use]
    pub fn entry(&self, i: usize, j: usize) -> Option<f64> {
        match self {
            Self::Dense(s) => Some(s.entry(i, j)),
            Self::Sparse { pattern, values } => pattern.entry(values, i, j),
        }
    }

    /// Column `j` of a symmetric matrix at these rows, which must be in the pattern; at others anything may be written.
    pub fn write_column(&self, j: usize, rows: impl Iterator<Item = usize>, out: &mut [f64]) {
        match self {
            Self::Dense(s) => rows.for_each(|i| out[i] = s.entry(i, j)),
            Self::Sparse { pattern, values } => pattern.scatter_symmetric(values, j, out),
        }
    }

    /// Some neighbouring columns of a symmetric matrix, for one look after another.
    pub fn columns<'a>(&'a self, columns: Range<usize>, workers: &'a Workers) -> Columns<'a> {
        let work = match self {
            Self::Dense(s) => {
                let mut work = workers.buffer(s.order() * columns.len());
                s.gather(columns.clone(), &mut work);
                work
            }
            Self::Sparse { pattern, .. } => workers.scratch(pattern.n),
        };
        Columns {
            of: self,
            from: columns.start,
            work,
        }
    }

    /// Makes the dense matrix, of which the lower triangle was written, one that can be read in whole tiles.
    pub fn mirror(&mut self) {
        if let Self::Dense(s) = self {
            s.mirror();
        }
    }
}

/// Columns of a [`Complement`].
pub struct Columns<'a> {
    of: &'a Complement,
    from: usize,
    work: Buffer<'a>,
}

impl Columns<'_> {
    /// Column `j`, a value for each row; those that are not in the pattern are arbitrary.
    pub fn get(&mut self, j: usize) -> &[f64] {
        match self.of {
            Complement::Dense(s) => {
                let at = (j - self.from) * s.order();
                &self.work[at..at + s.order()]
            }
            Complement::Sparse { pattern, values } => {
                pattern.scatter_symmetric(values, j, &mut self.work);
                &self.work
            }
        }
    }
}
