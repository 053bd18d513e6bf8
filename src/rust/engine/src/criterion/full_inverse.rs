//! All of the inverse of the Schur complement, and products with it, tile by tile.

use crate::basis::covariances::Covariances;
use crate::linalg::small;
use crate::linalg::strip_layout::StripLayout;
use crate::linalg::triangle::Triangle;
use crate::moments::level_precision;
use crate::runtime::partition::cut;
use crate::runtime::workspace::Buffer;
use crate::system::complement::Complement;
use crate::system::equations::{Factor, Rows, SelectedInverse, System};
use crate::system::precision_product;

/// All of S^-1, in tiles.
pub(super) struct FullInverse<'a> {
    pub system: &'a System,
    pub layout: &'a StripLayout,
    values: Values<'a>,
    /// All of K^-1 S^-1, column-major, where some K^-1 is not the identity.
    pub weighted: Option<Buffer<'a>>,
    /// First effects of the nodes of each factor and class, ascending; empty for factors without classes.
    of_class: Vec<Vec<Vec<usize>>>,
}

enum Values<'a> {
    /// As the gradient needed it.
    Dense(&'a Triangle),
    /// Column-major, computed from the sparse factor.
    OfSparse(Buffer<'a>),
}

impl<'a> FullInverse<'a> {
    pub fn new(system: &'a System, factor: &Factor, inverse: &'a SelectedInverse) -> Self {
        if let Complement::Dense(r) = &inverse.r {
            let values = Values::Dense(r);
            return Self::with_values(system, &factor.t, &r.layout, values);
        }
        let layout = &*system.schur.layout;
        let n = layout.order();
        let workers = &system.workers;
        let mut values = workers.buffer(n * n);
        let partition = cut(&mut values, |s| layout.columns(s).start * n);
        workers.for_each(layout.strips(), partition, |s, strip| {
            let columns = layout.columns(s);
            let width = columns.len();
            let mut rows = workers.buffer(n * width);
            (0..width).for_each(|c| rows[(columns.start + c) * width + c] = 1.0);
            factor.s.solve(&mut rows, width);
            factor.s.solve_transposed(&mut rows, width);
            for (i, row) in rows.chunks_exact(width).enumerate() {
                for (c, value) in row.iter().enumerate() {
                    strip[c * n + i] = *value;
                }
            }
        });
        Self::with_values(system, &factor.t, layout, Values::OfSparse(values))
    }

    fn with_values(
        system: &'a System,
        t: &Covariances,
        layout: &'a StripLayout,
        values: Values<'a>,
    ) -> Self {
        let mut out = Self {
            system,
            layout,
            values,
            weighted: None,
            of_class: nodes_of_classes(system, t),
        };
        out.weighted = out.times_level_precision();
        out
    }

    /// K^-1 S^-1, strip by strip; `None` where every K^-1 is the identity.
    fn times_level_precision(&self) -> Option<Buffer<'a>> {
        if !level_precision::any(&self.system.moments) {
            return None;
        }
        let (n, workers) = (self.layout.order(), &self.system.workers);
        let matrices = level_precision::dense_matrices(&self.system.moments);
        let mut out = workers.buffer(n * n);
        let partition = cut(&mut out, |s| self.layout.columns(s).start * n);
        workers.for_each(self.layout.strips(), partition, |s, strip| {
            let columns = self.layout.columns(s);
            let width = columns.len();
            let mut complement = workers.buffer(n * width);
            match &self.values {
                Values::Dense(r) => r.gather(columns, strip),
                Values::OfSparse(r) => {
                    strip.copy_from_slice(&r[columns.start * n..columns.end * n]);
                }
            }
            small::transpose(strip, n, &mut complement);
            let rows = Rows {
                eliminated: workers.buffer(0),
                complement,
                m: width,
            };
            if let Some(rows) = precision_product::times_many(self.system, &rows, &matrices) {
                small::transpose(&rows.complement, width, strip);
            }
        });
        Some(out)
    }

    /// Tile (i, j) of K^-1 S^-1, column-major.
    pub fn weighted_tile(&self, (i, j): (usize, usize), out: &mut [f64]) {
        let Some(weighted) = &self.weighted else {
            return self.tile((i, j), out);
        };
        let (n, rows) = (self.layout.order(), self.layout.columns(i));
        for (l, column) in self.layout.columns(j).zip(out.chunks_exact_mut(rows.len())) {
            column.copy_from_slice(&weighted[l * n + rows.start..l * n + rows.end]);
        }
    }

    /// Tile (i, j) of S^-1 K^-1 where some K^-1 is not the identity; else nothing is written.
    pub fn turned_tile(&self, (i, j): (usize, usize), out: &mut [f64]) {
        if let Some(weighted) = &self.weighted {
            let (n, rows) = (self.layout.order(), self.layout.columns(i));
            for (l, column) in self.layout.columns(j).zip(out.chunks_exact_mut(rows.len())) {
                for (value, row) in column.iter_mut().zip(rows.clone()) {
                    *value = weighted[row * n + l];
                }
            }
        }
    }

    /// Tile (i, j), column-major.
    fn tile(&self, (i, j): (usize, usize), out: &mut [f64]) {
        match &self.values {
            Values::Dense(r) => r.copy_tile((i, j), out),
            Values::OfSparse(r) => {
                let (n, rows) = (self.layout.order(), self.layout.columns(i));
                for (l, column) in self.layout.columns(j).zip(out.chunks_exact_mut(rows.len())) {
                    column.copy_from_slice(&r[l * n + rows.start..l * n + rows.end]);
                }
            }
        }
    }

    /// Tile (i, j), i >= j, of S^-1 Phi and of Phi S^-1.
    pub fn times(
        &self,
        phi: &Complement,
        (i, j): (usize, usize),
        left: &mut [f64],
        right: &mut [f64],
    ) {
        let (rows, columns) = (self.layout.columns(i), self.layout.columns(j));
        match (phi, &self.values) {
            (Complement::Dense(phi), Values::Dense(r)) => {
                r.tile_of_product(phi, (i, j), left);
                if i > j {
                    phi.tile_of_product(r, (i, j), right);
                    return;
                }
            }
            (Complement::Sparse { pattern, values }, Values::OfSparse(r)) => {
                let n = self.layout.order();
                left.fill(0.0);
                for (column, out) in columns.clone().zip(left.chunks_exact_mut(rows.len())) {
                    pattern.for_each_symmetric(values, column, |l, value| {
                        if value != 0.0 {
                            add_scaled(value, &r[l * n + rows.start..l * n + rows.end], out);
                        }
                    });
                }
                if i > j {
                    let mut mirrored = self.system.workers.buffer(rows.len() * columns.len());
                    for (row, out) in rows.clone().zip(mirrored.chunks_exact_mut(columns.len())) {
                        pattern.for_each_symmetric(values, row, |l, value| {
                            if value != 0.0 {
                                let own = &r[l * n + columns.start..l * n + columns.end];
                                add_scaled(value, own, out);
                            }
                        });
                    }
                    small::transpose(&mirrored, columns.len(), right);
                    return;
                }
            }
            _ => unreachable!("Phi and S^-1 are stored as S is"),
        }
        small::transpose(left, rows.len(), right);
    }

    /// First effects of the nodes of a factor and class in strip `s`.
    pub fn nodes(&self, s: usize, (f, class): (usize, usize)) -> &[usize] {
        let of_class = self
            .of_class
            .get(f)
            .and_then(|of_class| of_class.get(class));
        let all = of_class.unwrap_or(&self.system.schur.offset_of[f]);
        let rows = self.layout.columns(s);
        let before = |end: usize| all.partition_point(|&e| e < end);
        &all[before(rows.start)..before(rows.end)]
    }
}

fn add_scaled(value: f64, x: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(x).for_each(|(o, v)| *o += value * v);
}

/// First effects of the nodes of each factor and class, ascending; nothing where no factor has classes.
fn nodes_of_classes(system: &System, t: &Covariances) -> Vec<Vec<Vec<usize>>> {
    let schur = &system.schur;
    if !(0..t.n_factors()).any(|f| t.has_classes(f)) {
        return Vec::new();
    }
    let classes = |f: usize| if t.has_classes(f) { t.classes(f) } else { 0 };
    let mut out: Vec<Vec<Vec<usize>>> = (0..t.n_factors())
        .map(|f| vec![Vec::new(); classes(f)])
        .collect();
    for (&(f, level), &offset) in schur.node.iter().zip(&schur.offset) {
        if let Some(own) = out[f].get_mut(t.class(f, level)) {
            own.push(offset);
        }
    }
    out
}
