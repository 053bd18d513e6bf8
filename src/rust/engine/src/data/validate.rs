//! Checks of a model's data: dimensions, codes, sizes, values that are no numbers.

use std::ops::Range;

use crate::api::error::EngineError;
use crate::api::model::{
    codes_within, Classes, Column, GroupingFactor, KnownMatrix, ModelData, StandsFor,
};
use crate::api::raw_moments::{RawFactor, RawMoments, RawPair};
use crate::data::scan::all_finite;

/// What a known precision matrix must be.
const PRECISION: &str = "a precision matrix must be square with a row for each level";

impl KnownMatrix<'_> {
    /// Whether it is a square matrix of this size; otherwise the error says `what`.
    pub(crate) fn validate(&self, size: usize, what: &str) -> Result<(), EngineError> {
        let limit = i32::try_from(size).unwrap_or(i32::MAX);
        let nnz = self.value.len() as i64;
        let ok = self.start.len() == size + 1
            && self.start.first() == Some(&0)
            && self.start.windows(2).all(|w| w[0] <= w[1])
            && self.start.last().map(|v| i64::from(*v)) == Some(nnz)
            && self.row.len() == self.value.len()
            && self.row.iter().all(|r| (0..limit).contains(r))
            && self.value.iter().all(|v| v.is_finite());
        if ok {
            Ok(())
        } else {
            Err(EngineError::Dimension(what.to_owned()))
        }
    }
}

impl KnownMatrix<'_> {
    /// Whether there are entries between levels of different classes, which is refused.
    ///
    /// With b_j = T_j u_j and Var(u) = K (x) I the covariance of two levels is K_jl T_j T_l'. Within a class that is K_jl G,
    /// whatever root of G stands for T; between classes it depends on which one it is (T_j O_j, O_j orthogonal, has the same G),
    /// so that G of each class says nothing of it, and it changes sign with a column of one T: the criterion would not be even in
    /// it, which bounds and boundaries rest on. SAS's GROUP= takes levels of different groups as independent, and so does this.
    fn couples(&self, classes: &Classes<'_>) -> bool {
        let class = |level: usize| classes.codes[level];
        self.start.windows(2).enumerate().any(|(j, w)| {
            let own = w[0] as usize..w[1] as usize;
            let mut entries = self.row[own.clone()].iter().zip(&self.value[own]);
            entries.any(|(&l, value)| *value != 0.0 && class(l as usize) != class(j))
        })
    }
}

impl ModelData<'_> {
    /// Checks dimensions, codes and weights. Whether response and columns are finite shows in their cross-products;
    /// [`Self::check_finite`] then finds out where.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] or [`EngineError::NotFinite`], naming the argument.
    pub fn validate(&self) -> Result<(), EngineError> {
        if let Some(moments) = self.moments {
            return self.validate_moments(moments);
        }
        let n = self.rows();
        let dimension = |ok: bool, text: &str| {
            if ok {
                Ok(())
            } else {
                Err(EngineError::Dimension(text.to_owned()))
            }
        };
        dimension(n > 0, "there are no observations")?;
        dimension(
            self.x.len() == self.p && self.x.iter().all(|column| column.fits(n)),
            "X must have one row for each observation",
        )?;
        if let Some(w) = self.weights {
            dimension(
                w.len() == n,
                "weights must have one value for each observation",
            )?;
            finite("weights", w, n)?;
            dimension(w.iter().all(|&v| v > 0.0), "weights must be positive")?;
        }
        if let Some(stands_for) = &self.stands_for {
            let StandsFor {
                counts,
                log_weights,
            } = stands_for;
            dimension(
                counts.len() == n && log_weights.len() == n,
                "condensed rows need one count and one sum of log weights each",
            )?;
            finite("sums of log weights", log_weights, n)?;
            dimension(
                counts
                    .iter()
                    .all(|&c| c >= 0.0 && c.fract() == 0.0 && c < 9e15),
                "numbers of observations must be whole",
            )?;
            if self.residual.is_some() {
                return Err(EngineError::NeedsRows {
                    step: "a residual structure",
                });
            }
        }
        if let Some(o) = self.offset {
            dimension(
                o.len() == n,
                "offset must have one value for each observation",
            )?;
            finite("offset", o, n)?;
        }
        for factor in &self.factors {
            match factor.members {
                None => dimension(
                    factor.codes.len() == n,
                    "a grouping factor must have one code for each observation",
                )?,
                Some(members) => dimension(
                    factor.codes.is_empty() && members.fits(n, factor.n_levels),
                    "members of levels must have ascending levels in 1..n_levels and finite weights",
                )?,
            }
            dimension(
                codes_within(factor.codes, 1, factor.n_levels),
                "grouping codes must lie in 1..n_levels",
            )?;
            if let Some(precision) = &factor.precision {
                precision.validate(factor.n_levels, PRECISION)?;
            }
        }
        if self.residual.is_some() {
            self.require_single_levels("a residual structure")?;
        }
        for term in &self.terms {
            dimension(
                term.factor < self.factors.len(),
                "a term names a grouping factor that is not there",
            )?;
            dimension(
                !term.columns.is_empty(),
                "a random-effects term has no column",
            )?;
            dimension(
                term.columns.iter().all(|column| column.fits(n)),
                "a basis column must have one value for each observation",
            )?;
        }
        self.validate_classes()
    }

    /// Checks the classes of the levels of each term.
    fn validate_classes(&self) -> Result<(), EngineError> {
        let dimension = |text: &str| Err(EngineError::Dimension(text.to_owned()));
        for term in &self.terms {
            let factor = &self.factors[term.factor];
            let Some(classes) = term.classes else {
                continue;
            };
            if factor.members.is_some() {
                return dimension("levels that share rows have no classes");
            }
            if classes.codes.len() != factor.n_levels {
                return dimension("there must be one class for each level of a grouping factor");
            }
            if !codes_within(classes.codes, 1, classes.count) {
                return dimension("classes of levels must lie in 1..count");
            }
            let mut occurs = vec![false; classes.count];
            let codes = classes.codes.iter();
            codes.for_each(|&code| occurs[code as usize - 1] = true);
            if occurs.contains(&false) {
                return dimension("each class must have a level");
            }
            let mut precision = factor.precision.iter();
            if precision.any(|precision| precision.couples(&classes)) {
                return Err(EngineError::CoupledClasses {
                    factor: term.factor,
                });
            }
        }
        Ok(())
    }

    /// Checks that cross-products are those of this model.
    fn validate_moments(&self, moments: &RawMoments) -> Result<(), EngineError> {
        let dimension = |ok: bool, text: &str| {
            if ok {
                Ok(())
            } else {
                Err(EngineError::Dimension(text.to_owned()))
            }
        };
        dimension(moments.n > 0, "there are no observations")?;
        self.require_single_levels("cross-products in the place of rows")?;
        dimension(
            self.residual.is_none() && self.y.is_empty(),
            "cross-products stand for rows without a residual structure only",
        )?;
        let p1 = moments.p + 1;
        dimension(
            moments.p == self.p && self.x.len() == self.p && moments.xx.len() == p1 * p1,
            "cross-products must have one row for each column of X, and one for the response",
        )?;
        let mut columns = vec![0; self.factors.len()];
        for term in &self.terms {
            dimension(
                term.factor < self.factors.len() && !term.columns.is_empty(),
                "a term names a grouping factor that is not there, or has no column",
            )?;
            columns[term.factor] += term.columns.len();
        }
        let fits = |own: &RawFactor, (factor, &k): (&GroupingFactor<'_>, &usize)| {
            (own.n_levels, own.k) == (factor.n_levels, k)
                && own.zz.len() == own.n_levels * k * k
                && own.zx.len() == own.n_levels * k * p1
        };
        let mut factors = self.factors.iter().zip(&columns);
        dimension(
            moments.factors.len() == self.factors.len()
                && moments
                    .factors
                    .iter()
                    .all(|own| factors.next().is_some_and(|of| fits(own, of))),
            "cross-products must have a block for each level of each grouping factor",
        )?;
        for factor in &self.factors {
            if let Some(precision) = &factor.precision {
                precision.validate(factor.n_levels, PRECISION)?;
            }
        }
        let wanted =
            (0..self.factors.len()).flat_map(|f| (f + 1..self.factors.len()).map(move |g| (f, g)));
        let is_pair = |pair: &RawPair| {
            let [f, g] = [pair.f, pair.g].map(|f| &moments.factors[f]);
            pair.start.len() == f.n_levels + 1
                && pair.start[0] == 0
                && pair.start.windows(2).all(|w| w[0] <= w[1])
                && pair.start[f.n_levels] == pair.level.len()
                && pair.level.iter().all(|&l| (l as usize) < g.n_levels)
                && pair.value.len() == pair.level.len() * f.k * g.k
        };
        dimension(
            moments.pairs.iter().map(|pair| (pair.f, pair.g)).eq(wanted)
                && moments.pairs.iter().all(is_pair),
            "cross-products must have each pair of grouping factors",
        )?;
        let mut numbers = moments
            .factors
            .iter()
            .flat_map(|f| f.zz.iter().chain(&f.zx));
        let finite =
            numbers.all(|v| v[0].is_finite()) && moments.xx.iter().all(|v| v[0].is_finite());
        dimension(finite, "cross-products must be finite")?;
        self.validate_classes()
    }

    /// Looks for a response or columns of a size that makes variances of estimates, or their squares, overflow or vanish.
    /// `gram` is [X y]'W[X y]: where its diagonal is of an ordinary size, X and y need no look.
    ///
    /// # Errors
    /// [`EngineError::Size`], naming the argument.
    pub fn check_sizes(&self, gram: &[f64]) -> Result<(), EngineError> {
        let require = |what: &'static str, largest: f64| {
            if largest == 0.0 || SIZES.contains(&largest) {
                Ok(())
            } else if !largest.is_finite() {
                self.check_finite()
            } else {
                Err(EngineError::Size {
                    what,
                    size: largest,
                })
            }
        };
        let largest = |v: &[f64]| v.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let columns = |what: &'static str, columns: &[Column<'_>]| {
            columns.iter().try_for_each(|column| match column {
                Column::Constant | Column::Absent => Ok(()),
                Column::Values(v) => require(what, largest(v)),
                Column::Coded { values, .. } => require(what, largest(values)),
            })
        };
        if self.moments.is_some() {
            let mut sizes = gram.iter().step_by(self.p + 2).map(|v| v.sqrt());
            return sizes.try_for_each(|size| require("a column, or of the response,", size));
        }
        let mut diagonal = gram.iter().step_by(self.p + 2);
        if !diagonal.all(|v| ORDINARY.contains(v)) {
            if let Some(w) = self.weights {
                require("the square root of the weights", largest(w).sqrt())?;
            }
            require("the response", largest(self.y))?;
            columns("a column of the fixed effects", &self.x)?;
        }
        self.terms
            .iter()
            .try_for_each(|term| columns("a column of the random effects", &term.columns))
    }

    /// Looks for values of the response and the columns that are not finite.
    ///
    /// # Errors
    /// [`EngineError::NotFinite`], naming the argument and the row.
    pub fn check_finite(&self) -> Result<(), EngineError> {
        let n = self.rows();
        finite("the response", self.y, n)?;
        let columns = |what: &'static str, columns: &[Column<'_>]| {
            columns.iter().try_for_each(|column| match column {
                Column::Constant | Column::Absent => Ok(()),
                Column::Values(v) => finite(what, v, n),
                Column::Coded { codes, values } => {
                    let bad = |code: &i32| !values[*code as usize - 1].is_finite();
                    match codes.iter().position(bad) {
                        Some(i) => Err(EngineError::NotFinite { what, row: i + 1 }),
                        None => Ok(()),
                    }
                }
            })
        };
        columns("the fixed-effects model matrix", &self.x)?;
        self.terms
            .iter()
            .try_for_each(|term| columns("a random-effects basis column", &term.columns))
    }
}

/// Largest values of a column: fourth powers of ratios of two are numbers.
const SIZES: Range<f64> = 1e-35..1e35;

/// Weighted sums of squares that need no second look.
const ORDINARY: Range<f64> = 1e-30..1e30;

pub(crate) fn finite(what: &'static str, values: &[f64], n: usize) -> Result<(), EngineError> {
    if all_finite(values) {
        return Ok(());
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(EngineError::NotFinite {
            what,
            row: i % n + 1,
        }),
        None => Ok(()),
    }
}
