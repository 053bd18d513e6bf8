//! Linear algebra: small dense blocks, large dense matrices (the only user of faer's dense kernels) and a sparse Cholesky
//! factor with its selected inverse.

pub mod dense;
pub mod small;
pub mod sparse;
