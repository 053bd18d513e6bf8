//! Sums over the rows of row-major matrices.

use crate::linalg::dense;

/// Columns up to which plain loops are faster than a matrix product.
pub const FEW: usize = 8;

/// Inner product in lanes: the same on every machine, and vectorised.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a.remainder().iter().zip(b.remainder());
    let rest: f64 = rest.map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for l in 0..8 {
            lanes[l] += x[l] * y[l];
        }
    }
    let half: [f64; 4] = std::array::from_fn(|l| lanes[l] + lanes[l + 4]);
    (half[0] + half[2]) + (half[1] + half[3]) + rest
}

/// Lower triangle of `total` += rows' rows.
pub fn accumulate_gram(rows: &[f64], width: usize, total: &mut [f64]) {
    match width {
        0 => {}
        1 => few_columns::<1>(rows, total),
        2 => few_columns::<2>(rows, total),
        3 => few_columns::<3>(rows, total),
        4 => few_columns::<4>(rows, total),
        5 => few_columns::<5>(rows, total),
        6 => few_columns::<6>(rows, total),
        7 => few_columns::<7>(rows, total),
        FEW => few_columns::<FEW>(rows, total),
        _ => dense::add_gram(rows, rows.len() / width, width, 1.0, total),
    }
}

/// [`accumulate_gram`] of `W` columns, unrolled.
fn few_columns<const W: usize>(rows: &[f64], total: &mut [f64]) {
    let mut sums = [[0.0; W]; W];
    for (sum, column) in sums.iter_mut().zip(total.chunks_exact(W)) {
        sum.copy_from_slice(column);
    }
    for row in rows.chunks_exact(W) {
        for j in 0..W {
            for i in j..W {
                sums[j][i] += row[j] * row[i];
            }
        }
    }
    for (sum, column) in sums.iter().zip(total.chunks_exact_mut(W)) {
        column.copy_from_slice(sum);
    }
}
