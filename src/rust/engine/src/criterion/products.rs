//! Products of directions of the marginal covariance matrix with solutions: what average information and Kenward & Roger's
//! matrices are made of.
//!
//! For columns A with V^-1A = R^-1E, E = A - Z Lambda m, m = M^-1 Lambda'Z'R^-1A, each direction V_a gives A'V^-1 V_a V^-1 A and
//! each pair A'V^-1 V_a V^-1 V_b V^-1 A. For a random-effects term V_a = Z Lambda (K (x) kappa) Lambda'Z' and Lambda'Z'V^-1A =
//! K^-1 m (K^-1 the known precision of levels, or I), so that with w_a = kappa m and r_a = K^-1 w_a A'V^-1 V_a V^-1 A = m'r_a and
//! A'V^-1 V_a V^-1 V_b V^-1 A = w_a'r_b - r_a'M^-1 r_b. For a residual parameter V_a = R_a, with S_a = R^-1R_aR^-1E and r_a =
//! -Lambda'Z'S_a the same are E'S_a and S_a'R S_b - r_a'M^-1 r_b; and a mixed pair gives -r_a'M^-1 r_b as well, without a first
//! part.

use crate::criterion::direction::{apply_directions, Direction};
use crate::criterion::residual_directions::ResidualColumns;
use crate::runtime::parallel::Workers;
use crate::runtime::workspace::Buffer;
use crate::system::equations::{Factor, Rows, System};
use crate::system::precision_product;
use crate::system::right_hand_sides::gram;

/// Products for m directions (those of terms first) and c columns.
#[derive(Debug)]
pub(crate) struct Products<'a> {
    /// A'V^-1 V_a V^-1 A, c x c for each direction.
    pub single: Buffer<'a>,
    /// A'V^-1 V_a V^-1 V_b V^-1 A: mc x mc, direction by direction, lower triangle valid.
    pub double: Buffer<'a>,
    /// Lx^-1 Q'V^-1 V_a V^-1 A: p values for each column of each direction.
    pub fixed: Buffer<'a>,
    /// Columns in all, m c.
    pub width: usize,
    /// Columns of A.
    pub c: usize,
    /// Columns of Q.
    pub p: usize,
}

/// `modes` is m, `h` = M^-1 Lambda'Z'R^-1Q Lx^-T.
pub(crate) fn products<'a>(
    system: &'a System,
    factor: &Factor,
    h: &Rows,
    directions: &[Direction],
    modes: &Rows,
    residual: Option<&ResidualColumns<'_>>,
) -> Products<'a> {
    let (c, p) = (modes.m, h.m);
    let workers = &system.workers;
    let rows = apply_directions(system, directions, modes);
    let (mut rows, mut double) = weighted(system, rows);
    let mut single = singles(workers, modes, &rows, directions.len());
    let of_terms = rows.m;
    let mut fixed_rows = Vec::new();
    if let Some(columns) = residual {
        let found = columns.part.directions(columns, system, factor, c);
        double = widened(workers, (&double, of_terms), (&found.own, found.rows.m));
        rows = side_by_side(workers, &rows, &found.rows);
        single = joined(workers, &single, &found.single);
        fixed_rows = found.fixed;
    }
    let mut fixed = cross(workers, h, &rows);
    for (at, value) in fixed_rows.iter().enumerate() {
        fixed[of_terms * p + at] += value;
    }
    factor.forward(system, &mut rows);
    for (x, y) in double.iter_mut().zip(gram(system, &rows).iter()) {
        *x -= y;
    }
    Products {
        single,
        double,
        fixed,
        width: rows.m,
        c,
        p,
    }
}

/// r = K^-1 w for rows w, and the lower triangle of w'r.
pub(crate) fn weighted<'a>(
    system: &'a System,
    rows: Rows<Buffer<'a>>,
) -> (Rows<Buffer<'a>>, Buffer<'a>) {
    match precision_product::times(system, &rows) {
        Some(weighted) => {
            let product = lower_product(&system.workers, &weighted, &rows);
            (weighted, product)
        }
        None => {
            let product = gram(system, &rows);
            (rows, product)
        }
    }
}

/// A'V^-1 V_a V^-1 A alone, c x c for each direction, those of terms first.
pub(crate) fn single_products(
    system: &System,
    directions: &[Direction],
    modes: &Rows,
    residual: Option<&ResidualColumns<'_>>,
) -> Vec<f64> {
    let mut out = Vec::new();
    for direction in directions {
        let mut rows = apply_directions(system, std::slice::from_ref(direction), modes);
        if let Some(weighted) = precision_product::times(system, &rows) {
            rows = weighted;
        }
        out.extend_from_slice(&singles(&system.workers, modes, &rows, 1));
    }
    if let Some(columns) = residual {
        out.extend(columns.part.single_products(columns, system, modes.m));
    }
    out
}

/// Two symmetric matrices, given with their orders by their lower triangles, as the diagonal blocks of one.
fn widened<'a>(
    workers: &'a Workers,
    (block, old): (&[f64], usize),
    (added, more): (&[f64], usize),
) -> Buffer<'a> {
    let new = old + more;
    let mut out = workers.buffer(new * new);
    for j in 0..old {
        out[j * new..j * new + old].copy_from_slice(&block[j * old..(j + 1) * old]);
    }
    for j in 0..more {
        let at = (old + j) * new + old;
        out[at..at + more].copy_from_slice(&added[j * more..(j + 1) * more]);
    }
    out
}

/// One vector after the other.
fn joined<'a>(workers: &'a Workers, a: &[f64], b: &[f64]) -> Buffer<'a> {
    let mut out = workers.buffer(a.len() + b.len());
    out[..a.len()].copy_from_slice(a);
    out[a.len()..].copy_from_slice(b);
    out
}

/// m'r_a for each direction, c x c.
pub(crate) fn singles<'a>(
    workers: &'a Workers,
    modes: &Rows,
    rows: &Rows<Buffer<'_>>,
    directions: usize,
) -> Buffer<'a> {
    let (c, m) = (modes.m, rows.m);
    let mut out = workers.buffer(c * c * directions);
    for (x, y) in [
        (&modes.eliminated, &rows.eliminated),
        (&modes.complement, &rows.complement),
    ] {
        if m == 0 || c == 0 {
            continue;
        }
        for (mode, row) in x.chunks_exact(c).zip(y.chunks_exact(m)) {
            for (a, block) in out.chunks_exact_mut(c * c).enumerate() {
                for (j, value) in row[a * c..(a + 1) * c].iter().enumerate() {
                    if *value != 0.0 {
                        for (i, u) in mode.iter().enumerate() {
                            block[j * c + i] += u * value;
                        }
                    }
                }
            }
        }
    }
    out
}

/// H'R, p x m, column-major.
pub(crate) fn cross<'a>(workers: &'a Workers, h: &Rows, rows: &Rows<Buffer<'_>>) -> Buffer<'a> {
    let (p, m) = (h.m, rows.m);
    let mut out = workers.buffer(p * m);
    if p == 0 || m == 0 {
        return out;
    }
    for (x, y) in [
        (&h.eliminated, &rows.eliminated),
        (&h.complement, &rows.complement),
    ] {
        for (h, row) in x.chunks_exact(p).zip(y.chunks_exact(m)) {
            for (a, value) in row.iter().enumerate() {
                if *value != 0.0 {
                    out[a * p..(a + 1) * p]
                        .iter_mut()
                        .zip(h)
                        .for_each(|(x, h)| *x += value * h);
                }
            }
        }
    }
    out
}

/// Columns of `b` after those of `a`.
fn side_by_side<'a>(workers: &'a Workers, a: &Rows<Buffer<'_>>, b: &Rows) -> Rows<Buffer<'a>> {
    let m = a.m + b.m;
    let join = |x: &[f64], y: &[f64]| {
        let of_first = x.len().checked_div(a.m);
        let rows = of_first.or(y.len().checked_div(b.m)).unwrap_or(0);
        let mut out = workers.buffer(rows * m);
        for (i, row) in out.chunks_exact_mut(m.max(1)).enumerate() {
            row[..a.m].copy_from_slice(&x[i * a.m..(i + 1) * a.m]);
            row[a.m..].copy_from_slice(&y[i * b.m..(i + 1) * b.m]);
        }
        out
    };
    Rows {
        eliminated: join(&a.eliminated, &b.eliminated),
        complement: join(&a.complement, &b.complement),
        m,
    }
}

/// Lower triangle of A'B for rows of A and B whose product is symmetric, m x m.
fn lower_product<'a>(
    workers: &'a Workers,
    a: &Rows<Buffer<'_>>,
    b: &Rows<Buffer<'_>>,
) -> Buffer<'a> {
    let m = a.m;
    let mut out = workers.buffer(m * m);
    for (x, y) in [
        (&a.eliminated, &b.eliminated),
        (&a.complement, &b.complement),
    ] {
        for (x, y) in x.chunks_exact(m.max(1)).zip(y.chunks_exact(m.max(1))) {
            for j in 0..m {
                for i in j..m {
                    out[j * m + i] += x[i] * y[j];
                }
            }
        }
    }
    out
}
