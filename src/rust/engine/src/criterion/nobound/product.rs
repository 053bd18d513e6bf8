//! Products of matrices by columns, which may be empty.

use crate::linalg::dense;
use crate::runtime::memory;

/// A B, m x n times n x r.
pub(super) fn product(a: &[f64], b: &[f64], (m, n, r): (usize, usize, usize)) -> Vec<f64> {
    let mut out = memory::zeros(m * r);
    if m * n * r > 0 {
        dense::product((a, m, n, false), (b, n, r, false), &mut out);
    }
    out
}

/// A'B, A n x m and B n x r.
pub(super) fn cross(a: &[f64], b: &[f64], (m, n, r): (usize, usize, usize)) -> Vec<f64> {
    let mut out = memory::zeros(m * r);
    if m * n * r > 0 {
        dense::product((a, m, n, true), (b, n, r, false), &mut out);
    }
    out
}
