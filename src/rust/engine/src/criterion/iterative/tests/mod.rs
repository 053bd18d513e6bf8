//! Estimates without a factor against those with one.

mod estimates;
mod example;
mod fits;
mod slopes;
