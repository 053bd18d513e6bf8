//! Left singular vectors of square matrices, column-major.

use crate::linalg::{dense, small};

/// Order from which sweeps of rotations take longer than a bidiagonal matrix.
const SWEEPS: usize = 40;

/// Cosine of the angle between two rows up to which they are orthogonal.
const ORTHOGONAL: f64 = 4.0 * f64::EPSILON;

/// Most sweeps: they converge quadratically, in less than ten.
const MOST: usize = 60;

/// Singular values (descending) of a k x k matrix N and its left singular vectors (columns), so that N N' = U S^2 U'. `None`
/// where they are not finite.
///
/// By one-sided Jacobi rotations of its rows (Hestenes 1958, Journal of SIAM 6), so that values are not squared on the way; a
/// large matrix by bidiagonalisation.
#[must_use]
pub fn left_singular(n: &[f64], k: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    if !n.iter().all(|v| v.is_finite()) {
        return None;
    }
    if k > SWEEPS {
        return dense::left_singular(n, k);
    }
    // columns of N', and of the product of all rotations
    let mut columns = vec![0.0; k * k];
    small::transpose(n, k, &mut columns);
    let mut vectors = vec![0.0; k * k];
    (0..k).for_each(|i| vectors[i * k + i] = 1.0);
    for _ in 0..MOST {
        let mut rotated = false;
        for p in 0..k {
            for q in p + 1..k {
                rotated |= rotate(&mut columns, &mut vectors, k, (p, q));
            }
        }
        if !rotated {
            break;
        }
    }
    let values: Vec<f64> = columns
        .chunks_exact(k.max(1))
        .map(|column| dot(column, column).sqrt())
        .collect();
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    let sorted = order.iter().map(|&i| values[i]).collect();
    let vectors = order
        .iter()
        .flat_map(|&i| vectors[i * k..(i + 1) * k].iter().copied())
        .collect();
    Some((sorted, vectors))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Makes columns `p` and `q` orthogonal; `false` if they were.
fn rotate(columns: &mut [f64], vectors: &mut [f64], k: usize, (p, q): (usize, usize)) -> bool {
    let (a, b) = (&columns[p * k..(p + 1) * k], &columns[q * k..(q + 1) * k]);
    let (alpha, beta, gamma) = (dot(a, a), dot(b, b), dot(a, b));
    if gamma == 0.0 || gamma.abs() <= ORTHOGONAL * alpha.sqrt() * beta.sqrt() {
        return false;
    }
    let zeta = (beta - alpha) / (2.0 * gamma);
    let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = c * t;
    for matrix in [columns, vectors] {
        let (head, tail) = matrix.split_at_mut(q * k);
        let (a, b) = (&mut head[p * k..(p + 1) * k], &mut tail[..k]);
        for (x, y) in a.iter_mut().zip(b) {
            (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::left_singular;

    fn check(n: &[f64], k: usize, tolerance: f64) -> Vec<f64> {
        let (values, vectors) = left_singular(n, k).unwrap();
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
        for i in 0..k {
            for j in 0..k {
                // N N' = U S^2 U'
                let wanted: f64 = (0..k).map(|t| n[t * k + i] * n[t * k + j]).sum();
                let found: f64 = (0..k)
                    .map(|t| vectors[t * k + i] * vectors[t * k + j] * values[t].powi(2))
                    .sum();
                assert!((wanted - found).abs() < tolerance, "{wanted} {found}");
                // U'U = I
                let product: f64 = (0..k)
                    .map(|t| vectors[i * k + t] * vectors[j * k + t])
                    .sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
        values
    }

    #[test]
    fn small_and_large_matrices_have_their_singular_vectors() {
        for k in [0, 1, 2, 7, 41] {
            let n: Vec<f64> = (0..k * k).map(|e| (1.3 + (e * e) as f64).sin()).collect();
            check(&n, k, 1e-11);
        }
    }

    #[test]
    fn small_values_keep_their_digits() {
        // rows of very different sizes
        let n = [1e9, 1e-3, 2e9, 3e-3];
        let values = check(&n, 2, 1e4);
        let determinant: f64 = 1e9 * 3e-3 - 2e9 * 1e-3;
        assert!((values[0] * values[1] / determinant - 1.0).abs() < 1e-12);
        // a row that is a multiple of another one
        let values = check(&[1.0, 2.0, 3.0, 6.0], 2, 1e-12);
        assert!(values[1] < 1e-14);
        assert!(left_singular(&[f64::NAN], 1).is_none());
    }
}
