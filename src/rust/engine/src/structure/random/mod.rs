//! Structures of random effects: parameters to the relative covariance factor T of one level.

mod correlated;
pub(crate) mod covariance;
mod diagonal;
mod factor_analytic;
mod fixed;
mod linear;
pub(crate) mod loadings;
mod reduced_rank;
mod structures;
mod unstructured;

pub use covariance::Covariance;
pub use structures::{
    covariance, effects_correlation, effects_parameters, effects_start, random_facts,
};
