//! Products of directions of the marginal covariance matrix with solutions: what average information and Kenward & Roger's
//! matrices are made of.
//!
//! For columns A with V^-1A = R^-1E, E = A - Z Lambda m, m = M^-1 Lambda'Z'R^-1A, each direction V_a gives A'V^-1 V_a V^-1 A and
//! each pair A'V^-1 V_a V^-1 V_b V^-1 A. For a random-effects term V_a = Z Lambda (P^-1 (x) kappa) Lambda'Z' and
//! Lambda'Z'V^-1A = P m, so that with w_a = kappa m and r_a = P w_a
//! A'V^-1 V_a V^-1 A = m'r_a and A'V^-1 V_a V^-1 V_b V^-1 A = w_a'r_b - r_a'M^-1 r_b.
//! For a residual parameter V_a = R_a, with S_a = R^-1R_aR^-1E and r_a = -Lambda'Z'S_a the same are E'S_a and
//! S_a'R S_b - r_a'M^-1 r_b; and a mixed pair gives -r_a'M^-1 r_b as well, without a first part.

use crate::factor::{gram, Factor, Rows, System};
use crate::gradient::{apply_directions, Direction};
use crate::prior;
use crate::residual_rows::ResidualPart;
use crate::residual_score::ResidualPoint;

/// Products for m directions (those of terms first) and c columns.
#[derive(Debug, Clone)]
pub(crate) struct Products {
    /// A'V^-1 V_a V^-1 A, c x c for each direction.
    pub single: Vec<Vec<f64>>,
    /// A'V^-1 V_a V^-1 V_b V^-1 A: mc x mc, direction by direction, lower triangle valid.
    pub double: Vec<f64>,
    /// Lx^-1 Q'V^-1 V_a V^-1 A: p values for each column of each direction.
    pub fixed: Vec<f64>,
    /// Columns in all, m c.
    pub width: usize,
}

/// Residual columns E of the same A (n x c in the order of the residual groups).
pub(crate) struct ResidualColumns<'a> {
    pub part: &'a ResidualPart,
    pub point: &'a ResidualPoint<'a>,
    pub e: &'a [f64],
}

/// `modes` is m, `h` = M^-1 Lambda'Z'R^-1Q Lx^-T.
pub(crate) fn products(
    system: &System,
    factor: &Factor,
    h: &Rows,
    directions: &[Direction],
    modes: &Rows,
    residual: Option<&ResidualColumns<'_>>,
) -> Products {
    let c = modes.m;
    let mut rows = apply_directions(system, directions, modes);
    let own = match prior::times(system, &rows) {
        Some(weighted) => {
            let product = lower_product(&weighted, &rows);
            rows = weighted;
            product
        }
        None => gram(system, &rows),
    };
    let mut single = singles(modes, &rows, directions.len());
    let of_terms = rows.m;
    let mut products = Products {
        single: Vec::new(),
        double: own,
        fixed: Vec::new(),
        width: of_terms,
    };
    let mut fixed_rows = Vec::new();
    if let Some(columns) = residual {
        let found = columns.part.directions(columns, system, factor, c);
        products.widen(&found.own, found.rows.m);
        rows = beside(&rows, &found.rows);
        single.extend(found.single);
        fixed_rows = found.fixed;
    }
    products.fixed = cross(h, &rows);
    let p = h.m;
    for (at, value) in fixed_rows.iter().enumerate() {
        products.fixed[of_terms * p + at] += value;
    }
    factor.forward(system, &mut rows);
    for (x, y) in products.double.iter_mut().zip(gram(system, &rows)) {
        *x -= y;
    }
    products.single = single;
    products
}

/// A'V^-1 V_a V^-1 A alone, c x c for each direction, those of terms first.
pub(crate) fn single_products(
    system: &System,
    directions: &[Direction],
    modes: &Rows,
    residual: Option<&ResidualColumns<'_>>,
) -> Vec<Vec<f64>> {
    let mut out = Vec::new();
    for direction in directions {
        let mut rows = apply_directions(system, std::slice::from_ref(direction), modes);
        if let Some(weighted) = prior::times(system, &rows) {
            rows = weighted;
        }
        out.append(&mut singles(modes, &rows, 1));
    }
    if let Some(columns) = residual {
        out.extend(columns.part.single_products(columns, system, modes.m));
    }
    out
}

impl Products {
    /// Makes room for `more` columns whose own products are `block` (lower triangle).
    fn widen(&mut self, block: &[f64], more: usize) {
        let (old, new) = (self.width, self.width + more);
        let mut out = vec![0.0; new * new];
        for j in 0..old {
            out[j * new..j * new + old].copy_from_slice(&self.double[j * old..(j + 1) * old]);
        }
        for j in 0..more {
            let at = (old + j) * new + old;
            out[at..at + more].copy_from_slice(&block[j * more..(j + 1) * more]);
        }
        self.double = out;
        self.width = new;
    }
}

/// m'r_a for each direction, c x c.
pub(crate) fn singles(modes: &Rows, rows: &Rows, directions: usize) -> Vec<Vec<f64>> {
    let (c, m) = (modes.m, rows.m);
    let mut out = vec![vec![0.0; c * c]; directions];
    for (x, y) in [(&modes.first, &rows.first), (&modes.rest, &rows.rest)] {
        if m == 0 {
            continue;
        }
        for (mode, row) in x.chunks_exact(c).zip(y.chunks_exact(m)) {
            for (a, block) in out.iter_mut().enumerate() {
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
pub(crate) fn cross(h: &Rows, rows: &Rows) -> Vec<f64> {
    let (p, m) = (h.m, rows.m);
    let mut out = vec![0.0; p * m];
    if p == 0 || m == 0 {
        return out;
    }
    for (x, y) in [(&h.first, &rows.first), (&h.rest, &rows.rest)] {
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
fn beside(a: &Rows, b: &Rows) -> Rows {
    let m = a.m + b.m;
    let join = |x: &[f64], y: &[f64]| -> Vec<f64> {
        let rows = y.len().checked_div(b.m).unwrap_or(0);
        let mut out = Vec::with_capacity(rows * m);
        for i in 0..rows {
            out.extend_from_slice(&x[i * a.m..(i + 1) * a.m]);
            out.extend_from_slice(&y[i * b.m..(i + 1) * b.m]);
        }
        out
    };
    Rows {
        first: join(&a.first, &b.first),
        rest: join(&a.rest, &b.rest),
        m,
    }
}

/// Lower triangle of A'B for rows of A and B whose product is symmetric, m x m.
fn lower_product(a: &Rows, b: &Rows) -> Vec<f64> {
    let m = a.m;
    let mut out = vec![0.0; m * m];
    for (x, y) in [(&a.first, &b.first), (&a.rest, &b.rest)] {
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
