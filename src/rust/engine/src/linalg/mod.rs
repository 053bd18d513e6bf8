//! Linear algebra: small dense blocks, dense products, large symmetric matrices in half the memory (these two are the only
//! users of faer's dense kernels), a sparse Cholesky factor with its selected inverse, and numbers that carry derivatives.

pub mod dense;
pub mod hyperdual;
pub mod small;
pub mod sparse;
pub mod triangle;
