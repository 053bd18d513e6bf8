//! Internal basis columns of a grouping factor for every row.

use std::ops::Range;

use crate::api::model::{Column, ModelData};
use crate::basis::random::{FactorLayout, TermBasis};
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::{chunks, piece};

/// Numbers of one piece of work.
const PIECE: usize = 65_536;

/// Internal basis columns of one factor for every row, times the root of the weight.
pub(crate) enum BasisRows {
    /// The same number in every row.
    Same(f64),
    /// k values a row, made where they are needed.
    Passing,
    /// k values a row.
    Rows(Vec<f64>),
}

impl BasisRows {
    pub(crate) fn row(&self, i: usize, k: usize) -> &[f64] {
        match self {
            Self::Same(v) => std::slice::from_ref(v),
            Self::Passing => &[],
            Self::Rows(z) => &z[i * k..(i + 1) * k],
        }
    }
}

/// Basis columns of a factor; kept for all rows where pairs of factors look at them in another order.
pub(crate) fn basis_rows(
    data: &ModelData<'_>,
    factor: &FactorLayout,
    bases: &[TermBasis],
    keep: bool,
    workers: &Workers,
) -> BasisRows {
    let k = factor.k;
    let Some(&first) = factor.terms.first() else {
        return BasisRows::Same(1.0);
    };
    let constant = k == 1 && matches!(data.terms[first].columns[0], Column::Constant);
    if constant && data.weights.is_none() {
        return BasisRows::Same(bases[first].change[0]);
    }
    if !keep {
        return BasisRows::Passing;
    }
    let mut z = memory::zeros(data.n() * k);
    let count = data.n().div_ceil(PIECE);
    workers.for_each(count, chunks(&mut z, PIECE * k), |i, out| {
        fill_basis(data, factor, bases, piece(data.n(), PIECE, i), out);
    });
    BasisRows::Rows(z)
}

/// Basis columns of one factor in the rows `range`, k values a row.
pub(crate) fn fill_basis(
    data: &ModelData<'_>,
    factor: &FactorLayout,
    bases: &[TermBasis],
    range: Range<usize>,
    out: &mut [f64],
) {
    for &t in &factor.terms {
        let (basis, columns) = (&bases[t], &data.terms[t].columns);
        for (c, column) in columns.iter().enumerate() {
            let at = basis.offset + c;
            column.visit(range.clone(), out.chunks_exact_mut(factor.k), |row, z| {
                row[at] = z;
            });
        }
        let (own, k) = (basis.offset..basis.offset + basis.k, basis.k);
        if k == 1 {
            let change = basis.change[0];
            out.chunks_exact_mut(factor.k)
                .for_each(|row| row[own.start] *= change);
        } else {
            for row in out.chunks_exact_mut(factor.k) {
                let row = &mut row[own.clone()];
                // upper triangular: from the last column on, in place
                for c in (0..k).rev() {
                    row[c] = (0..=c).map(|a| row[a] * basis.change[c * k + a]).sum();
                }
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
