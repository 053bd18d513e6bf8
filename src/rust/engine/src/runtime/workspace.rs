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
pub struct Rooms(Mutex<[Vec<Vec<f64>>; CLASSES]>);

/// Numbers lent out by [`Rooms`], to which they go back when this is dropped.
#[derive(Debug)]
pub struct Room<'a> {
    values: Vec<f64>,
    owner: &'a Rooms,
}

impl Default for Rooms {
    fn default() -> Self {
        Self(Mutex::new(std::array::from_fn(|_| Vec::new())))
    }
}

impl Rooms {
    /// So many zeros.
    #[must_use]
    pub fn zeros(&self, len: usize) -> Room<'_> {
        let mut values = self.take(len);
        values.resize(len, 0.0);
        Room {
            values,
            owner: self,
        }
    }

    /// A copy.
    #[must_use]
    pub fn copy(&self, of: &[f64]) -> Room<'_> {
        let mut values = self.take(of.len());
        values.extend_from_slice(of);
        Room {
            values,
            owner: self,
        }
    }

    /// An empty vector with room for so many.
    fn take(&self, len: usize) -> Vec<f64> {
        if len == 0 {
            return Vec::new();
        }
        let size = len.next_power_of_two();
        let kept = self.lock()[size.ilog2() as usize].pop();
        kept.unwrap_or_else(|| memory::with_capacity(size))
    }

    fn lock(&self) -> MutexGuard<'_, [Vec<Vec<f64>>; CLASSES]> {
        // whoever panicked left whole buffers
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        if let Some(class) = values.capacity().checked_ilog2() {
            self.owner.lock()[class as usize].push(values);
        }
    }
}

impl Deref for Room<'_> {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values
    }
}

impl DerefMut for Room<'_> {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::Rooms;

    #[test]
    fn what_comes_back_is_lent_out_again_as_zeros() {
        let rooms = Rooms::default();
        let mut first = rooms.zeros(5);
        first.fill(3.0);
        let place = first.as_ptr();
        let beside = rooms.zeros(8);
        assert_ne!(beside.as_ptr(), place);
        drop(first);
        let again = rooms.zeros(7);
        assert_eq!(again.as_ptr(), place);
        assert_eq!(*again, [0.0; 7]);
        drop(again);
        assert_eq!(
            *rooms.copy(&[1.0, 2.0, 3.0, 4.0, 5.0]),
            [1.0, 2.0, 3.0, 4.0, 5.0]
        );
        assert!(rooms.zeros(0).is_empty());
    }
}
