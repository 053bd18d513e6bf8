//! Rows in the internal coordinates: the one place where the user's columns become those of Q and Z.

use std::ops::{AddAssign, Mul, Range};

use crate::api::model::{Column, ModelData};
use crate::basis::covariances::LevelClasses;
use crate::basis::fixed::FixedBasis;
use crate::basis::random::{FactorLayout, TermBasis};
use crate::linalg::double2::Double2;
use crate::runtime::memory;

/// The numbers that a row is made of: doubles, or with twice the digits.
pub trait Number: Copy + Default + From<f64> + AddAssign + Mul<Output = Self> {
    /// x y.
    fn product(x: f64, y: f64) -> Self;
}

impl Number for f64 {
    #[inline]
    fn product(x: f64, y: f64) -> Self {
        x * y
    }
}

impl Number for Double2 {
    #[inline]
    fn product(x: f64, y: f64) -> Self {
        Self::product(x, y)
    }
}

/// The internal coordinates of a model.
#[derive(Debug, Clone, Copy)]
pub struct Coordinates<'a> {
    /// Basis of X.
    pub fixed: &'a FixedBasis,
    /// Grouping factors in elimination order.
    pub layout: &'a [FactorLayout],
    /// Bases of the terms.
    pub bases: &'a [TermBasis],
}

/// The root of the weight of row `i`.
#[must_use]
pub fn root_of_weight(data: &ModelData<'_>, i: usize) -> f64 {
    data.weights.map_or(1.0, |w| w[i].sqrt())
}

/// `out`_c = root sum_a columns_a(i) change_ac for a column-major `change` with a row for each column.
#[inline]
pub(crate) fn combine<S: Number>(
    columns: &[Column<'_>],
    change: &[f64],
    i: usize,
    root: S,
    out: &mut [S],
) {
    for (to, change) in out.iter_mut().zip(change.chunks_exact(columns.len())) {
        let mut sum = S::default();
        for (column, change) in columns.iter().zip(change) {
            // those below the diagonal
            if *change != 0.0 {
                sum += S::product(column.at(i), *change);
            }
        }
        *to = root * sum;
    }
}

impl<'a> Coordinates<'a> {
    /// These bases together.
    #[must_use]
    pub fn new(fixed: &'a FixedBasis, layout: &'a [FactorLayout], bases: &'a [TermBasis]) -> Self {
        Self {
            fixed,
            layout,
            bases,
        }
    }

    /// The basis of the term whose first one is `first` at levels of one class of its factor.
    #[must_use]
    pub(crate) fn of_class(&self, first: usize, class: usize) -> &'a TermBasis {
        let mut bases = self.bases[first..].iter();
        let own = bases.find(|basis| basis.levels.has(class));
        own.unwrap_or(&self.bases[first])
    }

    /// Row `i` of Q, times `root`: r values.
    pub(crate) fn write_q<S: Number>(
        &self,
        columns: &[Column<'_>],
        i: usize,
        root: S,
        out: &mut [S],
    ) {
        if !columns.is_empty() {
            combine(columns, &self.fixed.rinv, i, root, out);
        }
    }

    /// Row `i` of Z of one factor, times `root`: k values.
    pub(crate) fn write_z<S: Number>(
        &self,
        data: &ModelData<'_>,
        factor: &FactorLayout,
        i: usize,
        root: S,
        out: &mut [S],
    ) {
        let class = match &factor.classes {
            Some(classes) => classes.of(factor.codes(data)[i] as usize - 1),
            None => 0,
        };
        for &t in &factor.terms {
            let basis = self.of_class(t, class);
            let own = &mut out[basis.offset..basis.offset + basis.k];
            combine(&data.terms[basis.term].columns, &basis.change, i, root, own);
        }
    }

    /// Rows `range` of W^{1/2} Z of one factor, k values a row: a column at a time.
    pub(crate) fn fill_z(
        &self,
        data: &ModelData<'_>,
        factor: &FactorLayout,
        range: Range<usize>,
        out: &mut [f64],
    ) {
        for &t in &factor.terms {
            let basis = &self.bases[t];
            let columns = &data.terms[basis.term].columns;
            for (c, column) in columns.iter().enumerate() {
                let at = basis.offset + c;
                column.visit(range.clone(), out.chunks_exact_mut(factor.k), |row, z| {
                    row[at] = z;
                });
            }
            let (own, k) = (basis.offset..basis.offset + basis.k, basis.k);
            if let Some(classes) = &factor.classes {
                let codes = &factor.codes(data)[range.clone()];
                for (row, code) in out.chunks_exact_mut(factor.k).zip(codes) {
                    let basis = self.of_class(t, classes.of(*code as usize - 1));
                    times_upper(&mut row[own.clone()], &basis.change);
                }
            } else if k == 1 {
                let change = basis.change[0];
                out.chunks_exact_mut(factor.k)
                    .for_each(|row| row[own.start] *= change);
            } else {
                for row in out.chunks_exact_mut(factor.k) {
                    times_upper(&mut row[own.clone()], &basis.change);
                }
            }
        }
        if let Some(w) = data.weights {
            for (row, w) in out.chunks_exact_mut(factor.k).zip(&w[range]) {
                let root = w.sqrt();
                row.iter_mut().for_each(|v| *v *= root);
            }
        }
    }

    /// [Rinv 0; 0 1], (p + 1) x (r + 1): rows [x r] to rows [q r].
    pub(crate) fn change_with_response(&self) -> Vec<f64> {
        let (p, r) = (self.fixed.p, self.fixed.rank());
        let mut change = memory::zeros((p + 1) * (r + 1));
        for c in 0..r {
            let own = &self.fixed.rinv[c * p..(c + 1) * p];
            change[c * (p + 1)..c * (p + 1) + p].copy_from_slice(own);
        }
        change[r * (p + 1) + p] = 1.0;
        change
    }

    /// B of each class of a factor's levels, k x k: block-diagonal over its terms.
    pub(crate) fn changes_of(&self, factor: &FactorLayout) -> Vec<Vec<f64>> {
        let all = factor.k;
        let of_class = |class: usize| {
            let mut out = memory::zeros(all * all);
            for &t in &factor.terms {
                let basis = self.of_class(t, class);
                for (c, column) in basis.change.chunks_exact(basis.k).enumerate() {
                    let to = (basis.offset + c) * all + basis.offset;
                    out[to..to + basis.k].copy_from_slice(column);
                }
            }
            out
        };
        let classes = factor.classes.as_ref().map_or(1, LevelClasses::count);
        (0..classes).map(of_class).collect()
    }
}

/// A row times an upper triangular matrix, in place: from the last column on.
#[inline]
fn times_upper(row: &mut [f64], change: &[f64]) {
    let k = row.len();
    for c in (0..k).rev() {
        row[c] = (0..=c).map(|a| row[a] * change[c * k + a]).sum();
    }
}
