//! Leverages of the rows of a fit, and what the deletion of each changes.
//!
//! With C the coefficient matrix of Henderson's equations and t = (Lambda'z, q) a row, the leverage is h = w t'C^-1 t (Hodges &
//! Sargent 2001, Biometrika 88). What follows from a row - standardised residuals, the changes at its deletion - has e and
//! 1 - h in the place of h: numbers that cancel where a row all but determines an effect. They are taken with twice the
//! digits there (see [`crate::system::extended::rows`]).

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::rows::root_of_weight;
use crate::criterion::objective::Criterion;
use crate::fit::estimates::coefficients;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::{evaluated, is_long};
use crate::inference::extended_rows::ExtendedRows;
use crate::inference::new_rows::{Context, NewRows};
use crate::linalg::double2::Double2;
use crate::runtime::interruptible::interruptible;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;
use crate::system::extended::rows::SolvedEffects;

/// Rows in one piece of work.
const ROWS: usize = 512;

/// Share of 1 - h that rounding may change, at most, where it is taken in double precision.
const TOLERANCE: f64 = 1e-9;

/// 1 - h up to which it is mere rounding: the row alone determines an effect.
const ROUNDING: f64 = 1e-10;

/// The same with twice the digits.
const EXTENDED_ROUNDING: f64 = 1e-24;

/// For every row of the data, relative to sigma^2.
#[derive(Debug, Clone)]
pub struct Leverages {
    /// t'C^-1 t: the prediction error variance of the row's conditional mean; over the variance of its residual it is h.
    pub variances: Vec<f64>,
    /// The part of it that is due to the fixed effects.
    pub of_fixed: Vec<f64>,
    /// 1 - h; 0 where that is mere rounding.
    pub left: Vec<f64>,
    /// e = y - x'beta - z'b.
    pub residuals: Vec<f64>,
    /// Fixed part of C^-1 t for each row (r values, kept columns): times w e / (1 - h) what the row adds to the coefficients.
    pub fixed: Vec<f64>,
}

impl Leverages {
    fn with_capacity(n: usize, rank: usize) -> Self {
        Self {
            variances: Vec::with_capacity(n),
            of_fixed: Vec::with_capacity(n),
            left: Vec::with_capacity(n),
            residuals: Vec::with_capacity(n),
            fixed: Vec::with_capacity(n * rank),
        }
    }

    fn append(&mut self, other: Self) {
        self.variances.extend(other.variances);
        self.of_fixed.extend(other.of_fixed);
        self.left.extend(other.left);
        self.residuals.extend(other.residuals);
        self.fixed.extend(other.fixed);
    }

    /// Puts the rows of others in the place of some.
    fn replace(&mut self, which: &[usize], others: &Self, rank: usize) {
        for (from, &to) in which.iter().enumerate() {
            self.variances[to] = others.variances[from];
            self.of_fixed[to] = others.of_fixed[from];
            self.left[to] = others.left[from];
            self.residuals[to] = others.residuals[from];
            let own = &others.fixed[from * rank..(from + 1) * rank];
            self.fixed[to * rank..(to + 1) * rank].copy_from_slice(own);
        }
    }
}

/// The rows of the data, as new ones.
fn rows_of<'a>(data: &ModelData<'a>) -> NewRows<'a> {
    NewRows {
        n: data.n(),
        x: data.x.clone(),
        codes: data.factors.iter().map(|f| f.codes).collect(),
        members: data.factors.iter().map(|f| f.members).collect(),
        terms: data.terms.iter().map(|t| Some(t.columns.clone())).collect(),
        residual: None,
    }
}

/// In double precision; `precision` are the inverse variances of the residuals.
fn in_doubles(
    data: &ModelData<'_>,
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    precision: &[f64],
) -> Option<Leverages> {
    let (rows, fixed) = (rows_of(data), &prepared.fixed);
    let context = Context::new(prepared, criterion)?;
    let beta = coefficients(prepared, &context.solution.gamma);
    let work = pieces(rows.n, ROWS);
    let parts = prepared.system.workers.map(work.len(), |piece| {
        let mut out = Leverages::with_capacity(ROWS, fixed.rank());
        for i in work[piece].clone() {
            let found = context.row(&rows, i);
            let mut fitted = data.offset.map_or(0.0, |offset| offset[i]) + found.random_mean;
            let columns = data.x.iter().zip(&beta);
            columns.for_each(|(x, b)| fitted += x.at(i) * b);
            let variance = found.of_fixed + found.of_random;
            let left = 1.0 - precision[i] * variance;
            out.variances.push(variance);
            out.of_fixed.push(found.of_fixed);
            out.left.push(if left > ROUNDING { left } else { 0.0 });
            out.residuals.push(data.y[i] - fitted);
            out.fixed.extend(fixed.kept.iter().map(|&j| {
                let gamma = found.gamma.iter().enumerate();
                gamma
                    .map(|(c, g)| fixed.rinv[c * data.p + j] * g)
                    .sum::<f64>()
            }));
        }
        out
    });
    let mut all = Leverages::with_capacity(rows.n, fixed.rank());
    parts.into_iter().for_each(|part| all.append(part));
    Some(all)
}

/// With twice the digits, for some rows.
fn extended(
    data: &ModelData<'_>,
    prepared: &Prepared,
    solver: &ExtendedRows<'_>,
    which: &[usize],
) -> Leverages {
    let (rows, fixed) = (rows_of(data), &prepared.fixed);
    let work = pieces(which.len(), ROWS);
    let parts = prepared.system.workers.map(work.len(), |piece| {
        let mut space = SolvedEffects::default();
        let mut out = Leverages::with_capacity(ROWS, fixed.rank());
        for &i in &which[work[piece].clone()] {
            let mut y = Double2::from(data.y[i]);
            y += Double2::from(-data.offset.map_or(0.0, |offset| offset[i]));
            let found = solver.row(&rows, i, y, &mut space);
            // the weight that cross-products have
            let root = root_of_weight(data, i);
            let left = Double2::from(1.0) - Double2::product(root, root) * found.variance;
            let is_known = left.high > EXTENDED_ROUNDING;
            out.variances.push(found.variance.high);
            out.of_fixed.push(found.of_fixed.high);
            out.left.push(if is_known { left.high } else { 0.0 });
            out.residuals.push(found.residual.high);
            out.fixed.extend(fixed.kept.iter().map(|&j| {
                let mut sum = Double2::default();
                for (c, gamma) in found.gamma.iter().enumerate() {
                    sum += Double2::from(fixed.rinv[c * data.p + j]) * *gamma;
                }
                sum.high
            }));
        }
        out
    });
    let mut all = Leverages::with_capacity(which.len(), fixed.rank());
    parts.into_iter().for_each(|part| all.append(part));
    all
}

/// Leverage of every row of the data, and what its deletion changes in the fixed effects, at `options.start`.
///
/// # Errors
/// See [`EngineError`].
pub fn leverages(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Leverages, EngineError> {
    data.require_observations("leverages")?;
    interruptible(is_long(data), interrupt, |stop: &StopFlag, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let theta = required_start(options, &prepared)?;
        prepared.settle(data, &theta, options, interrupt)?;
        let precision = prepared.residual_precision(data, &theta)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let found = in_doubles(data, &prepared, &mut criterion, &precision);
        let mut found = found.ok_or_else(|| criterion.failure("the leverages"))?;
        drop(criterion);
        let rounding = prepared.rounding_of_rows(&theta).max(f64::EPSILON);
        let is_lost = |i: &usize| rounding > TOLERANCE * found.left[*i];
        let which: Vec<usize> = (0..data.n()).filter(is_lost).collect();
        if !which.is_empty() && prepared.can_solve_extended(which.len()) {
            if !prepared.has_digits() {
                prepared.extend(data, &theta)?;
            }
            let criterion = evaluated(&prepared, options, &theta, interrupt)?;
            let factor = criterion.factor.as_ref();
            let solver = factor.map(|f| ExtendedRows::new(data, &prepared, f, which.len()));
            if let Some(solver) = solver.transpose()?.flatten() {
                let others = extended(data, &prepared, &solver, &which);
                found.replace(&which, &others, prepared.fixed.rank());
            }
        }
        Ok(found)
    })
}
