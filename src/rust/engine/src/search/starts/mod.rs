//! From how many places, and from which, a fit walks to an optimum.

mod chance;
mod grid;
mod search;
mod units;

pub(crate) use search::{are_wanted, first_optimum, lower_optima, Walks};
