//! What numbers natural residual parameters may be.

/// What kind of number a natural parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Between -1 and 1, or a part of it.
    Correlation,
    /// Above 0.
    Positive,
    /// Any number.
    Real,
}
