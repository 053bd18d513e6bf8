//! Weighted cross-products of Z, X and y: all that an evaluation without a residual structure sees of the rows. Imports `basis`
//! and below.

mod basis_rows;
pub mod blocks;
pub(crate) mod centred_rows;
pub(crate) mod compress;
pub(crate) mod counted;
mod coupling;
pub(crate) mod fixed_levels;
mod level_order;
pub(crate) mod level_precision;
mod levels;
mod pairs;
mod pass;
pub mod raw;
mod raw_transform;
mod residual_moments;
pub(crate) mod residual_part;
pub(crate) mod residual_rows;
pub mod source;
pub mod start;
#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests;
pub(crate) mod twice;
