//! From how many places, and from which, a fit walks to an optimum.

mod chance;
mod first;
mod grid;
mod search;
mod smaller;
mod units;
mod walks;

pub(crate) use first::first_optimum;
pub(crate) use search::{are_wanted, lower_optima};
pub(crate) use walks::Walks;
