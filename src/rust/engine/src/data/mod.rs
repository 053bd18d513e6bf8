//! Columns as R has them, before they are a model: missing values and unused levels, codes of grouping variables, some of the
//! rows, rows gathered by cell, checks. Imports `runtime` and `api`.

pub mod cells;
pub mod grouping;
pub mod scan;
pub(crate) mod subset;
pub(crate) mod validate;
