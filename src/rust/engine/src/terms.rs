//! The data of a model, borrowed from the caller.

use std::ops::Range;

use crate::error::EngineError;
use crate::scan::all_finite;

/// A grouping factor: one code a row.
#[derive(Debug, Clone)]
pub struct GroupingFactor<'a> {
    /// Level of each row, from 1 to `n_levels`; every level occurs, unless a precision matrix names more.
    pub codes: &'a [i32],
    /// Number of levels J.
    pub n_levels: usize,
    /// Known precision matrix of the levels (J x J), as of animals in a pedigree; `None`: levels are independent.
    pub precision: Option<Precision<'a>>,
}

/// A symmetric positive definite matrix in compressed columns, both triangles: Var(b) = sigma^2 Q^-1 (x) T T'.
#[derive(Debug, Clone, Copy)]
pub struct Precision<'a> {
    /// Start of each column, J + 1 values from 0.
    pub start: &'a [i32],
    /// Row of each entry from 0, ascending within a column.
    pub row: &'a [i32],
    /// Its value.
    pub value: &'a [f64],
}

impl Precision<'_> {
    fn validate(&self, levels: usize) -> Result<(), EngineError> {
        let limit = i32::try_from(levels).unwrap_or(i32::MAX);
        let nnz = self.value.len() as i64;
        let ok = self.start.len() == levels + 1
            && self.start.first() == Some(&0)
            && self.start.windows(2).all(|w| w[0] <= w[1])
            && self.start.last().map(|v| i64::from(*v)) == Some(nnz)
            && self.row.len() == self.value.len()
            && self.row.iter().all(|r| (0..limit).contains(r))
            && self.value.iter().all(|v| v.is_finite());
        if ok {
            Ok(())
        } else {
            Err(EngineError::Dimension(
                "a precision matrix must be square with a row for each level".to_owned(),
            ))
        }
    }
}

/// One column of X or of a random-effects term's basis, read where the caller has it.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// The constant 1 (an intercept).
    Constant,
    /// One value a row.
    Values(&'a [f64]),
    /// One value a category, as of the contrasts of a factor: row i has `values[codes[i] - 1]`.
    Coded {
        /// Category of each row, from 1.
        codes: &'a [i32],
        /// Value of each category.
        values: &'a [f64],
    },
}

impl<'a> Column<'a> {
    /// The p columns of a column-major matrix of n rows.
    #[must_use]
    pub fn of_matrix(x: &'a [f64], n: usize, p: usize) -> Vec<Self> {
        (0..p)
            .map(|j| Self::Values(&x[j * n..(j + 1) * n]))
            .collect()
    }

    /// Value in row `i`.
    #[must_use]
    pub fn at(self, i: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Values(v) => v[i],
            Self::Coded { codes, values } => values[codes[i] as usize - 1],
        }
    }

    /// Calls `f` with each of `targets` and the value of its row, from row `range.start` on.
    #[inline(always)]
    pub fn visit<T>(
        self,
        range: Range<usize>,
        targets: impl Iterator<Item = T>,
        mut f: impl FnMut(T, f64),
    ) {
        match self {
            Self::Constant => targets.for_each(|target| f(target, 1.0)),
            Self::Values(v) => targets.zip(&v[range]).for_each(|(target, x)| f(target, *x)),
            Self::Coded { codes, values } => targets
                .zip(&codes[range])
                .for_each(|(target, code)| f(target, values[*code as usize - 1])),
        }
    }

    /// Has the column a value for each of `n` rows, and each category one?
    pub(crate) fn fits(self, n: usize) -> bool {
        match self {
            Self::Constant => true,
            Self::Values(v) => v.len() == n,
            Self::Coded { codes, values } => {
                codes.len() == n && codes_within(codes, 1, values.len())
            }
        }
    }
}

/// Whether all codes lie in `least..=most`.
pub(crate) fn codes_within(codes: &[i32], least: i32, most: usize) -> bool {
    let limit = i32::try_from(most).unwrap_or(i32::MAX);
    // without a branch, so that it is vectorised
    codes
        .iter()
        .fold(true, |ok, &c| ok & (c >= least) & (c <= limit))
}

/// Covariance structure of one term's random effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structure {
    /// Any positive semidefinite matrix; `theta` is the lower triangle of its factor, column by column.
    Unstructured,
    /// Independent effects; `theta` is the diagonal of the factor.
    Diagonal,
    /// Independent effects with the same variance; `theta` is one relative standard deviation.
    Identity,
    /// Effects with a correlation structure; `theta` are relative standard deviations, then correlations.
    Correlated {
        /// Structure of the correlations.
        correlation: CorrelationKind,
        /// Whether all effects have the same variance.
        homogeneous: bool,
    },
}

impl Structure {
    /// Whether the columns of a term may be mixed without leaving the structure.
    #[must_use]
    pub fn is_closed_under_rotation(self) -> bool {
        self == Self::Unstructured
    }

    /// Whether the columns of a term may be scaled one by one without leaving the structure.
    #[must_use]
    pub fn is_closed_under_scaling(self) -> bool {
        matches!(self, Self::Unstructured | Self::Diagonal)
    }
}

/// Correlation structure of the effects of a level, in the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorrelationKind {
    /// One correlation for all pairs.
    CompoundSymmetric,
    /// rho to the power of the distance.
    Autoregressive,
    /// A correlation for each distance.
    Toeplitz,
}

/// A random-effects term `(columns | factor)`.
#[derive(Debug, Clone)]
pub struct RandomTerm<'a> {
    /// Index of its grouping factor in [`ModelData::factors`].
    pub factor: usize,
    /// Its k basis columns.
    pub columns: Vec<Column<'a>>,
    /// Its covariance structure.
    pub structure: Structure,
}

/// Parametric family of a spatial correlation h(distance / range).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpatialKind {
    /// exp(-s).
    Exponential,
    /// exp(-s^2).
    Gaussian,
    /// 1 - s below 1, else 0. Positive definite in one dimension only.
    Linear,
    /// 1 / (1 + s^2).
    RationalQuadratic,
    /// 1 - 1.5 s + 0.5 s^3 below 1, else 0. Positive definite in up to three dimensions.
    Spherical,
}

/// Distance between two points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Root of the sum of squares.
    Euclidean,
    /// Sum of absolute differences.
    Manhattan,
    /// Largest absolute difference.
    Maximum,
}

/// Correlation of the residuals of one group.
#[derive(Debug, Clone)]
pub enum Correlation<'a> {
    /// rho^lag of integer times, -1 < rho < 1.
    Ar1 {
        /// Time of each row.
        time: &'a [i32],
    },
    /// rho^lag of any times, 0 < rho < 1.
    Car1 {
        /// Time of each row.
        time: &'a [f64],
    },
    /// Autocorrelations of an ARMA(p, q) process.
    Arma {
        /// Autoregressive order.
        p: usize,
        /// Moving-average order.
        q: usize,
        /// Time of each row.
        time: &'a [i32],
    },
    /// The same correlation for any two rows.
    CompoundSymmetric,
    /// A correlation for each pair of visits.
    Unstructured {
        /// Visit of each row, from 1.
        visit: &'a [i32],
        /// Number of visits.
        visits: usize,
    },
    /// A correlation for each difference of visits.
    Toeplitz {
        /// Visit of each row, from 1.
        visit: &'a [i32],
        /// Number of visits.
        visits: usize,
    },
    /// First-order ante-dependence: a correlation for each pair of neighbouring visits, products of them in between.
    AnteDependence {
        /// Visit of each row, from 1.
        visit: &'a [i32],
        /// Number of visits.
        visits: usize,
    },
    /// A decreasing function of distance.
    Spatial {
        /// Which function.
        kind: SpatialKind,
        /// Whether it jumps at distance 0.
        nugget: bool,
        /// Coordinates of each row, one slice a dimension.
        coordinates: Vec<&'a [f64]>,
        /// Distance.
        metric: Metric,
    },
}

/// Standard deviation of a row relative to sigma, a factor of it.
#[derive(Debug, Clone)]
pub enum Scale<'a> {
    /// One value a stratum, 1 for the first.
    Ident {
        /// Stratum of each row, from 1.
        stratum: &'a [i32],
        /// Number of strata.
        strata: usize,
    },
    /// |v|^delta.
    Power {
        /// v of each row, nowhere 0.
        covariate: &'a [f64],
        /// Stratum of each row, from 1; `None`: one delta.
        stratum: Option<&'a [i32]>,
        /// Number of strata.
        strata: usize,
    },
    /// exp(delta v).
    Exponential {
        /// v of each row.
        covariate: &'a [f64],
        /// Stratum of each row, from 1; `None`: one delta.
        stratum: Option<&'a [i32]>,
        /// Number of strata.
        strata: usize,
    },
    /// c + |v|^delta.
    ConstantPower {
        /// v of each row.
        covariate: &'a [f64],
        /// Stratum of each row, from 1; `None`: one c and one delta.
        stratum: Option<&'a [i32]>,
        /// Number of strata.
        strata: usize,
    },
}

/// Var(eps) = sigma^2 R: R = D C D in each group of rows (times the weights, see [`crate::residual`]), groups independent.
#[derive(Debug, Clone)]
pub struct ResidualStructure<'a> {
    /// Groups within which rows are correlated; `None`: all rows are one group.
    pub groups: Option<GroupingFactor<'a>>,
    /// C; `None`: the identity.
    pub correlation: Option<Correlation<'a>>,
    /// Factors of the diagonal of D.
    pub scales: Vec<Scale<'a>>,
    /// Starting values of the natural parameters, correlation first; NaN, or none at all: the engine chooses.
    pub start: Vec<f64>,
    /// Which parameters stay at their start; may be empty.
    pub held: Vec<bool>,
}

/// Everything that defines y = X beta + Z b + eps, with Var(eps) = sigma^2 / w.
#[derive(Debug, Clone)]
pub struct ModelData<'a> {
    /// Response, n values.
    pub y: &'a [f64],
    /// Columns of the fixed-effects model matrix X.
    pub x: Vec<Column<'a>>,
    /// Their number.
    pub p: usize,
    /// Precision weights, all positive; `None` means 1.
    pub weights: Option<&'a [f64]>,
    /// Known part of the mean; `None` means 0.
    pub offset: Option<&'a [f64]>,
    /// Distinct grouping factors.
    pub factors: Vec<GroupingFactor<'a>>,
    /// Random-effects terms in the order in which `theta` and `b` are reported.
    pub terms: Vec<RandomTerm<'a>>,
    /// Structure of R beyond the weights; `None`: R = W^-1.
    pub residual: Option<ResidualStructure<'a>>,
}

impl ModelData<'_> {
    /// Number of rows.
    #[must_use]
    pub fn n(&self) -> usize {
        self.y.len()
    }

    /// Checks dimensions, codes and weights. Whether response and columns are finite shows in their cross-products;
    /// [`Self::check_finite`] then finds out where.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] or [`EngineError::NotFinite`], naming the argument.
    pub fn validate(&self) -> Result<(), EngineError> {
        let n = self.n();
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
        if let Some(o) = self.offset {
            dimension(
                o.len() == n,
                "offset must have one value for each observation",
            )?;
            finite("offset", o, n)?;
        }
        for factor in &self.factors {
            dimension(
                factor.codes.len() == n,
                "a grouping factor must have one code for each observation",
            )?;
            dimension(
                codes_within(factor.codes, 1, factor.n_levels),
                "grouping codes must lie in 1..n_levels",
            )?;
            if let Some(precision) = &factor.precision {
                precision.validate(factor.n_levels)?;
            }
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
        Ok(())
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
                Column::Constant => Ok(()),
                Column::Values(v) => require(what, largest(v)),
                Column::Coded { values, .. } => require(what, largest(values)),
            })
        };
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
        let n = self.n();
        finite("the response", self.y, n)?;
        let columns = |what: &'static str, columns: &[Column<'_>]| {
            columns.iter().try_for_each(|column| match column {
                Column::Constant => Ok(()),
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
