//! The criterion and its derivatives without a factor of the Schur complement: for crossed factors with so many levels that
//! the factor would take too long, or would not fit in memory.
//!
//! With S = P^{1/2}(I - E)P^{T/2} ([`super::operator`]), solutions come from conjugate gradients preconditioned by the block
//! diagonal P ([`pcg`]), and log|S| = log|P| - tr(E^2)/2 + tr g(E), g(e) = log(1 - e) + e + e^2/2, since tr E = 0. tr(E^2) is
//! a sum over all pairs of neighbours, without error. tr g(E) is split (Hutch++: Meyer, Musco, Musco & Woodruff 2021):
//! with Q a basis of the leading eigenvectors of E, roughly, tr g(E) = tr Q'g(E)Q + tr (I - QQ')g(E)(I - QQ'), the first
//! exactly, the second by Hutchinson's estimator (1990) with random signs r, r'g(E)r by Lanczos quadrature ([`super::lanczos`];
//! Ubaru, Chen & Saad 2017; for crossed random effects Kuendig & Sigrist 2025, arXiv 2505.09552). E has a spectral radius of
//! about (1/sqrt(d_1) + 1/sqrt(d_2))^2 beyond its leading eigenvector, d the observations of a level, and g(e) is about
//! -e^3/3: little is left to chance.
//!
//! The gradient is the derivative of this estimate ([`logarithm_sums`]), not an estimate of its own, as the mean of r'g'(E)dE r
//! would be: E and dE do not commute, r'g(E)r changes by something else, and an optimiser that goes down the one never finds a
//! zero of the other. It is also the more precise one. Average information takes solutions only.
//!
//! Signs and Q are the same in every evaluation, so that the criterion is a smooth function of the parameters.

use std::ops::DerefMut;

use crate::api::error::EngineError;
use crate::basis::covariances::Covariances;
use crate::basis::parameters::Parameters;
use crate::criterion::direction::{apply_directions, kappas};
use crate::criterion::gradient::{
    slopes_of_terms, term_slopes, with_curvature, Derivatives, Slopes,
};
use crate::criterion::iterative::operator::{lanes, Lane, Operator, PairSums, LANES};
use crate::criterion::iterative::pcg;
use crate::criterion::level_sums::{LevelSums, Sum};
use crate::criterion::point::Point;
use crate::criterion::products::{cross, singles, Products};
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::workspace::Room;
use crate::system::equations::{Factor, Rows, System};
use crate::system::right_hand_sides::{gram, right_hand_sides, shifts};
use crate::system::solution::{solution_of, Solution};

/// Random sign vectors, in groups of [`LANES`].
const GROUPS: usize = 2;

/// Power iterations towards the leading eigenvectors.
const POWERS: usize = 6;

/// Relative residual of solutions for random signs: the error of a quadrature is about its square.
const SIGNS: f64 = 1e-5;

/// Relative residual of solutions for the data.
const DATA: f64 = 1e-11;

/// Relative residual of solutions for the average information.
const INFORMATION: f64 = 1e-8;

/// Work on all pairs of neighbours, relative to the rest, up to which tr(E^2) is not left to chance on the way.
const PAIRS: f64 = 1.0;

/// The same at the end of a fit that has nothing but estimates.
const LAST_PAIRS: f64 = 30.0;

/// Iterations, with all else that an evaluation takes.
const ITERATIONS: f64 = 20.0;

/// Multiply-adds of eight vectors at a time for one of scattered numbers, as measured.
const SCATTERED: f64 = 6.5;

/// Multiply-adds over all pairs of neighbours, relative to one evaluation without them.
fn pairs_work(system: &System) -> f64 {
    SCATTERED * system.schur.pair_work(system.k1()) / evaluation_work(system)
}

/// Multiply-adds of one evaluation, without the pairs of neighbours.
pub(crate) fn evaluation_work(system: &System) -> f64 {
    ITERATIONS * iteration_work(system)
}

/// Multiply-adds of one iteration with all vectors.
fn iteration_work(system: &System) -> f64 {
    let entries = (system.schur.effect_row.len() * system.k1()) as f64;
    2.0 * entries * ((GROUPS + 1) * LANES) as f64
}

/// What each random vector says about the criterion and its gradient at one point.
#[derive(Debug, Clone, Default)]
struct Draws {
    value: Vec<f64>,
    gradient: Vec<Vec<f64>>,
}

/// A point at which criterion and gradient are known from a factorisation. Elsewhere the estimates are corrected by their
/// errors there: with the same random vectors, and a gradient that is the derivative of the criterion, what is left is of the
/// second order in the distance for the criterion, of the first for the gradient.
#[derive(Debug, Clone)]
struct Anchor {
    theta: Vec<f64>,
    value: f64,
    /// Empty where only the criterion is known.
    gradient: Vec<f64>,
    draws: Draws,
}

/// Evaluates log|M|, solutions and derivatives by conjugate gradients and random vectors.
pub struct Estimator {
    seed: u64,
    /// Q and, group by group, (I - QQ')r, once found.
    starts: Vec<Vec<Lane>>,
    pub(super) with_pairs: bool,
    state: Option<State>,
    anchor: Option<Anchor>,
    draws: Draws,
}

/// What an [`Estimator`] knows about one point.
pub(crate) struct Aside {
    state: Option<State>,
    draws: Draws,
}

/// What the derivatives need of the last evaluation.
struct State {
    operator: Operator,
    /// M^-1 Lambda'Z'[Q r].
    all: Rows,
    /// Of the leading eigenvectors, then of the random vectors.
    runs: Vec<pcg::Run>,
    pairs: Option<PairSums>,
}

impl Estimator {
    /// An estimator for this system, with the same random vectors in every session.
    #[must_use]
    pub fn new(system: &System) -> Self {
        Self::with_seed(system, 20_250_509)
    }

    /// The same with other random vectors.
    #[must_use]
    pub fn with_seed(system: &System, seed: u64) -> Self {
        Self {
            seed,
            starts: Vec::new(),
            with_pairs: pairs_work(system) <= PAIRS,
            state: None,
            anchor: None,
            draws: Draws::default(),
        }
    }

    /// Takes the errors of the last evaluation, at `theta`, for known: `value` and `gradient` (empty: not known) are exact less
    /// estimated, beyond what an earlier anchor corrected.
    pub(crate) fn anchor_at(&mut self, theta: &[f64], value: f64, mut gradient: Vec<f64>) {
        let value = value + self.correction(theta);
        if let Some(earlier) = &self.anchor {
            gradient
                .iter_mut()
                .zip(&earlier.gradient)
                .for_each(|(x, y)| *x += y);
        }
        self.anchor = Some(Anchor {
            theta: theta.to_vec(),
            value,
            gradient,
            draws: self.draws.clone(),
        });
    }

    /// Takes what the derivatives need of the last evaluation aside, and puts it back.
    pub(crate) fn set_aside(&mut self) -> Aside {
        Aside {
            state: self.state.take(),
            draws: std::mem::take(&mut self.draws),
        }
    }

    /// Undoes [`Self::set_aside`].
    pub(crate) fn put_back(&mut self, aside: Aside) {
        self.state = aside.state;
        self.draws = aside.draws;
    }

    /// What the anchor adds to the criterion at `theta`.
    fn correction(&self, theta: &[f64]) -> f64 {
        self.anchor.as_ref().map_or(0.0, |anchor| {
            let slope: f64 = theta
                .iter()
                .zip(&anchor.theta)
                .zip(&anchor.gradient)
                .map(|((x, y), g)| g * (x - y))
                .sum();
            anchor.value + slope
        })
    }

    /// Multiply-adds of one evaluation with its derivatives.
    #[must_use]
    pub(crate) fn work(&self, system: &System) -> f64 {
        let pairs = if self.with_pairs {
            pairs_work(system)
        } else {
            0.0
        };
        evaluation_work(system) * (1.0 + pairs)
    }

    /// Leaves less to chance from the next evaluation on; `false` where that is so already or would take too long.
    pub(crate) fn refine(&mut self, system: &System) -> bool {
        let refined = !self.with_pairs && pairs_work(system) <= LAST_PAIRS;
        self.with_pairs |= refined;
        refined
    }

    /// Number of random vectors.
    #[must_use]
    pub fn vectors(&self) -> usize {
        GROUPS * LANES
    }

    /// Monte-Carlo standard error of the criterion at `theta`, the last point.
    #[must_use]
    pub fn value_error(&self, theta: &[f64]) -> f64 {
        let draws: Vec<f64> = match &self.anchor {
            None => self.draws.value.clone(),
            Some(anchor) => (0..self.draws.value.len())
                .map(|i| {
                    let known = if anchor.gradient.is_empty() {
                        &[]
                    } else {
                        anchor.draws.gradient[i].as_slice()
                    };
                    let slope: f64 = known
                        .iter()
                        .zip(theta.iter().zip(&anchor.theta))
                        .map(|(g, (x, y))| g * (x - y))
                        .sum();
                    self.draws.value[i] - anchor.draws.value[i] - slope
                })
                .collect(),
        };
        mean_and_error(&draws).1
    }

    /// Monte-Carlo covariance matrix of the gradient at the last point, once it has been asked for.
    #[must_use]
    pub fn gradient_covariance(&self) -> Vec<f64> {
        let m = self.draws.gradient.first().map_or(0, Vec::len);
        let parts: Vec<Vec<f64>> = self
            .draws
            .gradient
            .iter()
            .enumerate()
            .map(|(i, g)| match &self.anchor {
                Some(anchor) if !anchor.gradient.is_empty() => {
                    let known = &anchor.draws.gradient[i];
                    g.iter().zip(known).map(|(x, y)| x - y).collect()
                }
                _ => g.clone(),
            })
            .collect();
        let n = parts.len() as f64;
        let mean: Vec<f64> = (0..m)
            .map(|a| parts.iter().map(|g| g[a]).sum::<f64>() / n)
            .collect();
        memory::collect((0..m * m).map(|e| {
            let sum: f64 = parts
                .iter()
                .map(|g| (g[e % m] - mean[e % m]) * (g[e / m] - mean[e / m]))
                .sum();
            sum / (n * (n - 1.0))
        }))
    }

    /// What [`Factor::new`] computes, with an estimate of log|M| and without a factor of the complement.
    pub fn evaluate(
        &mut self,
        system: &System,
        theta: &[f64],
        t: Covariances,
        center: &[Vec<f64>],
    ) -> Result<Factor, EngineError> {
        const STEP: &str = "the solution of the mixed-model equations by iteration";
        self.state = None;
        if (0..t.factors()).any(|f| t.has_classes(f)) {
            return Err(EngineError::Classes("an estimate by iteration"));
        }
        let operator = Operator::new(system, &t).ok_or(EngineError::numerical(STEP))?;
        let shift = shifts(system, &t, center, Vec::new());
        // levels are independent
        let mut all = right_hand_sides(system, &t, |f| &shift[f], Rows::default());
        let m = all.m;
        operator.forward(system, &mut all);
        let taken = self.solve(&operator, system, &mut all, DATA);
        operator.backward(system, &mut all);
        if self.starts.is_empty() {
            self.starts = starts(&operator, system, self.seed);
        }
        let runs = system.workers.map(self.starts.len(), |i| {
            pcg::run(&operator, system, &self.starts[i], SIGNS, true)
        });
        let pairs = self.with_pairs.then(|| operator.pair_sums(system));
        let square = pairs
            .as_ref()
            .map_or(0.0, |pairs| operator.trace(system, &pairs.squares));
        let rest = |x: f64| remainder(x, self.with_pairs);
        let exact: f64 = (0..LANES).map(|i| runs[0].quadrature(i, rest)).sum();
        let draws: Vec<f64> = runs[1..]
            .iter()
            .flat_map(|run| (0..LANES).map(move |i| run.quadrature(i, rest)))
            .collect();
        let mean = mean_and_error(&draws).0;
        let log_det_m = operator.log_det_first + operator.log_det_p - 0.5 * square
            + exact
            + mean
            + self.correction(theta);
        self.draws = Draws {
            value: draws,
            gradient: Vec::new(),
        };
        let empty = Rows {
            m,
            ..Rows::default()
        };
        let mut factor = Factor::without_complement(t, operator.l1.clone(), empty, shift);
        factor.log_det_m = log_det_m;
        factor.border_with(system, &taken)?;
        self.state = Some(State {
            operator,
            all,
            runs,
            pairs,
        });
        if log_det_m.is_finite() {
            Ok(factor)
        } else {
            Err(EngineError::numerical(STEP))
        }
    }

    /// The second half of a solution: (I - E)^-1 of what [`Operator::forward`] left; returns B'M^-1B, lower triangle.
    fn solve<V: DerefMut<Target = [f64]>>(
        &self,
        operator: &Operator,
        system: &System,
        rows: &mut Rows<V>,
        tolerance: f64,
    ) -> Vec<f64> {
        let m = rows.m;
        let before = rows.rest.to_vec();
        let groups = m.div_ceil(LANES);
        let found = system.workers.map(groups, |group| {
            let b = lanes(&before, m, group * LANES);
            pcg::solve(operator, system, &b, tolerance)
        });
        for (group, x) in found.iter().enumerate() {
            let from = group * LANES;
            let width = LANES.min(m - from);
            for (row, lane) in rows.rest.chunks_exact_mut(m).zip(x) {
                row[from..from + width].copy_from_slice(&lane[..width]);
            }
        }
        let first = Rows {
            first: &*rows.first,
            rest: &[],
            m,
        };
        let mut product = gram(system, &first).to_vec();
        for (x, b) in rows.rest.chunks_exact(m).zip(before.chunks_exact(m)) {
            for j in 0..m {
                for i in j..m {
                    product[j * m + i] += 0.5 * (x[i] * b[j] + b[i] * x[j]);
                }
            }
        }
        product
    }

    /// Solution and derivatives at the point of the last evaluation.
    pub fn derivatives(
        &mut self,
        system: &System,
        factor: &Factor,
        point: Point<'_>,
    ) -> Option<(Solution, Derivatives)> {
        let state = self.state.as_ref()?;
        let solution = solution_of(system, factor, state.all.clone(), Solution::default());
        let mut sums = LevelSums::of_effects(system, &factor.t, &solution, point.reml);
        let draws = logarithm_sums(system, &factor.t, state, &mut sums);
        let workers = &system.workers;
        let (parameters, theta) = (point.parameters, point.theta);
        let directions = kappas((factor, workers), parameters, theta, Vec::new());
        let mut rows = apply_directions(system, &directions, &solution.u);
        let mut found = Products {
            single: singles(workers, &solution.u, &rows, directions.len()),
            double: gram(system, &rows),
            fixed: cross(workers, &solution.h, &rows),
            width: rows.m,
            c: 1,
            p: solution.h.m,
        };
        if rows.m > 0 {
            state.operator.forward(system, &mut rows);
            let taken = self.solve(&state.operator, system, &mut rows, INFORMATION);
            found
                .double
                .iter_mut()
                .zip(taken)
                .for_each(|(x, y)| *x -= y);
        }
        let slopes = slopes_of_terms(system, factor, &sums, point, Slopes::default());
        let room = Derivatives {
            directions,
            ..Derivatives::default()
        };
        let mut derivatives = with_curvature(factor, slopes, point, &found, room);
        if let Some(anchor) = &self.anchor {
            let gradient = derivatives.gradient.iter_mut();
            gradient.zip(&anchor.gradient).for_each(|(x, y)| *x += y);
        }
        self.draws.gradient = draws
            .iter()
            .map(|own| log_det_slopes(factor, parameters, theta, own))
            .collect();
        Some((solution, derivatives))
    }
}

/// log(1 - e) + e, with all pairs + e^2/2, at x = 1 - e.
fn remainder(x: f64, with_pairs: bool) -> f64 {
    let e = 1.0 - x;
    if !with_pairs {
        x.ln() + e
    } else if e.abs() < 1e-3 {
        // without cancellation
        -e.powi(3) * (1.0 / 3.0 + e * (0.25 + e * (0.2 + e / 6.0)))
    } else {
        x.ln() + e + 0.5 * e * e
    }
}

/// (f(x) - f(y)) / (x - y) of [`remainder`].
fn divided(x: f64, y: f64, with_pairs: bool) -> f64 {
    let gap = (x - y) / y;
    let log = if gap == 0.0 {
        1.0 / y
    } else {
        gap.ln_1p() / (gap * y)
    };
    let square = if with_pairs { 1.0 - 0.5 * (x + y) } else { 0.0 };
    log - 1.0 - square
}

/// Q, orthonormal vectors near the leading eigenvectors of E, and (I - QQ')r for the random signs r.
fn starts(operator: &Operator, system: &System, seed: u64) -> Vec<Vec<Lane>> {
    let q = leading_vectors(operator, system);
    let others = (0..GROUPS).map(|group| {
        let signs = signs(system.schur.q2, seed ^ ((group as u64) << 48));
        project(&signs, &q)
    });
    std::iter::once(q.clone()).chain(others).collect()
}

/// Orthonormal vectors near the leading eigenvectors of E.
fn leading_vectors(operator: &Operator, system: &System) -> Vec<Lane> {
    let schur = &system.schur;
    // each column of each factor in turn, then signs: others, else the random vectors would not be independent of Q
    let mut x = signs(schur.q2, 0);
    let mut lane = 0;
    for (f, factor) in system.moments.factors.iter().enumerate().skip(1) {
        for a in 0..factor.k {
            if lane == LANES / 2 {
                break;
            }
            for (v, &(g, _)) in schur.node.iter().enumerate() {
                for row in schur.offset[v]..schur.offset[v + 1] {
                    let own = g == f && row - schur.offset[v] == a;
                    x[row][lane] = f64::from(u8::from(own));
                }
            }
            lane += 1;
        }
    }
    operator.unscale(system, &mut x);
    let mut z = vec![[0.0; LANES]; system.q1()];
    for _ in 0..POWERS {
        let q = orthonormal(&x);
        operator.times(system, &q, &mut z);
        operator.off_diagonal(system, &q, &z, &mut x);
    }
    orthonormal(&x)
}

/// Adds the derivative of log|M| to the sums over levels; returns what each random vector contributed, T^-T times its own sums.
///
/// It is the derivative of the estimate itself. S changes by dS = d(L_P)(I - E)L_P' + ..., so that with dL_P = L_P F, F_v the lower
/// half of L_v^-1 dP_v L_v^-T (its diagonal halved), d(I - E) = L_P^-1 dS L_P^-T - F (I - E) - (I - E) F'. Of that follow
///
///   d log|P|        = sum_v tr(L_v^-T L_v^-1 dP_v),
///   d (-tr(E^2)/2)  = tr(E L_P^-1 dS L_P^-T) + sum_v tr(L_v^-T [E^2]_vv L_v^-1 dP_v),
///   u'd(I - E) u    = x'dS x - sum_v tr(L_v^-T K_v L_v^-1 dP_v),  x = L_P^-T u,
///
/// where K_v is symmetric with the lower triangle of u_v [(I - E) u]_v'; the derivative of r'g(E)r is a sum of the third
/// ([`super::lanczos::derivative`]). Each is 2 tr(dT'B) with B = T^-T times sums over levels, since (T'AT) X = M X - X:
/// x'dS x takes X = (-L_1^-T W~u, x), where M X = (0, Sx), and tr(N dP_v) takes P_v - I and -L_j^-T W_jv N W_jv' L_j^-1. Only the
/// lower triangle of T^-1 dT is there, so B may be replaced by T^-T times the symmetric matrix with the lower triangle of T'B.
fn logarithm_sums(
    system: &System,
    t: &Covariances,
    state: &State,
    sums: &mut LevelSums<'_, Room<'_>>,
) -> Vec<Vec<Vec<f64>>> {
    let (operator, moments) = (&state.operator, &system.moments);
    let mut total = operator.complement.clone();
    if let Some(pairs) = &state.pairs {
        take(t.common(0), &pairs.first, &mut total[0]);
    }
    let parts = system.workers.map(state.runs.len(), |group| {
        let squares = state.pairs.as_ref().map(|pairs| pairs.squares.as_slice());
        quadrature_sums(system, operator, &state.runs[group], squares, group == 0)
    });
    let mut draws = Vec::new();
    for (group, outer) in parts.iter().enumerate() {
        let weight = if group == 0 {
            1.0
        } else {
            1.0 / ((parts.len() - 1) * LANES) as f64
        };
        for lane in 0..LANES {
            let mut own: Vec<Vec<f64>> = Vec::with_capacity(t.factors());
            for (f, block) in outer.iter().enumerate() {
                let k = moments.factors[f].k;
                let symmetric: Vec<f64> = memory::collect(
                    (0..k * k).map(|e| block[(e % k).min(e / k) * k + (e % k).max(e / k)][lane]),
                );
                let mut part = memory::zeros(k * k);
                take(t.common(f), &symmetric, &mut part);
                total[f]
                    .iter_mut()
                    .zip(&part)
                    .for_each(|(x, y)| *x += weight * y);
                own.push(part);
            }
            if group > 0 {
                draws.push(own);
            }
        }
    }
    for (f, block) in total.into_iter().enumerate() {
        let k = moments.factors[f].k;
        // I - M^-1 = T' A Lambda M^-1, summed over levels
        small::mul_tn(
            t.common(f),
            &block,
            k,
            k,
            k,
            sums.get_mut(Sum::Complement, (f, 0)),
        );
        sums.get_mut(Sum::Product, (f, 0)).copy_from_slice(&block);
    }
    draws
}

/// -T'B of each factor for the derivatives of r'g(E)r, lane by lane; in the first lane, if `known`, also what log|P| and tr(E^2)
/// say of P.
fn quadrature_sums(
    system: &System,
    operator: &Operator,
    run: &pcg::Run,
    squares: Option<&[f64]>,
    known: bool,
) -> Vec<Vec<Lane>> {
    let (k1, entries) = (system.k1(), operator.block_entries());
    // u u' and (I - E)u u' of each node
    let mut outer = vec![[0.0; LANES]; entries];
    let mut moved = outer.clone();
    let mut first = vec![[0.0; LANES]; k1 * k1];
    let mut w = vec![[0.0; LANES]; system.q1()];
    run.derivatives(
        |x, y| divided(x, y, squares.is_some()),
        |direction| {
            let signed = |rows: &[Lane]| -> Vec<Lane> {
                let times = |row: &Lane| std::array::from_fn(|i| direction.sign[i] * row[i]);
                rows.iter().map(times).collect()
            };
            let x = signed(&direction.x);
            operator.add_outer(system, &x, &direction.x, &mut outer);
            operator.add_outer(system, &direction.ax, &x, &mut moved);
            operator.times(system, &direction.x, &mut w);
            let own = operator.first_outer(system, &signed(&w), &w);
            for (total, own) in first.iter_mut().zip(&own) {
                total.iter_mut().zip(own).for_each(|(x, y)| *x += y);
            }
        },
    );
    // K_v, whose upper triangle is that of (I - E)u u'
    let mut of_p = vec![[0.0; LANES]; entries];
    for pair in operator.block_starts().windows(2) {
        let k = (pair[1] - pair[0]).isqrt();
        for e in 0..k * k {
            let (low, high) = ((e % k).min(e / k), (e % k).max(e / k));
            let entry = moved[pair[0] + high * k + low];
            let at = pair[0] + e;
            for i in 0..LANES {
                of_p[at][i] = -entry[i];
            }
        }
    }
    for ((moved, outer), of_p) in moved.iter_mut().zip(&mut outer).zip(&of_p) {
        for i in 0..LANES {
            moved[i] += of_p[i];
            outer[i] += of_p[i];
        }
    }
    if known {
        if let Some(squares) = squares {
            for ((of_p, outer), square) in of_p.iter_mut().zip(&mut outer).zip(squares) {
                of_p[0] += square;
                outer[0] += square;
            }
        }
        for pair in operator.block_starts().windows(2) {
            let k = (pair[1] - pair[0]).isqrt();
            (0..k).for_each(|a| of_p[pair[0] + a * k + a][0] += 1.0);
        }
    }
    let mut out = operator.rest_weighted(system, &outer, &moved);
    out[0] = operator.first_weighted(system, &of_p);
    for (total, own) in out[0].iter_mut().zip(&first) {
        total.iter_mut().zip(own).for_each(|(x, y)| *x += y);
    }
    out
}

/// out -= T^-T B.
fn take(t: &[f64], b: &[f64], out: &mut [f64]) {
    let k = (b.len() as f64).sqrt() as usize;
    let mut column = memory::zeros(k);
    for (b, out) in b.chunks_exact(k).zip(out.chunks_exact_mut(k)) {
        column.copy_from_slice(b);
        small::solve_lower_transposed(t, k, &mut column);
        out.iter_mut().zip(&column).for_each(|(x, y)| *x -= y);
    }
}

/// Slopes of log|M| that belong to sums U = T^-T (I - M^-1) over the levels of each factor.
fn log_det_slopes(
    factor: &Factor,
    parameters: &Parameters,
    theta: &[f64],
    sums: &[Vec<f64>],
) -> Vec<f64> {
    let scores: Vec<Vec<f64>> = parameters
        .place
        .iter()
        .map(|&(f, offset, k)| {
            let kf = parameters.factor_k[f];
            let at = |block: &[f64], e: usize| block[(offset + e / k) * kf + offset + e % k];
            let t: Vec<f64> = memory::collect((0..k * k).map(|e| at(factor.t.common(f), e)));
            let mut score = memory::zeros(k * k);
            for i in 0..k {
                let mut row: Vec<f64> = (0..k).map(|c| at(&sums[f], c * k + i)).collect();
                small::solve_lower_transposed(&t, k, &mut row);
                (0..k).for_each(|c| score[c * k + i] = row[c]);
            }
            memory::collect((0..k * k).map(|e| 0.5 * (score[e] + score[(e % k) * k + e / k])))
        })
        .collect();
    term_slopes(factor, parameters, theta, &scores).collect()
}

fn mean_and_error(draws: &[f64]) -> (f64, f64) {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let square: f64 = draws.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (square / (n * (n - 1.0))).sqrt())
}

/// x - Q Q'x.
fn project(x: &[Lane], q: &[Lane]) -> Vec<Lane> {
    let mut products = [[0.0; LANES]; LANES];
    for (x, q) in x.iter().zip(q) {
        for (row, q) in products.iter_mut().zip(q) {
            row.iter_mut().zip(x).for_each(|(p, x)| *p += q * x);
        }
    }
    x.iter()
        .zip(q)
        .map(|(x, q)| {
            let mut out = *x;
            for (row, q) in products.iter().zip(q) {
                out.iter_mut().zip(row).for_each(|(x, p)| *x -= q * p);
            }
            out
        })
        .collect()
}

/// Orthonormal lanes, by modified Gram-Schmidt twice; zero where a lane depends on those before it.
fn orthonormal(x: &[Lane]) -> Vec<Lane> {
    let mut q = x.to_vec();
    for i in 0..LANES {
        let before = q.iter().map(|r| r[i] * r[i]).sum::<f64>();
        for _ in 0..2 {
            for j in 0..i {
                let product: f64 = q.iter().map(|r| r[i] * r[j]).sum();
                q.iter_mut().for_each(|r| r[i] -= product * r[j]);
            }
        }
        let after = q.iter().map(|r| r[i] * r[i]).sum::<f64>();
        let scale = if after > 1e-20 * before && after > 0.0 {
            after.sqrt().recip()
        } else {
            0.0
        };
        q.iter_mut().for_each(|r| r[i] *= scale);
    }
    q
}

/// Random signs.
fn signs(n: usize, seed: u64) -> Vec<Lane> {
    let own = mix(seed);
    (0..n as u64)
        .map(|row| {
            let bits = mix(own ^ row);
            std::array::from_fn(|i| if bits >> i & 1 == 1 { 1.0 } else { -1.0 })
        })
        .collect()
}

/// Steele, Lea & Flood (2014), SplitMix64's finaliser.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
