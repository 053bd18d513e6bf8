//! Internal basis columns of a grouping factor for every row.

use crate::api::model::{Column, ModelData};
use crate::basis::random::FactorLayout;
use crate::basis::rows::Coordinates;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::{chunks, piece};

/// Numbers of one piece of work.
const PIECE: usize = 65_536;

/// Internal basis columns of one factor for every row, times the root of the weight.
pub(crate) enum BasisRows {
    /// One number in every row.
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
    at: Coordinates<'_>,
    factor: &FactorLayout,
    keep: bool,
    workers: &Workers,
) -> BasisRows {
    let k = factor.k;
    let Some(&first) = factor.terms.first() else {
        return BasisRows::Same(1.0);
    };
    let constant = k == 1
        && matches!(
            data.terms[at.bases[first].term].columns[0],
            Column::Constant
        );
    if constant && data.weights.is_none() && factor.classes.is_none() {
        return BasisRows::Same(at.bases[first].change[0]);
    }
    if !keep {
        return BasisRows::Passing;
    }
    let mut z = memory::zeros(data.rows() * k);
    let count = data.rows().div_ceil(PIECE);
    workers.for_each(count, chunks(&mut z, PIECE * k), |i, out| {
        at.fill_z(data, factor, piece(data.rows(), PIECE, i), out);
    });
    BasisRows::Rows(z)
}
