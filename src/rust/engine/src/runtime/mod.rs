//! What computing needs whatever it computes: memory that may run out, workspace that is lent and comes back, threads, work cut
//! into pieces, and the clock that ends it. Imports `api`.

pub mod clock;
pub mod detached;
pub mod interruptible;
pub mod memory;
pub mod parallel;
pub mod partition;
pub mod stop;
pub mod workspace;
