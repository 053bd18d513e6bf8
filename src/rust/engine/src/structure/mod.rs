//! Covariance structures: what they make of their parameters. Those of effects know one level, those of residuals the
//! groups and positions of the rows; neither knows X, Z, y or the equations. Imports `linalg`, `data`, `runtime` and `api`.

pub(crate) mod correlation;
pub mod random;
pub mod residual;
