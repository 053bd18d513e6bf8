//! The (restricted) likelihood at one theta, with its exact derivatives. Imports `system` and below.

pub mod direction;
pub mod gradient;
pub mod hessian;
pub mod iterative;
pub(crate) mod level_sums;
pub mod objective;
pub mod point;
pub(crate) mod products;
pub(crate) mod residual_score;
