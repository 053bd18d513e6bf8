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
//! The gradient is the derivative of this estimate ([`super::log_det`]), not an estimate of its own, as the mean of r'g'(E)dE r
//! would be: E and dE do not commute, r'g(E)r changes by something else, and an optimiser that goes down the one never finds a
//! zero of the other. It is also the more precise one. Average information takes solutions only.
//!
//! Signs and Q are the same in every evaluation, so that the criterion is a smooth function of the parameters.

use std::ops::DerefMut;

use crate::api::error::EngineError;
use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::direction::{apply_directions, kappas};
use crate::criterion::gradient::{slopes_of_terms, with_curvature, Derivatives, Slopes};
use crate::criterion::iterative::lanes::{lanes, Lane, LANES};
use crate::criterion::iterative::log_det::{log_det_slopes, logarithm_sums, remainder};
use crate::criterion::iterative::operator::Operator;
use crate::criterion::iterative::pair_sums::PairSums;
use crate::criterion::iterative::pcg;
use crate::criterion::iterative::start_vectors::{starts, GROUPS};
use crate::criterion::level_sums::LevelSums;
use crate::criterion::point::Point;
use crate::criterion::products::{cross, singles, Products};
use crate::runtime::memory;
use crate::system::equations::{Factor, Rows, System};
use crate::system::right_hand_sides::{gram, right_hand_sides, shifts};
use crate::system::solution::{solution_of, Solution};

/// Relative residual of solutions for random signs: the error of a quadrature is about its square.
const SIGNS: f64 = 1e-5;

/// Relative residual of solutions for the data.
const DATA: f64 = 1e-11;

/// Relative residual of solutions for the average information.
const INFORMATION: f64 = 1e-8;

/// Work on all pairs of neighbours, relative to the rest, up to which tr(E^2) is not left to chance on the way.
const PAIRS: f64 = 1.0;

/// Like [`PAIRS`], at the end of a fit that has nothing but estimates.
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
    theta: InternalTheta,
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
pub(crate) struct Snapshot {
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

    /// Like [`Self::new`], with other random vectors.
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
    pub(crate) fn anchor_at(&mut self, theta: &InternalTheta, value: f64, mut gradient: Vec<f64>) {
        let value = value + self.correction(theta);
        if let Some(earlier) = &self.anchor {
            gradient
                .iter_mut()
                .zip(&earlier.gradient)
                .for_each(|(x, y)| *x += y);
        }
        self.anchor = Some(Anchor {
            theta: theta.clone(),
            value,
            gradient,
            draws: self.draws.clone(),
        });
    }

    /// Takes out what the derivatives need of the last evaluation.
    pub(crate) fn take_snapshot(&mut self) -> Snapshot {
        Snapshot {
            state: self.state.take(),
            draws: std::mem::take(&mut self.draws),
        }
    }

    /// Puts it back.
    pub(crate) fn restore(&mut self, snapshot: Snapshot) {
        self.state = snapshot.state;
        self.draws = snapshot.draws;
    }

    /// What the anchor adds to the criterion at `theta`.
    fn correction(&self, theta: &InternalTheta) -> f64 {
        self.anchor.as_ref().map_or(0.0, |anchor| {
            let slope: f64 = theta
                .values()
                .iter()
                .zip(anchor.theta.values())
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
    pub fn value_error(&self, theta: &InternalTheta) -> f64 {
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
                        .zip(theta.values().iter().zip(anchor.theta.values()))
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
        theta: &InternalTheta,
        t: Covariances,
        center: &[Vec<f64>],
    ) -> Result<Factor, EngineError> {
        const STEP: &str = "the solution of the mixed-model equations by iteration";
        self.state = None;
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
        let pairs = self.with_pairs.then(|| operator.pair_sums(system, &t));
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
        let log_det_m = operator.log_det_eliminated + operator.log_det_p - 0.5 * square
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
        let before = rows.complement.to_vec();
        let groups = m.div_ceil(LANES);
        let found = system.workers.map(groups, |group| {
            let b = lanes(&before, m, group * LANES);
            pcg::solve(operator, system, &b, tolerance)
        });
        for (group, x) in found.iter().enumerate() {
            let from = group * LANES;
            let width = LANES.min(m - from);
            for (row, lane) in rows.complement.chunks_exact_mut(m).zip(x) {
                row[from..from + width].copy_from_slice(&lane[..width]);
            }
        }
        let eliminated = Rows {
            eliminated: &*rows.eliminated,
            complement: &[],
            m,
        };
        let mut product = gram(system, &eliminated).to_vec();
        for (x, b) in rows.complement.chunks_exact(m).zip(before.chunks_exact(m)) {
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
        let draws = logarithm_sums(
            system,
            &factor.t,
            (&state.operator, &state.runs, state.pairs.as_ref()),
            &mut sums,
        );
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
        let old = Derivatives {
            directions,
            ..Derivatives::default()
        };
        let mut derivatives = with_curvature(factor, slopes, point, &found, old);
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

fn mean_and_error(draws: &[f64]) -> (f64, f64) {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let square: f64 = draws.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (square / (n * (n - 1.0))).sqrt())
}
