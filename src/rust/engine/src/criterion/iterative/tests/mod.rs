//! Estimates without a factor against those with one.

mod example;
mod fits;
mod slopes;
mod unbiased;
