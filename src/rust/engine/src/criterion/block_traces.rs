//! Traces of products of small blocks with symmetric matrices, for all pairs of these at once.

use crate::criterion::direction::dot;
use crate::linalg::small;
use crate::runtime::parallel::Workers;
use crate::runtime::workspace::Buffer;

/// Sums over blocks N (r x c) of tr(K N L N') for some symmetric K (r x r) and L (c x c).
///
/// Where these are many, as a bilinear form in their lower triangles, so that each block is looked at once: the coefficient of
/// K_ij L_kl is (N_jk N_il + N_jl N_ik) / 2, for each order of i and j and of k and l. Where they are few, one by one.
pub(super) struct BlockTraces<'a, K, L> {
    workers: &'a Workers,
    r: usize,
    c: usize,
    of_rows: K,
    of_columns: L,
    /// The form, column by column, one for each entry of L; empty where it is not used.
    form: Buffer<'a>,
    /// K N and N L of one block otherwise.
    products: [Buffer<'a>; 2],
}

/// Entries of the lower triangle of a k x k matrix.
fn lower_entries(k: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..k).flat_map(move |j| (j..k).map(move |i| (i, j)))
}

/// Numbers in the lower triangle of a k x k matrix.
const fn triangle(k: usize) -> usize {
    k * (k + 1) / 2
}

/// Multiply-adds for one block: of the form, and one by one.
pub(super) fn block_work(
    (r, c): (usize, usize),
    (rows, columns): (usize, usize),
) -> (usize, usize) {
    let products = rows * r * r * c + columns * r * c * c;
    (
        2 * triangle(r) * triangle(c),
        products + rows * columns * r * c,
    )
}

impl<'a, 'b, K, L> BlockTraces<'a, K, L>
where
    K: Iterator<Item = &'b [f64]> + Clone,
    L: Iterator<Item = &'b [f64]> + Clone,
{
    pub fn new(
        workers: &'a Workers,
        (r, of_rows): (usize, K),
        (c, of_columns): (usize, L),
    ) -> Self {
        let (rows, columns) = (of_rows.clone().count(), of_columns.clone().count());
        let (of_form, one_by_one) = block_work((r, c), (rows, columns));
        let by_form = of_form <= one_by_one;
        let size = |count: usize| if by_form { 0 } else { count * r * c };
        let form = if by_form {
            triangle(r) * triangle(c)
        } else {
            0
        };
        Self {
            workers,
            r,
            c,
            form: workers.buffer(form),
            products: [workers.buffer(size(rows)), workers.buffer(size(columns))],
            of_rows,
            of_columns,
        }
    }

    /// Adds `sign` times the traces with one block, column-major; `out` has those with one L after another.
    pub fn add(&mut self, n: &[f64], sign: f64, out: &mut [f64]) {
        let (r, c) = (self.r, self.c);
        if !self.form.is_empty() {
            self.add_to_form(n, sign);
            return;
        }
        let [left, right] = &mut self.products;
        let rows = left.len() / (r * c);
        for (to, k) in left.chunks_exact_mut(r * c).zip(self.of_rows.clone()) {
            small::mul_nn(k, n, r, r, c, to);
        }
        for (to, l) in right.chunks_exact_mut(r * c).zip(self.of_columns.clone()) {
            small::mul_nn(n, l, r, c, c, to);
        }
        for (out, y) in out
            .chunks_exact_mut(rows.max(1))
            .zip(right.chunks_exact(r * c))
        {
            for (value, x) in out.iter_mut().zip(left.chunks_exact(r * c)) {
                *value += sign * dot(x, y);
            }
        }
    }

    fn add_to_form(&mut self, n: &[f64], sign: f64) {
        let r = self.r;
        let half = 0.5 * sign;
        let entries = self.form.chunks_exact_mut(triangle(r));
        for (own, (k, l)) in entries.zip(lower_entries(self.c)) {
            let (at_k, at_l) = (&n[k * r..(k + 1) * r], &n[l * r..(l + 1) * r]);
            let mut rest = own;
            for j in 0..r {
                let (column, later) = rest.split_at_mut(r - j);
                let (x, y) = (half * at_k[j], half * at_l[j]);
                for ((value, a), b) in column.iter_mut().zip(&at_l[j..]).zip(&at_k[j..]) {
                    *value += x * a + y * b;
                }
                rest = later;
            }
        }
    }

    /// What is not in `out` yet.
    pub fn finish(self, out: &mut [f64]) {
        if self.form.is_empty() {
            return;
        }
        let lower = |matrices: &mut dyn Iterator<Item = &'b [f64]>, k: usize, out: &mut [f64]| {
            for (to, matrix) in out.chunks_exact_mut(triangle(k)).zip(matrices) {
                for (value, (i, j)) in to.iter_mut().zip(lower_entries(k)) {
                    *value = matrix[j * k + i] * if i == j { 1.0 } else { 2.0 };
                }
            }
        };
        let (r, c) = (triangle(self.r), triangle(self.c));
        let rows = self.of_rows.clone().count();
        let columns = self.of_columns.clone().count();
        let workers = self.workers;
        let [mut left, mut right] = [workers.buffer(rows * r), workers.buffer(columns * c)];
        lower(&mut self.of_rows.clone(), self.r, &mut left);
        lower(&mut self.of_columns.clone(), self.c, &mut right);
        let mut half = workers.buffer(r * columns);
        small::mul_nn(&self.form, &right, r, c, columns, &mut half);
        small::mul_tn(&left, &half, r, rows, columns, out);
    }
}
