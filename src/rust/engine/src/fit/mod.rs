//! Data to a fit in the user's terms. Imports `search` and below.

pub(crate) mod centring;
pub(crate) mod conditional;
pub(crate) mod estimates;
pub(crate) mod held;
pub(crate) mod pipeline;
pub(crate) mod prepare;
pub(crate) mod sizes;
