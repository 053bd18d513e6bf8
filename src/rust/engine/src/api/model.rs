//! The data of a model, borrowed from the caller.

use std::ops::Range;

use crate::api::error::EngineError;
use crate::api::kinds::{CorrelationKind, Positions};
use crate::api::raw_moments::RawMoments;

/// A grouping factor: one code a row, or several levels with weights.
#[derive(Debug, Clone)]
pub struct GroupingFactor<'a> {
    /// Level of each row, from 1 to `n_levels`; every level occurs, unless a precision matrix names more. None where rows are
    /// members of several levels.
    pub codes: &'a [i32],
    /// Levels of rows that may be members of several, or of none.
    pub members: Option<Members<'a>>,
    /// Number of levels J.
    pub n_levels: usize,
    /// Known precision matrix of the levels (J x J), as of animals in a pedigree; `None`: levels are independent.
    pub precision: Option<KnownMatrix<'a>>,
    /// How many levels each stands for in a pseudo-likelihood (see [`crate::moments::counted`]); `None`: one.
    pub counts: Option<&'a [f64]>,
}

/// Multiple membership (Browne, Goldstein & Rasbash 2001, Statistical Modelling 1): row i has the random part
/// z_i' sum_j w_ij b_j, j its levels, so that its row of Z is that of a grouping factor, spread over several levels. With one effect
/// a level the weights are any sparse matrix Z. Compressed rows.
#[derive(Debug, Clone, Copy)]
pub struct Members<'a> {
    /// Start of each row, n + 1 values from 0.
    pub start: &'a [i32],
    /// Levels of each row from 1, ascending.
    pub level: &'a [i32],
    /// Their weights.
    pub weight: &'a [f64],
}

/// The weight of the only level of a row.
const WHOLE: &[f64] = &[1.0];

impl<'a> Members<'a> {
    /// Levels of row `i` from 0, and their weights.
    pub(crate) fn of_row(self, i: usize) -> impl Iterator<Item = (usize, f64)> + 'a {
        let (level, weight) = self.row(i);
        pairs_of(level, weight)
    }

    fn row(self, i: usize) -> (&'a [i32], &'a [f64]) {
        let own = self.start[i] as usize..self.start[i + 1] as usize;
        (&self.level[own.clone()], &self.weight[own])
    }

    /// Whether they are those of `n` rows, with levels from 1 to `n_levels`.
    pub(crate) fn fits(self, n: usize, n_levels: usize) -> bool {
        let entries = self.level.len();
        self.start.len() == n + 1
            && self.start[0] == 0
            && self.start.windows(2).all(|w| w[0] <= w[1])
            && self.start[n] as usize == entries
            && self.weight.len() == entries
            && self.weight.iter().all(|w| w.is_finite())
            && codes_within(self.level, 1, n_levels)
            && self.start.windows(2).all(|w| {
                let own = &self.level[w[0] as usize..w[1] as usize];
                own.windows(2).all(|pair| pair[0] < pair[1])
            })
    }
}

fn pairs_of<'a>(level: &'a [i32], weight: &'a [f64]) -> impl Iterator<Item = (usize, f64)> + 'a {
    let pairs = level.iter().zip(weight);
    pairs.map(|(level, weight)| (*level as usize - 1, *weight))
}

/// Levels of row `i` from 0 and their weights, where rows have one code each or are members of several levels; 0 stands for none.
pub(crate) fn levels_of_row<'a>(
    codes: &'a [i32],
    members: Option<Members<'a>>,
    i: usize,
) -> impl Iterator<Item = (usize, f64)> + 'a {
    let (level, weight) = match members {
        Some(members) => members.row(i),
        None if codes[i] == 0 => (&[][..], &[][..]),
        None => (&codes[i..=i], WHOLE),
    };
    pairs_of(level, weight)
}

impl<'a> GroupingFactor<'a> {
    /// Levels of row `i` from 0, and their weights.
    pub(crate) fn of_row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + 'a {
        levels_of_row(self.codes, self.members, i)
    }
}

/// A known symmetric positive definite matrix in compressed columns, both triangles: of levels K^-1, Var(b) = sigma^2 K (x) T T';
/// of rows their correlations.
#[derive(Debug, Clone, Copy)]
pub struct KnownMatrix<'a> {
    /// Start of each column, one value more than columns, from 0.
    pub start: &'a [i32],
    /// Row of each entry from 0, ascending within a column.
    pub row: &'a [i32],
    /// Its value.
    pub value: &'a [f64],
}

impl KnownMatrix<'_> {
    /// No matrix, in the place of one.
    pub(crate) fn empty() -> Self {
        Self {
            start: &[],
            row: &[],
            value: &[],
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
    /// A column that is nowhere: cross-products stand for the rows.
    Absent,
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
            Self::Absent => f64::NAN,
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
            Self::Absent => targets.for_each(|target| f(target, f64::NAN)),
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
            Self::Absent => false,
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
    /// A matrix of reduced rank, Lambda Lambda'; `theta` is the lower triangle of the first columns of the factor.
    ReducedRank {
        /// Columns of Lambda, at least one and no more than there are effects.
        factors: usize,
    },
    /// Lambda Lambda' and specific variances; `theta` is the lower triangle of Lambda, column by column, then relative specific
    /// standard deviations.
    FactorAnalytic {
        /// Columns of Lambda, at least one.
        factors: usize,
    },
    /// Effects with a correlation structure; `theta` are relative standard deviations, then correlations.
    Correlated {
        /// Structure of the correlations.
        correlation: CorrelationKind,
        /// Whether all effects have the same variance.
        homogeneous: bool,
    },
    /// Fixed effects: random ones whose precision is zero, without parameters. Such a term has one column, and a grouping factor
    /// of its own.
    Fixed,
}

impl Structure {
    /// Whether the columns of a term may be mixed without leaving the structure.
    #[must_use]
    pub fn is_closed_under_rotation(self) -> bool {
        matches!(self, Self::Unstructured | Self::ReducedRank { .. })
    }

    /// Whether the columns of a term may be scaled one by one without leaving the structure.
    #[must_use]
    pub fn is_closed_under_scaling(self) -> bool {
        match self {
            Self::Unstructured
            | Self::Diagonal
            | Self::ReducedRank { .. }
            | Self::FactorAnalytic { .. } => true,
            Self::Identity | Self::Fixed => false,
            Self::Correlated { homogeneous, .. } => !homogeneous,
        }
    }

    /// Whether its parameters are entries of T, in any coordinates of the columns: the others are standard deviations, then
    /// correlations.
    #[must_use]
    pub fn is_given_by_entries(self) -> bool {
        matches!(
            self,
            Self::Unstructured | Self::Diagonal | Self::ReducedRank { .. } | Self::Fixed
        )
    }
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
    /// Classes of levels that have covariance parameters of their own (SAS's GROUP=): b_j ~ N(0, sigma^2 G_c), c the class of level
    /// j. Terms of one grouping factor may have different ones. `None`: all levels have the same.
    pub classes: Option<Classes<'a>>,
}

/// Classes of the levels of a grouping factor, or of residual groups, as of patients by treatment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes<'a> {
    /// Class of each level, or of each row's group, from 1 to `count`; each class has one.
    pub codes: &'a [i32],
    /// Number of classes.
    pub count: usize,
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
pub struct Correlation<'a> {
    /// Its structure.
    pub kind: CorrelationKind,
    /// Where rows are, in the way of the structure.
    pub position: Position<'a>,
    /// Orders p and q of a structure that has them.
    pub orders: (usize, usize),
    /// Whether it jumps at distance 0, of a structure that can.
    pub nugget: bool,
    /// Class of the group of each row: classes have parameters of their own (SAS's GROUP=). `None`: all groups have the same.
    pub classes: Option<Classes<'a>>,
}

/// Position of each row in its group.
#[derive(Debug, Clone)]
pub enum Position<'a> {
    /// It does not matter.
    None,
    /// Whole times.
    Whole(&'a [i32]),
    /// Visits.
    Visits {
        /// Visit of each row, from 1.
        visit: &'a [i32],
        /// Number of visits.
        visits: usize,
    },
    /// Any times.
    Times(&'a [f64]),
    /// Points.
    Points {
        /// Coordinates of each row, one slice a dimension.
        coordinates: Vec<&'a [f64]>,
        /// Distance.
        metric: Metric,
    },
    /// Rows of a known matrix.
    Rows {
        /// Row of the matrix of each row, from 1.
        row: &'a [i32],
        /// Correlations, 0 between rows of different groups; the diagonal is not looked at.
        matrix: KnownMatrix<'a>,
    },
    /// Places on several axes, each with a correlation structure of its own, whose product is that of the rows.
    Product {
        /// The structure of each axis, and the places of the rows on it.
        axes: Vec<(CorrelationKind, Position<'a>)>,
    },
}

impl Position<'_> {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Positions {
        match self {
            Self::None => Positions::None,
            Self::Whole(_) => Positions::Whole,
            Self::Visits { .. } => Positions::Visits,
            Self::Times(_) => Positions::Times,
            Self::Points { .. } => Positions::Points,
            Self::Rows { .. } => Positions::Rows,
            Self::Product { .. } => Positions::Product,
        }
    }
}

impl<'a> Correlation<'a> {
    /// Without orders, without a nugget, the same in all groups.
    #[must_use]
    pub fn new(kind: CorrelationKind, position: Position<'a>) -> Self {
        Self {
            kind,
            position,
            orders: (0, 0),
            nugget: false,
            classes: None,
        }
    }
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
    /// A function of a covariate.
    OfCovariate {
        /// Which one.
        function: ScaleFunction,
        /// v of each row.
        covariate: &'a [f64],
        /// Stratum of each row, from 1; `None`: one of each parameter.
        stratum: Option<&'a [i32]>,
        /// Number of strata.
        strata: usize,
    },
}

/// Standard deviations of rows relative to sigma as a function of a covariate v.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleFunction {
    /// |v|^delta, v nowhere 0.
    Power,
    /// exp(delta v).
    Exponential,
    /// c + |v|^delta.
    ConstantPower,
    /// sqrt(c^2 + p^2 v^2).
    ConstantProportion,
}

/// Var(eps) = sigma^2 R: R = D C D in each group of rows (times the weights, see [`crate::structure::residual`]), groups independent.
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
    /// Number of columns of X.
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
    /// Cross-products that stand for the rows: `y`, codes, weights and offset are empty then, and columns absent.
    pub moments: Option<&'a RawMoments>,
    /// Observations that condensed rows stand for; `None`: each row is an observation.
    pub stands_for: Option<StandsFor<'a>>,
}

/// What condensed rows stand for.
///
/// The observations of a cell, within which the columns of X and Z are fixed combinations of numbers v, have the cross-products
/// sum w v v' = (sum w) m m' + R'R, m their weighted mean and R a triangular factor of their scatter about it. So a row m of
/// weight sum w and the rows of R, of weight 1, give the cross-products of the observations; what they do not give is the number
/// of observations and the sum of log w of the likelihood.
#[derive(Debug, Clone, Copy)]
pub struct StandsFor<'a> {
    /// Observations of each row: those of its cell for a row of means, none for a row of scatter.
    pub counts: &'a [f64],
    /// Sum of their log weights.
    pub log_weights: &'a [f64],
}

impl ModelData<'_> {
    /// Number of observations, whether their rows are here, or condensed rows or cross-products stand for them.
    #[must_use]
    pub fn n(&self) -> usize {
        match (self.moments, &self.stands_for) {
            (Some(moments), _) => moments.n,
            (None, Some(stands_for)) => stands_for.counts.iter().sum::<f64>() as usize,
            (None, None) => self.rows(),
        }
    }

    /// Number of rows that are here.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.y.len()
    }

    /// Observations that row `i` stands for.
    pub(crate) fn count(&self, i: usize) -> usize {
        self.stands_for.map_or(1, |s| s.counts[i] as usize)
    }

    /// Sum of the log weights of the observations that row `i` stands for.
    pub(crate) fn log_weight(&self, i: usize) -> f64 {
        match (self.stands_for, self.weights) {
            (Some(stands_for), _) => stands_for.log_weights[i],
            (None, Some(weights)) => weights[i].ln(),
            (None, None) => 0.0,
        }
    }

    /// Sum of the log weights of all observations.
    pub(crate) fn sum_log_weights(&self) -> f64 {
        match (self.stands_for, self.weights) {
            (None, None) => 0.0,
            // weights are numbers of rows there
            _ if self.is_counted() => 0.0,
            _ => (0..self.rows()).map(|i| self.log_weight(i)).sum(),
        }
    }

    /// Whether levels and rows count as many: the criterion is that of a pseudo-likelihood.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.factors.iter().any(|factor| factor.counts.is_some())
    }

    /// Refuses a step that takes each row as one of a single level.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], naming the step.
    pub fn require_single_levels(&self, step: &'static str) -> Result<(), EngineError> {
        if self.factors.iter().any(|factor| factor.members.is_some()) {
            return Err(EngineError::Dimension(format!(
                "{step}: rows must not be members of several levels"
            )));
        }
        Ok(())
    }

    /// Refuses a step that looks at rows where cross-products stand for them.
    ///
    /// # Errors
    /// [`EngineError::NeedsRows`], naming the step.
    pub fn require_rows(&self, step: &'static str) -> Result<(), EngineError> {
        match self.moments {
            None => Ok(()),
            Some(_) => Err(EngineError::NeedsRows { step }),
        }
    }

    /// Refuses a step that looks at single observations where other rows or cross-products stand for them.
    ///
    /// # Errors
    /// [`EngineError::NeedsRows`], naming the step.
    pub fn require_observations(&self, step: &'static str) -> Result<(), EngineError> {
        match self.stands_for {
            None => self.require_rows(step),
            Some(_) => Err(EngineError::NeedsRows { step }),
        }
    }
}
