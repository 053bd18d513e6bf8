//! A criterion in its free variables.

use crate::basis::restriction::Restriction;
use crate::criterion::objective::Criterion;
use crate::optimize::{Objective, Wanted};

/// A criterion in its free variables.
pub(crate) struct Restricted<'a, 'b> {
    pub criterion: &'a mut Criterion<'b>,
    pub restriction: &'a Restriction,
}

impl Objective for Restricted<'_, '_> {
    fn value(&mut self, z: &[f64]) -> Option<f64> {
        self.criterion.value(&self.restriction.expand(z))
    }

    fn derivatives(&mut self, wanted: Wanted) -> (Vec<f64>, Vec<f64>, bool) {
        let (gradient, hessian, is_exact) = self.criterion.derivatives(wanted);
        (
            self.restriction.gradient(&gradient),
            self.restriction.hessian(&hessian),
            is_exact,
        )
    }

    fn learns(&self) -> bool {
        self.criterion.learns()
    }

    fn scale(&self, z: &[f64]) -> Vec<f64> {
        let x = self.restriction.expand(z);
        self.restriction.scale(&self.criterion.scale(&x))
    }

    fn noise(&self, f: f64) -> f64 {
        self.criterion.noise(f)
    }
}
