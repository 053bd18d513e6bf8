//! From a start to a proved optimum. Imports `criterion` and below.

pub(crate) mod boundary;
pub(crate) mod centred;
pub(crate) mod certificate;
pub(crate) mod kink;
pub(crate) mod optimum;
pub(crate) mod restricted;
pub(crate) mod starts;
pub(crate) mod strategy;
pub(crate) mod vanishing;
