//! Optima at which a covariance matrix is singular: exact zeros, their multipliers, and steps away from false ones.

use crate::basis::internal_theta::InternalTheta;
use crate::criterion::objective::Criterion;
use crate::optimize::Outcome;

/// A standard deviation below this, in units in which the data weigh as much as one residual a level, is zero.
const ZERO: f64 = 1e-5;

/// A scaled multiplier below minus this says that the criterion still decreases.
const DESCENT: f64 = 1e-5;

/// What holds on the boundary.
pub(crate) struct Boundary {
    /// Rank of each term's covariance matrix.
    pub rank: Vec<usize>,
    /// Smallest multiplier of each rank-deficient term, NaN for the others.
    pub multipliers: Vec<f64>,
    /// A better point off the boundary.
    pub way_off: Option<(InternalTheta, f64)>,
}

/// Parameters of one term with the smallest variances exactly zero, and the null space of G there.
struct Split {
    reduced: Vec<f64>,
    null: Vec<Vec<f64>>,
}

/// Replaces covariance matrices that are rank deficient up to rounding by exactly deficient ones, where that does not raise the
/// criterion, and computes the multipliers there.
pub(crate) fn reduce_rank(
    criterion: &mut Criterion<'_>,
    outcome: &mut Outcome<InternalTheta>,
) -> Boundary {
    let parameters = criterion.parameters;
    let terms = parameters.structures.len();
    let restriction = criterion.restriction;
    let splits: Vec<Option<Split>> = (0..terms)
        .map(|t| {
            let restricted = restriction.is_some_and(|r| r.touches(parameters, t));
            (!restricted)
                .then(|| split(criterion, &outcome.x, t))
                .flatten()
        })
        .collect();
    let mut boundary = Boundary {
        rank: parameters.largest_ranks(),
        multipliers: vec![f64::NAN; terms],
        way_off: None,
    };
    if splits.iter().all(Option::is_none) {
        return boundary;
    }
    let mut x = outcome.x.clone();
    for (t, split) in splits.iter().enumerate() {
        if let Some(split) = split {
            parameters.set_term(&mut x, t, &split.reduced);
        }
    }
    match criterion.value(&x) {
        Some(value) if value <= outcome.value + 100.0 * criterion.noise(value) => {
            outcome.value = value;
            outcome.x = x;
        }
        _ => return boundary,
    }
    let natural: Vec<f64> = (0..terms)
        .map(|t| natural_variance(criterion, t, &outcome.x))
        .collect();
    let Some(latest) = criterion.latest() else {
        return boundary;
    };
    let score = latest.derivatives.score.clone();
    let mut steepest: Option<(f64, usize, Vec<f64>)> = None;
    for (t, split) in splits.iter().enumerate() {
        let Some(split) = split else { continue };
        let k = parameters.place[t].2;
        boundary.rank[t] = k - split.null.len();
        let (multiplier, direction) =
            parameters.structures[t].multiplier(&split.reduced, &score[t], &split.null);
        boundary.multipliers[t] = multiplier;
        let scaled = multiplier * natural[t];
        if scaled < -DESCENT && steepest.as_ref().is_none_or(|s| scaled < s.0) {
            steepest = Some((scaled, t, direction));
        }
    }
    if let Some((_, term, direction)) = steepest {
        boundary.way_off = step_off(criterion, outcome, term, &direction, natural[term]);
    }
    boundary
}

/// Variance at which a random effect weighs as much as the residuals of a level: J / n in the whitened basis, times the
/// square of the rows' mean standard deviation.
fn natural_variance(criterion: &Criterion<'_>, term: usize, x: &InternalTheta) -> f64 {
    let moments = &criterion.system().moments;
    criterion.unit(x).powi(2) * moments.factors[criterion.parameters.place[term].0].n_levels as f64
        / moments.n as f64
}

fn split(criterion: &Criterion<'_>, x: &InternalTheta, term: usize) -> Option<Split> {
    let parameters = criterion.parameters;
    let limit = ZERO * ZERO * natural_variance(criterion, term, x);
    let (reduced, null) =
        parameters.structures[term].reduced(parameters.of_term(x, term), limit)?;
    Some(Split { reduced, null })
}

/// G + tau^2 v v' with the largest tau of a falling sequence that lowers the criterion.
fn step_off(
    criterion: &mut Criterion<'_>,
    outcome: &Outcome<InternalTheta>,
    term: usize,
    direction: &[f64],
    natural: f64,
) -> Option<(InternalTheta, f64)> {
    let parameters = criterion.parameters;
    let mut variance = natural;
    for _ in 0..16 {
        let own = parameters.structures[term].with_variance(
            parameters.of_term(&outcome.x, term),
            direction,
            variance,
        );
        let mut x = outcome.x.clone();
        parameters.set_term(&mut x, term, &own);
        if let Some(value) = criterion.value(&x) {
            if value < outcome.value {
                return Some((x, value));
            }
        }
        variance *= 0.25;
    }
    None
}
