//! The library's allocator: the system's, with a reserve.
//!
//! An allocation that fails ends the process, and with it the user's session. Large ones are tried first (the engine's
//! `memory`); for all the others a reserve is given back to the system when one fails, which is told to the engine: it leaves
//! its work, with an error, before the reserve is used up.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use ferrolmm_engine::runtime::memory;

/// Size of the reserve, which is never touched.
const SIZE: usize = 1 << 25;

/// The reserve; null while it is given away.
static RESERVE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

fn layout() -> Layout {
    Layout::new::<[u8; SIZE]>()
}

/// At the start of a call: what was short in the one before need not be now. Sets up the reserve where there is none and memory
/// for it.
pub fn lay_by() {
    memory::starts_again();
    if RESERVE.load(Ordering::Acquire).is_null() {
        // SAFETY: the layout is not of size zero.
        let block = unsafe { System.alloc(layout()) };
        let before = RESERVE.swap(block, Ordering::AcqRel);
        free(before);
    }
}

fn free(block: *mut u8) {
    if !block.is_null() {
        // SAFETY: a block that `lay_by` allocated with this layout, and that nobody else has: it was swapped out.
        unsafe { System.dealloc(block, layout()) };
    }
}

/// What `allocate` returns; where it fails, once more after the reserve has been given away.
fn with_reserve(size: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let block = allocate();
    if !block.is_null() || size > SIZE || memory::is_trial() {
        return block;
    }
    memory::is_short();
    free(RESERVE.swap(std::ptr::null_mut(), Ordering::AcqRel));
    // another thread may be just about to give it away
    for _ in 0..100 {
        let block = allocate();
        if !block.is_null() {
            return block;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::ptr::null_mut()
}

struct Reserving;

// SAFETY: every block comes from the system's allocator, and goes back to it.
unsafe impl GlobalAlloc for Reserving {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is that of the system's allocator.
        with_reserve(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        with_reserve(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; a block that could not be made larger is still there.
        with_reserve(size, || unsafe { System.realloc(block, layout, size) })
    }
}

#[global_allocator]
static ALLOCATOR: Reserving = Reserving;
