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
//! theta has three coordinate systems, each a type: the user's ([`UserTheta`], what goes in and comes out), the internal one of the
//! orthogonal bases ([`basis::internal_theta::InternalTheta`], everywhere in between), and the variables of a chart (`FreeTheta`, what the
//! optimiser moves). None turns into another by itself: `basis/user.rs` and `search/charted.rs` lead from one to the other.
//!
//! Data flow one way: columns -> bases -> moments -> equations -> criterion and derivatives -> optimum -> fit -> inference.
//! A folder is a layer, and imports only those below it in this table (`dev/layers-engine.R` checks, and that no files import
//! each other in a circle):
//!
//! | layer | what |
//! |---|---|
//! | `inference/` | Satterthwaite, Kenward-Roger, sandwich estimates, profiles, predictions, deletion, likelihood ratios; many responses |
//! | `fit/` | data to bases and moments, the way to an optimum that is proved, the fit in the user's terms |
//! | `search/` | from one start to an optimum: charts of the parameters, boundaries, other starts, the certificate |
//! | `criterion/` | the (restricted) likelihood at one theta, its gradient and Hessian; iterative where a factor is too dear |
//! | `system/` | the mixed model equations at one theta: elimination, factor, solutions, entries of the inverse |
//! | `moments/` | weighted cross-products of Z, X and y, from rows or, with a residual structure, at one R |
//! | `basis/` | coordinates: orthogonal bases for X and each term, where each parameter is, what is held, the user's columns |
//! | `structure/` | covariance structures of random effects and of residuals: parameters to matrices, and derivatives |
//! | `data/` | columns as they come: missing values, codes of levels, some of the rows, checks |
//! | `optimize/` | trust-region Newton; knows no mixed model |
//! | `linalg/` | small blocks, dense triangles, sparse Cholesky, twice the digits; with `runtime/partition` the only user of faer |
//! | `runtime/` | threads, workspace, memory that may run out, the clock that ends a search |
//! | `api/` | what goes in and comes out: model, options, fit, errors |

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

pub mod api;
pub mod basis;
pub mod criterion;
pub mod data;
mod fit;
pub mod inference;
pub mod linalg;
pub mod moments;
pub mod optimize;
pub mod runtime;
mod search;
pub mod structure;
pub mod system;

pub use api::error::EngineError;
pub use api::kinds::{CorrelationFacts, CorrelationKind, Each, Positions, RandomFacts, ScaleFacts};
pub use api::model::{
    Classes, Column, Correlation, GroupingFactor, KnownMatrix, Members, Metric, ModelData,
    Position, RandomTerm, ResidualStructure, Scale, ScaleFunction, StandsFor, Structure,
};
pub use api::options::{Options, Solver};
pub use api::penalty::{Penalties, Penalty};
pub use api::progress::Progress;
pub use api::raw_moments::{RawFactor, RawMoments, RawPair};
pub use api::result::{Certificate, Fit, HessianKind, MonteCarlo, Path, Status};
pub use api::theta::UserTheta;
pub use fit::conditional::conditional_variances;
pub use fit::estimates::RowResults;
pub use fit::nobound::{fit_nobound, NoboundFit};
#[doc(hidden)]
pub use fit::nobound::{nobound_at, NoboundPoint};
#[doc(hidden)]
pub use fit::pipeline::at_internal;
pub use fit::pipeline::{fit, fit_into};
pub use inference::many;
pub use moments::level_precision::{invert, Inverse};
pub use moments::raw::raw_moments;
