//! Dense k x k blocks, column-major in slices: k is the number of random effects of one level, mostly 1 to 10. Where it is
//! large, as the number of fixed effects may be, the blocked kernels of [`super::dense`] do the work.

pub use super::dense::Shape;

use super::dense;
use crate::runtime::memory;

/// Order from which a factor or an inverse is left to the blocked kernels.
pub const LARGE: usize = 48;

/// Order from which Jacobi's rotations take longer than a tridiagonal matrix.
const SWEEPS: usize = 32;

/// Multiply-adds from which a product is.
const MANY: usize = 48 * 48 * 48;

/// Cholesky factor in place, lower triangle; the strict upper triangle is left alone. `false` if not positive definite.
#[must_use]
pub fn cholesky(a: &mut [f64], k: usize) -> bool {
    if k > LARGE {
        return dense::cholesky(a, k);
    }
    for j in 0..k {
        let mut d = a[j * k + j];
        for m in 0..j {
            d -= a[m * k + j] * a[m * k + j];
        }
        if d <= 0.0 || !d.is_finite() {
            return false;
        }
        let d = d.sqrt();
        a[j * k + j] = d;
        for i in j + 1..k {
            let mut s = a[j * k + i];
            for m in 0..j {
                s -= a[m * k + i] * a[m * k + j];
            }
            a[j * k + i] = s / d;
        }
    }
    true
}

/// x <- L^-1 x for one vector.
pub fn solve_lower(l: &[f64], k: usize, x: &mut [f64]) {
    for i in 0..k {
        let (head, below) = x.split_at_mut(i + 1);
        let value = head[i] / l[i * k + i];
        head[i] = value;
        let column = &l[i * k + i + 1..(i + 1) * k];
        below
            .iter_mut()
            .zip(column)
            .for_each(|(x, l)| *x -= l * value);
    }
}

/// x <- L^-T x for one vector.
pub fn solve_lower_transposed(l: &[f64], k: usize, x: &mut [f64]) {
    for i in (0..k).rev() {
        let mut s = x[i];
        for m in i + 1..k {
            s -= l[i * k + m] * x[m];
        }
        x[i] = s / l[i * k + i];
    }
}

/// Rows of a k x m block stored row by row: X <- L^-1 X.
pub fn solve_lower_rows(l: &[f64], k: usize, x: &mut [f64], m: usize) {
    for i in 0..k {
        let (done, rest) = x.split_at_mut(i * m);
        let row = &mut rest[..m];
        for r in 0..i {
            let c = l[r * k + i];
            for (a, b) in row.iter_mut().zip(&done[r * m..(r + 1) * m]) {
                *a -= c * b;
            }
        }
        let d = 1.0 / l[i * k + i];
        row.iter_mut().for_each(|a| *a *= d);
    }
}

/// Rows of a k x m block stored row by row: X <- L^-T X.
pub fn solve_lower_transposed_rows(l: &[f64], k: usize, x: &mut [f64], m: usize) {
    for i in (0..k).rev() {
        let (head, below) = x.split_at_mut((i + 1) * m);
        let row = &mut head[i * m..];
        for r in i + 1..k {
            let c = l[i * k + r];
            for (a, b) in row.iter_mut().zip(&below[(r - i - 1) * m..(r - i) * m]) {
                *a -= c * b;
            }
        }
        let d = 1.0 / l[i * k + i];
        row.iter_mut().for_each(|a| *a *= d);
    }
}

/// out (k x m) = A' B with A (r x k), B (r x m).
pub fn mul_tn(a: &[f64], b: &[f64], r: usize, k: usize, m: usize, out: &mut [f64]) {
    match (k, r) {
        (1, 1) => fixed_tn::<1>(a, b, m, out),
        (2, 2) => fixed_tn::<2>(a, b, m, out),
        (3, 3) => fixed_tn::<3>(a, b, m, out),
        (4, 4) => fixed_tn::<4>(a, b, m, out),
        _ if k * r * m > MANY => dense::product((a, k, r, true), (b, r, m, false), out),
        _ => {
            for j in 0..m {
                for i in 0..k {
                    let mut s = 0.0;
                    for t in 0..r {
                        s += a[i * r + t] * b[j * r + t];
                    }
                    out[j * k + i] = s;
                }
            }
        }
    }
}

/// [`mul_tn`] of square A, unrolled.
fn fixed_tn<const K: usize>(a: &[f64], b: &[f64], m: usize, out: &mut [f64]) {
    let mut columns = [[0.0; K]; K];
    for (column, source) in columns.iter_mut().zip(a.chunks_exact(K)) {
        column.copy_from_slice(source);
    }
    for (target, source) in out.chunks_exact_mut(K).zip(b.chunks_exact(K)).take(m) {
        for (value, column) in target.iter_mut().zip(&columns) {
            *value = (0..K).map(|t| column[t] * source[t]).sum();
        }
    }
}

/// out (k x m) = A B with A (k x r), B (r x m).
pub fn mul_nn(a: &[f64], b: &[f64], k: usize, r: usize, m: usize, out: &mut [f64]) {
    match (k, r) {
        (1, 1) => fixed_nn::<1>(a, b, m, out),
        (2, 2) => fixed_nn::<2>(a, b, m, out),
        (3, 3) => fixed_nn::<3>(a, b, m, out),
        (4, 4) => fixed_nn::<4>(a, b, m, out),
        _ if k * r * m > MANY => dense::product((a, k, r, false), (b, r, m, false), out),
        _ => {
            out[..k * m].fill(0.0);
            for j in 0..m {
                for t in 0..r {
                    let c = b[j * r + t];
                    for i in 0..k {
                        out[j * k + i] += a[t * k + i] * c;
                    }
                }
            }
        }
    }
}

/// [`mul_nn`] of square A, unrolled.
fn fixed_nn<const K: usize>(a: &[f64], b: &[f64], m: usize, out: &mut [f64]) {
    let mut columns = [[0.0; K]; K];
    for (column, source) in columns.iter_mut().zip(a.chunks_exact(K)) {
        column.copy_from_slice(source);
    }
    for (target, source) in out.chunks_exact_mut(K).zip(b.chunks_exact(K)).take(m) {
        let mut sum = [0.0; K];
        for (column, c) in columns.iter().zip(source) {
            for (value, x) in sum.iter_mut().zip(column) {
                *value += x * c;
            }
        }
        target.copy_from_slice(&sum);
    }
}

/// out (k x m) = A B' with A (k x r), B (m x r).
pub fn mul_nt(a: &[f64], b: &[f64], k: usize, r: usize, m: usize, out: &mut [f64]) {
    let out = &mut out[..k * m];
    out.fill(0.0);
    if out.is_empty() {
        return;
    }
    if k * r * m > MANY {
        return dense::product((a, k, r, false), (b, r, m, true), out);
    }
    for (left, right) in a.chunks_exact(k).zip(b.chunks_exact(m)).take(r) {
        for (target, c) in out.chunks_exact_mut(k).zip(right) {
            for (value, x) in target.iter_mut().zip(left) {
                *value += x * c;
            }
        }
    }
}

/// out = A B of k x k matrices whose zeros are known, each given with whether it stands transposed (and the shape that it has
/// then): where they are large, the zeros are left out. `symmetric` says that the product is.
pub fn mul_shaped(
    a: (&[f64], Shape, bool),
    b: (&[f64], Shape, bool),
    k: usize,
    symmetric: bool,
    out: &mut [f64],
) {
    if k <= LARGE {
        return match (a.2, b.2) {
            (false, false) => mul_nn(a.0, b.0, k, k, k, out),
            (true, false) => mul_tn(a.0, b.0, k, k, k, out),
            (false, true) => mul_nt(a.0, b.0, k, k, k, out),
            (true, true) => dense::product((a.0, k, k, true), (b.0, k, k, true), out),
        };
    }
    let shape = match (a.1, b.1) {
        _ if symmetric => Shape::Lower,
        (left, right) if left == right => left,
        _ => Shape::Full,
    };
    if shape != Shape::Full {
        out[..k * k].fill(0.0);
    }
    dense::shaped_product(a, b, k, out, shape);
    if symmetric {
        mirror_lower(out, k);
    }
}

/// out = L' B L of k x k matrices for symmetric B; L as in [`mul_shaped`].
pub fn congruence(l: (&[f64], Shape, bool), b: &[f64], k: usize, out: &mut [f64]) {
    let mut half = memory::zeros(k * k);
    mul_shaped((b, Shape::Full, false), l, k, false, &mut half);
    let turned = (l.0, l.1.transposed(), !l.2);
    mul_shaped(turned, (&half, Shape::Full, false), k, true, out);
}

/// Tile of a matrix that is turned in the cache.
const TURNED: usize = 32;

/// The lower triangle into the upper one.
pub fn mirror_lower(a: &mut [f64], k: usize) {
    for from in (0..k).step_by(TURNED) {
        for below in (from..k).step_by(TURNED) {
            for j in from..(from + TURNED).min(k) {
                for i in below.max(j + 1)..(below + TURNED).min(k) {
                    a[i * k + j] = a[j * k + i];
                }
            }
        }
    }
}

/// tr(A B) of two k x k blocks.
#[must_use]
pub fn trace_product(a: &[f64], b: &[f64], k: usize) -> f64 {
    let mut s = 0.0;
    for i in 0..k {
        for j in 0..k {
            s += a[j * k + i] * b[i * k + j];
        }
    }
    s
}

/// The transpose of a column-major matrix with so many rows.
pub fn transpose(a: &[f64], rows: usize, out: &mut [f64]) {
    let columns = a.len() / rows.max(1);
    for from in (0..columns).step_by(TURNED) {
        for below in (0..rows).step_by(TURNED) {
            for j in from..(from + TURNED).min(columns) {
                for i in below..(below + TURNED).min(rows) {
                    out[i * columns + j] = a[j * rows + i];
                }
            }
        }
    }
}

/// Inverse of the lower triangular L, strict upper triangle zero.
#[must_use]
pub fn invert_lower(l: &[f64], k: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; k * k];
    write_inverse_of_lower(l, k, &mut inverse);
    inverse
}

/// [`invert_lower`] into `inverse`.
pub fn write_inverse_of_lower(l: &[f64], k: usize, inverse: &mut [f64]) {
    inverse.fill(0.0);
    if k > LARGE {
        return dense::invert_lower(l, k, inverse);
    }
    for j in 0..k {
        inverse[j * k + j] = 1.0;
        solve_lower(l, k, &mut inverse[j * k..(j + 1) * k]);
    }
}

/// (L L')^-1, full symmetric.
#[must_use]
pub fn inverse_from_cholesky(l: &[f64], k: usize) -> Vec<f64> {
    let mut li = vec![0.0; k * k];
    let mut out = vec![0.0; k * k];
    write_inverse_from_cholesky(l, k, &mut li, &mut out);
    out
}

/// [`inverse_from_cholesky`] into `out`, with L^-1 in `li`: for one level after another.
pub fn write_inverse_from_cholesky(l: &[f64], k: usize, li: &mut [f64], out: &mut [f64]) {
    write_inverse_of_lower(l, k, li);
    if k > LARGE {
        let lower = (li as &[f64], Shape::Lower, false);
        return mul_shaped((lower.0, Shape::Upper, true), lower, k, true, out);
    }
    mul_tn(li, li, k, k, k, out);
}

/// Lower factor of a positive semidefinite matrix without pivoting, non-negative diagonal: a pivot below `tolerance` times its
/// original diagonal entry gives a zero column.
#[must_use]
pub fn semidefinite_cholesky(a: &[f64], k: usize, tolerance: f64) -> Vec<f64> {
    let mut l = vec![0.0; k * k];
    write_semidefinite_cholesky(a, k, tolerance, &mut l);
    l
}

/// [`semidefinite_cholesky`] into `l`.
pub fn write_semidefinite_cholesky(a: &[f64], k: usize, tolerance: f64, l: &mut [f64]) {
    l.fill(0.0);
    let largest = (0..k).map(|i| a[i * k + i]).fold(0.0, f64::max);
    for j in 0..k {
        let mut d = a[j * k + j];
        for m in 0..j {
            d -= l[m * k + j] * l[m * k + j];
        }
        if d <= tolerance * a[j * k + j].max(f64::EPSILON * largest) || d <= 0.0 {
            continue;
        }
        let d = d.sqrt();
        l[j * k + j] = d;
        for i in j + 1..k {
            let mut s = a[j * k + i];
            for m in 0..j {
                s -= l[m * k + i] * l[m * k + j];
            }
            l[j * k + i] = s / d;
        }
    }
}

/// Solves A x = b for several right-hand sides in place, by Gaussian elimination with partial pivoting. `false` if A is
/// singular.
#[must_use]
pub fn solve_general(a: &[f64], rhs: &mut [&mut [f64]], n: usize) -> bool {
    let mut a = memory::copy(a);
    for c in 0..n {
        let pivot = (c..n)
            .max_by(|&i, &j| a[c * n + i].abs().total_cmp(&a[c * n + j].abs()))
            .unwrap_or(c);
        if a[c * n + pivot] == 0.0 || !a[c * n + pivot].is_finite() {
            return false;
        }
        if pivot != c {
            (0..n).for_each(|j| a.swap(j * n + c, j * n + pivot));
            rhs.iter_mut().for_each(|b| b.swap(c, pivot));
        }
        for i in c + 1..n {
            let factor = a[c * n + i] / a[c * n + c];
            if factor != 0.0 {
                (c..n).for_each(|j| a[j * n + i] -= factor * a[j * n + c]);
                rhs.iter_mut().for_each(|b| b[i] -= factor * b[c]);
            }
        }
    }
    for b in rhs.iter_mut() {
        for i in (0..n).rev() {
            let s: f64 = (i + 1..n).map(|j| a[j * n + i] * b[j]).sum();
            b[i] = (b[i] - s) / a[i * n + i];
        }
    }
    true
}

/// Eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix by cyclic Jacobi rotations
/// (Golub & Van Loan, 4th ed., 8.5): exact to rounding also for graded matrices. Their sweeps are slow where it is large: then
/// by tridiagonalisation, exact relative to the largest eigenvalue.
#[must_use]
pub fn symmetric_eigen(a: &[f64], k: usize) -> (Vec<f64>, Vec<f64>) {
    let mut v = vec![0.0; k * k];
    if k > SWEEPS {
        if let Some(values) = dense::symmetric_eigen(a, k, &mut v) {
            return (values, v);
        }
        v.fill(0.0);
    }
    let mut a = memory::copy(a);
    (0..k).for_each(|i| v[i * k + i] = 1.0);
    for _ in 0..60 {
        let mut off = 0.0;
        let mut total = 0.0;
        for j in 0..k {
            for i in 0..k {
                let square = a[j * k + i] * a[j * k + i];
                total += square;
                if i != j {
                    off += square;
                }
            }
        }
        if off <= 1e-32 * total {
            break;
        }
        for p in 0..k {
            for q in p + 1..k {
                rotate(&mut a, &mut v, k, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&i, &j| a[i * k + i].total_cmp(&a[j * k + j]));
    let values = order.iter().map(|&i| a[i * k + i]).collect();
    let vectors = order
        .iter()
        .flat_map(|&i| v[i * k..(i + 1) * k].to_vec())
        .collect();
    (values, vectors)
}

fn rotate(a: &mut [f64], v: &mut [f64], k: usize, p: usize, q: usize) {
    let apq = a[q * k + p];
    if apq == 0.0 {
        return;
    }
    let tau = (a[q * k + q] - a[p * k + p]) / (2.0 * apq);
    let t = tau.signum() / (tau.abs() + (tau * tau + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for i in 0..k {
        let (x, y) = (a[p * k + i], a[q * k + i]);
        a[p * k + i] = c * x - s * y;
        a[q * k + i] = s * x + c * y;
    }
    for j in 0..k {
        let (x, y) = (a[j * k + p], a[j * k + q]);
        a[j * k + p] = c * x - s * y;
        a[j * k + q] = s * x + c * y;
    }
    for i in 0..k {
        let (x, y) = (v[p * k + i], v[q * k + i]);
        v[p * k + i] = c * x - s * y;
        v[q * k + i] = s * x + c * y;
    }
}
