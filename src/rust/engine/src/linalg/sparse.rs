//! Sparse Cholesky factor of the Schur complement and its selected inverse (Takahashi, Fagan & Chen 1973; Erisman & Tinney
//! 1975): the entries of the inverse on the pattern of the factor, which contains the pattern of the matrix.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::linalg::amd;
use faer::sparse::SymbolicSparseColMatRef;

use crate::runtime::stop::StopFlag;

/// Multiply-adds of the dense kernels for one of the sparse ones, as measured.
pub const DENSE_ADVANTAGE: f64 = 25.0;

/// Fill-reducing order of a symmetric pattern (both triangles given, columns sorted): `perm[new] = old`.
#[must_use]
pub fn fill_reducing_order(n: usize, column_start: &[usize], row: &[usize]) -> Vec<usize> {
    let mut perm = vec![0usize; n];
    let mut inverse = vec![0usize; n];
    let pattern = SymbolicSparseColMatRef::new_checked(n, n, column_start, None, row);
    let mut memory = MemBuffer::new(amd::order_scratch::<usize>(n, row.len()));
    match amd::order(
        &mut perm,
        &mut inverse,
        pattern,
        amd::Control::default(),
        MemStack::new(&mut memory),
    ) {
        Ok(_) => perm,
        Err(_) => (0..n).collect(),
    }
}

/// Pattern of a Cholesky factor, columns sorted, diagonal first; and the same by rows.
#[derive(Debug, Clone, Default)]
pub struct Pattern {
    /// Order of the matrix.
    pub n: usize,
    /// Start of each column.
    pub column_start: Vec<usize>,
    /// Row of each entry.
    pub row: Vec<u32>,
    /// Start of each row's strictly lower entries.
    row_start: Vec<usize>,
    /// Column of each such entry.
    row_column: Vec<u32>,
    /// Its position in `row`.
    row_position: Vec<usize>,
    /// First column of each supernode, and the end.
    pub(super) supernode: Vec<usize>,
    /// The supernode of each column.
    pub(super) supernode_of: Vec<u32>,
}

impl Pattern {
    /// Symbolic factorisation: column j of L holds the rows of column j of A and of the columns whose parent in the
    /// elimination tree is j (Davis 2006, section 4.1). `below[j]` = sorted rows > j of A.
    #[must_use]
    pub fn factorize(below: &[Vec<u32>]) -> Self {
        let all = f64::INFINITY;
        Self::factorize_within(below, all, &StopFlag::default())
            .unwrap_or_else(|| Self::with_rows(0, vec![0], Vec::new()))
    }

    /// Like [`Self::factorize`], but given up once the numeric factorisation is sure to take more multiply-adds than `limit`: a
    /// column with c entries leaves a full triangle of order c.
    #[must_use]
    pub fn factorize_within(below: &[Vec<u32>], limit: f64, stop: &StopFlag) -> Option<Self> {
        let n = below.len();
        let mut flops = 0.0;
        let mut columns: Vec<Vec<u32>> = Vec::with_capacity(n);
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); n];
        let mut mark = vec![usize::MAX; n];
        for j in 0..n {
            stop.check();
            let mut rows = Vec::new();
            mark[j] = j;
            for &i in &below[j] {
                if mark[i as usize] != j {
                    mark[i as usize] = j;
                    rows.push(i);
                }
            }
            for &child in &children[j] {
                for &i in &columns[child] {
                    if mark[i as usize] != j {
                        mark[i as usize] = j;
                        rows.push(i);
                    }
                }
            }
            let count = rows.len() as f64;
            flops += 0.5 * (count + 1.0).powi(2);
            if flops + count.powi(3) / 6.0 > limit {
                return None;
            }
            rows.sort_unstable();
            if let Some(&parent) = rows.first() {
                children[parent as usize].push(j);
            }
            columns.push(rows);
        }
        let mut column_start = vec![0];
        let mut row = Vec::new();
        for (j, rows) in columns.iter().enumerate() {
            row.push(j as u32);
            row.extend_from_slice(rows);
            column_start.push(row.len());
        }
        Some(Self::with_rows(n, column_start, row))
    }

    fn with_rows(n: usize, column_start: Vec<usize>, row: Vec<u32>) -> Self {
        let mut row_start = vec![0usize; n + 1];
        for j in 0..n {
            for &i in &row[column_start[j] + 1..column_start[j + 1]] {
                row_start[i as usize + 1] += 1;
            }
        }
        for i in 0..n {
            row_start[i + 1] += row_start[i];
        }
        let mut next = row_start.clone();
        let mut row_column = vec![0u32; row.len() - n];
        let mut row_position = vec![0usize; row.len() - n];
        for j in 0..n {
            for position in column_start[j] + 1..column_start[j + 1] {
                let i = row[position] as usize;
                row_column[next[i]] = j as u32;
                row_position[next[i]] = position;
                next[i] += 1;
            }
        }
        let supernode = supernodes(&column_start, &row);
        let columns = supernode.windows(2).enumerate();
        let supernode_of = columns
            .flat_map(|(s, ends)| std::iter::repeat_n(s as u32, ends[1] - ends[0]))
            .collect();
        Self {
            n,
            column_start,
            row,
            row_start,
            row_column,
            row_position,
            supernode,
            supernode_of,
        }
    }

    /// Entries of the factor.
    #[must_use]
    pub fn nnz(&self) -> usize {
        self.row.len()
    }

    /// Multiply-adds of one numeric factorisation.
    #[must_use]
    pub fn flops(&self) -> f64 {
        self.column_start
            .windows(2)
            .map(|w| 0.5 * ((w[1] - w[0]) as f64).powi(2))
            .sum()
    }

    /// Where row j stands in each earlier column that holds it, and where that column ends: what column j of a factor is
    /// updated by.
    pub fn updates(&self, j: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let entries = self.earlier(j);
        entries.map(|(column, position)| (position, self.column_start[column + 1]))
    }

    /// The earlier columns that hold row j, and where it stands in each.
    pub(super) fn earlier(&self, j: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let entries = self.row_start[j]..self.row_start[j + 1];
        entries.map(|r| (self.row_column[r] as usize, self.row_position[r]))
    }

    /// Row-major B (n x m) <- L^-1 B.
    pub fn solve(&self, values: &[f64], b: &mut [f64], m: usize) {
        for j in 0..self.n {
            let (start, end) = (self.column_start[j], self.column_start[j + 1]);
            let (head, tail) = b.split_at_mut((j + 1) * m);
            let own = &mut head[j * m..];
            let d = 1.0 / values[start];
            own.iter_mut().for_each(|v| *v *= d);
            for position in start + 1..end {
                let i = self.row[position] as usize - j - 1;
                let factor = values[position];
                for (x, y) in tail[i * m..(i + 1) * m].iter_mut().zip(own.iter()) {
                    *x -= factor * y;
                }
            }
        }
    }

    /// Row-major B (n x m) <- L^-T B.
    pub fn solve_transposed(&self, values: &[f64], b: &mut [f64], m: usize) {
        for j in (0..self.n).rev() {
            let (start, end) = (self.column_start[j], self.column_start[j + 1]);
            let (head, tail) = b.split_at_mut((j + 1) * m);
            let own = &mut head[j * m..];
            for position in start + 1..end {
                let i = self.row[position] as usize - j - 1;
                let factor = values[position];
                for (x, y) in own.iter_mut().zip(&tail[i * m..(i + 1) * m]) {
                    *x -= factor * y;
                }
            }
            let d = 1.0 / values[start];
            own.iter_mut().for_each(|v| *v *= d);
        }
    }

    /// Calls `f(row, value)` for each entry of column j of the symmetric matrix given on the pattern.
    pub fn for_each_symmetric(&self, values: &[f64], j: usize, mut f: impl FnMut(usize, f64)) {
        for position in self.column_start[j]..self.column_start[j + 1] {
            f(self.row[position] as usize, values[position]);
        }
        for r in self.row_start[j]..self.row_start[j + 1] {
            f(self.row_column[r] as usize, values[self.row_position[r]]);
        }
    }

    /// Entry (i, j) of the symmetric matrix given on the pattern, if it is in the pattern.
    #[must_use]
    pub fn entry(&self, values: &[f64], i: usize, j: usize) -> Option<f64> {
        let (row, column) = (i.max(j), i.min(j));
        let range = self.column_start[column]..self.column_start[column + 1];
        let at = self.row[range.clone()].binary_search(&(row as u32)).ok()?;
        Some(values[range.start + at])
    }

    /// Writes column j of the symmetric matrix given on the pattern into `work` (only the entries in the pattern).
    pub fn scatter_symmetric(&self, values: &[f64], j: usize, work: &mut [f64]) {
        self.for_each_symmetric(values, j, |row, value| work[row] = value);
    }
}

/// First column of each supernode, neighbouring columns with the same rows below, and the end.
fn supernodes(column_start: &[usize], row: &[u32]) -> Vec<usize> {
    let n = column_start.len() - 1;
    let length = |j: usize| column_start[j + 1] - column_start[j];
    let mut first = vec![0];
    for j in 1..n {
        let follows = length(j - 1) == length(j) + 1 && row[column_start[j - 1] + 1] as usize == j;
        if !follows {
            first.push(j);
        }
    }
    if n > 0 {
        first.push(n);
    }
    first
}
