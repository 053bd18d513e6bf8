//! What joint tests of many coefficients take long for: linear algebra with matrices of their number, which can be ended.

use crate::api::error::EngineError;
use crate::linalg::{dense, small};
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::partition::piece;

/// Rows handled at once.
const ROWS: usize = 64;

/// l'Vl of each row l of L (`k` x `r`), V being `r` x `r`; both column after column.
///
/// # Errors
/// [`EngineError::Dimension`] where lengths differ from these, [`EngineError::Interrupted`].
pub fn row_variances(
    rows: &[f64],
    v: &[f64],
    (k, r): (usize, usize),
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<f64>, EngineError> {
    if rows.len() != k * r || v.len() != r * r {
        return Err(EngineError::Dimension(
            "rows of a hypothesis must have an element for each coefficient".to_owned(),
        ));
    }
    interruptible(true, interrupt, |stop, _| {
        let mut out = memory::zeros(k);
        let mut some = memory::zeros(ROWS.min(k) * r);
        let mut product = memory::zeros(ROWS.min(k) * r);
        for at in 0..k.div_ceil(ROWS) {
            stop.check();
            let range = piece(k, ROWS, at);
            let m = range.len();
            for (i, row) in range.clone().zip(some.chunks_exact_mut(r.max(1))) {
                row.iter_mut()
                    .enumerate()
                    .for_each(|(j, value)| *value = rows[j * k + i]);
            }
            dense::rows_times(&some[..m * r], v, m, r, r, &mut product[..m * r]);
            let pairs = some
                .chunks_exact(r.max(1))
                .zip(product.chunks_exact(r.max(1)));
            for (variance, (row, times)) in out[range].iter_mut().zip(pairs) {
                *variance = row.iter().zip(times).map(|(a, b)| a * b).sum();
            }
        }
        Ok(out)
    })
}

/// Eigenvalues of a symmetric `n` x `n` matrix, ascending, and its eigenvectors, one a column.
///
/// # Errors
/// [`EngineError::Dimension`] where the length is not n^2, [`EngineError::Interrupted`].
pub fn eigen(
    a: &[f64],
    n: usize,
    interrupt: &dyn Fn() -> bool,
) -> Result<(Vec<f64>, Vec<f64>), EngineError> {
    if a.len() != n * n {
        return Err(EngineError::Dimension("a matrix must be square".to_owned()));
    }
    interruptible(true, interrupt, |stop, _| {
        let own = memory::copy(a);
        Ok(stop.wait_for(move || small::symmetric_eigen(&own, n)))
    })
}

#[cfg(test)]
mod tests {
    use super::{eigen, row_variances};

    #[test]
    fn quadratic_forms_are_those_of_plain_sums() {
        let (k, r) = (131, 7);
        let rows: Vec<f64> = (0..k * r).map(|i| ((i * i) % 23) as f64 - 11.0).collect();
        let v: Vec<f64> = (0..r * r)
            .map(|e| f64::from(u8::from(e / r == e % r)) + ((e / r) * (e % r)) as f64)
            .collect();
        let found = row_variances(&rows, &v, (k, r), &|| false).unwrap();
        for (i, value) in found.iter().enumerate() {
            let mut sum = 0.0;
            for a in 0..r {
                for b in 0..r {
                    sum += rows[a * k + i] * v[b * r + a] * rows[b * k + i];
                }
            }
            assert!((sum - value).abs() <= 1e-10 * sum.abs().max(1.0));
        }
        assert!(row_variances(&rows, &v, (k, r + 1), &|| false).is_err());
    }

    #[test]
    fn eigenvectors_belong_to_their_values() {
        let n = 40;
        let a: Vec<f64> = (0..n * n)
            .map(|e| 1.0 / (1.0 + (e / n) as f64 + (e % n) as f64))
            .collect();
        let (values, vectors) = eigen(&a, n, &|| false).unwrap();
        for (value, vector) in values.iter().zip(vectors.chunks_exact(n)) {
            for (i, x) in vector.iter().enumerate() {
                let product: f64 = (0..n).map(|j| a[j * n + i] * vector[j]).sum();
                assert!((product - value * x).abs() < 1e-12);
            }
        }
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
