//! Minimisation of a smooth function by a trust-region Newton method; knows no mixed model.

mod trust_region;

pub use trust_region::{minimize, Objective, Outcome, Settings, Stop, Wanted};
