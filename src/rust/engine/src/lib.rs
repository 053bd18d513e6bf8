//! Linear mixed models y = X beta + Z b + eps, b = Lambda(theta) u, u ~ N(0, sigma^2 I), eps ~ N(0, sigma^2 W^-1).
//!
//! | symbol | name | shape |
//! |---|---|---|
//! | X | fixed-effects model matrix | n x p |
//! | Z | random-effects model matrix, never formed | n x q |
//! | T_t | relative covariance factor of term t, lower triangular | k_t x k_t |
//! | Lambda | block diagonal of the T_t, one block a level | q x q |
//! | M = Lambda'Z'WZ Lambda + I | its Cholesky factor is lme4's L | q x q |
//! | V = W^-1 + Z Lambda Lambda'Z' | marginal covariance relative to sigma^2, never formed | n x n |
//! | P = V^-1 - V^-1X(X'V^-1X)^-1X'V^-1 | never formed | n x n |
//!
//! Data flows one way: terms -> bases -> moments -> factor -> criterion and derivatives -> optimum -> fit.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![allow(
    clippy::cast_precision_loss,       // counts become f64; 2^53 rows are out of reach
    clippy::cast_possible_truncation,  // level codes are i32 and u32 by contract
    clippy::cast_sign_loss,            // codes are validated to be positive
    clippy::cast_possible_wrap,
    clippy::many_single_char_names,    // the field's own symbols
    clippy::similar_names
)]

pub mod clock;
pub mod error;
pub mod grouping;
pub mod options;
pub mod progress;
pub mod result;
pub mod scan;
mod sizes;
pub mod terms;
mod vanishing;

mod centred;
mod certificate;
mod condense;
mod conditional;
pub mod covariance;
pub mod criterion;
mod extended;
pub mod factor;
mod fit;
pub mod fixed_basis;
pub mod gradient;
pub mod hessian;
pub mod inference;
mod inverse_entries;
pub mod iterative;
mod kink;
pub mod linalg;
pub mod many;
pub mod memory;
pub mod moments;
pub mod optimize;
pub mod parallel;
pub mod parts;
mod plan;
mod prior;
mod products;
pub mod random_basis;
mod raw;
pub mod residual;
mod residual_rows;
mod residual_score;
mod restriction;
pub mod room;
pub mod schur;
pub mod start;
mod starts;
mod subset;

pub use error::EngineError;
#[doc(hidden)]
pub use fit::at_internal;
pub use fit::{conditional_variances, fit, fit_into, RowResults};
pub use options::{Options, Solver};
pub use prior::{invert, Inverse};
pub use progress::Progress;
pub use result::{Certificate, Fit, HessianKind, MonteCarlo, Path, Status};
pub use terms::{
    Column, Correlation, CorrelationKind, GroupingFactor, Metric, ModelData, Precision, RandomTerm,
    ResidualStructure, Scale, SpatialKind, Structure,
};
