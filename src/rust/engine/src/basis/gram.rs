//! Cross-products of X and the response, by blocks of rows.

use std::ops::Range;

use crate::api::model::{Column, ModelData};
use crate::linalg::dense;
use crate::linalg::row_sums::{self, dot};
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;

/// Rows handled at once: they stay in the cache.
const ROWS: usize = 512;

/// Columns from which it is worth looking whether rows are mostly zero, as those of a factor with many levels are.
const MANY: usize = 48;

/// How much longer a product of single entries takes than one within a matrix product.
const SINGLE: usize = 16;

/// Rows of one piece of work.
const PIECE: usize = 65_536;

/// Rows `range` of W^{1/2} X into row-major `out` with `stride` values a row.
pub fn weighted_rows(data: &ModelData<'_>, range: Range<usize>, stride: usize, out: &mut [f64]) {
    for (j, column) in data.x.iter().enumerate() {
        column.visit(range.clone(), out.chunks_exact_mut(stride), |row, value| {
            row[j] = value;
        });
    }
    if let Some(w) = data.weights {
        for (row, weight) in out.chunks_exact_mut(stride).zip(&w[range]) {
            let root = weight.sqrt();
            row[..data.p].iter_mut().for_each(|v| *v *= root);
        }
    }
}

/// (W^{1/2} [X y])'(W^{1/2} [X y]) with y less the offset; (p + 1) x (p + 1), both triangles. A block of rows at a time,
/// column by column.
#[must_use]
pub fn gram_with_response(data: &ModelData<'_>, workers: &Workers) -> Vec<f64> {
    let (n, p1) = (data.rows(), data.p + 1);
    let work = pieces(n, PIECE);
    let parts = workers.map(work.len(), |piece| {
        let mut total = memory::zeros(p1 * p1);
        let mut block = memory::zeros(ROWS.min(n) * p1);
        let mut entries = Entries::default();
        for start in work[piece].clone().step_by(ROWS) {
            workers.check();
            let range = start..(start + ROWS).min(work[piece].end);
            let m = range.len();
            let block = &mut block[..m * p1];
            weighted_columns(data, range, block);
            if p1 > MANY && entries.take(block, m) {
                entries.add_gram(p1, &mut total);
            } else if p1 > row_sums::FEW {
                dense::add_gram_of_columns(block, m, p1, &mut total);
            } else {
                for j in 0..p1 {
                    let (column, rest) = block[j * m..].split_at(m);
                    total[j * p1 + j] += dot(column, column);
                    for (i, other) in (j + 1..p1).zip(rest.chunks_exact(m)) {
                        total[j * p1 + i] += dot(column, other);
                    }
                }
            }
        }
        total
    });
    let mut total = memory::zeros(p1 * p1);
    for part in parts {
        total.iter_mut().zip(&part).for_each(|(a, b)| *a += b);
    }
    for j in 0..p1 {
        for i in j + 1..p1 {
            total[i * p1 + j] = total[j * p1 + i];
        }
    }
    total
}

/// Rows `range` of W^{1/2} [X y], y less the offset, into `out`, column after column.
fn weighted_columns(data: &ModelData<'_>, range: Range<usize>, out: &mut [f64]) {
    let m = range.len();
    let (x, y) = out.split_at_mut(m * data.p);
    for (column, to) in data.x.iter().zip(x.chunks_exact_mut(m)) {
        match column {
            Column::Values(v) => to.copy_from_slice(&v[range.clone()]),
            _ => column.visit(range.clone(), to.iter_mut(), |to, value| *to = value),
        }
    }
    y.copy_from_slice(&data.y[range.clone()]);
    if let Some(offset) = data.offset {
        y.iter_mut()
            .zip(&offset[range.clone()])
            .for_each(|(y, o)| *y -= o);
    }
    if let Some(w) = data.weights {
        let roots: Vec<f64> = w[range].iter().map(|w| w.sqrt()).collect();
        for column in out.chunks_exact_mut(m) {
            column
                .iter_mut()
                .zip(&roots)
                .for_each(|(v, root)| *v *= root);
        }
    }
}

/// The entries of some rows that are not zero.
#[derive(Default)]
struct Entries {
    /// Where each row starts among them, and their number.
    start: Vec<usize>,
    column: Vec<u32>,
    value: Vec<f64>,
}

impl Entries {
    /// Takes the entries of `m` rows given column after column, where there are so few that cross-products are taken faster one by one.
    fn take(&mut self, block: &[f64], m: usize) -> bool {
        let p = block.len() / m;
        let mut count = vec![0usize; m];
        for column in block.chunks_exact(m) {
            for (count, value) in count.iter_mut().zip(column) {
                *count += usize::from(*value != 0.0);
            }
        }
        let products: usize = count.iter().map(|c| c * c).sum();
        if products * SINGLE > m * p * p {
            return false;
        }
        self.start.clear();
        let mut next = 0;
        for count in &mut count {
            self.start.push(next);
            next += std::mem::replace(count, next);
        }
        self.start.push(next);
        self.column.resize(next, 0);
        self.value.resize(next, 0.0);
        for (j, column) in block.chunks_exact(m).enumerate() {
            for (at, value) in count.iter_mut().zip(column) {
                if *value != 0.0 {
                    self.column[*at] = j as u32;
                    self.value[*at] = *value;
                    *at += 1;
                }
            }
        }
        true
    }

    /// Lower triangle of `total` (p x p) += rows' rows.
    fn add_gram(&self, p: usize, total: &mut [f64]) {
        for row in self.start.windows(2) {
            let (columns, values) = (&self.column[row[0]..row[1]], &self.value[row[0]..row[1]]);
            for (a, (j, x)) in columns.iter().zip(values).enumerate() {
                let total = &mut total[*j as usize * p..(*j as usize + 1) * p];
                for (i, y) in columns[a..].iter().zip(&values[a..]) {
                    total[*i as usize] += x * y;
                }
            }
        }
    }
}
