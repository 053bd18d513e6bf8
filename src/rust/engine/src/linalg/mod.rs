//! Linear algebra: small dense blocks, large dense matrices (the only user of faer's dense kernels), a sparse Cholesky
//! factor with its selected inverse, and numbers that carry derivatives.

pub mod dense;
pub mod hyperdual;
pub mod small;
pub mod sparse;
