//! Directions of the marginal covariance matrix for the residual parameters: R_a = dR / d phi_a.

use crate::criterion::residual_solution::ResidualPoint;
use crate::linalg::{dense, small};
use crate::moments::residual_part::ResidualPart;
use crate::runtime::memory;
use crate::system::equations::{Factor, Rows, System};

/// Residual columns E of the same A (n x c in the order of the residual groups).
pub(crate) struct ResidualColumns<'a> {
    pub part: &'a ResidualPart,
    pub point: ResidualPoint<'a>,
    pub e: &'a [f64],
}

/// What the residual parameters' directions contribute to [`crate::criterion::products::Products`].
pub(crate) struct ResidualDirections {
    /// r_a = -Lambda'Z'S_a.
    pub rows: Rows,
    /// S_a'R S_b, lower triangle.
    pub own: Vec<f64>,
    /// E'S_a.
    pub single: Vec<f64>,
    /// Lx^-1 Q'S_a, p values a column.
    pub fixed: Vec<f64>,
}

/// Columns x_a = R_a V^-1A, of which R^-1x_a = S_a, side by side.
pub(crate) struct ResidualImages {
    /// How many.
    pub width: usize,
    /// Z'R^-1x of each factor: `width` values for each effect, level after level.
    pub of_effects: Vec<Vec<f64>>,
    /// [Q r]'R^-1x, column-major.
    pub of_rows: Vec<f64>,
    /// x'R^-1x, lower triangle.
    pub own: Vec<f64>,
}

impl ResidualPart {
    /// E'S_a of each residual parameter, c x c.
    pub fn single_products(
        &self,
        columns: &ResidualColumns<'_>,
        system: &System,
        c: usize,
    ) -> Vec<f64> {
        let all = self.derivatives(columns, system, c);
        self.singles(columns.e, &all, c)
    }

    /// R^-1 R_a R^-1 E for every residual parameter, side by side.
    fn derivatives(&self, columns: &ResidualColumns<'_>, system: &System, c: usize) -> Vec<f64> {
        let point = &columns.point;
        self.model
            .derivatives_times(point.phi, point.whitening, columns.e, c, &system.workers)
    }

    /// E'S_a for each a from the S_a side by side.
    fn singles(&self, e: &[f64], all: &[f64], c: usize) -> Vec<f64> {
        let width = self.model.len() * c;
        let mut out = memory::zeros(c * width);
        add_products(e, all, self.rows.n(), c, width, &mut out);
        out
    }

    /// The directions of the residual parameters.
    pub fn directions(
        &self,
        columns: &ResidualColumns<'_>,
        system: &System,
        factor: &Factor,
        c: usize,
    ) -> ResidualDirections {
        let (model, point) = (&self.model, &columns.point);
        let workers = &system.workers;
        let (n, m) = (self.rows.n(), model.len());
        let width = m * c;
        let all = self.derivatives(columns, system, c);
        let weighted = point.whitening.times(model, &all, width, workers);
        let mut own = memory::zeros(width * width);
        add_products(&all, &weighted, n, width, width, &mut own);
        let single = self.singles(columns.e, &all, c);
        let rows = self.minus_lambda_z(system, factor, &all, width);
        ResidualDirections {
            own,
            single,
            fixed: self.fixed_products(system, factor, &all, &rows),
            rows,
        }
    }

    /// x_a = R_a V^-1A as columns beside [Q r].
    pub fn images(
        &self,
        columns: &ResidualColumns<'_>,
        system: &System,
        c: usize,
    ) -> ResidualImages {
        let (model, point, workers) = (&self.model, &columns.point, &system.workers);
        let (n, p1, width) = (self.rows.n(), self.rows.p1, self.model.len() * c);
        let all = self.derivatives(columns, system, c);
        let weighted = point.whitening.times(model, &all, width, workers);
        let mut own = memory::zeros(width * width);
        add_products(&all, &weighted, n, width, width, &mut own);
        let mut of_rows = memory::zeros(p1 * width);
        add_products(&self.rows.x, &all, n, p1, width, &mut of_rows);
        ResidualImages {
            width,
            of_effects: self.z_times(system, &all, width),
            of_rows,
            own,
        }
    }

    /// Z'S of each factor, `width` values for each effect, level after level.
    fn z_times(&self, system: &System, s: &[f64], width: usize) -> Vec<Vec<f64>> {
        let of_factor = |f: usize| {
            let factor = &system.moments.factors[f];
            let k = factor.k;
            let mut out = memory::zeros(factor.n_levels * k * width);
            for (place, &level) in self.rows.level[f].iter().enumerate() {
                let z = &self.rows.z[f][place * k..(place + 1) * k];
                let own = &s[place * width..(place + 1) * width];
                let start = level as usize * k * width;
                let target = out[start..start + k * width].chunks_exact_mut(width.max(1));
                for (target, z) in target.zip(z) {
                    target.iter_mut().zip(own).for_each(|(x, y)| *x += z * y);
                }
            }
            out
        };
        (0..self.layout.len()).map(of_factor).collect()
    }

    /// -Lambda'Z'S.
    fn minus_lambda_z(&self, system: &System, factor: &Factor, s: &[f64], width: usize) -> Rows {
        let mut out = Rows {
            eliminated: memory::zeros(system.q1() * width),
            complement: memory::zeros(system.schur.q2 * width),
            m: width,
        };
        for (f, own) in self.z_times(system, s, width).iter().enumerate() {
            let k = system.moments.factors[f].k;
            for (level, block) in own.chunks_exact((k * width).max(1)).enumerate() {
                let t = factor.t.of(f, level);
                let start = match f {
                    0 => level * k,
                    _ => system.schur.offset[system.schur.node_of[f][level] as usize],
                };
                let rows = match f {
                    0 => &mut out.eliminated,
                    _ => &mut out.complement,
                };
                for c in 0..k {
                    let target = &mut rows[(start + c) * width..(start + c + 1) * width];
                    for (i, row) in block.chunks_exact(width).enumerate().skip(c) {
                        let weight = t[c * k + i];
                        target
                            .iter_mut()
                            .zip(row)
                            .for_each(|(x, y)| *x -= weight * y);
                    }
                }
            }
        }
        out
    }

    /// Lx^-1 Q'S, Q being what it is about its centre and Z Lambda U_0; `zs` is -Lambda'Z'S.
    fn fixed_products(&self, system: &System, factor: &Factor, s: &[f64], zs: &Rows) -> Vec<f64> {
        let (p1, width) = (self.rows.p1, zs.m);
        let p = p1 - 1;
        let mut with_response = memory::zeros(p1 * width);
        add_products(
            &self.rows.x,
            s,
            self.rows.n(),
            p1,
            width,
            &mut with_response,
        );
        for (f, shift) in factor.shift.iter().enumerate() {
            let k = self.layout[f].k;
            for (effect, shift) in shift.chunks_exact(p1).enumerate() {
                let own = if f == 0 {
                    &zs.eliminated[effect * width..(effect + 1) * width]
                } else {
                    let node = system.schur.node_of[f][effect / k] as usize;
                    let at = system.schur.offset[node] + effect % k;
                    &zs.complement[at * width..(at + 1) * width]
                };
                for (column, z) in with_response.chunks_exact_mut(p1).zip(own) {
                    column.iter_mut().zip(shift).for_each(|(x, u)| *x -= u * z);
                }
            }
        }
        let lx: Vec<f64> = memory::collect((0..p * p).map(|e| factor.lx[(e / p) * p1 + e % p]));
        let mut out = Vec::with_capacity(p * width);
        for column in with_response.chunks_exact(p1) {
            let mut own = column[..p].to_vec();
            small::solve_lower(&lx, p, &mut own);
            out.extend(own);
        }
        out
    }
}

/// out += A'B for row-major rows, column-major p x m.
fn add_products(a: &[f64], b: &[f64], n: usize, p: usize, m: usize, out: &mut [f64]) {
    if n > 0 && p > 0 && m > 0 {
        dense::add_transposed_product(a, b, n, p, m, 1.0, out);
    }
}
