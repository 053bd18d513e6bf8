//! Gauss quadrature of b'f(A)b / b'b from Lanczos' tridiagonal matrix (Golub & Meurant 2010; Ubaru, Chen & Saad 2017, SIAM J.
//! Matrix Anal. Appl. 38): nodes are its eigenvalues, weights the squares of the first entries of its eigenvectors.

use crate::linalg::small;
use crate::runtime::memory;

/// A symmetric tridiagonal matrix.
#[derive(Debug, Clone, Default)]
pub struct Tridiagonal {
    diagonal: Vec<f64>,
    /// Below each diagonal entry; the last one leads out of the matrix.
    below: Vec<f64>,
}

impl Tridiagonal {
    /// One more row.
    pub fn push(&mut self, diagonal: f64, below: f64) {
        self.diagonal.push(diagonal);
        self.below.push(below);
    }

    /// The matrix, with the row that leads out of it, times x.
    fn times(&self, x: &[f64]) -> Vec<f64> {
        let mut out = memory::zeros(x.len() + 1);
        for (i, x) in x.iter().enumerate() {
            out[i] += self.diagonal[i] * x;
            out[i + 1] += self.below[i] * x;
            if i > 0 {
                out[i - 1] += self.below[i - 1] * x;
            }
        }
        out
    }
}

/// One term of the derivative of b'f(A)b / b'b: weight times x'dA x, where x is a combination of Lanczos' vectors.
#[derive(Debug, Clone)]
pub struct Term {
    /// The weight.
    pub weight: f64,
    /// x in Lanczos' vectors, of length one.
    pub x: Vec<f64>,
    /// A x in them, which takes one more.
    pub ax: Vec<f64>,
}

/// Terms whose weight is less than this times the largest do not count.
const NEGLIGIBLE: f64 = 1e-9;

/// The derivative of b'f(A)b / b'b in A. With A = sum_i l_i z_i z_i' it is
///
///   sum_ij f[l_i, l_j] (b'z_i)(b'z_j) z_i'dA z_j / b'b, f[x, y] = (f(x) - f(y)) / (x - y)
///
/// (Daleckii & Krein; Higham 2008, Functions of Matrices, theorem 3.11). A = V T V' on the Krylov space, where b = |b| V e_1,
/// makes that sum_ab H_ab v_a'dA v_b with H = Y (f[l_i, l_j] y_1i y_1j) Y' and T = Y diag(l) Y': exact for polynomials up to
/// the order of T. H = sum_c w_c x_c x_c' has few weights that count where f is smooth.
#[must_use]
pub fn derivative(matrix: &Tridiagonal, divided: impl Fn(f64, f64) -> f64) -> Vec<Term> {
    let n = matrix.diagonal.len();
    let mut dense = memory::zeros(n * n);
    for i in 0..n {
        dense[i * n + i] = matrix.diagonal[i];
        if i + 1 < n {
            dense[i * n + i + 1] = matrix.below[i];
            dense[(i + 1) * n + i] = matrix.below[i];
        }
    }
    let (nodes, y) = small::symmetric_eigen(&dense, n);
    let inner: Vec<f64> = memory::collect(
        (0..n * n).map(|e| divided(nodes[e % n], nodes[e / n]) * y[(e % n) * n] * y[(e / n) * n]),
    );
    let (mut half, mut h) = (memory::zeros(n * n), memory::zeros(n * n));
    small::mul_nn(&y, &inner, n, n, n, &mut half);
    small::mul_nt(&half, &y, n, n, n, &mut h);
    let (weights, vectors) = small::symmetric_eigen(&h, n);
    let largest = weights.iter().fold(0.0f64, |a, w| a.max(w.abs()));
    let counts = |w: f64| w.abs() > NEGLIGIBLE * largest;
    let mut terms: Vec<Term> = weights
        .into_iter()
        .zip(vectors.chunks_exact(n.max(1)))
        .filter(|(weight, _)| counts(*weight))
        .map(|(weight, x)| Term {
            weight,
            x: x.to_vec(),
            ax: matrix.times(x),
        })
        .collect();
    terms.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
    terms
}

/// sum of weights times f(nodes).
#[must_use]
pub fn quadrature(matrix: &Tridiagonal, f: impl Fn(f64) -> f64) -> f64 {
    let (nodes, weights) = nodes(matrix);
    nodes.iter().zip(weights).map(|(x, w)| w * f(*x)).sum()
}

/// Eigenvalues and squared first entries of the eigenvectors, by the implicit QL method (Golub & Welsch 1969, Math. Comp. 23).
fn nodes(matrix: &Tridiagonal) -> (Vec<f64>, Vec<f64>) {
    let n = matrix.diagonal.len();
    let mut d = matrix.diagonal.clone();
    let mut e = matrix.below.clone();
    let mut first = memory::zeros(n);
    if n == 0 {
        return (d, first);
    }
    first[0] = 1.0;
    e[n - 1] = 0.0;
    for l in 0..n {
        for _ in 0..60 {
            let m = (l..n - 1)
                .find(|&m| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs()))
                .unwrap_or(n - 1);
            if m == l {
                break;
            }
            let g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let root = g.hypot(1.0);
            let mut g = d[m] - d[l] + e[l] / (g + root.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut early = false;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let root = f.hypot(g);
                e[i + 1] = root;
                if root == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    early = true;
                    break;
                }
                s = f / root;
                c = g / root;
                let h = d[i + 1] - p;
                let turned = (d[i] - h) * s + 2.0 * c * b;
                p = s * turned;
                d[i + 1] = h + p;
                g = c * turned - b;
                let old = first[i + 1];
                first[i + 1] = s * first[i] + c * old;
                first[i] = c * first[i] - s * old;
            }
            if !early {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    first.iter_mut().for_each(|w| *w *= *w);
    (d, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadrature_of_a_small_matrix_is_exact() {
        let mut t = Tridiagonal::default();
        t.push(2.0, 0.5);
        t.push(1.5, 0.25);
        t.push(1.0, 7.0);
        // [T^-1]_11 of a 3 x 3 matrix by cofactors
        let det = 2.0 * (1.5 - 0.0625) - 0.5 * 0.5;
        assert!((quadrature(&t, |x| 1.0 / x) - (1.5 - 0.0625) / det).abs() < 1e-14);
        assert!((quadrature(&t, |_| 1.0) - 1.0).abs() < 1e-14);
        assert!((quadrature(&t, |x| x) - 2.0).abs() < 1e-14);
    }

    #[test]
    fn derivative_of_a_small_matrix_is_that_of_its_quadrature() {
        let matrix = |step: f64| {
            let mut t = Tridiagonal::default();
            t.push(2.0 + 0.3 * step, 0.5 - 0.2 * step);
            t.push(1.5 - 0.1 * step, 0.25 + 0.4 * step);
            t.push(1.0 + 0.7 * step, 0.0);
            t
        };
        let divided = |x: f64, y: f64| {
            if (x - y).abs() < 1e-12 {
                1.0 / x
            } else {
                (x / y).ln() / (x - y)
            }
        };
        let at = |step: f64| quadrature(&matrix(step), f64::ln);
        let found: f64 = derivative(&matrix(0.0), divided)
            .iter()
            .map(|term| {
                let x = &term.x;
                let own = 0.3 * x[0] * x[0] - 0.1 * x[1] * x[1] + 0.7 * x[2] * x[2];
                term.weight * (own + 2.0 * (0.4 * x[1] * x[2] - 0.2 * x[0] * x[1]))
            })
            .sum();
        let h = 1e-3;
        let expected = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        assert!((found - expected).abs() < 1e-10, "{found} {expected}");
        for term in derivative(&matrix(0.0), divided) {
            let first = 2.0 * term.x[0] + 0.5 * term.x[1];
            assert!((term.ax[0] - first).abs() < 1e-14 && term.ax.len() == 4);
        }
    }
}
