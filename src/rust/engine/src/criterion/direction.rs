//! Directions of the marginal covariance matrix, one for each parameter of a term.

use std::ops::Deref;

use crate::basis::covariances::Levels;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::workspace::Buffer;
use crate::system::equations::{Factor, Rows, System};
use crate::system::precision_product;
use crate::system::solution::Solution;

/// A symmetric perturbation of the marginal covariance matrix: dV = Z Lambda (I x kappa) Lambda'Z' on levels of one factor.
#[derive(Debug, Clone, Default)]
pub struct Direction {
    /// Grouping factor (engine's order).
    pub factor: usize,
    /// Its levels.
    pub levels: Levels,
    /// kappa, k_f x k_f.
    pub kappa: Vec<f64>,
}

/// kappa_a = T^-1 G_a T^-T of each parameter, in the workspace of others: V_a = Z Lambda kappa_a Lambda'Z'. Where the parameter is
/// an entry of T, G_a = E_a T' + T E_a', and nothing is divided by T twice.
#[must_use]
pub fn kappas(
    (factor, workers): (&Factor, &Workers),
    parameters: &Parameters,
    theta: &InternalTheta,
    old: Vec<Direction>,
) -> Vec<Direction> {
    let mut out = old;
    out.resize_with(parameters.list.len(), Direction::default);
    for ((a, parameter), direction) in parameters.list.iter().enumerate().zip(&mut out) {
        let (f, offset, own) = parameters.place[parameter.basis];
        let k = parameters.factor_k[f];
        let kappa = &mut direction.kappa;
        direction.factor = f;
        direction.levels = parameters.levels[parameter.basis].clone();
        let class = direction.levels.class();
        kappa.clear();
        memory::resize(kappa, k * k);
        for &(row, column) in &parameter.entries {
            let [x, y] = [workers.buffer(k), workers.buffer(k)];
            add_entry(
                factor,
                (f, class, k),
                (offset + row, offset + column),
                (x, y),
                kappa,
            );
        }
        if parameter.entries.is_empty() {
            let g = parameters.derivative(theta, a);
            for c in 0..own {
                for i in 0..own {
                    kappa[(offset + c) * k + offset + i] = g[c * own + i];
                }
            }
            divide(factor.t.of_class(f, class), k, kappa);
        }
    }
    out
}

/// x y' + y x' with x = T^-1 e_row and y = T^-1 T e_column, which is e_column unless T stands in for another.
fn add_entry(
    factor: &Factor,
    (f, class, k): (usize, usize, usize),
    (row, column): (usize, usize),
    (mut x, mut y): (Buffer<'_>, Buffer<'_>),
    kappa: &mut [f64],
) {
    let t = factor.t.of_class(f, class);
    x[row] = 1.0;
    small::solve_lower(t, k, &mut x);
    match &factor.actual {
        Some(actual) => {
            y.copy_from_slice(&actual.of_class(f, class)[column * k..(column + 1) * k]);
            small::solve_lower(t, k, &mut y);
        }
        None => y[column] = 1.0,
    }
    for c in 0..k {
        for i in 0..k {
            kappa[c * k + i] += x[i] * y[c] + y[i] * x[c];
        }
    }
}

/// The directions of one factor and class.
pub(crate) fn of_class(
    directions: &[Direction],
    f: usize,
    class: usize,
) -> impl Iterator<Item = usize> + Clone + '_ {
    of_factor(directions, f).filter(move |&a| directions[a].levels.has(class))
}

/// The directions of one factor.
pub(crate) fn of_factor(
    directions: &[Direction],
    f: usize,
) -> impl Iterator<Item = usize> + Clone + '_ {
    (0..directions.len()).filter(move |&a| directions[a].factor == f)
}

/// a'b, one after the other.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// G <- T^-1 G T^-T for symmetric G.
pub(crate) fn divide(t: &[f64], k: usize, g: &mut [f64]) {
    for _ in 0..2 {
        for column in g.chunks_exact_mut(k) {
            small::solve_lower(t, k, column);
        }
        for c in 0..k {
            for i in c + 1..k {
                g.swap(c * k + i, i * k + c);
            }
        }
    }
}

/// Row by row kappa_a x for each direction a and each of the c columns of `x`: a matrix of m c columns, direction by direction.
#[must_use]
pub fn apply_directions<'a, V: Deref<Target = [f64]>>(
    system: &'a System,
    directions: &[Direction],
    x: &Rows<V>,
) -> Rows<Buffer<'a>> {
    let m = directions.len() * x.m;
    let buffer = |part: &[f64]| system.workers.buffer(part.len() / x.m.max(1) * m);
    let mut rows = Rows {
        eliminated: buffer(&x.eliminated),
        complement: buffer(&x.complement),
        m,
    };
    for (a, direction) in directions.iter().enumerate() {
        let k = system.moments.factors[direction.factor].k;
        let place = Place {
            k,
            columns: x.m,
            m,
            first: a * x.m,
        };
        let levels = &direction.levels;
        if direction.factor == 0 && *levels == Levels::All {
            place.apply(&direction.kappa, &x.eliminated, &mut rows.eliminated);
        } else if direction.factor == 0 {
            let blocks = x.eliminated.chunks_exact((k * x.m).max(1));
            let targets = rows.eliminated.chunks_exact_mut((k * m).max(1));
            for (level, (from, to)) in blocks.zip(targets).enumerate() {
                if levels.contains(level) {
                    place.apply(&direction.kappa, from, to);
                }
            }
        } else {
            for (level, &v) in system.schur.node_of[direction.factor].iter().enumerate() {
                if !levels.contains(level) {
                    continue;
                }
                let range = system.schur.offset[v as usize]..system.schur.offset[v as usize + 1];
                place.apply(
                    &direction.kappa,
                    &x.complement[range.start * x.m..range.end * x.m],
                    &mut rows.complement[range.start * m..range.end * m],
                );
            }
        }
    }
    rows
}

/// Levels to which one entry of a direction is applied at a time: they stay in the cache.
const TOGETHER: usize = 16;

/// Where the columns of one direction stand.
struct Place {
    k: usize,
    columns: usize,
    m: usize,
    first: usize,
}

impl Place {
    /// kappa times each level's k x c block of `x`, into columns `first..` of `rows`.
    fn apply(&self, kappa: &[f64], x: &[f64], rows: &mut [f64]) {
        let (k, columns) = (self.k, self.columns);
        if columns == 0 {
            return;
        }
        // some levels at a time, for each entry of kappa that is not zero
        let some = x
            .chunks(TOGETHER * k * columns)
            .zip(rows.chunks_mut(TOGETHER * k * self.m));
        for (x, rows) in some {
            for (e, weight) in kappa.iter().enumerate().filter(|(_, w)| **w != 0.0) {
                let (i, c) = (e % k, e / k);
                let at = i * self.m + self.first;
                for (source, target) in x
                    .chunks_exact(k * columns)
                    .zip(rows.chunks_exact_mut(k * self.m))
                {
                    let from = &source[c * columns..(c + 1) * columns];
                    let out = target[at..at + columns].iter_mut();
                    out.zip(from).for_each(|(o, v)| *o += weight * v);
                }
            }
        }
    }
}

/// K^-1 u and K^-1 h; `None` where K^-1 is the identity.
pub(crate) struct TimesLevelPrecision<'a> {
    u: Option<Rows<Buffer<'a>>>,
    h: Option<Rows<Buffer<'a>>>,
}

impl<'a> TimesLevelPrecision<'a> {
    pub(crate) fn new(system: &'a System, solution: &Solution) -> Self {
        Self {
            u: precision_product::times(system, &solution.u),
            h: precision_product::times(system, &solution.h),
        }
    }

    /// Rows of K^-1 u beyond the first factor, which has no K^-1.
    pub(crate) fn u<'b>(&'b self, solution: &'b Solution) -> &'b [f64] {
        self.u
            .as_ref()
            .map_or(&solution.u.complement, |rows| &rows.complement)
    }

    /// Rows of K^-1 h beyond the first factor.
    pub(crate) fn h<'b>(&'b self, solution: &'b Solution) -> &'b [f64] {
        self.h
            .as_ref()
            .map_or(&solution.h.complement, |rows| &rows.complement)
    }
}
