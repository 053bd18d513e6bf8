//! Coordinates: orthogonal bases for X and for each term, so that no predictor needs rescaling (rank as `lm()` decides it),
//! where each parameter is, and the way back to the user's columns. Imports `structure` and below.

pub mod covariances;
pub mod fixed;
pub mod gram;
pub mod internal_theta;
pub mod parameters;
pub mod penalty;
pub mod random;
pub mod rank;
pub(crate) mod restriction;
pub mod rows;
pub(crate) mod user;
