//! First derivatives of the criterion and the average-information model of the second.
//!
//! With f = (n - p)/q (ML: n/q), q = y'Py and b_j = [Z'Py]_j, the score matrix of a term is
//! S = sum_j [Z'PZ]_jj - f sum_j b_j b_j' (ML: Z'V^-1Z in the first sum) and d criterion / dT = 2 S T. Johnson & Thompson
//! (1995, J. Dairy Sci. 78) and Gilmour, Thompson & Cullis (1995, Biometrics 51) give the average information
//! f y'P V_a P V_b P y; to it the curvature of the Cholesky parameterisation, 2 tr(S E_a E_b'), is added exactly.
//!
//! Everything follows from the factor without dividing by a variance twice: Lambda'Z'V^-1Z Lambda = I - M^-1, Z'V^-1Z Lambda = A
//! Lambda M^-1, Lambda'Z'V^-1Q = M^-1 Lambda'Z'Q and Lambda'Z'Py = u. Where the levels have a known precision matrix, with K^-1
//! its product (x) I, these are K^-1 - K^-1 M^-1 K^-1, A Lambda M^-1 K^-1, K^-1 M^-1 Lambda'Z'Q and K^-1 u.

use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::criterion::direction::{kappas, Direction, TimesLevelPrecision};
use crate::criterion::level_sums::{is_large, level_sums, LevelSums, Sum};
use crate::criterion::point::Point;
use crate::criterion::products::{products, Products};
use crate::criterion::residual_directions::ResidualColumns;
use crate::criterion::residual_solution::{ResidualPoint, ResidualSolution};
use crate::linalg::small;
use crate::moments::residual_part::ResidualPart;
use crate::runtime::memory;
use crate::runtime::workspace::Buffer;
use crate::system::equations::{Factor, SelectedInverse, System};
use crate::system::inverse_entries::InverseEntries;
use crate::system::solution::Solution;

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
    /// 2 tr(S E_a E_b') and the Hessian of the penalty, m x m.
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
pub(crate) struct SolvedPoint<'a> {
    pub system: &'a System,
    pub factor: &'a Factor,
    pub inverse: &'a SelectedInverse,
    pub solution: &'a Solution,
    pub point: Point<'a>,
    pub residual: Option<AtResidual<'a>>,
}

impl SolvedPoint<'_> {
    /// Gradient, scores and average information, in the workspace of others; `None` where an entry of M^-1 that a residual structure
    /// needs is not known.
    #[must_use]
    pub fn derivatives(&self, mut old: Derivatives) -> Option<Derivatives> {
        let slopes = self.slopes(old.take_slopes())?;
        let point = self.point;
        old.directions = kappas(
            (self.factor, &self.system.workers),
            point.parameters,
            point.theta,
            old.directions,
        );
        let found = average_information(
            self.system,
            self.factor,
            self.solution,
            &old.directions,
            self.residual.as_ref(),
        );
        Some(with_curvature(self.factor, slopes, point, &found, old))
    }

    /// Gradient and scores, in the workspace of others; `None` as for [`Self::derivatives`].
    #[must_use]
    pub fn slopes(&self, old: Slopes) -> Option<Slopes> {
        let (system, factor, inverse, point) = (self.system, self.factor, self.inverse, self.point);
        let level_precision = TimesLevelPrecision::new(system, self.solution);
        let sums = level_sums(
            system,
            factor,
            inverse,
            self.solution,
            &level_precision,
            point,
        );
        let mut found = slopes_of_terms(system, factor, &sums, point, old);
        if let Some(at) = &self.residual {
            let entries = InverseEntries {
                system,
                factor,
                inverse,
            };
            let of_residual = at.part.gradient(
                entries,
                &at.point,
                at.rows,
                point.reml,
                point.inverse_sigma2,
            )?;
            found.gradient.extend(of_residual);
        }
        Some(found)
    }
}

impl Derivatives {
    /// The gradient and the scores, or what they may be written to.
    pub(crate) fn take_slopes(&mut self) -> Slopes {
        Slopes {
            gradient: std::mem::take(&mut self.gradient),
            score: std::mem::take(&mut self.score),
        }
    }
}

/// Slopes in the parameters of the terms from the sums over levels, in the workspace of others.
pub(crate) fn slopes_of_terms(
    system: &System,
    factor: &Factor,
    sums: &LevelSums<'_, Buffer<'_>>,
    point: Point<'_>,
    old: Slopes,
) -> Slopes {
    let parameters = point.parameters;
    let Slopes {
        mut gradient,
        mut score,
    } = old;
    score.resize_with(parameters.structures.len(), Vec::new);
    for (term, score) in score.iter_mut().enumerate() {
        // each value is written
        memory::resize(score, parameters.place[term].2.pow(2));
        term_score(
            system,
            factor,
            sums,
            (parameters, term),
            point.inverse_sigma2,
            score,
        );
    }
    gradient.clear();
    gradient.extend(term_slopes(factor, parameters, point.theta, &score));
    if let Some(penalty) = point.penalty {
        penalty.add_gradient(parameters, point.theta, &mut gradient);
    }
    Slopes { gradient, score }
}

/// Derivatives from the slopes and the products of directions with u, of all parameters, in the workspace of others, whose
/// directions they keep.
pub(crate) fn with_curvature(
    factor: &Factor,
    Slopes { gradient, score }: Slopes,
    point: Point<'_>,
    found: &Products<'_>,
    old: Derivatives,
) -> Derivatives {
    let Derivatives {
        mut information,
        mut rank_one,
        mut curvature,
        mut slopes,
        directions,
        ..
    } = old;
    write_information(found, point.inverse_sigma2, &mut information);
    slopes.clear();
    slopes.extend(
        found
            .single
            .chunks_exact(found.c * found.c)
            .map(|block| block[0]),
    );
    let (parameters, theta, f) = (point.parameters, point.theta, point.inverse_sigma2);
    let m = parameters.len();
    curvature.clear();
    memory::resize(&mut curvature, m * m);
    for (a, pa) in parameters.list.iter().enumerate() {
        let k = parameters.place[pa.basis].2;
        let s = &score[pa.basis];
        for (b, pb) in parameters.list.iter().enumerate() {
            curvature[b * m + a] = if !pa.entries.is_empty() && pa.basis == pb.basis {
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
    if let Some(penalty) = point.penalty {
        penalty.add_hessian(parameters, theta, (&mut curvature, m));
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
    theta: &'a InternalTheta,
    score: &'a [Vec<f64>],
) -> impl Iterator<Item = f64> + 'a {
    let slope = move |(a, pa): (usize, &crate::basis::parameters::TermParameter)| {
        let s = &score[pa.basis];
        if pa.entries.is_empty() {
            let k = parameters.place[pa.basis].2;
            return small::trace_product(s, &parameters.derivative(theta, a), k);
        }
        let in_entry =
            |&(row, column)| slope_in_entry(factor, parameters, pa.basis, s, row, column);
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
    let has_column = |t: &[f64]| t[at * kf..(at + 1) * kf].iter().any(|v| *v != 0.0);
    let class = parameters.levels[term].class();
    // a column of zeros keeps the trace that regularisation gives it: it shows the way off a saddle
    let t = match &factor.actual {
        Some(actual) if has_column(actual.of_class(f, class)) => actual.of_class(f, class),
        _ => factor.t.of_class(f, class),
    };
    2.0 * (0..k)
        .map(|i| score[i * k + row] * t[at * kf + offset + i])
        .sum::<f64>()
}

/// S of one term from the sums of its factor and the classes of its levels.
///
/// Columns of ST = sum_j [Z'PZ]_jj T are T^-T (sum(I - M^-1) - inner) where the effect of the column is large, and
/// sum A Lambda M^-1 - T^-T inner elsewhere. The latter are differences of cross-products, which may be orders of magnitude more
/// than what is left of them; divided by the small T they would be what S has in common with large effects, if the symmetric
/// entry did not say it without. So S of two small effects is taken from them alone, S of a small and a large one from the
/// latter's column, and what is left of that from S of two large ones: S times their columns of T is what it was.
fn term_score(
    system: &System,
    factor: &Factor,
    sums: &LevelSums<'_, Buffer<'_>>,
    (parameters, term): (&Parameters, usize),
    f: f64,
    score: &mut [f64],
) {
    let (g, offset, k) = parameters.place[term];
    let (kf, levels) = (parameters.factor_k[g], &parameters.levels[term]);
    let workers = &system.workers;
    let own = |e: usize| (offset + e / k) * kf + offset + e % k;
    // over the classes of its levels
    let take = |sum: Sum| {
        let mut out = workers.buffer(k * k);
        for class in levels.classes() {
            let block = sums.get(sum, (g, class));
            let values = out.iter_mut().enumerate();
            values.for_each(|(e, value)| *value += block[own(e)]);
        }
        out
    };
    let mut t = workers.buffer(k * k);
    let one = factor.t.of_class(g, levels.class());
    (t.iter_mut().enumerate()).for_each(|(e, value)| *value = one[own(e)]);
    let mut small_effects = workers.buffer(k);
    for (effect, small) in small_effects.iter_mut().enumerate() {
        *small = f64::from(u8::from(!is_large(
            system,
            factor,
            (g, levels),
            offset + effect,
        )));
    }
    let is_small = |effect: usize| small_effects[effect] != 0.0;
    // ST, column by column
    let fixed = take(Sum::Fixed);
    let modes = take(Sum::Modes);
    let complement = take(Sum::Complement);
    for (e, value) in score.iter_mut().enumerate() {
        let whole = if is_small(e / k) { 0.0 } else { complement[e] };
        *value = whole - fixed[e] - f * modes[e];
    }
    for column in score.chunks_exact_mut(k) {
        small::solve_lower_transposed(&t, k, column);
    }
    let mut row = workers.buffer(k);
    let any_small = (0..k).any(is_small);
    if any_small {
        let direct = take(Sum::Product);
        for e in (0..k * k).filter(|e| is_small(e / k)) {
            score[e] += direct[e];
        }
    }
    if !any_small || (0..k).all(is_small) {
        times_inverse(&t, k, &mut row, score);
        symmetrize(score, k, |_| true);
        return;
    }
    let mut product = workers.buffer(k * k);
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
            point: at.point,
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

/// f q_a'P q_b from the products of directions with u, m x m, in the workspace of `out`.
fn write_information(found: &Products<'_>, inverse_sigma2: f64, out: &mut Vec<f64>) {
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
            let value = inverse_sigma2 * (found.double[a * m + b] - projected);
            out[a * m + b] = value;
            out[b * m + a] = value;
        }
    }
}
