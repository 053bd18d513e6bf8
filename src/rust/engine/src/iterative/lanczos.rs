//! Gauss quadrature of b'f(A)b / b'b from Lanczos' tridiagonal matrix (Golub & Meurant 2010; Ubaru, Chen & Saad 2017, SIAM J.
//! Matrix Anal. Appl. 38): nodes are its eigenvalues, weights the squares of the first entries of its eigenvectors.

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
    let mut first = vec![0.0; n];
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
}
