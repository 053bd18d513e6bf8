//! Columns as R has them, before they are a model: missing values and unused levels, codes of grouping variables, some of the
//! rows, checks. Imports `runtime` and `api`.

pub mod grouping;
pub mod scan;
pub(crate) mod subset;
pub(crate) mod validate;
