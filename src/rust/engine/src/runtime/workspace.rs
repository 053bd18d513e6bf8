//! Buffers that are lent out and come back: what evaluations need in passing is allocated by the first of them only.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::runtime::memory;

/// Classes of sizes: at least 2^c numbers each.
const CLASSES: usize = usize::BITS as usize;

/// Buffers that nobody has at the moment, by class.
///
/// A class never grows beyond what was lent out of it at one time, so that work which is done again takes nothing new.
#[derive(Debug)]
pub struct Workspace(Mutex<[Vec<Vec<f64>>; CLASSES]>);

/// Numbers lent out by [`Workspace`], to which they go back when this is dropped.
#[derive(Debug)]
pub struct Buffer<'a> {
    values: Vec<f64>,
    owner: &'a Workspace,
}

impl Default for Workspace {
    fn default() -> Self {
        Self(Mutex::new(std::array::from_fn(|_| Vec::new())))
    }
}

impl Workspace {
    /// So many zeros.
    #[must_use]
    pub fn zeros(&self, len: usize) -> Buffer<'_> {
        let mut values = self.take(len);
        values.clear();
        values.resize(len, 0.0);
        Buffer {
            values,
            owner: self,
        }
    }

    /// So many numbers, for what writes before it reads: any, so that nothing is spent on making them zeros.
    #[must_use]
    pub fn arbitrary(&self, len: usize) -> Buffer<'_> {
        let mut values = self.take(len);
        values.resize(len, 0.0);
        Buffer {
            values,
            owner: self,
        }
    }

    /// A copy.
    #[must_use]
    pub fn copy(&self, of: &[f64]) -> Buffer<'_> {
        let mut values = self.take(of.len());
        values.clear();
        values.extend_from_slice(of);
        Buffer {
            values,
            owner: self,
        }
    }

    /// A vector of such a capacity, with what it had.
    fn take(&self, len: usize) -> Vec<f64> {
        if len == 0 {
            return Vec::new();
        }
        let size = len.next_power_of_two();
        let kept = self.lock()[size.ilog2() as usize].pop();
        kept.unwrap_or_else(|| memory::with_capacity(size))
    }

    fn lock(&self) -> MutexGuard<'_, [Vec<Vec<f64>>; CLASSES]> {
        // a thread that panicked left whole buffers
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if let Some(class) = values.capacity().checked_ilog2() {
            self.owner.lock()[class as usize].push(values);
        }
    }
}

impl Deref for Buffer<'_> {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::Workspace;

    #[test]
    fn what_comes_back_is_lent_out_again_as_zeros() {
        let workspace = Workspace::default();
        let mut first = workspace.zeros(5);
        first.fill(3.0);
        let place = first.as_ptr();
        let other = workspace.zeros(8);
        assert_ne!(other.as_ptr(), place);
        drop(first);
        let again = workspace.zeros(7);
        assert_eq!(again.as_ptr(), place);
        assert_eq!(*again, [0.0; 7]);
        drop(again);
        let arbitrary = workspace.arbitrary(6);
        assert_eq!((arbitrary.as_ptr(), arbitrary.len()), (place, 6));
        drop(arbitrary);
        assert_eq!(
            *workspace.copy(&[1.0, 2.0, 3.0, 4.0, 5.0]),
            [1.0, 2.0, 3.0, 4.0, 5.0]
        );
        assert!(workspace.zeros(0).is_empty());
    }
}
