//! The (restricted) likelihood where covariance matrices of random effects may be any symmetric matrices (SAS: NOBOUND), as
//! long as V = W^-1 + Z G Z' is positive definite.
//!
//! Parameters s are the entries of G relative to sigma^2: V is linear in them, V = W^-1 + sum_a s_a V_a with V_a = Z E_a Z', and
//! the criterion is smooth through zero, where that of roots of variances is not. Nothing takes a root or an inverse of G.
//!
//! With A = Z'WZ = F F' (F lower triangular, columns of zeros where A is singular), V is positive definite where K = I + F'G F is
//! (both have the eigenvalues of I + W^{1/2}ZGZ'W^{1/2} that are not 1), and
//!
//! - log|V| = log|K| - log|W|,
//! - Z'V^-1Z = F K^-1 F',
//! - Z'V^-1 C = F K^-1 D and C'V^-1C = (C'WC - D'D) + D'K^-1 D with D = F^+ Z'WC, for any columns C.
//!
//! No differences of large numbers are taken, however large G is. This is done twice: for the levels of the largest grouping
//! factor, whose K is block diagonal, with all other columns as C; and for the other factors Z_2 with V_1 = W^-1 + Z_1 G_1 Z_1' in the place
//! of W^-1, where A = Z_2'V_1^-1Z_2 is a dense matrix ([`LARGEST`]).

mod condensed;
mod derivatives;
mod point;
mod product;

pub(crate) use condensed::{Condensed, LARGEST};
pub(crate) use derivatives::Derivatives;
pub(crate) use point::Point;
