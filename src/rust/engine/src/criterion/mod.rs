//! The (restricted) likelihood at one theta, with its exact derivatives. Imports `system` and below.

mod block_traces;
mod differences;
pub mod direction;
mod eliminated_traces;
pub(crate) mod estimated;
mod first_order;
mod full_inverse;
pub mod gradient;
pub mod hessian;
pub mod iterative;
pub mod latest;
pub(crate) mod level_sums;
pub(crate) mod nobound;
mod node_traces;
pub mod objective;
mod penalised;
pub mod point;
pub(crate) mod products;
pub(crate) mod residual_directions;
pub(crate) mod residual_score;
pub(crate) mod residual_solution;
mod second_order;
