//! What goes in and what comes out: the model, options, the fit, errors, and the handle of a progress bar, in the notation of
//! Bates et al. (2015). Types alone. Imports nothing.

pub mod error;
pub mod kinds;
pub mod model;
pub mod options;
pub mod penalty;
pub mod progress;
pub mod raw_moments;
pub mod result;
pub mod theta;
