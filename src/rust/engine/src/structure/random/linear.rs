//! What linear structures share: everything follows from which entries of T the parameters are.

use crate::linalg::hyperdual::Scalar;
use crate::linalg::small;

/// T of a linear structure.
pub fn factor(k: usize, entries: &[Vec<(usize, usize)>], theta: &[f64]) -> Vec<f64> {
    let mut t = vec![0.0; k * k];
    for (places, value) in entries.iter().zip(theta) {
        places.iter().for_each(|&(i, j)| t[j * k + i] = *value);
    }
    t
}

/// dG = E T' + T E'.
pub fn derivative(k: usize, entries: &[(usize, usize)], t: &[f64]) -> Vec<f64> {
    let mut g = vec![0.0; k * k];
    for &(row, column) in entries {
        for i in 0..k {
            g[i * k + row] += t[column * k + i];
            g[row * k + i] += t[column * k + i];
        }
    }
    g
}

/// Entry (i, j) of T T'.
pub fn component<S: Scalar>(
    k: usize,
    entries: &[Vec<(usize, usize)>],
    theta: &[S],
    i: usize,
    j: usize,
) -> S {
    let entry = |row: usize, column: usize| {
        let mut found = S::constant(0.0);
        for (places, value) in entries.iter().zip(theta) {
            if places.contains(&(row, column)) {
                found = *value;
            }
        }
        found
    };
    let mut sum = S::constant(0.0);
    for c in 0..k {
        sum += entry(i, c) * entry(j, c);
    }
    sum
}

/// d2G = E_a E_b' + E_b E_a'.
pub fn second(k: usize, a: &[(usize, usize)], b: &[(usize, usize)]) -> Vec<f64> {
    let mut g = vec![0.0; k * k];
    for x in a {
        for y in b.iter().filter(|y| y.1 == x.1) {
            g[y.0 * k + x.0] += 1.0;
            g[x.0 * k + y.0] += 1.0;
        }
    }
    g
}

/// All parameters of a term are as large as its standard deviations.
pub fn scale(k: usize, theta: &[f64], natural: f64) -> Vec<f64> {
    let size = (theta.iter().map(|v| v * v).sum::<f64>() / k as f64).sqrt();
    vec![size.max(natural); theta.len()]
}

/// T + tau^2 v v' for any T.
pub fn with_variance(t: &[f64], k: usize, direction: &[f64], variance: f64) -> Vec<f64> {
    let mut g = vec![0.0; k * k];
    small::mul_nt(t, t, k, k, k, &mut g);
    for c in 0..k {
        for r in 0..k {
            g[c * k + r] += variance * direction[r] * direction[c];
        }
    }
    small::semidefinite_cholesky(&g, k, 1e-14)
}

/// Smallest eigenvalue of N'SN and the direction N v.
pub fn smallest_multiplier(score: &[f64], k: usize, null: &[Vec<f64>]) -> (f64, Vec<f64>) {
    let d = null.len();
    let mut projected = vec![0.0; d * d];
    for (a, x) in null.iter().enumerate() {
        for (b, y) in null.iter().enumerate() {
            projected[b * d + a] = (0..k)
                .map(|c| y[c] * (0..k).map(|r| x[r] * score[c * k + r]).sum::<f64>())
                .sum();
        }
    }
    let (values, vectors) = small::symmetric_eigen(&projected, d);
    let direction = (0..k)
        .map(|r| (0..d).map(|a| null[a][r] * vectors[a]).sum())
        .collect();
    (values[0], direction)
}

/// The i-th unit vector.
pub fn unit(k: usize, i: usize) -> Vec<f64> {
    (0..k).map(|r| f64::from(u8::from(r == i))).collect()
}
