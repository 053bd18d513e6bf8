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

use crate::covariance::Parameters;
use crate::factor::{y_slot, Factor, Rows, SchurFactor, SelectedInverse, System, LEVELS};
use crate::inverse_entries::InverseEntries;
use crate::linalg::{dense, small};
use crate::moments::Moments;
use crate::prior;
use crate::products::{products, Products, ResidualColumns};
use crate::residual_rows::ResidualPart;
use crate::residual_score::{ResidualPoint, ResidualSolution};
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
}

/// Derivatives at one factor.
#[derive(Debug, Clone)]
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
}

impl Derivatives {
    /// Average information plus curvature: the Hessian model of the optimiser.
    #[must_use]
    pub fn model_hessian(&self) -> Vec<f64> {
        (0..self.information.len())
            .map(|e| self.information[e] - self.rank_one[e] + self.curvature[e])
            .collect()
    }

    /// Exact Hessian, given tr(P V_a P V_b) (ML: of V^-1).
    #[must_use]
    pub fn exact_hessian(&self, traces: &[f64]) -> Vec<f64> {
        (0..self.information.len())
            .map(|e| 2.0 * self.information[e] - traces[e] - self.rank_one[e] + self.curvature[e])
            .collect()
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
pub(crate) fn solution_of(system: &System, factor: &Factor, all: Rows, room: Solution) -> Solution {
    let p1 = factor.rzx.m;
    let p = p1 - 1;
    let mut gamma: Vec<f64> = (0..p).map(|c| factor.lx[c * p1 + p]).collect();
    for i in (0..p).rev() {
        for m in i + 1..p {
            gamma[i] -= factor.lx[i * p1 + m] * gamma[m];
        }
        gamma[i] /= factor.lx[i * p1 + i];
    }
    let split = |mut rows: Vec<f64>, mut u: Vec<f64>, shift: &dyn Fn(usize) -> f64| {
        let effects = rows.len() / p1;
        u.clear();
        for i in 0..effects {
            let row = &rows[i * p1..(i + 1) * p1];
            let fixed: f64 = row[..p].iter().zip(&gamma).map(|(a, b)| a * b).sum();
            u.push(row[p] + shift(i) - fixed);
            // the rows of c stay where they are, moved together
            rows.copy_within(i * p1..i * p1 + p, i * p);
        }
        rows.truncate(effects * p);
        (rows, u)
    };
    let first_shift = &factor.shift[0];
    let (c1, u1) = split(all.first, room.u.first, &|i| {
        first_shift.get(i).copied().unwrap_or(0.0)
    });
    let schur = &system.schur;
    let mut rest_shift = vec![0.0; schur.q2];
    for (v, &(f, level)) in schur.node.iter().enumerate() {
        let k = system.moments.factors[f].k;
        for a in 0..k {
            rest_shift[schur.offset[v] + a] =
                factor.shift[f].get(level * k + a).copied().unwrap_or(0.0);
        }
    }
    let (c2, u2) = split(all.rest, room.u.rest, &|i| rest_shift[i]);
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
    }
}

/// Rows of C times Lx^-T, in the room of `out`.
fn times_inverse_lx(system: &System, factor: &Factor, rows: &[f64], p: usize, out: &mut Vec<f64>) {
    out.resize(rows.len(), 0.0);
    if p == 0 {
        return;
    }
    let p1 = p + 1;
    let lower: Vec<f64> = (0..p)
        .flat_map(|c| factor.lx[c * p1..c * p1 + p].iter().copied())
        .collect();
    let inverse = small::invert_lower(&lower, p);
    let mut transposed = Vec::with_capacity(p * p);
    transpose_into(&inverse, p, &mut transposed);
    let parts: Vec<&mut [f64]> = out.chunks_mut(LEVELS * p).collect();
    system.workers.for_each(parts, |piece, out| {
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
    /// Gradient, scores and average information; `None` where an entry of M^-1 that a residual structure needs is not known.
    #[must_use]
    pub fn derivatives(&self) -> Option<Derivatives> {
        let slopes = self.slopes()?;
        let average = average_information(
            self.system,
            self.factor,
            self.solution,
            self.point,
            self.residual.as_ref(),
        );
        Some(with_curvature(self.factor, slopes, self.point, average))
    }

    /// Gradient and scores; `None` as for [`Self::derivatives`].
    #[must_use]
    pub fn slopes(&self) -> Option<Slopes> {
        let (system, factor, inverse, point) = (self.system, self.factor, self.inverse, self.point);
        let prior = PriorTimes::new(system, self.solution);
        let sums = level_sums(system, factor, inverse, self.solution, &prior, point);
        let mut found = slopes_of_terms(system, factor, &sums, point);
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

/// Slopes in the parameters of the terms from the sums over levels.
pub(crate) fn slopes_of_terms(
    system: &System,
    factor: &Factor,
    sums: &LevelSums,
    point: Point<'_>,
) -> Slopes {
    let parameters = point.parameters;
    let score: Vec<Vec<f64>> = (0..parameters.structures.len())
        .map(|term| term_score(system, factor, sums, parameters, term, point.precision))
        .collect();
    Slopes {
        gradient: term_slopes(factor, parameters, point.theta, &score),
        score,
    }
}

/// Derivatives from the slopes and the average information with y'P V_a P y, of all parameters.
pub(crate) fn with_curvature(
    factor: &Factor,
    Slopes { gradient, score }: Slopes,
    point: Point<'_>,
    (information, slopes): (Vec<f64>, Vec<f64>),
) -> Derivatives {
    let (parameters, theta, f) = (point.parameters, point.theta, point.precision);
    let m = parameters.len();
    let mut curvature = vec![0.0; m * m];
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
    let rank_one = (0..m * m)
        .map(|e| scale * slopes[e % m] * slopes[e / m])
        .collect();
    Derivatives {
        gradient,
        score,
        information,
        rank_one,
        curvature,
        slopes,
    }
}

/// Slopes in the parameters of the terms, from each term's score matrix.
pub(crate) fn term_slopes(
    factor: &Factor,
    parameters: &Parameters,
    theta: &[f64],
    score: &[Vec<f64>],
) -> Vec<f64> {
    let slope = |(a, pa): (usize, &crate::covariance::Parameter)| {
        let s = &score[pa.term];
        if pa.entries.is_empty() {
            let k = parameters.place[pa.term].2;
            return small::trace_product(s, &parameters.derivative(theta, a), k);
        }
        let in_entry = |&(row, column)| slope_in_entry(factor, parameters, pa.term, s, row, column);
        pa.entries.iter().map(in_entry).sum()
    };
    parameters.list.iter().enumerate().map(slope).collect()
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
#[derive(Debug, Clone)]
pub struct Direction {
    /// Grouping factor (engine's order).
    pub factor: usize,
    /// kappa, k_f x k_f.
    pub kappa: Vec<f64>,
}

/// kappa_a = T^-1 G_a T^-T of each parameter: V_a = Z Lambda kappa_a Lambda'Z'. Where the parameter is an entry of T,
/// G_a = E_a T' + T E_a', and nothing is divided by T twice.
#[must_use]
pub fn kappas(factor: &Factor, parameters: &Parameters, theta: &[f64]) -> Vec<Direction> {
    parameters
        .list
        .iter()
        .enumerate()
        .map(|(a, parameter)| {
            let (f, offset, own) = parameters.place[parameter.term];
            let k = parameters.factor_k[f];
            let mut kappa = vec![0.0; k * k];
            for &(row, column) in &parameter.entries {
                add_entry(factor, (f, k), offset + row, offset + column, &mut kappa);
            }
            if parameter.entries.is_empty() {
                let g = parameters.derivative(theta, a);
                for c in 0..own {
                    for i in 0..own {
                        kappa[(offset + c) * k + offset + i] = g[c * own + i];
                    }
                }
                kappa = divided(&factor.t[f], k, &kappa);
            }
            Direction { factor: f, kappa }
        })
        .collect()
}

/// x y' + y x' with x = T^-1 e_row and y = T^-1 T e_column, which is e_column unless T stands in for another.
fn add_entry(
    factor: &Factor,
    (f, k): (usize, usize),
    row: usize,
    column: usize,
    kappa: &mut [f64],
) {
    let mut x = vec![0.0; k];
    x[row] = 1.0;
    small::solve_lower(&factor.t[f], k, &mut x);
    let mut y = vec![0.0; k];
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

/// T^-1 G T^-T for symmetric G.
pub(crate) fn divided(t: &[f64], k: usize, g: &[f64]) -> Vec<f64> {
    let mut out = g.to_vec();
    for _ in 0..2 {
        for column in out.chunks_exact_mut(k) {
            small::solve_lower(t, k, column);
        }
        for c in 0..k {
            for i in c + 1..k {
                out.swap(c * k + i, i * k + c);
            }
        }
    }
    out
}

/// Row by row kappa_a x for each direction a and each of the c columns of `x`: a matrix of m c columns, direction by direction.
#[must_use]
pub fn apply_directions(system: &System, directions: &[Direction], x: &Rows) -> Rows {
    let m = directions.len() * x.m;
    let mut rows = Rows {
        first: vec![0.0; x.first.len() / x.m.max(1) * m],
        rest: vec![0.0; x.rest.len() / x.m.max(1) * m],
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
        for (source, target) in x
            .chunks_exact(k * columns)
            .zip(rows.chunks_exact_mut(k * self.m))
        {
            for i in 0..k {
                let out = &mut target[i * self.m + self.first..i * self.m + self.first + columns];
                for c in 0..k {
                    let weight = kappa[c * k + i];
                    if weight != 0.0 {
                        let from = &source[c * columns..(c + 1) * columns];
                        out.iter_mut().zip(from).for_each(|(o, v)| *o += weight * v);
                    }
                }
            }
        }
    }
}

/// P u and P h; `None` where P is the identity.
struct PriorTimes {
    u: Option<Rows>,
    h: Option<Rows>,
}

impl PriorTimes {
    fn new(system: &System, solution: &Solution) -> Self {
        Self {
            u: prior::times(system, &solution.u),
            h: prior::times(system, &solution.h),
        }
    }

    fn u<'a>(&'a self, solution: &'a Solution) -> &'a Rows {
        self.u.as_ref().unwrap_or(&solution.u)
    }

    fn h<'a>(&'a self, solution: &'a Solution) -> &'a Rows {
        self.h.as_ref().unwrap_or(&solution.h)
    }
}

/// Sums over the levels of each factor, k x k.
#[derive(Debug, Clone)]
pub(crate) struct LevelSums {
    /// [A Lambda M^-1]_jj, where [`is_large`] is not true of all terms of the factor.
    pub product: Vec<Vec<f64>>,
    /// I - [P M^-1]_jj.
    pub complement: Vec<Vec<f64>>,
    /// h_j [P h]_j' (REML).
    fixed: Vec<Vec<f64>>,
    /// u_j [P u]_j'.
    modes: Vec<Vec<f64>>,
}

impl LevelSums {
    fn zeros(system: &System) -> Self {
        let blocks: Vec<Vec<f64>> = system
            .moments
            .factors
            .iter()
            .map(|f| vec![0.0; f.k * f.k])
            .collect();
        Self {
            product: blocks.clone(),
            complement: blocks.clone(),
            fixed: blocks.clone(),
            modes: blocks,
        }
    }

    /// The sums of u and h alone, where levels are independent.
    pub fn of_effects(system: &System, solution: &Solution, reml: bool) -> Self {
        let mut sums = Self::zeros(system);
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
    fn symmetrize(&mut self, moments: &Moments) {
        for (f, factor) in moments
            .factors
            .iter()
            .enumerate()
            .filter(|(_, f)| !f.prior.is_empty())
        {
            let k = factor.k;
            for block in [&mut self.fixed[f], &mut self.modes[f]] {
                for c in 0..k {
                    for a in c + 1..k {
                        let mean = 0.5 * (block[c * k + a] + block[a * k + c]);
                        (block[c * k + a], block[a * k + c]) = (mean, mean);
                    }
                }
            }
        }
    }

    fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.product, &other.product),
            (&mut self.complement, &other.complement),
            (&mut self.fixed, &other.fixed),
            (&mut self.modes, &other.modes),
        ];
        for (total, part) in pairs {
            for (x, y) in total.iter_mut().flatten().zip(part.iter().flatten()) {
                *x += y;
            }
        }
    }

    /// u and h of one level, and the same times P.
    fn add_effects(&mut self, f: usize, k: usize, h: [&[f64]; 2], u: [&[f64]; 2], reml: bool) {
        let p = h[0].len() / k;
        for c in 0..k {
            for a in 0..k {
                self.modes[f][c * k + a] += u[0][a] * u[1][c];
                if reml {
                    let (x, y) = (&h[0][a * p..(a + 1) * p], &h[1][c * p..(c + 1) * p]);
                    self.fixed[f][c * k + a] += x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
                }
            }
        }
    }
}

fn level_sums(
    system: &System,
    factor: &Factor,
    inverse: &SelectedInverse,
    solution: &Solution,
    prior: &PriorTimes,
    point: Point<'_>,
) -> LevelSums {
    let parameters = point.parameters;
    let mut near_zero = vec![false; system.moments.factors.len()];
    for term in 0..parameters.structures.len() {
        near_zero[parameters.place[term].0] |= !is_large(system, factor, parameters, term);
    }
    let pass = Pass {
        system,
        factor,
        inverse,
        solution,
        prior,
        reml: point.reml,
        near_zero,
    };
    let levels = system.moments.factors[0].n_levels;
    let level_pieces = crate::parallel::pieces(levels, LEVELS);
    let node_pieces = crate::parallel::pieces(system.schur.nodes(), LEVELS);
    let parts = system
        .workers
        .map(level_pieces.len() + node_pieces.len(), |piece| {
            let mut sums = LevelSums::zeros(system);
            if piece < level_pieces.len() {
                pass.first_sums(level_pieces[piece].clone(), &mut sums);
            } else {
                let nodes = node_pieces[piece - level_pieces.len()].clone();
                pass.node_sums(nodes, &mut sums);
            }
            sums
        });
    let mut total = LevelSums::zeros(system);
    parts.iter().for_each(|part| total.add(part));
    total.symmetrize(&system.moments);
    total
}

/// One pass over all levels.
struct Pass<'a> {
    system: &'a System,
    factor: &'a Factor,
    inverse: &'a SelectedInverse,
    solution: &'a Solution,
    prior: &'a PriorTimes,
    reml: bool,
    /// Factors with a term whose score is taken from [`LevelSums::product`], which is found for no other.
    near_zero: Vec<bool>,
}

/// Room for the blocks of one level.
#[derive(Default)]
struct Blocks {
    half: Vec<f64>,
    product: Vec<f64>,
    turned: Vec<f64>,
}

impl Blocks {
    /// total += sign A B C, with A (k x r), B (r x m) and C (m x k).
    fn add_product(
        &mut self,
        [a, b, c]: [&[f64]; 3],
        [k, r, m]: [usize; 3],
        sign: f64,
        total: &mut [f64],
    ) {
        self.half.resize(r * k, 0.0);
        self.product.resize(k * k, 0.0);
        small::mul_nn(b, c, r, m, k, &mut self.half);
        small::mul_nn(a, &self.half, k, r, k, &mut self.product);
        total
            .iter_mut()
            .zip(&self.product)
            .for_each(|(x, y)| *x += sign * y);
    }
}

impl Pass<'_> {
    fn first_sums(&self, levels: std::ops::Range<usize>, sums: &mut LevelSums) {
        let (system, solution) = (self.system, self.solution);
        let (schur, k1, p) = (&system.schur, system.k1(), solution.h.m);
        let square = k1 * k1;
        let with_neighbours = self.near_zero.contains(&true);
        let mut blocks = Blocks::default();
        let mut minus = Vec::new();
        for j in levels {
            let m = &self.inverse.m11[j * square..(j + 1) * square];
            for (e, value) in sums.complement[0].iter_mut().enumerate() {
                *value += f64::from(u8::from(e % k1 == e / k1)) - m[e];
            }
            if self.near_zero[0] {
                let zz = &system.moments.factors[0].zz[j * square..(j + 1) * square];
                let parts = [zz, &self.factor.t[0], m];
                blocks.add_product(parts, [k1; 3], 1.0, &mut sums.product[0]);
            }
            if with_neighbours {
                for at in schur.start[j]..schur.start[j + 1] {
                    self.neighbour_products(j, at, &mut minus, &mut blocks, sums);
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
        minus: &mut Vec<f64>,
        blocks: &mut Blocks,
        sums: &mut LevelSums,
    ) {
        let (system, schur, k1) = (self.system, &self.system.schur, self.system.k1());
        let g = schur.node[schur.neighbour[at] as usize].0;
        if !(self.near_zero[0] || self.near_zero[g]) {
            return;
        }
        let kg = system.moments.factors[g].k;
        let l = &self.factor.l1[j * k1 * k1..(j + 1) * k1 * k1];
        let slot = y_slot(schur, at) * k1;
        minus.clear();
        minus.extend_from_slice(&self.inverse.y[slot..slot + k1 * kg]);
        for column in minus.chunks_exact_mut(k1) {
            small::solve_lower_transposed(l, k1, column);
        }
        let block = system.block(schur.source[at]);
        if self.near_zero[0] {
            let mut other = std::mem::take(&mut blocks.turned);
            transpose_into(minus, k1, &mut other);
            let parts = [block, &self.factor.t[g], other.as_slice()];
            blocks.add_product(parts, [k1, kg, kg], -1.0, &mut sums.product[0]);
            blocks.turned = other;
        }
        if self.near_zero[g] {
            let mut other = std::mem::take(&mut blocks.turned);
            transpose_into(block, k1, &mut other);
            let parts = [other.as_slice(), &self.factor.t[0], minus.as_slice()];
            blocks.add_product(parts, [kg, k1, k1], -1.0, &mut sums.product[g]);
            blocks.turned = other;
        }
    }

    fn node_sums(&self, nodes: std::ops::Range<usize>, sums: &mut LevelSums) {
        let (system, factor, solution) = (self.system, self.factor, self.solution);
        let (schur, moments, p) = (&system.schur, &system.moments, solution.h.m);
        let (ph, pu) = (self.prior.h(solution), self.prior.u(solution));
        let mut column = vec![0.0; schur.q2];
        let mut blocks = Blocks::default();
        let mut own = Vec::new();
        let mut others: Vec<Vec<f64>> = Vec::new();
        for v in nodes {
            let (f, level) = schur.node[v];
            let k = moments.factors[f].k;
            let range = schur.offset[v]..schur.offset[v + 1];
            // columns of S^-1 that belong to the node: its own block and those of the later neighbours
            own.resize(k * k, 0.0);
            let later = schur.later_start[v]..schur.later_start[v + 1];
            others.resize_with(later.len(), Vec::new);
            for a in 0..k {
                self.inverse_column(v, range.start + a, &mut column);
                own[a * k..(a + 1) * k].copy_from_slice(&column[range.clone()]);
                for (at, block) in later.clone().zip(&mut others) {
                    let l = schur.later[at] as usize;
                    let rows = schur.offset[l]..schur.offset[l + 1];
                    block.resize(rows.len() * k, 0.0);
                    block[a * rows.len()..(a + 1) * rows.len()].copy_from_slice(&column[rows]);
                }
            }
            if self.near_zero[f] {
                let zz = &moments.factors[f].zz[level * k * k..(level + 1) * k * k];
                let parts = [zz, &factor.t[f], own.as_slice()];
                blocks.add_product(parts, [k; 3], 1.0, &mut sums.product[f]);
            }
            let weight = moments.factors[f].prior.get(level).copied().unwrap_or(1.0);
            for (e, value) in sums.complement[f].iter_mut().enumerate() {
                *value += f64::from(u8::from(e % k == e / k)) - weight * own[e];
            }
            for (at, block) in later.zip(&others) {
                self.later_products((f, k), at, block, &mut blocks, sums);
            }
            let at = range.start * p..range.end * p;
            sums.add_effects(
                f,
                k,
                [&solution.h.rest[at.clone()], &ph.rest[at]],
                [&solution.u.rest[range.clone()], &pu.rest[range]],
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
        blocks: &mut Blocks,
        sums: &mut LevelSums,
    ) {
        let (system, factor, schur) = (self.system, self.factor, &self.system.schur);
        let g = schur.node[schur.later[at] as usize].0;
        let kg = system.moments.factors[g].k;
        let (source, own_rows) = schur.later_source[at];
        let pair = &system.moments.pairs[source.pair as usize];
        if let Some(q) = pair.prior.get(source.entry) {
            // [P M^-1]_vv and [P M^-1]_ll: what P_vl adds to both
            for c in 0..k {
                for i in 0..k {
                    sums.complement[f][c * k + i] -= q * (inverse[c * k + i] + inverse[i * k + c]);
                }
            }
            return;
        }
        if !(self.near_zero[f] || self.near_zero[g]) {
            return;
        }
        let block = system.block(source);
        let mut turned = std::mem::take(&mut blocks.turned);
        transpose_into(block, if own_rows { k } else { kg }, &mut turned);
        // k x kg and kg x k
        let (a_vl, a_lv): (&[f64], &[f64]) = if own_rows {
            (block, &turned)
        } else {
            (&turned, block)
        };
        if self.near_zero[f] {
            let parts = [a_vl, &factor.t[g], inverse];
            blocks.add_product(parts, [k, kg, kg], 1.0, &mut sums.product[f]);
        }
        if self.near_zero[g] {
            let mut transposed = Vec::with_capacity(inverse.len());
            transpose_into(inverse, kg, &mut transposed);
            let parts = [a_lv, &factor.t[f], transposed.as_slice()];
            blocks.add_product(parts, [kg, k, k], 1.0, &mut sums.product[g]);
        }
        blocks.turned = turned;
    }
}

/// The transpose of a column-major matrix with so many rows.
fn transpose_into(a: &[f64], rows: usize, out: &mut Vec<f64>) {
    out.clear();
    out.extend((0..rows).flat_map(|i| a[i..].iter().step_by(rows.max(1))));
}

/// Whether 1 - M^-1 keeps enough digits for a term.
fn is_large(system: &System, factor: &Factor, parameters: &Parameters, term: usize) -> bool {
    let (g, offset, k) = parameters.place[term];
    let kf = parameters.factor_k[g];
    let rows_per_level = system.moments.n as f64 / system.moments.factors[g].n_levels as f64;
    let smallest = (offset..offset + k)
        .map(|i| factor.t[g][i * kf + i].powi(2))
        .fold(f64::INFINITY, f64::min);
    smallest * rows_per_level >= LARGE
}

/// S of one term from the sums of its factor.
fn term_score(
    system: &System,
    factor: &Factor,
    sums: &LevelSums,
    parameters: &Parameters,
    term: usize,
    f: f64,
) -> Vec<f64> {
    let (g, offset, k) = parameters.place[term];
    let kf = parameters.factor_k[g];
    let take = |block: &[f64]| -> Vec<f64> {
        (0..k * k)
            .map(|e| block[(offset + e / k) * kf + offset + e % k])
            .collect()
    };
    let t = take(&factor.t[g]);
    let mut inner: Vec<f64> = take(&sums.fixed[g])
        .iter()
        .zip(take(&sums.modes[g]))
        .map(|(h, u)| h + f * u)
        .collect();
    let mut score = vec![0.0; k * k];
    if is_large(system, factor, parameters, term) {
        // T^-T (sum(I - M^-1) - inner) T^-1
        for (x, c) in inner.iter_mut().zip(take(&sums.complement[g])) {
            *x = c - *x;
        }
        sandwich(&t, &inner, k, &mut score);
    } else {
        // D T^-1 with D = sum A Lambda M^-1
        sandwich(&t, &inner, k, &mut score);
        let product = take(&sums.product[g]);
        // rows of D T^-1: solve T' x = row'
        let mut direct = vec![0.0; k * k];
        for i in 0..k {
            let mut row: Vec<f64> = (0..k).map(|c| product[c * k + i]).collect();
            small::solve_lower_transposed(&t, k, &mut row);
            for c in 0..k {
                direct[c * k + i] = row[c];
            }
        }
        for c in 0..k {
            for i in 0..k {
                score[c * k + i] = 0.5 * (direct[c * k + i] + direct[i * k + c]) - score[c * k + i];
            }
        }
    }
    score
}

/// out = T^-T B T^-1 for symmetric B.
fn sandwich(t: &[f64], b: &[f64], k: usize, out: &mut [f64]) {
    out.copy_from_slice(b);
    for c in 0..k {
        small::solve_lower_transposed(t, k, &mut out[c * k..(c + 1) * k]);
    }
    for i in 0..k {
        let mut row: Vec<f64> = (0..k).map(|c| out[c * k + i]).collect();
        small::solve_lower_transposed(t, k, &mut row);
        for c in 0..k {
            out[c * k + i] = row[c];
        }
    }
}

/// f q_a'P q_b and the slopes y'P V_a P y.
fn average_information(
    system: &System,
    factor: &Factor,
    solution: &Solution,
    point: Point<'_>,
    residual: Option<&AtResidual<'_>>,
) -> (Vec<f64>, Vec<f64>) {
    let directions = kappas(factor, point.parameters, point.theta);
    let response = residual.map(|at| at.rows.response());
    let columns = residual
        .zip(response.as_ref())
        .map(|(at, e)| ResidualColumns {
            part: at.part,
            point: &at.point,
            e,
        });
    let found = products(
        system,
        factor,
        &solution.h,
        &directions,
        &solution.u,
        columns.as_ref(),
    );
    information(&found, solution.h.m, point.precision)
}

/// f q_a'P q_b and y'P V_a P y from the products of directions with u.
pub(crate) fn information(found: &Products, p: usize, precision: f64) -> (Vec<f64>, Vec<f64>) {
    let m = found.width;
    let mut information = vec![0.0; m * m];
    for a in 0..m {
        for b in a..m {
            let projected: f64 = found.fixed[a * p..(a + 1) * p]
                .iter()
                .zip(&found.fixed[b * p..(b + 1) * p])
                .map(|(x, y)| x * y)
                .sum();
            let value = precision * (found.double[a * m + b] - projected);
            information[a * m + b] = value;
            information[b * m + a] = value;
        }
    }
    let slopes = found.single.iter().map(|block| block[0]).collect();
    (information, slopes)
}
