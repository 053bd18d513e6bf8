//! Vectors side by side: an entry of a matrix is read once for all of them.

/// Vectors side by side.
pub const LANES: usize = 8;

/// One entry of each of them.
pub type Lane = [f64; LANES];

/// Columns `from..` of row-major rows, with zeros where there are none.
#[must_use]
pub fn lanes(rows: &[f64], m: usize, from: usize) -> Vec<Lane> {
    let width = LANES.min(m - from);
    rows.chunks_exact(m)
        .map(|row| {
            let mut lane = [0.0; LANES];
            lane[..width].copy_from_slice(&row[from..from + width]);
            lane
        })
        .collect()
}

/// sum += w x.
#[inline(always)]
pub(super) fn add(sum: &mut Lane, w: f64, x: &Lane) {
    for (s, x) in sum.iter_mut().zip(x) {
        *s += w * x;
    }
}

/// Sum of w times the entry of x in its row.
#[inline(always)]
pub(super) fn weighted_sum(w: &[f64], rows: &[u32], x: &[Lane]) -> Lane {
    let mut sum = [0.0; LANES];
    for (w, &row) in w.iter().zip(rows) {
        add(&mut sum, *w, &x[row as usize]);
    }
    sum
}

/// out -= B x for a block of k rows, column-major.
#[inline(always)]
pub(super) fn subtract(out: &mut [Lane], b: &[f64], k: usize, x: &[Lane]) {
    for (column, x) in b.chunks_exact(k).zip(x) {
        for (target, b) in out.iter_mut().zip(column) {
            add(target, -b, x);
        }
    }
}

pub(super) fn sum_lanes(parts: Vec<Vec<Lane>>, n: usize) -> Vec<Lane> {
    let mut total = vec![[0.0; LANES]; n];
    for part in parts {
        for (x, y) in total.iter_mut().zip(&part) {
            add(x, 1.0, y);
        }
    }
    total
}

/// total[c k + i] += a_i b_c for row-major a and b (k x LANES).
pub(super) fn outer(a: &[f64], b: &[f64], k: usize, total: &mut [Lane]) {
    for c in 0..k {
        for i in 0..k {
            let (x, y) = (
                &a[i * LANES..(i + 1) * LANES],
                &b[c * LANES..(c + 1) * LANES],
            );
            for ((t, x), y) in total[c * k + i].iter_mut().zip(x).zip(y) {
                *t += x * y;
            }
        }
    }
}

/// B <- L^-T B for column-major lanes.
pub(super) fn divide(l: &[f64], k: usize, b: &mut [Lane]) {
    for column in b.chunks_exact_mut(k) {
        for i in (0..k).rev() {
            let mut x = column[i];
            (i + 1..k).for_each(|m| add(&mut x, -l[i * k + m], &column[m]));
            column[i] = x.map(|x| x / l[i * k + i]);
        }
    }
}

/// B <- L^-T B L^-1 for symmetric column-major lanes.
pub(super) fn divide_both(l: &[f64], k: usize, b: &mut [Lane]) {
    for _ in 0..2 {
        divide(l, k, b);
        for c in 0..k {
            for i in c + 1..k {
                b.swap(c * k + i, i * k + c);
            }
        }
    }
}

/// own += W B W' for one level's k1 x k block W = `w` and lanes of k x k blocks B.
pub(super) fn add_weighted(w: &[f64], k: usize, k1: usize, b: &[Lane], own: &mut [Lane]) {
    for c in 0..k {
        for a in 0..k {
            for j in 0..k1 {
                for i in 0..k1 {
                    add(
                        &mut own[j * k1 + i],
                        w[a * k1 + i] * w[c * k1 + j],
                        &b[c * k + a],
                    );
                }
            }
        }
    }
}
