//! R and its roots times rows in the order of the data: normalised residuals, simulated ones.

use crate::api::error::EngineError;
use crate::api::model::ResidualStructure;
use crate::data::validate::finite;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::structure::residual::residual::Residual;
use crate::structure::residual::whitening::Whitening;

/// What is done to the rows, R = W^-1/2 D C D W^-1/2 with U'U = R^-1, U lower triangular in each residual group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// U: rows with variance R become uncorrelated, of variance 1.
    Whiten,
    /// U^-1: uncorrelated rows of variance 1 get variance R.
    Color,
    /// R.
    Times,
    /// R^-1.
    Inverse,
}

/// Rows and what they are multiplied by.
#[derive(Debug, Clone)]
pub struct RowsToApply<'a> {
    /// n x c, column-major, in the order of the data.
    pub rows: &'a [f64],
    /// Residual structure of the rows; `None`: R = W^-1. Its start and held parameters are not looked at.
    pub structure: Option<ResidualStructure<'a>>,
    /// Precision weights of the rows; `None`: all 1.
    pub weights: Option<&'a [f64]>,
    /// Natural residual parameters.
    pub phi: &'a [f64],
}

/// The product, as `given.rows`; `n` is the number of rows.
///
/// # Errors
/// [`EngineError::Dimension`], [`EngineError::ResidualStart`] where R is not positive definite, and those of
/// [`Residual::new`].
pub fn apply_to_rows(
    given: &RowsToApply<'_>,
    n: usize,
    what: Apply,
    threads: usize,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<f64>, EngineError> {
    let refuse = |text: &str| Err(EngineError::Dimension(text.to_owned()));
    if n == 0 || given.rows.len() % n != 0 {
        return refuse("a matrix must have one row for each observation");
    }
    if let Some(weights) = given.weights {
        finite("weights", weights, n)?;
        if weights.len() != n || weights.iter().any(|&w| w <= 0.0) {
            return refuse("weights must be positive, one for each observation");
        }
    }
    let c = given.rows.len() / n;
    interruptible(true, interrupt, |stop, _| {
        let workers = Workers::new(threads, 20.0 * given.rows.len() as f64, stop);
        let model = match &given.structure {
            None => Residual::new(
                &ResidualStructure {
                    groups: None,
                    correlation: None,
                    scales: Vec::new(),
                    start: Vec::new(),
                    held: Vec::new(),
                },
                n,
            )?,
            Some(structure) => Residual::new(
                &ResidualStructure {
                    start: given.phi.to_vec(),
                    held: vec![true; given.phi.len()],
                    ..structure.clone()
                },
                n,
            )?,
        };
        let whitening = model.at_with(&model.start(), &workers).ok_or_else(|| {
            EngineError::ResidualStart(
                "the residual parameters give no positive definite matrix".to_owned(),
            )
        })?;
        Ok(product(given, &model, &whitening, (n, c), what, &workers))
    })
}

fn product(
    given: &RowsToApply<'_>,
    model: &Residual,
    whitening: &Whitening,
    (n, c): (usize, usize),
    what: Apply,
    workers: &Workers,
) -> Vec<f64> {
    let root = |row: u32| given.weights.map_or(1.0, |w| w[row as usize].sqrt());
    // W^1/2 goes with R^-1, W^-1/2 with R
    let (before, after) = match what {
        Apply::Whiten => (1, 0),
        Apply::Color => (0, -1),
        Apply::Times => (-1, -1),
        Apply::Inverse => (1, 1),
    };
    let mut x = memory::zeros(n * c);
    for (place, &row) in model.order().iter().enumerate() {
        let factor = root(row).powi(before);
        for j in 0..c {
            x[place * c + j] = factor * given.rows[j * n + row as usize];
        }
    }
    let x = match what {
        Apply::Whiten => whitening.whiten(model, &x, c, workers),
        Apply::Color => whitening.color(model, &x, c, workers),
        Apply::Times => whitening.times(model, &x, c, workers),
        Apply::Inverse => whitening.inverse_times(model, &x, c, workers),
    };
    let mut out = memory::zeros(n * c);
    for (place, &row) in model.order().iter().enumerate() {
        let factor = root(row).powi(after);
        for j in 0..c {
            out[j * n + row as usize] = factor * x[place * c + j];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds::CorrelationKind;
    use crate::api::model::{Correlation, GroupingFactor, Position, Scale, ScaleFunction};

    #[test]
    fn products_undo_one_another_in_the_order_of_the_data() {
        let codes = [2, 1, 2, 1, 2, 1, 1];
        let time = [3, 1, 1, 5, 2, 2, 3];
        let covariate: [f64; 7] = [1.0, 2.0, 0.5, 1.5, 3.0, 2.5, 1.0];
        let weights: [f64; 7] = [1.0, 2.0, 3.0, 1.0, 0.5, 1.0, 2.0];
        let n = codes.len();
        let phi: [f64; 2] = [0.6, 0.8];
        // R by its definition
        let d: Vec<f64> = (0..n)
            .map(|i| covariate[i].powf(phi[1]) / weights[i].sqrt())
            .collect();
        let r = |i: usize, j: usize| -> f64 {
            if codes[i] == codes[j] {
                d[i] * d[j] * phi[0].powi(i32::abs(time[i] - time[j]))
            } else {
                0.0
            }
        };
        let rows: Vec<f64> = (0..2 * n).map(|e| (1.0 + e as f64).sin()).collect();
        let apply = |rows: &[f64], what| {
            let given = RowsToApply {
                rows,
                structure: Some(ResidualStructure {
                    groups: Some(GroupingFactor {
                        members: None,
                        counts: None,
                        codes: &codes,
                        n_levels: 2,
                        precision: None,
                    }),
                    correlation: CorrelationKind::named("ar1")
                        .map(|kind| Correlation::new(kind, Position::Whole(&time))),
                    scales: vec![Scale::OfCovariate {
                        function: ScaleFunction::Power,
                        covariate: &covariate,
                        stratum: None,
                        strata: 1,
                    }],
                    start: Vec::new(),
                    held: Vec::new(),
                }),
                weights: Some(&weights),
                phi: &phi,
            };
            apply_to_rows(&given, n, what, 1, &|| false).unwrap_or_default()
        };
        let near = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            a.iter()
                .zip(b)
                .for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} {b}"));
        };
        let times: Vec<f64> = (0..2 * n)
            .map(|e| (0..n).map(|j| r(e % n, j) * rows[e / n * n + j]).sum())
            .collect();
        near(&apply(&rows, Apply::Times), &times);
        near(&apply(&times, Apply::Inverse), &rows);
        let white = apply(&rows, Apply::Whiten);
        near(&apply(&white, Apply::Color), &rows);
        let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        near(
            &[inner(&white, &white)],
            &[inner(&rows, &apply(&rows, Apply::Inverse))],
        );
    }

    #[test]
    fn without_a_structure_there_are_weights() {
        let weights = [4.0, 1.0];
        let given = RowsToApply {
            rows: &[3.0, 5.0],
            structure: None,
            weights: Some(&weights),
            phi: &[],
        };
        let whiten =
            |given: &RowsToApply<'_>, n| apply_to_rows(given, n, Apply::Whiten, 1, &|| false);
        assert_eq!(whiten(&given, 2), Ok(vec![6.0, 5.0]));
        assert!(whiten(&given, 3).is_err());
        let negative = RowsToApply {
            weights: Some(&[-1.0, 1.0]),
            ..given.clone()
        };
        assert!(whiten(&negative, 2).is_err());
    }
}
