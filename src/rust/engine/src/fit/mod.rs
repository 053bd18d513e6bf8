//! Data to a fit in the user's terms. Imports `search` and below.

pub(crate) mod centring;
pub(crate) mod conditional;
pub(crate) mod estimates;
mod far_start;
pub(crate) mod fixed_levels;
pub(crate) mod held;
pub(crate) mod nobound;
pub(crate) mod penalised;
pub(crate) mod pipeline;
pub(crate) mod prepare;
pub(crate) mod prepared;
pub(crate) mod response_units;
pub(crate) mod rounds;
pub(crate) mod sizes;
pub(crate) mod user_start;
