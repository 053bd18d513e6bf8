//! From a start to a proved optimum. Imports `criterion` and below.

pub(crate) mod boundary;
mod centred;
pub(crate) mod certificate;
mod chart;
mod charted;
pub(crate) mod kink;
pub(crate) mod nobound;
pub(crate) mod optimum;
mod restricted;
pub(crate) mod starts;
pub(crate) mod strategy;
pub(crate) mod vanishing;
