//! Correlation structures, for random effects and for residuals: one file a structure, one definition of its parameters,
//! starts and correlations.
//!
//! | file in `registry/` | structure | natural parameters | internal parameters x |
//! |---|---|---|---|
//! | `ar1` | AR(1) | rho | rho = sin x |
//! | `car1` | continuous-time AR(1) | rho | log of the range -1 / log rho |
//! | `arma` | ARMA(p, q) | coefficients, signs of `stats::arima` | partial autocorrelations sin x of either polynomial |
//! | `compound` | compound symmetry | rho | lo + (1 - lo)(1 + sin x) / 2, lo = -1 / (m - 1) |
//! | `unstructured` | unstructured | correlations, lower triangle by columns | rows (x_i1, ..., 1) / norm of the Cholesky factor |
//! | `toeplitz` | Toeplitz | autocorrelations | partial autocorrelations sin x |
//! | `ante` | ante-dependence | neighbouring correlations | each sin x |
//! | `spatial` | a function of distance, one file in `distance/` each | range, nugget | log range; nugget = (1 + sin x) / 2 |
//!
//! The two sides differ in one thing, [`link::Ends`]: correlations of effects may be at their ends, as G may be singular;
//! those of residuals stay a little inside, as R has an inverse. `structure` is the trait, `registry` and `distance` are the
//! lists, `law` is what a structure gives: the correlation at any two positions.

pub(crate) mod distance;
pub(crate) mod domain;
pub(crate) mod law;
mod levinson;
pub(crate) mod link;
pub(crate) mod registry;
pub(crate) mod structure;
