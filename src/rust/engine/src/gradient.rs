//! First derivatives of the criterion and the average-information model of the second.
//!
//! With f = (n - p)/q (ML: n/q), q = y'Py and b_j = [Z'Py]_j, the score matrix of a term is
//! S = sum_j [Z'PZ]_jj - f sum_j b_j b_j' (ML: Z'V^-1Z in the first sum) and d criterion / dT = 2 S T. Johnson & Thompson
//! (1995, J. Dairy Sci. 78) and Gilmour, Thompson & Cullis (1995, Biometrics 51) give the average information
//! f y'P V_a P V_b P y; to it the curvature of the Cholesky parameterisation, 2 tr(S E_a E_b'), is added exactly.
//!
//! Everything follows from the factor without dividing by a variance twice: Lambda'Z'V^-1Z Lambda = I - M^-1,
//! Z'V^-1Z Lambda = A Lambda M^-1, Lambda'Z'V^-1Q = M^-1 Lambda'Z'Q and Lambda'Z'Py = u. Where the levels have a known precision
//! matrix P_L, with P = P_L (x) I, these are P - P M^-1 P, A Lambda M^-1 P, P M^-1 Lambda'Z'Q and P u.

use crate::memory;
use std::ops::{Deref, DerefMut};

use crate::covariance::Parameters;
use crate::factor::{y_slot, Factor, Rows, SchurFactor, SelectedInverse, System, LEVELS};
use crate::inverse_entries::InverseEntries;
use crate::linalg::{dense, small};
use crate::moments::Moments;
use crate::parallel::{piece, Workers};
use crate::parts::chunks;
use crate::prior;
use crate::products::{products, Products, ResidualColumns};
use crate::residual_rows::ResidualPart;
use crate::residual_score::{ResidualPoint, ResidualSolution};
use crate::room::Room;
use crate::schur::Storage;

/// Where T'AT is on average at least this, 1 - M^-1 keeps enough digits.
const LARGE: f64 = 1e-3;

/// Fixed effects and random effects at one factor.
#[derive(Debug, Clone, Default)]
pub struct Solution {
    /// Coefficients of Q, beyond the centre.
    pub gamma: Vec<f64>,
    /// Spherical conditional modes.
    pub u: Rows,
    /// M^-1 Lambda'Z'Q.
    pub c: Rows,
    /// The same times Lx^-T: its rows' products are Lambda'Z'V^-1Q (Q'V^-1Q)^-1 Q'V^-1Z Lambda.
    pub h: Rows,
    /// [c - c_0, u + c gamma - u_0] where the columns are centred at [c_0 u_0]: the difference itself, which keeps its digits where
    /// it is small; without rows where they are not.
    pub about: Rows,
}

/// Derivatives at one factor.
#[derive(Debug, Clone, Default)]
pub struct Derivatives {
    /// d criterion / d theta.
    pub gradient: Vec<f64>,
    /// Score matrix S of each term, k x k.
    pub score: Vec<Vec<f64>>,
    /// f q_a'P q_b, m x m.
    pub information: Vec<f64>,
    /// (f/q) (y'P V_a P y)(y'P V_b P y), m x m.
    pub rank_one: Vec<f64>,
    /// 2 tr(S E_a E_b'), m x m.
    pub curvature: Vec<f64>,
    /// y'P V_a P y.
    pub slopes: Vec<f64>,
    /// V_a of the parameters of the terms.
    pub directions: Vec<Direction>,
}

impl Derivatives {
    /// Average information plus curvature: the Hessian model of the optimiser.
    pub fn model_hessian(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.information.len())
            .map(|e| self.information[e] - self.rank_one[e] + self.curvature[e])
    }

    /// Exact Hessian, given tr(P V_a P V_b) (ML: of V^-1).
    pub fn exact_hessian<'a>(&'a self, traces: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        (0..self.information.len())
            .map(|e| 2.0 * self.information[e] - traces[e] - self.rank_one[e] + self.curvature[e])
    }
}

/// Solves for fixed and random effects, in the room of another solution.
#[must_use]
pub fn solve(system: &System, factor: &Factor, mut room: Solution) -> Solution {
    let mut all = std::mem::take(&mut room.c);
    all.first.clone_from(&factor.rzx.first);
    all.rest.clone_from(&factor.rzx.rest);
    all.m = factor.rzx.m;
    factor.backward(system, &mut all);
    solution_of(system, factor, all, room)
}

/// The same from `all` = M^-1 Lambda'Z'[Q r].
#[must_use]
pub(crate) fn solution_of(
    system: &System,
    factor: &Factor,
    mut all: Rows,
    room: Solution,
) -> Solution {
    let p1 = factor.rzx.m;
    let p = p1 - 1;
    let mut about = room.about;
    about.first.clear();
    about.rest.clear();
    about.m = p1;
    if factor.shift.iter().any(|shift| !shift.is_empty()) {
        about.first.extend_from_slice(&all.first);
        about.rest.extend_from_slice(&all.rest);
    }
    let mut gamma = room.gamma;
    gamma.clear();
    gamma.extend((0..p).map(|c| factor.lx[c * p1 + p]));
    for i in (0..p).rev() {
        for m in i + 1..p {
            gamma[i] -= factor.lx[i * p1 + m] * gamma[m];
        }
        gamma[i] /= factor.lx[i * p1 + i];
    }
    let split = |mut rows: Vec<f64>, mut u: Vec<f64>| {
        let effects = rows.len() / p1;
        u.clear();
        for i in 0..effects {
            let row = &rows[i * p1..(i + 1) * p1];
            let fixed: f64 = row[..p].iter().zip(&gamma).map(|(a, b)| a * b).sum();
            u.push(row[p] - fixed);
            // the rows of c stay where they are, moved together
            rows.copy_within(i * p1..i * p1 + p, i * p);
        }
        rows.truncate(effects * p);
        (rows, u)
    };
    add_shift(system, factor, &mut all);
    let (c1, u1) = split(all.first, room.u.first);
    let (c2, u2) = split(all.rest, room.u.rest);
    let c = Rows {
        first: c1,
        rest: c2,
        m: p,
    };
    let mut h = room.h;
    h.m = p;
    times_inverse_lx(system, factor, &c.first, p, &mut h.first);
    times_inverse_lx(system, factor, &c.rest, p, &mut h.rest);
    Solution {
        gamma,
        u: Rows {
            first: u1,
            rest: u2,
            m: 1,
        },
        c,
        h,
        about,
    }
}

/// All += U_0: what the columns were centred at.
fn add_shift(system: &System, factor: &Factor, all: &mut Rows) {
    let m = all.m;
    for (f, shift) in factor.shift.iter().enumerate() {
        let width = system.moments.factors[f].k * m;
        for (level, own) in shift.chunks_exact(width).enumerate() {
            let rows = if f == 0 {
                &mut all.first[level * width..(level + 1) * width]
            } else {
                let node = system.schur.node_of[f][level] as usize;
                let at = system.schur.offset[node] * m;
                &mut all.rest[at..at + width]
            };
            rows.iter_mut().zip(own).for_each(|(x, u)| *x += u);
        }
    }
}

/// Rows of C times Lx^-T, in the room of `out`.
fn times_inverse_lx(system: &System, factor: &Factor, rows: &[f64], p: usize, out: &mut Vec<f64>) {
    memory::resize(out, rows.len());
    if p == 0 {
        return;
    }
    let p1 = p + 1;
    let workers = &system.workers;
    let count = (rows.len() / p).div_ceil(LEVELS);
    if p > small::LARGE {
        return workers.for_each(count, chunks(out, LEVELS * p), |piece, out| {
            let from = piece * LEVELS * p;
            out.copy_from_slice(&rows[from..from + out.len()]);
            dense::solve_columns(&factor.lx, p1, p, out);
        });
    }
    let [mut lower, mut inverse, mut transposed] = std::array::from_fn(|_| workers.room(p * p));
    for (to, from) in lower.chunks_exact_mut(p).zip(factor.lx.chunks_exact(p1)) {
        to.copy_from_slice(&from[..p]);
    }
    small::write_inverse_of_lower(&lower, p, &mut inverse);
    small::transpose(&inverse, p, &mut transposed);
    workers.for_each(count, chunks(out, LEVELS * p), |piece, out| {
        let from = piece * LEVELS * p;
        let rows = &rows[from..from + out.len()];
        dense::rows_times(rows, &transposed, out.len() / p, p, p, out);
    });
}

/// Where derivatives are taken.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// The parameters.
    pub parameters: &'a Parameters,
    /// Their values (internal scale).
    pub theta: &'a [f64],
    /// REML or ML.
    pub reml: bool,
    /// f = 1 / sigma^2: (n - p) / q (ML: n / q) where sigma is profiled out.
    pub precision: f64,
    /// Whether sigma is profiled out; else it is known.
    pub profiled: bool,
}

/// The residual structure at one point.
pub(crate) struct AtResidual<'a> {
    pub part: &'a ResidualPart,
    pub point: ResidualPoint<'a>,
    pub rows: &'a ResidualSolution,
}

/// First derivatives at one factor.
#[derive(Default)]
pub(crate) struct Slopes {
    /// d criterion / d theta.
    pub gradient: Vec<f64>,
    /// Score matrix S of each term, k x k.
    pub score: Vec<Vec<f64>>,
}

/// All that derivatives at one point are made of.
pub(crate) struct Here<'a> {
    pub system: &'a System,
    pub factor: &'a Factor,
    pub inverse: &'a SelectedInverse,
    pub solution: &'a Solution,
    pub point: Point<'a>,
    pub residual: Option<AtResidual<'a>>,
}

impl Here<'_> {
    /// Gradient, scores and average information, in the room of others; `None` where an entry of M^-1 that a residual structure
    /// needs is not known.
    #[must_use]
    pub fn derivatives(&self, mut room: Derivatives) -> Option<Derivatives> {
        let slopes = self.slopes(room.take_slopes())?;
        let point = self.point;
        room.directions = kappas(
            (self.factor, &self.system.workers),
            point.parameters,
            point.theta,
            room.directions,
        );
        let found = average_information(
            self.system,
            self.factor,
            self.solution,
            &room.directions,
            self.residual.as_ref(),
        );
        Some(with_curvature(self.factor, slopes, point, &found, room))
    }

    /// Gradient and scores, in the room of others; `None` as for [`Self::derivatives`].
    #[must_use]
    pub fn slopes(&self, room: Slopes) -> Option<Slopes> {
        let (system, factor, inverse, point) = (self.system, self.factor, self.inverse, self.point);
        let prior = PriorTimes::new(system, self.solution);
        let sums = level_sums(system, factor, inverse, self.solution, &prior, point);
        let mut found = slopes_of_terms(system, factor, &sums, point, room);
        if let Some(at) = &self.residual {
            let entries = InverseEntries {
                system,
                factor,
                inverse,
            };
            let of_residual =
                at.part
                    .gradient(entries, &at.point, at.rows, point.reml, point.precision)?;
            found.gradient.extend(of_residual);
        }
        Some(found)
    }
}

impl Derivatives {
    /// The gradient and the scores, or their room.
    pub(crate) fn take_slopes(&mut self) -> Slopes {
        Slopes {
            gradient: std::mem::take(&mut self.gradient),
            score: std::mem::take(&mut self.score),
        }
    }
}

/// Slopes in the parameters of the terms from the sums over levels, in the room of others.
pub(crate) fn slopes_of_terms(
    system: &System,
    factor: &Factor,
    sums: &LevelSums<'_, Room<'_>>,
    point: Point<'_>,
    room: Slopes,
) -> Slopes {
    let parameters = point.parameters;
    let Slopes {
        mut gradient,
        mut score,
    } = room;
    score.resize_with(parameters.structures.len(), Vec::new);
    for (term, score) in score.iter_mut().enumerate() {
        // each value is written
        memory::resize(score, parameters.place[term].2.pow(2));
        term_score(
            system,
            factor,
            sums,
            (parameters, term),
            point.precision,
            score,
        );
    }
    gradient.clear();
    gradient.extend(term_slopes(factor, parameters, point.theta, &score));
    Slopes { gradient, score }
}

/// Derivatives from the slopes and the products of directions with u, of all parameters, in the room of others, whose
/// directions they keep.
pub(crate) fn with_curvature(
    factor: &Factor,
    Slopes { gradient, score }: Slopes,
    point: Point<'_>,
    found: &Products<'_>,
    room: Derivatives,
) -> Derivatives {
    let Derivatives {
        mut information,
        mut rank_one,
        mut curvature,
        mut slopes,
        directions,
        ..
    } = room;
    write_information(found, point.precision, &mut information);
    slopes.clear();
    slopes.extend(
        found
            .single
            .chunks_exact(found.c * found.c)
            .map(|block| block[0]),
    );
    let (parameters, theta, f) = (point.parameters, point.theta, point.precision);
    let m = parameters.len();
    curvature.clear();
    memory::resize(&mut curvature, m * m);
    for (a, pa) in parameters.list.iter().enumerate() {
        let k = parameters.place[pa.term].2;
        let s = &score[pa.term];
        for (b, pb) in parameters.list.iter().enumerate() {
            curvature[b * m + a] = if !pa.entries.is_empty() && pa.term == pb.term {
                // tr(S (E_a E_b' + E_b E_a'))
                2.0 * pairs_in_one_column(&pa.entries, &pb.entries)
                    .map(|(x, y)| s[y * k + x])
                    .sum::<f64>()
            } else {
                parameters
                    .second(theta, a, b)
                    .map_or(0.0, |second| small::trace_product(s, &second, k))
            };
        }
    }
    let scale = if point.profiled {
        f / factor.pwrss
    } else {
        0.0
    };
    rank_one.clear();
    rank_one.extend((0..m * m).map(|e| scale * slopes[e % m] * slopes[e / m]));
    Derivatives {
        gradient,
        score,
        information,
        rank_one,
        curvature,
        slopes,
        directions,
    }
}

/// Slopes in the parameters of the terms, from each term's score matrix.
pub(crate) fn term_slopes<'a>(
    factor: &'a Factor,
    parameters: &'a Parameters,
    theta: &'a [f64],
    score: &'a [Vec<f64>],
) -> impl Iterator<Item = f64> + 'a {
    let slope = move |(a, pa): (usize, &crate::covariance::Parameter)| {
        let s = &score[pa.term];
        if pa.entries.is_empty() {
            let k = parameters.place[pa.term].2;
            return small::trace_product(s, &parameters.derivative(theta, a), k);
        }
        let in_entry = |&(row, column)| slope_in_entry(factor, parameters, pa.term, s, row, column);
        pa.entries.iter().map(in_entry).sum()
    };
    parameters.list.iter().enumerate().map(slope)
}

/// Rows of the entries of two parameters that stand in the same column of T.
fn pairs_in_one_column<'a>(
    a: &'a [(usize, usize)],
    b: &'a [(usize, usize)],
) -> impl Iterator<Item = (usize, usize)> + 'a {
    a.iter()
        .flat_map(move |x| b.iter().filter(|y| y.1 == x.1).map(|y| (x.0, y.0)))
}

/// 2 [S T]_(row, column): derivative in an entry of T.
fn slope_in_entry(
    factor: &Factor,
    parameters: &Parameters,
    term: usize,
    score: &[f64],
    row: usize,
    column: usize,
) -> f64 {
    let (f, offset, k) = parameters.place[term];
    let kf = parameters.factor_k[f];
    let at = offset + column;
    // a column of zeros keeps the trace that regularisation gives it: it shows the way off a saddle
    let t = match &factor.actual {
        Some(actual) if actual[f][at * kf..(at + 1) * kf].iter().any(|v| *v != 0.0) => &actual[f],
        _ => &factor.t[f],
    };
    2.0 * (0..k)
        .map(|i| score[i * k + row] * t[at * kf + offset + i])
        .sum::<f64>()
}

/// A symmetric perturbation of the marginal covariance matrix: dV = Z Lambda (I x kappa) Lambda'Z' on one factor.
#[derive(Debug, Clone, Default)]
pub struct Direction {
    /// Grouping factor (engine's order).
    pub factor: usize,
    /// kappa, k_f x k_f.
    pub kappa: Vec<f64>,
}

/// kappa_a = T^-1 G_a T^-T of each parameter, in the room of others: V_a = Z Lambda kappa_a Lambda'Z'. Where the parameter is
/// an entry of T, G_a = E_a T' + T E_a', and nothing is divided by T twice.
#[must_use]
pub fn kappas(
    (factor, workers): (&Factor, &Workers),
    parameters: &Parameters,
    theta: &[f64],
    room: Vec<Direction>,
) -> Vec<Direction> {
    let mut out = room;
    out.resize_with(parameters.list.len(), Direction::default);
    for ((a, parameter), direction) in parameters.list.iter().enumerate().zip(&mut out) {
        let (f, offset, own) = parameters.place[parameter.term];
        let k = parameters.factor_k[f];
        let kappa = &mut direction.kappa;
        direction.factor = f;
        kappa.clear();
        memory::resize(kappa, k * k);
        for &(row, column) in &parameter.entries {
            let [x, y] = [workers.room(k), workers.room(k)];
            add_entry(
                factor,
                (f, k),
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
            divide(&factor.t[f], k, kappa);
        }
    }
    out
}

/// x y' + y x' with x = T^-1 e_row and y = T^-1 T e_column, which is e_column unless T stands in for another.
fn add_entry(
    factor: &Factor,
    (f, k): (usize, usize),
    (row, column): (usize, usize),
    (mut x, mut y): (Room<'_>, Room<'_>),
    kappa: &mut [f64],
) {
    x[row] = 1.0;
    small::solve_lower(&factor.t[f], k, &mut x);
    match &factor.actual {
        Some(actual) => {
            y.copy_from_slice(&actual[f][column * k..(column + 1) * k]);
            small::solve_lower(&factor.t[f], k, &mut y);
        }
        None => y[column] = 1.0,
    }
    for c in 0..k {
        for i in 0..k {
            kappa[c * k + i] += x[i] * y[c] + y[i] * x[c];
        }
    }
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
) -> Rows<Room<'a>> {
    let m = directions.len() * x.m;
    let room = |part: &[f64]| system.workers.room(part.len() / x.m.max(1) * m);
    let mut rows = Rows {
        first: room(&x.first),
        rest: room(&x.rest),
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
        if direction.factor == 0 {
            place.apply(&direction.kappa, &x.first, &mut rows.first);
        } else {
            for &v in &system.schur.node_of[direction.factor] {
                let range = system.schur.offset[v as usize]..system.schur.offset[v as usize + 1];
                place.apply(
                    &direction.kappa,
                    &x.rest[range.start * x.m..range.end * x.m],
                    &mut rows.rest[range.start * m..range.end * m],
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

/// P u and P h; `None` where P is the identity.
struct PriorTimes<'a> {
    u: Option<Rows<Room<'a>>>,
    h: Option<Rows<Room<'a>>>,
}

impl<'a> PriorTimes<'a> {
    fn new(system: &'a System, solution: &Solution) -> Self {
        Self {
            u: prior::times(system, &solution.u),
            h: prior::times(system, &solution.h),
        }
    }

    /// Rows of P u beyond the first factor, which has no P.
    fn u<'b>(&'b self, solution: &'b Solution) -> &'b [f64] {
        self.u.as_ref().map_or(&solution.u.rest, |rows| &rows.rest)
    }

    /// The same of P h.
    fn h<'b>(&'b self, solution: &'b Solution) -> &'b [f64] {
        self.h.as_ref().map_or(&solution.h.rest, |rows| &rows.rest)
    }
}

/// What is summed over the levels of each factor, k x k.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sum {
    /// [A Lambda M^-1]_jj, where [`is_large`] is not true of all terms of the factor.
    Product,
    /// I - [P M^-1]_jj.
    Complement,
    /// h_j [P h]_j' (REML).
    Fixed,
    /// u_j [P u]_j'.
    Modes,
}

/// All of it, factor by factor.
pub(crate) struct LevelSums<'a, V> {
    moments: &'a Moments,
    values: V,
}

impl<V: Deref<Target = [f64]>> LevelSums<'_, V> {
    /// How many numbers they are.
    fn len(moments: &Moments) -> usize {
        moments.factors.iter().map(|f| 4 * f.k * f.k).sum()
    }

    fn place(&self, sum: Sum, f: usize) -> std::ops::Range<usize> {
        let square = |g: usize| self.moments.factors[g].k.pow(2);
        let start = 4 * (0..f).map(square).sum::<usize>() + sum as usize * square(f);
        start..start + square(f)
    }

    /// One sum of one factor.
    pub fn get(&self, sum: Sum, f: usize) -> &[f64] {
        &self.values[self.place(sum, f)]
    }
}

impl<'a> LevelSums<'a, Room<'a>> {
    /// The sums of u and h alone, where levels are independent.
    pub fn of_effects(system: &'a System, solution: &Solution, reml: bool) -> Self {
        let moments = &system.moments;
        let values = system.workers.room(Self::len(moments));
        let mut sums = Self { moments, values };
        let (h, u, p) = (&solution.h, &solution.u, solution.h.m);
        let mut add = |f: usize, k: usize, h: &[f64], u: &[f64]| {
            sums.add_effects(f, k, [h, h], [u, u], reml);
        };
        let k = system.k1();
        for (j, u) in u.first.chunks_exact(k).enumerate() {
            add(0, k, &h.first[j * k * p..(j + 1) * k * p], u);
        }
        for (v, &(f, _)) in system.schur.node.iter().enumerate() {
            let range = system.schur.offset[v]..system.schur.offset[v + 1];
            let own = &h.rest[range.start * p..range.end * p];
            add(f, range.len(), own, &u.rest[range]);
        }
        sums
    }

    /// With a known precision matrix products of one level with P times it are symmetric only in the sum.
    fn symmetrize(&mut self) {
        for (f, factor) in self.moments.factors.iter().enumerate() {
            if factor.prior.is_empty() {
                continue;
            }
            let k = factor.k;
            for sum in [Sum::Fixed, Sum::Modes] {
                let block = self.get_mut(sum, f);
                for c in 0..k {
                    for a in c + 1..k {
                        let mean = 0.5 * (block[c * k + a] + block[a * k + c]);
                        (block[c * k + a], block[a * k + c]) = (mean, mean);
                    }
                }
            }
        }
    }
}

impl<V: DerefMut<Target = [f64]>> LevelSums<'_, V> {
    /// One sum of one factor.
    pub fn get_mut(&mut self, sum: Sum, f: usize) -> &mut [f64] {
        let place = self.place(sum, f);
        &mut self.values[place]
    }

    /// u and h of one level, and the same times P.
    fn add_effects(&mut self, f: usize, k: usize, h: [&[f64]; 2], u: [&[f64]; 2], reml: bool) {
        let p = h[0].len() / k;
        let modes = self.get_mut(Sum::Modes, f);
        for c in 0..k {
            for a in 0..k {
                modes[c * k + a] += u[0][a] * u[1][c];
            }
        }
        if !reml {
            return;
        }
        let fixed = self.get_mut(Sum::Fixed, f);
        for c in 0..k {
            for a in 0..k {
                let (x, y) = (&h[0][a * p..(a + 1) * p], &h[1][c * p..(c + 1) * p]);
                fixed[c * k + a] += x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            }
        }
    }
}

fn level_sums<'a>(
    system: &'a System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    prior: &PriorTimes<'_>,
    point: Point<'_>,
) -> LevelSums<'a, Room<'a>> {
    let parameters = point.parameters;
    let mut near_zero = system.workers.room(system.moments.factors.len());
    for &(f, offset, k) in &parameters.place {
        if (offset..offset + k).any(|effect| !is_large(system, factor, f, effect)) {
            near_zero[f] = 1.0;
        }
    }
    let pass = Pass {
        system,
        factor,
        inverse,
        solution,
        prior,
        reml: point.reml,
        near_zero: &near_zero,
    };
    let moments = &system.moments;
    let (levels, nodes) = (moments.factors[0].n_levels, system.schur.nodes());
    let (first, rest) = (levels.div_ceil(LEVELS), nodes.div_ceil(LEVELS));
    let len = LevelSums::<Room<'_>>::len(moments);
    let values = system.workers.sum(first + rest, len, |i, values| {
        let mut sums = LevelSums { moments, values };
        if i < first {
            pass.first_sums(piece(levels, LEVELS, i), &mut sums);
        } else {
            pass.node_sums(piece(nodes, LEVELS, i - first), &mut sums);
        }
    });
    let mut total = LevelSums { moments, values };
    total.symmetrize();
    total
}

/// One pass over all levels.
struct Pass<'a> {
    system: &'a System,
    factor: &'a Factor,
    inverse: &'a SelectedInverse,
    solution: &'a Solution,
    prior: &'a PriorTimes<'a>,
    reml: bool,
    /// 1 for factors with a term whose score is taken from [`Sum::Product`], which is found for no other, else 0.
    near_zero: &'a [f64],
}

/// Sums over some levels.
type Part<'a> = LevelSums<'a, &'a mut [f64]>;

/// Room for the blocks of one level, of any factors.
struct Blocks<'a> {
    half: Room<'a>,
    product: Room<'a>,
}

impl<'a> Blocks<'a> {
    fn new(system: &'a System) -> Self {
        Self {
            half: block_room(system),
            product: block_room(system),
        }
    }

    /// total += sign A B C, with A (k x r), B (r x m) and C (m x k).
    fn add_product(
        &mut self,
        [a, b, c]: [&[f64]; 3],
        [k, r, m]: [usize; 3],
        sign: f64,
        total: &mut [f64],
    ) {
        let (half, product) = (&mut self.half[..r * k], &mut self.product[..k * k]);
        small::mul_nn(b, c, r, m, k, half);
        small::mul_nn(a, half, k, r, k, product);
        total
            .iter_mut()
            .zip(product)
            .for_each(|(x, y)| *x += sign * *y);
    }
}

/// Room for a block of any two factors.
fn block_room(system: &System) -> Room<'_> {
    system.workers.room(system.most_effects().pow(2))
}

impl Pass<'_> {
    fn is_near_zero(&self, f: usize) -> bool {
        self.near_zero[f] != 0.0
    }

    fn first_sums(&self, levels: std::ops::Range<usize>, sums: &mut Part<'_>) {
        let (system, solution) = (self.system, self.solution);
        let (schur, k1, p) = (&system.schur, system.k1(), solution.h.m);
        let square = k1 * k1;
        let with_neighbours = self.near_zero.contains(&1.0);
        let mut blocks = Blocks::new(system);
        let [mut minus, mut turned] = [block_room(system), block_room(system)];
        for j in levels {
            let m = &self.inverse.m11[j * square..(j + 1) * square];
            for (e, value) in sums.get_mut(Sum::Complement, 0).iter_mut().enumerate() {
                *value += f64::from(u8::from(e % k1 == e / k1)) - m[e];
            }
            if self.is_near_zero(0) {
                let zz = &system.moments.factors[0].zz[j * square..(j + 1) * square];
                let parts = [zz, &self.factor.t[0], m];
                blocks.add_product(parts, [k1; 3], 1.0, sums.get_mut(Sum::Product, 0));
            }
            if with_neighbours {
                for at in schur.start[j]..schur.start[j + 1] {
                    let rooms = (&mut *minus, &mut *turned);
                    self.neighbour_products(j, at, rooms, &mut blocks, sums);
                }
            }
            let h = &solution.h.first[j * k1 * p..(j + 1) * k1 * p];
            let u = &solution.u.first[j * k1..(j + 1) * k1];
            sums.add_effects(0, k1, [h, h], [u, u], self.reml);
        }
    }

    /// A_jv T_v [M^-1]_vj into the sum of the first factor and A_vj T_1 [M^-1]_jv into that of v's, v the neighbour `at` of
    /// level j; [M^-1]_jv = -L_j^-T Y_jv.
    fn neighbour_products(
        &self,
        j: usize,
        at: usize,
        (minus, turned): (&mut [f64], &mut [f64]),
        blocks: &mut Blocks<'_>,
        sums: &mut Part<'_>,
    ) {
        let (system, schur, k1) = (self.system, &self.system.schur, self.system.k1());
        let g = schur.node[schur.neighbour[at] as usize].0;
        if !(self.is_near_zero(0) || self.is_near_zero(g)) {
            return;
        }
        let kg = system.moments.factors[g].k;
        let l = &self.factor.l1[j * k1 * k1..(j + 1) * k1 * k1];
        let slot = y_slot(schur, at) * k1;
        let (minus, turned) = (&mut minus[..k1 * kg], &mut turned[..k1 * kg]);
        minus.copy_from_slice(&self.inverse.y[slot..slot + k1 * kg]);
        for column in minus.chunks_exact_mut(k1) {
            small::solve_lower_transposed(l, k1, column);
        }
        let block = system.block(schur.source[at]);
        if self.is_near_zero(0) {
            small::transpose(minus, k1, turned);
            let parts = [block, &self.factor.t[g], turned];
            let total = sums.get_mut(Sum::Product, 0);
            blocks.add_product(parts, [k1, kg, kg], -1.0, total);
        }
        if self.is_near_zero(g) {
            small::transpose(block, k1, turned);
            let parts = [&*turned, &self.factor.t[0], minus];
            let total = sums.get_mut(Sum::Product, g);
            blocks.add_product(parts, [kg, k1, k1], -1.0, total);
        }
    }

    fn node_sums(&self, nodes: std::ops::Range<usize>, sums: &mut Part<'_>) {
        let (system, factor, solution) = (self.system, self.factor, self.solution);
        let (schur, moments, p) = (&system.schur, &system.moments, solution.h.m);
        let (ph, pu) = (self.prior.h(solution), self.prior.u(solution));
        let workers = &system.workers;
        let mut column = workers.room(schur.q2);
        let mut blocks = Blocks::new(system);
        let mut own = block_room(system);
        let later_effects = |v: usize| -> usize {
            schur.later[schur.later_start[v]..schur.later_start[v + 1]]
                .iter()
                .map(|&l| schur.offset[l as usize + 1] - schur.offset[l as usize])
                .sum()
        };
        let most = nodes.clone().map(later_effects).max().unwrap_or(0);
        let mut others = workers.room(most * system.most_effects());
        let [mut turned, mut transposed] = [block_room(system), block_room(system)];
        for v in nodes {
            let (f, level) = schur.node[v];
            let k = moments.factors[f].k;
            let range = schur.offset[v]..schur.offset[v + 1];
            // columns of S^-1 that belong to the node: its own block and those of the later neighbours
            let own = &mut own[..k * k];
            let later = schur.later_start[v]..schur.later_start[v + 1];
            for a in 0..k {
                self.inverse_column(v, range.start + a, &mut column);
                own[a * k..(a + 1) * k].copy_from_slice(&column[range.clone()]);
                let mut rest = &mut *others;
                for &l in &schur.later[later.clone()] {
                    let rows = schur.offset[l as usize]..schur.offset[l as usize + 1];
                    let (block, beyond) = rest.split_at_mut(rows.len() * k);
                    block[a * rows.len()..(a + 1) * rows.len()].copy_from_slice(&column[rows]);
                    rest = beyond;
                }
            }
            if self.is_near_zero(f) {
                let zz = &moments.factors[f].zz[level * k * k..(level + 1) * k * k];
                let parts = [zz, &factor.t[f], &*own];
                blocks.add_product(parts, [k; 3], 1.0, sums.get_mut(Sum::Product, f));
            }
            let weight = moments.factors[f].prior.get(level).copied().unwrap_or(1.0);
            for (e, value) in sums.get_mut(Sum::Complement, f).iter_mut().enumerate() {
                *value += f64::from(u8::from(e % k == e / k)) - weight * own[e];
            }
            let mut rest = &*others;
            for at in later {
                let l = schur.later[at] as usize;
                let (block, beyond) = rest.split_at((schur.offset[l + 1] - schur.offset[l]) * k);
                let rooms = (&mut *turned, &mut *transposed);
                self.later_products((f, k), at, block, rooms, &mut blocks, sums);
                rest = beyond;
            }
            let at = range.start * p..range.end * p;
            sums.add_effects(
                f,
                k,
                [&solution.h.rest[at.clone()], &ph[at]],
                [&solution.u.rest[range.clone()], &pu[range]],
                self.reml,
            );
        }
    }

    /// Column `j`, of node `v`, of S^-1: rows of the node and of its later neighbours, at least.
    fn inverse_column(&self, v: usize, j: usize, out: &mut [f64]) {
        let schur = &self.system.schur;
        match (&self.inverse.r, &schur.storage) {
            (SchurFactor::Dense(r), _) => {
                let later = schur.later_start[v]..schur.later_start[v + 1];
                let nodes = later.map(|at| schur.later[at] as usize).chain([v]);
                for row in nodes.flat_map(|l| schur.offset[l]..schur.offset[l + 1]) {
                    out[row] = r.entry(row, j);
                }
            }
            (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
                pattern.scatter_symmetric(values, j, out);
            }
            (SchurFactor::Sparse(_), Storage::Dense) => {}
        }
    }

    /// A_vl T_l [M^-1]_lv into the sum of v's factor and A_lv T_v [M^-1]_vl into that of l's; `inverse` is [M^-1]_lv, kg x k.
    fn later_products(
        &self,
        (f, k): (usize, usize),
        at: usize,
        inverse: &[f64],
        (turned, transposed): (&mut [f64], &mut [f64]),
        blocks: &mut Blocks<'_>,
        sums: &mut Part<'_>,
    ) {
        let (system, factor, schur) = (self.system, self.factor, &self.system.schur);
        let g = schur.node[schur.later[at] as usize].0;
        let kg = system.moments.factors[g].k;
        let (source, own_rows) = schur.later_source[at];
        let pair = &system.moments.pairs[source.pair as usize];
        if let Some(q) = pair.prior.get(source.entry) {
            // [P M^-1]_vv and [P M^-1]_ll: what P_vl adds to both
            let complement = sums.get_mut(Sum::Complement, f);
            for c in 0..k {
                for i in 0..k {
                    complement[c * k + i] -= q * (inverse[c * k + i] + inverse[i * k + c]);
                }
            }
            return;
        }
        if !(self.is_near_zero(f) || self.is_near_zero(g)) {
            return;
        }
        let block = system.block(source);
        let turned = &mut turned[..k * kg];
        small::transpose(block, if own_rows { k } else { kg }, turned);
        // k x kg and kg x k
        let (a_vl, a_lv): (&[f64], &[f64]) = if own_rows {
            (block, turned)
        } else {
            (turned, block)
        };
        if self.is_near_zero(f) {
            let parts = [a_vl, &factor.t[g], inverse];
            blocks.add_product(parts, [k, kg, kg], 1.0, sums.get_mut(Sum::Product, f));
        }
        if self.is_near_zero(g) {
            let transposed = &mut transposed[..k * kg];
            small::transpose(inverse, kg, transposed);
            let parts = [a_lv, &factor.t[f], transposed];
            blocks.add_product(parts, [kg, k, k], 1.0, sums.get_mut(Sum::Product, g));
        }
    }
}

/// Whether 1 - M^-1 keeps enough digits for an effect of a factor.
fn is_large(system: &System, factor: &Factor, f: usize, effect: usize) -> bool {
    let of = &system.moments.factors[f];
    let square = factor.t[f][effect * of.k + effect].powi(2);
    let levels = of.n_levels as f64;
    let large = |sum_of_squares: f64| square * sum_of_squares >= LARGE * levels;
    // of the columns of a basis that is not what heavy rows make of it, the squares may be more than one a row
    large(system.moments.n as f64)
        || large(
            of.zz
                .iter()
                .skip(effect * (of.k + 1))
                .step_by(of.k * of.k)
                .sum(),
        )
}

/// S of one term from the sums of its factor.
///
/// Columns of ST = sum_j [Z'PZ]_jj T are T^-T (sum(I - M^-1) - inner) where the effect of the column is large, and
/// sum A Lambda M^-1 - T^-T inner elsewhere. The latter are differences of cross-products, which may be orders of magnitude more
/// than what is left of them; divided by the small T they would be what S has in common with large effects, if the symmetric
/// entry did not say it without. So S of two small effects is taken from them alone, S of a small and a large one from the
/// latter's column, and what is left of that from S of two large ones: S times their columns of T is what it was.
fn term_score(
    system: &System,
    factor: &Factor,
    sums: &LevelSums<'_, Room<'_>>,
    (parameters, term): (&Parameters, usize),
    f: f64,
    score: &mut [f64],
) {
    let (g, offset, k) = parameters.place[term];
    let kf = parameters.factor_k[g];
    let workers = &system.workers;
    let take = |block: &[f64]| {
        let mut out = workers.room(k * k);
        for (e, value) in out.iter_mut().enumerate() {
            *value = block[(offset + e / k) * kf + offset + e % k];
        }
        out
    };
    let t = take(&factor.t[g]);
    let mut small_effects = workers.room(k);
    for (effect, small) in small_effects.iter_mut().enumerate() {
        *small = f64::from(u8::from(!is_large(system, factor, g, offset + effect)));
    }
    let is_small = |effect: usize| small_effects[effect] != 0.0;
    // ST, column by column
    let fixed = take(sums.get(Sum::Fixed, g));
    let modes = take(sums.get(Sum::Modes, g));
    let complement = take(sums.get(Sum::Complement, g));
    for (e, value) in score.iter_mut().enumerate() {
        let whole = if is_small(e / k) { 0.0 } else { complement[e] };
        *value = whole - fixed[e] - f * modes[e];
    }
    for column in score.chunks_exact_mut(k) {
        small::solve_lower_transposed(&t, k, column);
    }
    let mut row = workers.room(k);
    let any_small = (0..k).any(is_small);
    if any_small {
        let direct = take(sums.get(Sum::Product, g));
        for e in (0..k * k).filter(|e| is_small(e / k)) {
            score[e] += direct[e];
        }
    }
    if !any_small || (0..k).all(is_small) {
        times_inverse(&t, k, &mut row, score);
        symmetrize(score, k, |_| true);
        return;
    }
    let mut product = workers.room(k * k);
    product.copy_from_slice(score);
    times_inverse(&t, k, &mut row, score);
    symmetrize(score, k, is_small);
    let large = || (0..k).filter(|&effect| !is_small(effect));
    // S_rc of the large effects c from [ST]_rc, S of what follows being known
    let from_product = |score: &mut [f64], r: usize| {
        for c in large().rev() {
            let known: f64 = (c + 1..k).map(|i| score[i * k + r] * t[c * k + i]).sum();
            score[c * k + r] = (product[c * k + r] - known) / t[c * k + c];
        }
    };
    for r in (0..k).filter(|&effect| is_small(effect)) {
        from_product(score, r);
        for c in large() {
            score[r * k + c] = score[c * k + r];
        }
    }
    for r in large() {
        from_product(score, r);
    }
    symmetrize(score, k, |effect| !is_small(effect));
}

/// Makes the block of these rows and columns symmetric.
fn symmetrize(block: &mut [f64], k: usize, of: impl Fn(usize) -> bool) {
    for c in (0..k).filter(|&c| of(c)) {
        for i in (c + 1..k).filter(|&i| of(i)) {
            let mean = 0.5 * (block[c * k + i] + block[i * k + c]);
            (block[c * k + i], block[i * k + c]) = (mean, mean);
        }
    }
}

/// B <- B T^-1: for each row of it T'x = row'.
fn times_inverse(t: &[f64], k: usize, row: &mut [f64], b: &mut [f64]) {
    for i in 0..k {
        for c in 0..k {
            row[c] = b[c * k + i];
        }
        small::solve_lower_transposed(t, k, row);
        for c in 0..k {
            b[c * k + i] = row[c];
        }
    }
}

/// What f q_a'P q_b and y'P V_a P y are made of.
fn average_information<'a>(
    system: &'a System,
    factor: &Factor,
    solution: &Solution,
    directions: &[Direction],
    residual: Option<&AtResidual<'_>>,
) -> Products<'a> {
    let response = residual.map(|at| at.rows.response());
    let columns = residual
        .zip(response.as_ref())
        .map(|(at, e)| ResidualColumns {
            part: at.part,
            point: &at.point,
            e,
        });
    products(
        system,
        factor,
        &solution.h,
        directions,
        &solution.u,
        columns.as_ref(),
    )
}

/// f q_a'P q_b from the products of directions with u, m x m, in the room of `out`.
fn write_information(found: &Products<'_>, precision: f64, out: &mut Vec<f64>) {
    let (m, p) = (found.width, found.p);
    out.clear();
    memory::resize(out, m * m);
    for a in 0..m {
        for b in a..m {
            let projected: f64 = found.fixed[a * p..(a + 1) * p]
                .iter()
                .zip(&found.fixed[b * p..(b + 1) * p])
                .map(|(x, y)| x * y)
                .sum();
            let value = precision * (found.double[a * m + b] - projected);
            out[a * m + b] = value;
            out[b * m + a] = value;
        }
    }
}
