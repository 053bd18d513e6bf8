//! Compression: few rows that have the cross-product of many.
//!
//! Blocks of rows are replaced by the triangular factor of their orthogonal decomposition (modified Gram-Schmidt with column
//! pivoting, of which only the factor is kept), then the factors themselves, until no more is gained. The error is that of an
//! orthogonal decomposition: some units in the last place of each *column*, never of its square, so that quadratic forms in
//! nearly singular matrices stay what they were.

use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;

/// What is left of a column, relative to its norm, that is nothing but rounding.
const TOLERANCE: f64 = 1e-14;

/// At most half as many rows as `rows` (row-major, `k` columns) with the same cross-product; `None` where blocks of `block`
/// rows do not shrink to half.
pub(crate) fn condense(
    rows: &[f64],
    k: usize,
    block: usize,
    workers: &Workers,
) -> Option<Vec<f64>> {
    if k == 0 || block < 2 {
        return None;
    }
    let mut current = condense_blocks(rows, k, block, workers)?;
    while current.len() > 2 * k {
        match condense_blocks(&current, k, block, workers) {
            Some(fewer) => current = fewer,
            None => break,
        }
    }
    if current.is_empty() {
        memory::resize(&mut current, k);
    }
    (2 * current.len() <= rows.len()).then_some(current)
}

fn condense_blocks(rows: &[f64], k: usize, block: usize, workers: &Workers) -> Option<Vec<f64>> {
    let n = rows.len() / k;
    // blocks of one size, or nearly: a short last one would not shrink
    let size = n.div_ceil((n / block).max(1));
    let work = pieces(n, size);
    let parts = workers.map(work.len(), |piece| {
        let range = &work[piece];
        factor(
            rows[range.start * k..range.end * k].to_vec(),
            k,
            range.len() / 2,
        )
    });
    let mut out = Vec::new();
    for part in parts {
        out.extend(part?);
    }
    Some(out)
}

/// At most `k` rows with the cross-product of these, or the rows themselves.
pub(crate) fn triangle(rows: Vec<f64>, k: usize) -> Vec<f64> {
    factor(rows.clone(), k, k).unwrap_or(rows)
}

/// Rows r with r'r = a'a; `None` if there are more than `limit` of them.
fn factor(mut a: Vec<f64>, k: usize, limit: usize) -> Option<Vec<f64>> {
    let square = |norms: &mut Vec<f64>, row: &[f64]| {
        norms.iter_mut().zip(row).for_each(|(n, v)| *n += v * v);
    };
    let mut norms = memory::zeros(k);
    for row in a.chunks_exact(k) {
        square(&mut norms, row);
    }
    let total = norms.clone();
    let mut out = Vec::new();
    loop {
        let left = |j: usize| {
            if total[j] > 0.0 {
                norms[j] / total[j]
            } else {
                0.0
            }
        };
        let pivot = (0..k).max_by(|&i, &j| left(i).total_cmp(&left(j)))?;
        if left(pivot) <= TOLERANCE * TOLERANCE {
            return Some(out);
        }
        if out.len() == limit * k {
            return None;
        }
        let inverse = norms[pivot].sqrt().recip();
        let mut r = memory::zeros(k);
        for row in a.chunks_exact(k) {
            let q = row[pivot] * inverse;
            if q != 0.0 {
                r.iter_mut().zip(row).for_each(|(r, v)| *r += q * v);
            }
        }
        norms.fill(0.0);
        for row in a.chunks_exact_mut(k) {
            let q = row[pivot] * inverse;
            if q != 0.0 {
                row.iter_mut().zip(&r).for_each(|(v, r)| *v -= q * r);
            }
            row[pivot] = 0.0;
            square(&mut norms, row);
        }
        out.extend(r);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gram(rows: &[f64], k: usize) -> Vec<f64> {
        let mut out = vec![0.0; k * k];
        for row in rows.chunks_exact(k) {
            for i in 0..k {
                for j in 0..k {
                    out[i * k + j] += row[i] * row[j];
                }
            }
        }
        out
    }

    /// n rows of rank `rank`, columns of very different size.
    fn rows(n: usize, k: usize, rank: usize) -> Vec<f64> {
        let mut seed = 1u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        let basis: Vec<f64> = (0..rank * k).map(|_| next()).collect();
        let mut out = Vec::new();
        for _ in 0..n {
            let weight: Vec<f64> = (0..rank).map(|_| next()).collect();
            for j in 0..k {
                let value: f64 = (0..rank).map(|r| weight[r] * basis[r * k + j]).sum();
                out.push(value * 10f64.powi(3 * j as i32 - 6));
            }
        }
        out
    }

    #[test]
    fn the_cross_product_stays() {
        let k = 7;
        for rank in [1, 3, 7] {
            let all = rows(5000, k, rank);
            let few = condense(&all, k, 64, &Workers::sequential()).unwrap_or_default();
            assert_eq!(few.len(), rank * k, "rank {rank}");
            let (x, y) = (gram(&all, k), gram(&few, k));
            for i in 0..k {
                for j in 0..k {
                    let size = (x[i * k + i] * x[j * k + j]).sqrt();
                    assert!((x[i * k + j] - y[i * k + j]).abs() < 1e-13 * size);
                }
            }
        }
    }

    #[test]
    fn rows_that_do_not_shrink_are_left_alone() {
        let k = 7;
        let all = rows(20, k, 7);
        assert!(condense(&all, k, 10, &Workers::sequential()).is_none());
        assert!(condense(&[], k, 10, &Workers::sequential()).is_none());
    }

    #[test]
    fn rows_of_zeros_become_one() {
        let all = vec![0.0; 100];
        let few = condense(&all, 5, 8, &Workers::sequential()).unwrap_or_default();
        assert_eq!(few, vec![0.0; 5]);
    }
}
