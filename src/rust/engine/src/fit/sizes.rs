//! How large a model is, told before anything of it is made: whether its steps are long enough for somebody to wait for,
//! whether it has more parameters than rows, and what memory it takes at least.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::runtime::memory;
use crate::structure::random::covariance;

/// Rows from which single steps may take long.
const MANY_ROWS: usize = 20_000;

/// Operations of one evaluation from which it takes long (about 10 ms).
const LONG: f64 = 1e7;

/// Numbers that say how large a model is.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    rows: f64,
    /// Columns of X and the response.
    fixed: f64,
    /// Columns of all terms.
    columns: f64,
    /// Levels, and effects a level, of each grouping factor.
    factors: Vec<(f64, f64)>,
    /// Effects of the largest one whose levels are independent: they are eliminated one by one.
    eliminated: f64,
    /// Covariance parameters.
    parameters: f64,
    /// Rows of the largest residual group, where residuals are correlated.
    longest: f64,
}

impl Sizes {
    /// Sizes of `data`, whose codes may be anything.
    pub fn of(data: &ModelData<'_>) -> Self {
        let mut factors: Vec<(f64, f64)> = data
            .factors
            .iter()
            .map(|factor| (factor.n_levels as f64, 0.0))
            .collect();
        for term in &data.terms {
            if let Some(factor) = factors.get_mut(term.factor) {
                factor.1 += term.columns.len() as f64;
            }
        }
        let independent = data.factors.iter();
        let independent = independent.map(|f| f.precision.is_none() && f.members.is_none());
        let eliminated = factors
            .iter()
            .zip(independent)
            .filter(|(_, independent)| *independent)
            .fold(0.0f64, |most, ((j, k), _)| most.max(j * k));
        Self {
            rows: data.moments.map_or(data.rows(), |m| m.n) as f64,
            fixed: data.p as f64 + 1.0,
            columns: data.terms.iter().map(|t| t.columns.len() as f64).sum(),
            factors,
            eliminated,
            parameters: covariance_parameters(data) as f64,
            longest: longest_group(data),
        }
    }

    /// Whether `evaluations` of the criterion with its derivatives may take long enough to be felt.
    pub fn are_long(&self, evaluations: f64) -> bool {
        self.rows >= MANY_ROWS as f64 || evaluations * self.work() > LONG
    }

    /// Operations of an evaluation with its derivatives, roughly.
    fn work(&self) -> f64 {
        let width = self.fixed + self.columns;
        let levels: f64 = self.factors.iter().map(|(j, k)| j * k.powi(3)).sum();
        let all: f64 = self.factors.iter().map(|(j, k)| j * k).sum();
        let m = self.parameters;
        self.rows * (width * width + self.longest * (self.longest + width))
            + levels
            + (all - self.eliminated).powi(3)
            + self.fixed.powi(3)
            + m * m * (m + self.longest)
            + m * all
    }

    /// Bytes that moments, derivatives and correlation matrices take at least.
    fn bytes(&self) -> f64 {
        let levels: f64 = self
            .factors
            .iter()
            .map(|(j, k)| j * k * (2.0 * k + self.fixed))
            .sum();
        let mut pairs = 0.0;
        for (f, a) in self.factors.iter().enumerate() {
            for b in &self.factors[..f] {
                pairs += self.rows.min(a.0 * b.0) * a.1 * b.1;
            }
        }
        let correlated = self.longest.powi(2)
            + if self.longest > 0.0 {
                self.rows * (self.fixed + self.columns)
            } else {
                0.0
            };
        let square = 2.0 * self.fixed.powi(2) + 3.0 * self.parameters.powi(2);
        8.0 * (levels + pairs + correlated + square)
    }

    /// Refuses a model that does not fit in memory.
    ///
    /// # Errors
    /// [`EngineError::Allocation`].
    pub fn require_memory(&self) -> Result<(), EngineError> {
        let needed = self.bytes();
        if memory::fits(needed) {
            Ok(())
        } else {
            Err(EngineError::Allocation {
                gigabytes: 1e-9 * needed,
            })
        }
    }
}

/// Covariance parameters, held and tied ones included.
fn covariance_parameters(data: &ModelData<'_>) -> usize {
    let terms = data.terms.iter();
    let of_terms: usize = terms
        .map(|term| {
            let each = covariance(term.structure, term.columns.len()).len();
            each * term.classes.map_or(1, |classes| classes.count)
        })
        .sum();
    of_terms + residual_parameters(data)
}

fn residual_parameters(data: &ModelData<'_>) -> usize {
    let residual = data.residual.as_ref();
    residual.map_or(0, |r| r.start.len().max(r.held.len()))
}

fn longest_group(data: &ModelData<'_>) -> f64 {
    let Some(residual) = data.residual.as_ref().filter(|r| r.correlation.is_some()) else {
        return 0.0;
    };
    let Some(groups) = &residual.groups else {
        return data.rows() as f64;
    };
    let mut rows = vec![0u32; groups.n_levels + 1];
    for code in groups.codes {
        if let Some(count) = usize::try_from(*code).ok().and_then(|c| rows.get_mut(c)) {
            *count += 1;
        }
    }
    f64::from(rows.into_iter().max().unwrap_or(0))
}

/// Refuses a model that has more parameters than observations: fixed effects (`rank` of them), covariance parameters that are
/// free, and sigma. Its likelihood has no maximum that the data determine. Fixed effects alone that are as many as the rows are
/// an error of their own.
///
/// # Errors
/// [`EngineError::TooManyParameters`].
pub(crate) fn require_rows(
    data: &ModelData<'_>,
    options: &Options,
    rank: usize,
) -> Result<(), EngineError> {
    let parameters = covariance_parameters(data);
    if data.n() <= rank || rank + parameters < data.n() {
        return Ok(());
    }
    let terms = parameters - residual_parameters(data);
    let held = |a: usize| {
        let by_residual = data.residual.as_ref().and_then(|r| {
            let index = a.checked_sub(terms)?;
            r.held.get(index).copied()
        });
        options.held_at(a).is_some() || by_residual == Some(true)
    };
    let mut sets: Vec<usize> = (0..parameters)
        .filter(|&a| !held(a))
        .map(|a| options.tie.get(a).copied().unwrap_or(a))
        .collect();
    sets.sort_unstable();
    sets.dedup();
    let parameters = rank + sets.len() + usize::from(options.sigma.is_none());
    if parameters <= data.n() {
        return Ok(());
    }
    Err(EngineError::TooManyParameters {
        parameters,
        n: data.n(),
    })
}

#[cfg(test)]
mod tests {
    use super::{require_rows, Sizes};
    use crate::api::error::EngineError;
    use crate::api::model::{Column, GroupingFactor, ModelData, RandomTerm, Structure};
    use crate::api::options::Options;

    fn with_effects<T>(n: usize, k: usize, check: impl FnOnce(&ModelData<'_>) -> T) -> T {
        let y: Vec<f64> = (0..n).map(|i| (i % 7) as f64).collect();
        let codes: Vec<i32> = (0..n).map(|i| 1 + (i % 5) as i32).collect();
        check(&ModelData {
            y: &y,
            x: vec![Column::Constant],
            p: 1,
            weights: None,
            offset: None,
            factors: vec![GroupingFactor {
                members: None,
                counts: None,
                codes: &codes,
                n_levels: 5,
                precision: None,
            }],
            terms: vec![RandomTerm {
                factor: 0,
                columns: vec![Column::Values(&y); k],
                structure: Structure::Unstructured,
                classes: None,
            }],
            residual: None,
            moments: None,
            stands_for: None,
        })
    }

    #[test]
    fn more_parameters_than_rows_are_refused() {
        // 1 + 10 + 1 parameters
        with_effects(12, 4, |data| {
            assert_eq!(require_rows(data, &Options::default(), 1), Ok(()));
        });
        with_effects(11, 4, |data| {
            assert_eq!(
                require_rows(data, &Options::default(), 1),
                Err(EngineError::TooManyParameters {
                    parameters: 12,
                    n: 11
                })
            );
            let known = Options {
                sigma: Some(1.0),
                ..Options::default()
            };
            assert_eq!(require_rows(data, &known, 1), Ok(()));
            let mut hold = vec![f64::NAN; 10];
            hold[3] = 0.0;
            let held = Options {
                hold: hold.into(),
                ..Options::default()
            };
            assert_eq!(require_rows(data, &held, 1), Ok(()));
            let tied = Options {
                tie: vec![0, 1, 2, 3, 4, 5, 6, 7, 7, 9],
                ..Options::default()
            };
            assert_eq!(require_rows(data, &tied, 1), Ok(()));
        });
    }

    #[test]
    fn long_steps_are_told_by_sizes_alone() {
        with_effects(100, 2, |data| assert!(!Sizes::of(data).are_long(1.0)));
        with_effects(100, 2, |data| assert!(Sizes::of(data).are_long(1e6)));
        with_effects(1000, 100, |data| assert!(Sizes::of(data).are_long(1.0)));
    }
}
