//! The R binding of the ferrolmm engine.
//!
//! It knows R and computes nothing. Each entry point `rs_*` borrows its arguments from R
//! ([`convert`]), calls the engine, and answers with a named list whose first element is
//! `ok` ([`condition`]). The callers are `R/engine-*.R` (and `R/zzz.R`, once), which coerce the
//! arguments beforehand and raise the classed condition afterwards.
//!
//! Three rules hold at this boundary:
//!
//! * Errors cross as values. extendr-api 0.9.0 hands the text of an `Err` or a panic to
//!   `Rf_error` as its *format*, so that a `%` in it would end the R session.
//! * A panic is a bug of ours: it is caught here, in every entry point, and reported as one.
//! * No longjmp crosses a Rust frame: the user's interrupt is polled, and progress shown by R code,
//!   through C shims in which jumps end ([`interrupt`]).

use extendr_api::prelude::*;

mod allocator;
mod cells;
mod condition;
mod convert;
mod fit;
mod grouping;
mod inference;
mod interrupt;
mod known_matrix;
mod many;
mod members;
mod moments;
mod pedigree;
mod penalty;
mod profile;
mod pseudo_likelihood;
mod residual;
mod rlrt;
mod scan;
mod structures;
mod tables;

extendr_module! {
    mod ferrolmm;
    use cells;
    use condition;
    use fit;
    use grouping;
    use inference;
    use many;
    use moments;
    use pedigree;
    use profile;
    use pseudo_likelihood;
    use residual;
    use rlrt;
    use scan;
    use structures;
    use tables;
}
