//! Columns as R has them, before they are a model: missing values and unused levels, codes of grouping variables, which rows
//! are connected, pedigrees, some of the rows, rows gathered by cell and tables of cross-products, checks. Imports `linalg`, `runtime` and `api`.

pub mod cells;
pub mod connected;
pub mod grouping;
pub mod pedigree;
pub mod scan;
pub(crate) mod subset;
pub mod tables;
pub(crate) mod validate;
