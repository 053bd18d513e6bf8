//! The mixed model equations at one theta: elimination, factor, solutions, entries of the inverse. Imports `moments` and below.

pub(crate) mod assemble;
mod border;
pub mod complement;
pub mod elimination;
pub(crate) mod elimination_choice;
pub mod equations;
pub(crate) mod extended;
pub mod factor;
pub(crate) mod inverse_entries;
pub(crate) mod pieces;
pub(crate) mod precision_product;
pub(crate) mod right_hand_sides;
pub(crate) mod selected_inverse;
pub mod solution;
mod solve;
