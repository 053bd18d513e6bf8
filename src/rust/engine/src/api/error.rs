//! What can go wrong on user input, as values: the binding turns them into R conditions.

use thiserror::Error;

/// Every way in which a fit can be refused or cut short.
///
/// Messages are short facts; the R layer adds the names of variables and the remedy.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Lengths, dimensions or codes that do not fit together.
    #[error("{0}")]
    Dimension(String),
    /// A value that is not finite where a finite one is needed.
    #[error("{what} holds a value that is not finite (first at row {row})")]
    NotFinite {
        /// Which argument.
        what: &'static str,
        /// First offending row, counted from 1.
        row: usize,
    },
    /// A column whose squares are too large or too small to be computed with.
    #[error("the values of {what} are of the size of {size:.0e}, too {} to be computed with", if *size > 1.0 { "large" } else { "small" })]
    Size {
        /// Which argument.
        what: &'static str,
        /// Its largest value.
        size: f64,
    },
    /// A correlation at a distance of one of the user's units that a double does not tell from 0 or 1 with enough digits.
    #[error(
        "the correlation of residuals one unit of time apart is so near to 0 or 1 that it cannot be told"
    )]
    CorrelationOfUnit,
    /// As many fixed-effects coefficients as observations (or more): no residual degree of freedom.
    #[error("{n} observations leave no residual degrees of freedom for {rank} fixed-effects coefficients")]
    NoResidualDf {
        /// Observations.
        n: usize,
        /// Rank of the fixed-effects model matrix.
        rank: usize,
    },
    /// Something that is not known beside fixed effects of levels.
    #[error("fixed effects of levels do not go with {what}")]
    FixedLevels {
        /// What it is.
        what: String,
    },
    /// The fixed effects (with the random effects) reproduce the response: the residual variance is zero.
    #[error("the model reproduces the response exactly: the residual variance is zero")]
    PerfectFit,
    /// Covariance matrices without bounds, towards whose border the likelihood grows.
    #[error("without bounds on variances the likelihood has no maximum: it grows up to where the covariance matrix of the observations is singular")]
    NoMaximum,
    /// A matrix that is positive definite by its definition is not so in floating point, or a number is not finite.
    #[error("{step} broke down numerically: rounding errors outweigh what is computed")]
    Numerical {
        /// What was being computed.
        step: &'static str,
    },
    /// A step that looks at the rows of the data, of which there are only cross-products.
    #[error("{step} needs the rows of the data, and there are only their cross-products")]
    NeedsRows {
        /// What was asked for.
        step: &'static str,
    },
    /// A known matrix with entries between levels of different classes, each of which has a covariance matrix of its own.
    #[error(
        "the known covariance or precision matrix of a grouping factor couples levels of different classes, which have \
         covariance matrices of their own"
    )]
    CoupledClasses {
        /// Which grouping factor, in the user's order.
        factor: usize,
    },
    /// A known covariance or precision matrix of levels is not positive definite.
    #[error(
        "the known covariance or precision matrix of a grouping factor is not positive definite"
    )]
    NotPositiveDefinite {
        /// Which grouping factor (from 0, in the caller's order).
        factor: Option<usize>,
    },
    /// A parameter that cannot be held or tied on its own.
    #[error("covariance parameter {} cannot be held or tied on its own", parameter + 1)]
    Restriction {
        /// Index in (theta, phi), from 0.
        parameter: usize,
    },
    /// A value at which no model can be held.
    #[error("no value of the other parameters goes with that at which covariance parameter {} is held", parameter + 1)]
    HeldValue {
        /// Index in (theta, phi), from 0.
        parameter: usize,
    },
    /// A held factor entry whose optimum is at the other sign: a standard deviation before it is zero on the way.
    #[error("the likelihood is largest where covariance parameter {} has not the value at which it is held", parameter + 1)]
    HeldSign {
        /// Index in (theta, phi), from 0.
        parameter: usize,
    },
    /// A penalty on covariances that outweighs the likelihood of sigma.
    #[error("the penalty on covariances outweighs what {degrees} residual degrees of freedom tell of sigma, which would be zero")]
    PenaltyOfSigma {
        /// n - rank, of maximum likelihood n.
        degrees: usize,
    },
    /// The exact computation would take more memory than is sensible.
    #[error("this needs a dense matrix of order {order}, about {gigabytes:.0} GB")]
    TooLarge {
        /// Order of the matrix.
        order: usize,
        /// Memory of the few copies that it takes.
        gigabytes: f64,
    },
    /// A cluster whose adjustment would take too large a matrix.
    #[error("the adjustment of a cluster needs a dense matrix of order {order}")]
    LargeCluster {
        /// Order of the matrix.
        order: usize,
    },
    /// A factorisation too large to be done without being asked for.
    #[error("this needs a factor of the mixed-model equations: of order {order} after the largest factor is eliminated, about {gigabytes:.0} GB")]
    Factor {
        /// Order of what is left after the first grouping factor is eliminated.
        order: usize,
        /// Memory of the factor and its inverse.
        gigabytes: f64,
    },
    /// A factorisation that was asked for, or without which there is no way, and that does not fit in memory.
    #[error("the factor of the mixed-model equations, of order {order} after the largest grouping factor is eliminated, needs {needed:.1} GB with its inverse, and {available:.1} GB of memory are available")]
    Memory {
        /// Order of what is left after the first grouping factor is eliminated.
        order: usize,
        /// Gigabytes of the factor and its inverse.
        needed: f64,
        /// Gigabytes that can be had.
        available: f64,
    },
    /// An allocation that would fail, or take more than there is.
    #[error("{}", allocation(*gigabytes))]
    Allocation {
        /// Gigabytes that were asked for; 0: less than is worth a number.
        gigabytes: f64,
    },
    /// Rows of one response of many that do not determine what all rows do.
    #[error("{reason}")]
    RowsOfResponse {
        /// What is missing.
        reason: &'static str,
    },
    /// More parameters than observations.
    #[error("the model has {parameters} parameters for {n} observations")]
    TooManyParameters {
        /// Fixed effects, free covariance parameters and sigma.
        parameters: usize,
        /// Observations.
        n: usize,
    },
    /// Two rows of a residual group at one position: they would have correlation 1.
    #[error("rows {first} and {second} of residual group {group} are at the same position")]
    DuplicatePosition {
        /// Residual group, counted from 1.
        group: usize,
        /// First of the two rows, counted from 1.
        first: usize,
        /// Second of the two rows.
        second: usize,
    },
    /// Starting or held values of the residual structure outside of its parameter space.
    #[error("{0}")]
    ResidualStart(String),
    /// No two rows share a residual group: there is nothing to estimate a correlation from.
    #[error("every residual group has a single row: its correlation cannot be estimated")]
    SingleRowGroups,
    /// A residual group whose dense correlation matrix would take more memory than is sensible.
    #[error("residual group {group} has {rows} rows: their correlation matrix needs about {gigabytes:.0} GB")]
    LongResidualGroup {
        /// Residual group, counted from 1.
        group: usize,
        /// Its rows.
        rows: usize,
        /// Memory of the few copies that it takes.
        gigabytes: f64,
    },
    /// A variance covariate of 0 where a power of it is a standard deviation.
    #[error("the variance covariate is 0 at row {row}: no power of it is a standard deviation")]
    ZeroCovariate {
        /// First offending row, counted from 1.
        row: usize,
    },
    /// Variances of rows of which none is near sigma^2.
    #[error("the variance function has its 1 so far from all rows that sigma, the standard deviation there, cannot be computed with")]
    FarScale,
    /// A new row in a residual group that has no room for one more, as of equal negative correlations.
    #[error("row {row} of the new data cannot have its residual correlations with the rows of its group")]
    NoRoomInGroup {
        /// First offending row, counted from 1.
        row: usize,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The time was over before there was anything to return.
    #[error("the time limit is over")]
    TimeLimit,
}

fn allocation(gigabytes: f64) -> String {
    if gigabytes > 0.005 {
        format!("{gigabytes:.2} GB of memory are needed, and cannot be had")
    } else {
        "there is no memory left".to_owned()
    }
}

impl EngineError {
    /// A step that failed in floating point.
    #[must_use]
    pub const fn numerical(step: &'static str) -> Self {
        Self::Numerical { step }
    }

    /// Machine-readable class, the suffix of the R condition class `ferrolmm_error_<class>`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Dimension(_) => "dimension",
            Self::CoupledClasses { .. } => "known",
            Self::NotFinite { .. } => "not_finite",
            Self::Size { .. } | Self::CorrelationOfUnit => "size",
            Self::NoResidualDf { .. } => "no_residual_df",
            Self::FixedLevels { .. } => "fixed_levels",
            Self::PerfectFit => "perfect_fit",
            Self::NoMaximum => "no_maximum",
            Self::Numerical { .. } => "numerical",
            Self::NotPositiveDefinite { .. } => "not_positive_definite",
            Self::Restriction { .. } | Self::HeldValue { .. } | Self::HeldSign { .. } => {
                "restriction"
            }
            Self::PenaltyOfSigma { .. } => "penalty",
            Self::NeedsRows { .. } => "needs_rows",
            Self::TooLarge { .. } => "too_large",
            Self::LargeCluster { .. } => "large_cluster",
            Self::Factor { .. } => "factor",
            Self::Memory { .. } | Self::Allocation { .. } => "memory",
            Self::RowsOfResponse { .. } => "grouping",
            Self::TooManyParameters { .. } => "too_many_parameters",
            Self::DuplicatePosition { .. } => "duplicate_position",
            Self::ResidualStart(_) => "residual_start",
            Self::SingleRowGroups => "single_row_groups",
            Self::LongResidualGroup { .. } => "long_residual_group",
            Self::ZeroCovariate { .. } => "zero_covariate",
            Self::FarScale => "far_scale",
            Self::NoRoomInGroup { .. } => "newdata",
            Self::Interrupted => "interrupted",
            Self::TimeLimit => "time_limit",
        }
    }
}
