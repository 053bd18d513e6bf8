//! Covariance structures: what they make of their parameters. They know one level or one group, not the data's size or the
//! equations. Imports `linalg`, `runtime` and `api`.

pub(crate) mod correlation;
pub mod random;
pub mod residual;
