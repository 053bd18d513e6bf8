//! Linear algebra: small dense blocks, dense products, large symmetric matrices in half the memory (these two are the only
//! users of faer's dense kernels), a sparse Cholesky factor with its selected inverse, numbers
//! that carry derivatives, and numbers of twice the digits.

pub mod dense;
pub mod double2;
pub(crate) mod double2_matrix;
pub mod hyperdual;
pub mod row_sums;
pub mod singular;
pub mod small;
pub mod sparse;
pub mod strip_layout;
mod supernodes;
pub mod triangle;

/// Runs `f`, which has to be marked `#[inline(always)]` with all that it calls, compiled for the widest vectors that this
/// machine has. Sums keep their order: no product is fused with a sum.
#[inline(always)]
pub fn wide<R>(f: impl FnOnce() -> R) -> R {
    faer::traits::pulp::Arch::new().dispatch(f)
}
