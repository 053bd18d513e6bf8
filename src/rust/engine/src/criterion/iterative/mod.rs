//! The same where the complement is too large to be factorised: conjugate gradients and stochastic Lanczos quadrature.

pub(crate) mod estimator;
pub mod lanczos;
pub mod operator;
pub mod pcg;
#[cfg(test)]
mod tests;
