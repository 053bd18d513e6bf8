//! The matrix kernels against textbook loops.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{close, Rng};
use ferrolmm_engine::linalg::sparse::{fill_reducing_order, Pattern};
use ferrolmm_engine::linalg::triangle::Triangle;
use ferrolmm_engine::linalg::{dense, small};
use ferrolmm_engine::runtime::parallel::Workers;
use ferrolmm_engine::runtime::stop::StopFlag;

fn two_workers() -> Workers {
    let workers = Workers::new(2, f64::INFINITY, &StopFlag::default());
    assert_eq!(workers.count(), 2);
    workers
}

/// A (r x c) times B (c x m), column-major.
fn product(a: &[f64], b: &[f64], r: usize, c: usize, m: usize) -> Vec<f64> {
    let mut out = vec![0.0; r * m];
    for j in 0..m {
        for k in 0..c {
            for i in 0..r {
                out[j * r + i] += a[k * r + i] * b[j * c + k];
            }
        }
    }
    out
}

/// Rows x columns of the other order.
fn transposed(a: &[f64], rows: usize) -> Vec<f64> {
    let columns = a.len() / rows.max(1);
    (0..a.len())
        .map(|e| a[(e % columns) * rows + e / columns])
        .collect()
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n)
        .map(|e| f64::from(u8::from(e % n == e / n)))
        .collect()
}

fn lower(a: &[f64], n: usize) -> Vec<f64> {
    (0..n * n)
        .map(|e| if e % n >= e / n { a[e] } else { 0.0 })
        .collect()
}

/// Symmetric, diagonally dominant: positive definite.
fn positive_definite(rng: &mut Rng, n: usize) -> Vec<f64> {
    let mut a = vec![0.0; n * n];
    for j in 0..n {
        for i in j..n {
            let value = if i == j {
                2.0 + n as f64 * rng.between(0.5, 1.5)
            } else {
                rng.between(-1.0, 1.0)
            };
            a[j * n + i] = value;
            a[i * n + j] = value;
        }
    }
    a
}

/// Starts of groups of one to three columns, and the order.
fn groups(rng: &mut Rng, n: usize) -> Vec<usize> {
    let mut offset = vec![0];
    while offset[offset.len() - 1] < n {
        let next = offset[offset.len() - 1] + 1 + (3.0 * rng.uniform()) as usize;
        offset.push(next.min(n));
    }
    offset
}

/// The lower triangle of a column-major matrix; the places above the diagonal hold NaN.
fn triangle_of(a: &[f64], offset: &[usize]) -> Triangle {
    let mut t = Triangle::zeros(offset);
    let n = t.order();
    t.data.fill(f64::NAN);
    for j in 0..n {
        let at = t.layout.column_start(j) + j - t.layout.first_row(j);
        t.data[at..at + n - j].copy_from_slice(&a[j * n + j..(j + 1) * n]);
    }
    t
}

/// All of a symmetric matrix, entry by entry.
fn whole(t: &Triangle) -> Vec<f64> {
    let n = t.order();
    (0..n * n).map(|e| t.entry(e % n, e / n)).collect()
}

const ORDERS: [usize; 13] = [1, 2, 31, 32, 33, 191, 192, 193, 194, 384, 385, 500, 700];

#[test]
fn triangle_cholesky_and_inverse() {
    let mut rng = Rng::new(500);
    for n in ORDERS {
        let a = positive_definite(&mut rng, n);
        let offset = groups(&mut rng, n);
        let mut bits: Vec<Vec<u64>> = Vec::new();
        for workers in [Workers::sequential(), two_workers()] {
            // only the lower triangle may be read
            let mut l = triangle_of(&a, &offset);
            assert!(l.cholesky(&workers), "{n}");
            let factor = lower(&whole(&l), n);
            // L L' x = A x for a few x, which is enough and cheap
            let x = rng.clone().normals(3 * n);
            let back = product(
                &factor,
                &product(&transposed(&factor, n), &x, n, n, 3),
                n,
                n,
                3,
            );
            close("L L'", &back, &product(&a, &x, n, n, 3), 1e-12);
            let log: f64 = (0..n).map(|j| factor[j * n + j].ln()).sum();
            close("log diagonal", &[l.log_diagonal()], &[log], 1e-13);
            let mut r = Triangle::default();
            l.inverse_of_product(&mut r, &workers);
            let inverse = whole(&r);
            let unit = product(&inverse, &product(&a, &x, n, n, 3), n, n, 3);
            close("A^-1 A x", &unit, &x, 1e-11);
            // again, into memory that holds an inverse already
            let before = r.data.clone();
            l.inverse_of_product(&mut r, &workers);
            assert!(before == r.data, "{n}: what stood there matters");
            for transpose in [false, true] {
                // rows of B are the unknowns
                let mut b = transposed(&x, n);
                l.solve_rows(&mut b, 3, transpose);
                let op = if transpose {
                    transposed(&factor, n)
                } else {
                    factor.clone()
                };
                let solved = transposed(&b, 3);
                close("solve", &product(&op, &solved, n, n, 3), &x, 1e-12);
            }
            bits.push(factor.iter().chain(&r.data).map(|v| v.to_bits()).collect());
        }
        assert!(bits[0] == bits[1], "{n}: the number of threads matters");
    }
}

#[test]
fn triangle_refuses_an_indefinite_matrix() {
    let mut rng = Rng::new(501);
    for (n, bad) in [(3, 1), (250, 249), (500, 10), (500, 450)] {
        for workers in [Workers::sequential(), two_workers()] {
            let mut a = positive_definite(&mut rng, n);
            a[bad * n + bad] = -1.0;
            let offset = groups(&mut rng, n);
            assert!(!triangle_of(&a, &offset).cholesky(&workers));
        }
    }
}

#[test]
fn triangle_columns_tiles_and_products() {
    let mut rng = Rng::new(503);
    for n in ORDERS {
        let offset = groups(&mut rng, n);
        let matrix = |rng: &mut Rng| {
            let a = positive_definite(rng, n);
            let mut t = triangle_of(&a, &offset);
            t.mirror();
            (a, t)
        };
        let ((a, s), (b, t)) = (matrix(&mut rng), matrix(&mut rng));
        assert!(whole(&s) == a);
        for columns in [0..n, n / 2..n.min(n / 2 + 17), n - 1..n] {
            let mut out = vec![f64::NAN; n * columns.len()];
            s.gather(columns.clone(), &mut out);
            assert!(
                out == a[columns.start * n..columns.end * n],
                "{n}: columns {columns:?}"
            );
        }
        let m = 5;
        let rows = rng.normals(m * n);
        let mut out = vec![f64::NAN; m * n];
        s.rows_times(&rows, m, &mut out);
        let expected = product(&transposed(&rows, n), &a, m, n, n);
        close("rows", &transposed(&out, n), &expected, 1e-12);
        let mut added = s.clone();
        added.add_product_of_rows(&rows, &rows, m, -0.5, &two_workers());
        let gram = product(&rows, &transposed(&rows, n), n, m, n);
        let expected: Vec<f64> = a.iter().zip(&gram).map(|(x, g)| x - 0.5 * g).collect();
        close("A'A", &whole(&added), &expected, 1e-12);
        let all = if n <= 200 || n == 500 {
            product(&a, &b, n, n, n)
        } else {
            Vec::new()
        };
        for i in 0..s.layout.strips() {
            for j in 0..s.layout.strips() {
                let (r, c) = (s.layout.columns(i), s.layout.columns(j));
                let of = |whole: &[f64]| -> Vec<f64> {
                    c.clone()
                        .flat_map(|c| whole[c * n + r.start..c * n + r.end].to_vec())
                        .collect()
                };
                let mut tile = vec![f64::NAN; r.len() * c.len()];
                s.copy_tile((i, j), &mut tile);
                assert!(tile == of(&a), "{n}: tile {i}, {j}");
                if i >= j && !all.is_empty() {
                    s.tile_of_product(&t, (i, j), &mut tile);
                    close("tile of a product", &tile, &of(&all), 1e-12);
                }
            }
        }
    }
}

#[test]
fn dense_products() {
    let mut rng = Rng::new(502);
    for (m, r, c) in [(1, 1, 1), (7, 3, 5), (40, 17, 9), (300, 60, 33)] {
        // row-major m x r is column-major r x m
        let (a, b) = (rng.normals(m * r), rng.normals(m * c));
        let mut out = rng.normals(r * c);
        let before = out.clone();
        dense::add_transposed_product(&a, &b, m, r, c, -0.5, &mut out);
        let expected: Vec<f64> = product(&a, &transposed(&b, c), r, m, c)
            .iter()
            .zip(&before)
            .map(|(p, b)| b - 0.5 * p)
            .collect();
        close("A'B", &out, &expected, 1e-13);
        let mut gram = vec![0.0; r * r];
        dense::add_gram(&a, m, r, 2.0, &mut gram);
        let expected: Vec<f64> = product(&a, &transposed(&a, r), r, m, r)
            .iter()
            .map(|v| 2.0 * v)
            .collect();
        close("A'A", &lower(&gram, r), &lower(&expected, r), 1e-13);
        let b = rng.normals(r * c);
        let mut out = vec![0.0; m * c];
        dense::rows_times(&a, &b, m, r, c, &mut out);
        let expected = product(&transposed(&a, r), &b, m, r, c);
        close("A B", &transposed(&out, c), &expected, 1e-13);
        let (left, right) = (rng.normals(r * m), rng.normals(c * m));
        let mut out = rng.normals(r * c);
        let before = out.clone();
        dense::add_outer(&left, &right, m, &mut out);
        let expected: Vec<f64> = product(&transposed(&left, m), &right, r, m, c)
            .iter()
            .zip(&before)
            .map(|(p, b)| b + p)
            .collect();
        close("A B'", &out, &expected, 1e-13);
        let a = positive_definite(&mut rng, r);
        let mut l = a.clone();
        for j in 0..r {
            l[j * r..j * r + j].fill(f64::NAN);
        }
        assert!(dense::cholesky(&mut l, r));
        let l = lower(&l, r);
        close("L L'", &product(&l, &transposed(&l, r), r, r, r), &a, 1e-13);
        let mut bad = a.clone();
        bad[r * r - 1] = -1.0;
        assert!(!dense::cholesky(&mut bad, r));
    }
}

/// A random pattern: sorted rows below the diagonal of each column.
fn random_pattern(rng: &mut Rng, n: usize, per_column: f64) -> Vec<Vec<u32>> {
    (0..n)
        .map(|j| {
            (j + 1..n)
                .filter(|_| rng.uniform() < per_column / n as f64)
                .map(|i| i as u32)
                .collect()
        })
        .collect()
}

/// The matrix on its pattern, dense, and its values on the pattern of the factor.
fn on_pattern(rng: &mut Rng, below: &[Vec<u32>], pattern: &Pattern) -> (Vec<f64>, Vec<f64>) {
    let n = below.len();
    let mut a = vec![0.0; n * n];
    for (j, rows) in below.iter().enumerate() {
        for &i in rows {
            let value = rng.between(-1.0, 1.0);
            a[j * n + i as usize] = value;
            a[i as usize * n + j] = value;
        }
    }
    for j in 0..n {
        a[j * n + j] = 1.0 + a[j * n..(j + 1) * n].iter().map(|v| v.abs()).sum::<f64>();
    }
    let mut values = vec![0.0; pattern.nnz()];
    for j in 0..n {
        for at in pattern.column_start[j]..pattern.column_start[j + 1] {
            values[at] = a[j * n + pattern.row[at] as usize];
        }
    }
    (a, values)
}

#[test]
fn sparse_factor_solves_and_selected_inverse() {
    let mut rng = Rng::new(503);
    for (n, per_column) in [
        (1, 0.0),
        (2, 2.0),
        (10, 0.0),
        (40, 1.5),
        (90, 3.0),
        (60, 60.0),
        // narrow and wide supernodes, below one another
        (200, 0.7),
        (300, 2.0),
    ] {
        let below = random_pattern(&mut rng, n, per_column);
        let pattern = Pattern::factorize(&below);
        assert_eq!(pattern.n, n);
        for (j, rows) in below.iter().enumerate() {
            let own = &pattern.row[pattern.column_start[j]..pattern.column_start[j + 1]];
            assert!(own[0] as usize == j && own.windows(2).all(|w| w[0] < w[1]));
            assert!(rows.iter().all(|i| own.contains(i)));
        }
        let (a, mut values) = on_pattern(&mut rng, &below, &pattern);
        let original = values.clone();
        let workers = Workers::sequential();
        assert!(pattern.cholesky(&mut values, &workers));
        let mut expected = a.clone();
        assert!(small::cholesky(&mut expected, n));
        let expected = lower(&expected, n);
        let mut factor = vec![0.0; n * n];
        for j in 0..n {
            for at in pattern.column_start[j]..pattern.column_start[j + 1] {
                factor[j * n + pattern.row[at] as usize] = values[at];
            }
        }
        close("sparse factor", &factor, &expected, 1e-13);
        let m = 3;
        let b = rng.normals(n * m);
        let mut x = b.clone();
        pattern.solve(&values, &mut x, m);
        pattern.solve_transposed(&values, &mut x, m);
        close(
            "A x",
            &product(&a, &transposed(&x, m), n, n, m),
            &transposed(&b, m),
            1e-12,
        );
        let inverse = small::inverse_from_cholesky(&expected, n);
        close(
            "A^-1 A",
            &product(&inverse, &a, n, n, n),
            &identity(n),
            1e-12,
        );
        let mut selected = Vec::new();
        pattern.selected_inverse(&values, &mut selected, &workers);
        for j in 0..n {
            for at in pattern.column_start[j]..pattern.column_start[j + 1] {
                let i = pattern.row[at] as usize;
                assert!(
                    (selected[at] - inverse[j * n + i]).abs() < 1e-12,
                    "[{i}, {j}]"
                );
            }
            let mut column = vec![0.0; n];
            pattern.scatter_symmetric(&selected, j, &mut column);
            for (i, value) in column.iter().enumerate() {
                assert!(*value == 0.0 || (value - inverse[j * n + i]).abs() < 1e-12);
            }
            assert!(column[j] > 0.0);
        }
        // not positive definite
        let mut bad = original;
        bad[pattern.column_start[n - 1]] = -1.0;
        assert!(!pattern.cholesky(&mut bad, &workers));
    }
}

#[test]
fn fill_reducing_order_is_a_permutation_that_reduces_fill() {
    // an arrow that points the wrong way: eliminating its head first fills everything
    let n = 200;
    let mut start = vec![0];
    let mut rows = Vec::new();
    for j in 0..n {
        if j == 0 {
            rows.extend(1..n);
        } else {
            rows.push(0);
        }
        start.push(rows.len());
    }
    let order = fill_reducing_order(n, &start, &rows);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq(0..n));
    let mut position = vec![0; n];
    for (new, old) in order.iter().enumerate() {
        position[*old] = new;
    }
    let below: Vec<Vec<u32>> = order
        .iter()
        .enumerate()
        .map(|(new, old)| {
            let mut list: Vec<u32> = rows[start[*old]..start[*old + 1]]
                .iter()
                .map(|&l| position[l] as u32)
                .filter(|&l| l as usize > new)
                .collect();
            list.sort_unstable();
            list
        })
        .collect();
    assert_eq!(Pattern::factorize(&below).nnz(), 2 * n - 1);
}

#[test]
fn small_products_and_solves() {
    let mut rng = Rng::new(504);
    // the last one by blocked kernels
    for k in (1..8).chain([70]) {
        for (r, m) in [(k, k), (k, 1), (k, 5), (k + 2, 3), (1, 4)] {
            let (a, b) = (rng.normals(k * r), rng.normals(r * m));
            let mut out = vec![f64::NAN; k * m];
            small::mul_nn(&a, &b, k, r, m, &mut out);
            close("A B", &out, &product(&a, &b, k, r, m), 1e-14);
            out.fill(f64::NAN);
            small::mul_tn(&transposed(&a, k), &b, r, k, m, &mut out);
            close("A'B", &out, &product(&a, &b, k, r, m), 1e-14);
            out.fill(f64::NAN);
            small::mul_nt(&a, &transposed(&b, r), k, r, m, &mut out);
            close("A B'", &out, &product(&a, &b, k, r, m), 1e-14);
        }
        let a = positive_definite(&mut rng, k);
        let mut l = a.clone();
        assert!(small::cholesky(&mut l, k));
        let l = lower(&l, k);
        close("L L'", &product(&l, &transposed(&l, k), k, k, k), &a, 1e-14);
        close(
            "L L^-1",
            &product(&l, &small::invert_lower(&l, k), k, k, k),
            &identity(k),
            1e-14,
        );
        let inverse = small::inverse_from_cholesky(&l, k);
        close(
            "A A^-1",
            &product(&a, &inverse, k, k, k),
            &identity(k),
            1e-13,
        );
        let b = rng.normals(4 * k);
        for (transpose, op) in [(false, l.clone()), (true, transposed(&l, k))] {
            let mut x = b.clone();
            for column in x.chunks_exact_mut(k) {
                if transpose {
                    small::solve_lower_transposed(&l, k, column);
                } else {
                    small::solve_lower(&l, k, column);
                }
            }
            close("solve", &product(&op, &x, k, k, 4), &b, 1e-13);
            let mut rows = transposed(&b, k);
            if transpose {
                small::solve_lower_transposed_rows(&l, k, &mut rows, 4);
            } else {
                small::solve_lower_rows(&l, k, &mut rows, 4);
            }
            close("rows", &transposed(&rows, 4), &x, 1e-13);
        }
        let other = rng.normals(k * k);
        let trace: f64 = (0..k)
            .map(|i| product(&a, &other, k, k, k)[i * k + i])
            .sum();
        close(
            "trace",
            &[small::trace_product(&a, &other, k)],
            &[trace],
            1e-13,
        );
        let mut bad = a.clone();
        bad[k * k - 1] = -1.0;
        assert!(!small::cholesky(&mut bad, k));
    }
}

#[test]
fn semidefinite_cholesky_of_every_rank() {
    let mut rng = Rng::new(505);
    for k in 1..7 {
        for rank in 0..=k {
            let half = rng.normals(k * rank);
            let mut a = vec![0.0; k * k];
            if rank > 0 {
                a = product(&half, &transposed(&half, k), k, rank, k);
            }
            let l = small::semidefinite_cholesky(&a, k, 1e-12);
            close("L L'", &product(&l, &transposed(&l, k), k, k, k), &a, 1e-10);
            assert_eq!(l, lower(&l, k));
            let pivots = (0..k).filter(|i| l[i * k + i] > 0.0).count();
            assert_eq!(pivots, rank, "{k}: {l:?}");
        }
    }
    // a variance of zero before one that is not
    let l = small::semidefinite_cholesky(&[0.0, 0.0, 0.0, 4.0], 2, 1e-12);
    assert_eq!(l, [0.0, 0.0, 0.0, 2.0]);
}

#[test]
fn symmetric_eigenvalues_and_vectors() {
    let mut rng = Rng::new(506);
    // the last one by another algorithm
    for k in (1..12).chain([40]) {
        let mut a = positive_definite(&mut rng, k);
        // graded: rows and columns from 1 to 1e-8
        for e in 0..k * k {
            a[e] *= 10f64.powf(-8.0 * ((e % k) + (e / k)) as f64 / (2.0 * k as f64));
        }
        for shift in [0.0, 5.0] {
            let mut a = a.clone();
            (0..k).for_each(|i| a[i * k + i] -= shift);
            let (values, vectors) = small::symmetric_eigen(&a, k);
            assert!(values.windows(2).all(|w| w[0] <= w[1]));
            let gram = product(&transposed(&vectors, k), &vectors, k, k, k);
            close("V'V", &gram, &identity(k), 1e-13);
            let scaled: Vec<f64> = (0..k * k).map(|e| vectors[e] * values[e / k]).collect();
            close(
                "V D V'",
                &product(&scaled, &transposed(&vectors, k), k, k, k),
                &a,
                1e-13,
            );
        }
    }
    let (values, _) = small::symmetric_eigen(&[2.0, 1.0, 1.0, 2.0], 2);
    close("2 x 2", &values, &[1.0, 3.0], 1e-15);
    let (values, vectors) = small::symmetric_eigen(&[0.0; 9], 3);
    assert_eq!(values, [0.0; 3]);
    assert_eq!(vectors, identity(3));
}

#[test]
fn products_of_triangles_and_solves_of_any_size() {
    use small::Shape;
    let mut rng = Rng::new(508);
    for k in [1, 3, 48, 49, 130] {
        let shaped = |rng: &mut Rng, shape: Shape| {
            let full = rng.normals(k * k);
            match shape {
                Shape::Full => full,
                Shape::Lower => lower(&full, k),
                Shape::Upper => transposed(&lower(&full, k), k),
            }
        };
        let symmetric = positive_definite(&mut rng, k);
        for left in [Shape::Full, Shape::Lower, Shape::Upper] {
            let a = shaped(&mut rng, left);
            for right in [Shape::Full, Shape::Lower, Shape::Upper] {
                let b = shaped(&mut rng, right);
                let expected = product(&a, &b, k, k, k);
                let (at, bt) = (transposed(&a, k), transposed(&b, k));
                for (turn_a, turn_b) in [(false, false), (true, false), (false, true)] {
                    let a = if turn_a { &at } else { &a };
                    let b = if turn_b { &bt } else { &b };
                    let mut out = vec![f64::NAN; k * k];
                    let (a, b) = ((&**a, left, turn_a), (&**b, right, turn_b));
                    small::mul_shaped(a, b, k, false, &mut out);
                    close("A B", &out, &expected, 1e-12);
                }
            }
            let expected = product(
                &transposed(&a, k),
                &product(&symmetric, &a, k, k, k),
                k,
                k,
                k,
            );
            for (l, turned) in [(a.clone(), false), (transposed(&a, k), true)] {
                let mut out = vec![f64::NAN; k * k];
                small::congruence((&l, left, turned), &symmetric, k, &mut out);
                close("L' B L", &out, &expected, 1e-12);
            }
        }
        // a factor among more rows and columns than are solved with
        let order = k + 2;
        let mut l = positive_definite(&mut rng, order);
        assert!(small::cholesky(&mut l, order));
        let x = rng.normals(7 * k);
        let own: Vec<f64> = (0..k * k).map(|e| l[(e / k) * order + e % k]).collect();
        let mut b = product(&lower(&own, k), &x, k, k, 7);
        dense::solve_columns(&l, order, k, &mut b);
        close("L^-1 B", &b, &x, 1e-12);
        let mut turned = vec![0.0; 7 * k];
        small::transpose(&x, k, &mut turned);
        assert!(turned == transposed(&x, k));
    }
}
