//! The criterion where the complement is too large to be factorised: conjugate gradients and stochastic Lanczos quadrature.

pub(crate) mod estimator;
pub mod lanczos;
pub mod lanes;
mod log_det;
mod node_sums;
pub mod operator;
mod pair_sums;
pub mod pcg;
mod scaling;
mod start_vectors;
#[cfg(test)]
mod tests;
