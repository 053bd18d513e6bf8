//! Products, solves and Cholesky factors of small, dense and sparse matrices in numbers of twice the digits.

use crate::linalg::double2::Double2;
use crate::linalg::sparse::Pattern;
use crate::linalg::strip_layout::StripLayout;
use crate::runtime::parallel::Workers;

/// Columns between two looks at the stop flag.
pub(crate) const COLUMNS: usize = 16;

/// to <- to - c from.
pub(crate) fn subtract_times(to: &mut [Double2], c: Double2, from: &[Double2]) {
    if c == Double2::default() {
        return;
    }
    to.iter_mut().zip(from).for_each(|(x, y)| *x = *x - c * *y);
}

/// B <- L^-1 B for row-major B with m columns.
pub(crate) fn solve_lower_rows(
    n: usize,
    m: usize,
    l: impl Fn(usize, usize) -> Double2,
    b: &mut [Double2],
) {
    for j in 0..n {
        let (before, later) = b.split_at_mut((j + 1) * m);
        let own = &mut before[j * m..];
        own.iter_mut().for_each(|x| *x = x.over(l(j, j)));
        for (i, row) in (j + 1..n).zip(later.chunks_exact_mut(m)) {
            subtract_times(row, l(i, j), own);
        }
    }
}

pub(crate) fn together(high: &[f64], low: &[f64]) -> Vec<Double2> {
    let pairs = high.iter().zip(low);
    pairs.map(|(&high, &low)| Double2 { high, low }).collect()
}

pub(crate) fn transposed(a: &[Double2], rows: usize, columns: usize) -> Vec<Double2> {
    (0..rows * columns)
        .map(|e| a[(e % columns) * rows + e / columns])
        .collect()
}

/// A <- A T for a column-major block of `rows` rows, T k x k lower triangular.
pub(crate) fn times_t(a: &mut [Double2], rows: usize, t: &[f64], k: usize) {
    for c in 0..k {
        for i in 0..rows {
            let mut sum = Double2::default();
            for b in c..k {
                sum += a[b * rows + i] * Double2::from(t[c * k + b]);
            }
            a[c * rows + i] = sum;
        }
    }
}

/// A <- T'A for a column-major block of k rows.
pub(crate) fn t_times(t: &[f64], k: usize, a: &mut [Double2], columns: usize) {
    for column in a.chunks_exact_mut(k).take(columns) {
        for c in 0..k {
            let mut sum = Double2::default();
            for b in c..k {
                sum += column[b] * Double2::from(t[c * k + b]);
            }
            column[c] = sum;
        }
    }
}

/// Cholesky factor of a column-major block in its place, lower triangle; above it zeros.
pub(crate) fn cholesky_of_block(a: &mut [Double2], k: usize) -> Option<()> {
    for j in 0..k {
        for m in 0..j {
            let l = a[m * k + j];
            for i in j..k {
                a[j * k + i] = a[j * k + i] - l * a[m * k + i];
            }
            a[j * k + m] = Double2::default();
        }
        scale_column(&mut a[j * k + j..(j + 1) * k])?;
    }
    Some(())
}

/// A column from its diagonal on, divided by the root of the diagonal; `None` where there is none.
fn scale_column(column: &mut [Double2]) -> Option<()> {
    let diagonal = column.first_mut()?;
    if !(diagonal.high > 0.0 && diagonal.high.is_finite()) {
        return None;
    }
    let root = diagonal.root();
    *diagonal = root;
    column[1..].iter_mut().for_each(|x| *x = x.over(root));
    Some(())
}

/// x <- L^-1 x.
pub(crate) fn solve_lower(l: &[Double2], k: usize, x: &mut [Double2]) {
    for i in 0..k {
        for m in 0..i {
            x[i] = x[i] - l[m * k + i] * x[m];
        }
        x[i] = x[i].over(l[i * k + i]);
    }
}

/// Cholesky factor of a lower triangle in its place, column after column; entries that are zero are passed by.
pub(crate) fn cholesky_of_triangle(
    layout: &StripLayout,
    a: &mut [Double2],
    workers: &Workers,
) -> Option<()> {
    let n = layout.order();
    let place = |i: usize, j: usize| layout.column_start(j) + i - layout.first_row(j);
    for j in 0..n {
        if j % COLUMNS == 0 {
            workers.check();
        }
        let start = place(j, j);
        let (before, own) = a.split_at_mut(start);
        let own = &mut own[..n - j];
        for m in 0..j {
            let at = place(j, m);
            let l = before[at];
            if l != Double2::default() {
                let other = &before[at..at + own.len()];
                own.iter_mut()
                    .zip(other)
                    .for_each(|(x, y)| *x = *x - l * *y);
            }
        }
        scale_column(own)?;
    }
    Some(())
}

/// Cholesky factor on the pattern of a sparse factor, in its place.
pub(crate) fn cholesky_of_pattern(
    pattern: &Pattern,
    a: &mut [Double2],
    workers: &Workers,
) -> Option<()> {
    let mut work = vec![Double2::default(); pattern.n];
    for j in 0..pattern.n {
        if j % COLUMNS == 0 {
            workers.check();
        }
        let range = pattern.column_start[j]..pattern.column_start[j + 1];
        for (value, &row) in a[range.clone()].iter().zip(&pattern.row[range.clone()]) {
            work[row as usize] = *value;
        }
        for (position, end) in pattern.updates(j) {
            let l = a[position];
            for (value, &row) in a[position..end].iter().zip(&pattern.row[position..end]) {
                let x = &mut work[row as usize];
                *x = *x - l * *value;
            }
        }
        for (value, &row) in a[range.clone()].iter_mut().zip(&pattern.row[range.clone()]) {
            *value = work[row as usize];
        }
        scale_column(&mut a[range])?;
    }
    Some(())
}
