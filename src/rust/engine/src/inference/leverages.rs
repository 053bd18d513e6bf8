//! Leverages of the rows of a fit, and what the deletion of each changes.
//!
//! With C the coefficient matrix of Henderson's equations and t = (Lambda'z, q) a row, the leverage is h = w t'C^-1 t (Hodges &
//! Sargent 2001, Biometrika 88). What follows from a row - standardised residuals, the changes at its deletion - has e and
//! 1 - h in the place of h: numbers that cancel where a row all but determines an effect. They are taken with twice the
//! digits there (see [`crate::system::extended::rows`]).

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::criterion::objective::Criterion;
use crate::fit::estimates::coefficients;
use crate::fit::prepare::{prepare, required_start, Prepared};
use crate::inference::evaluated::{evaluated, is_long};
use crate::inference::extended_rows::ExtendedRows;
use crate::inference::new_rows::{Context, NewRows};
use crate::linalg::double2::Double2;
use crate::runtime::interruptible::interruptible;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;
use crate::system::extended::rows::{SolvedEffects, SolvedRow};

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

/// What is found for one row.
struct Row {
    variance: f64,
    of_fixed: f64,
    left: f64,
    residual: f64,
    gamma: Vec<Double2>,
}

/// The rows of the data, as new ones.
fn rows_of<'a>(data: &ModelData<'a>) -> NewRows<'a> {
    NewRows {
        n: data.n(),
        x: data.x.clone(),
        codes: data.factors.iter().map(|f| f.codes).collect(),
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
) -> Option<Vec<Row>> {
    let rows = rows_of(data);
    let context = Context::new(prepared, criterion)?;
    let beta = coefficients(prepared, &context.solution.gamma);
    let work = pieces(rows.n, ROWS);
    let parts = prepared.system.workers.map(work.len(), |piece| {
        let row = |i: usize| {
            let found = context.row(&rows, i);
            let mut fitted = data.offset.map_or(0.0, |offset| offset[i]) + found.random_mean;
            let columns = data.x.iter().zip(&beta);
            columns.for_each(|(x, b)| fitted += x.at(i) * b);
            let variance = found.of_fixed + found.of_random;
            let left = 1.0 - precision[i] * variance;
            Row {
                variance,
                of_fixed: found.of_fixed,
                left: if left > ROUNDING { left } else { 0.0 },
                residual: data.y[i] - fitted,
                gamma: found.gamma.into_iter().map(Double2::from).collect(),
            }
        };
        work[piece].clone().map(row).collect::<Vec<_>>()
    });
    Some(parts.into_iter().flatten().collect())
}

/// With twice the digits, for some rows.
fn extended(
    data: &ModelData<'_>,
    prepared: &Prepared,
    solver: &ExtendedRows<'_>,
    which: &[usize],
) -> Vec<Row> {
    let rows = rows_of(data);
    let row = |&i: &usize, work: &mut SolvedEffects| {
        let mut y = Double2::from(data.y[i]);
        y += Double2::from(-data.offset.map_or(0.0, |offset| offset[i]));
        let SolvedRow {
            variance,
            of_fixed,
            gamma,
            residual,
        } = solver.row(&rows, i, y, work);
        // the weight that cross-products have
        let root = data.weights.map_or(1.0, |w| w[i].sqrt());
        let left = Double2::from(1.0) - Double2::product(root, root) * variance;
        Row {
            variance: variance.high,
            of_fixed: of_fixed.high,
            left: if left.high > EXTENDED_ROUNDING {
                left.high
            } else {
                0.0
            },
            residual: residual.high,
            gamma,
        }
    };
    let work = pieces(which.len(), ROWS);
    let parts = prepared.system.workers.map(work.len(), |piece| {
        let mut space = SolvedEffects::default();
        let own = which[work[piece].clone()].iter();
        own.map(|i| row(i, &mut space)).collect::<Vec<_>>()
    });
    parts.into_iter().flatten().collect()
}

/// In the user's terms.
fn in_user_terms(prepared: &Prepared, rows: Vec<Row>) -> Leverages {
    let (fixed, n) = (&prepared.fixed, rows.len());
    let mut out = Leverages {
        variances: Vec::with_capacity(n),
        of_fixed: Vec::with_capacity(n),
        left: Vec::with_capacity(n),
        residuals: Vec::with_capacity(n),
        fixed: Vec::with_capacity(n * fixed.rank()),
    };
    for row in rows {
        out.variances.push(row.variance);
        out.of_fixed.push(row.of_fixed);
        out.left.push(row.left);
        out.residuals.push(row.residual);
        out.fixed.extend(fixed.kept.iter().map(|&j| {
            let mut sum = Double2::default();
            for (c, gamma) in row.gamma.iter().enumerate() {
                sum += Double2::from(fixed.rinv[c * fixed.p + j]) * *gamma;
            }
            sum.high
        }));
    }
    out
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
    data.require_rows("leverages")?;
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
        let is_lost = |i: &usize| rounding > TOLERANCE * found[*i].left;
        let which: Vec<usize> = (0..data.n()).filter(is_lost).collect();
        if !which.is_empty() && prepared.can_solve_extended(which.len()) {
            if !prepared.has_digits() {
                prepared.extend(data, &theta)?;
            }
            let criterion = evaluated(&prepared, options, &theta, interrupt)?;
            let factor = criterion.factor.as_ref();
            let solver = factor.map(|f| ExtendedRows::new(data, &prepared, f, which.len()));
            if let Some(solver) = solver.transpose()?.flatten() {
                let rows = extended(data, &prepared, &solver, &which);
                which.iter().zip(rows).for_each(|(i, row)| found[*i] = row);
            }
        }
        Ok(in_user_terms(&prepared, found))
    })
}
