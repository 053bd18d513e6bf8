//! One correlation structure with parameters of its own for each class of residual groups (SAS's GROUP=): those of one
//! class after those of another.

use std::ops::Range;

use crate::linalg::hyperdual::Scalar;
use crate::structure::correlation::domain::Domain;
use crate::structure::correlation::law::Law;
use crate::structure::correlation::registry::Family;

/// The structure, and how many classes have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ByClass {
    pub family: Family,
    pub classes: usize,
}

impl ByClass {
    /// Number of parameters.
    pub fn len(self) -> usize {
        self.classes * self.family.len()
    }

    /// Parameters of a class among all of them.
    pub fn own(self, class: usize) -> Range<usize> {
        let each = self.family.len();
        class * each..(class + 1) * each
    }

    /// Class whose parameter `a` is.
    pub fn class_of(self, a: usize) -> usize {
        a / self.family.len().max(1)
    }

    /// Whether parameter `a` is an angle of a correlation.
    pub fn is_angle(self, a: usize) -> bool {
        a < self.len() && a % self.family.len() < self.family.angles()
    }

    fn each<T>(self, f: impl Fn(Range<usize>) -> T) -> impl Iterator<Item = T> {
        (0..self.classes).map(move |class| f(self.own(class)))
    }

    /// The same parameters for every class.
    pub fn repeated(self, own: &[f64]) -> Vec<f64> {
        own.repeat(self.classes)
    }

    /// The law of each class; `lags` as for [`Family::law`].
    pub fn laws<S: Scalar>(self, x: &[S], lags: usize) -> Vec<Law<S>> {
        self.each(|own| self.family.law(&x[own], lags)).collect()
    }

    /// Internal parameters of natural ones; `None` outside of the parameter space.
    pub fn internal(self, natural: &[f64]) -> Option<Vec<f64>> {
        let parts = self.each(|own| self.family.internal(&natural[own]));
        Some(parts.collect::<Option<Vec<_>>>()?.concat())
    }

    /// Natural parameters.
    pub fn natural<S: Scalar>(self, x: &[S]) -> Vec<S> {
        self.each(|own| self.family.natural(&x[own]))
            .flatten()
            .collect()
    }

    /// What kind of number each natural parameter is.
    pub fn domains(self) -> Vec<Domain> {
        self.each(|_| self.family.domains()).flatten().collect()
    }

    /// Whether the law of every class can be computed.
    pub fn is_representable(self, x: &[f64]) -> bool {
        self.each(|own| self.family.is_representable(&x[own]))
            .all(|possible| possible)
    }

    /// Parameters from all over their space, each class's for itself; see [`Family::anywhere`].
    pub fn anywhere(self, chance: &mut dyn FnMut() -> f64, reach: (f64, f64)) -> Vec<f64> {
        (0..self.classes)
            .flat_map(|_| self.family.anywhere(chance, reach))
            .collect()
    }
}
