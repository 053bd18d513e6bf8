//! theta in the user's coordinates.

use std::ops::Index;

/// Relative covariance parameters in the user's coordinates: those of lme4, term after term (and class after class of its levels). Where residual parameters go with
/// them, as in a start, these follow on their natural scale.
///
/// It does not turn into a slice by itself, nor into the internal coordinates in which the engine works
/// ([`crate::basis::internal_theta::InternalTheta`]): `basis/user.rs` leads from the ones to the others.
///
/// ```
/// fn numbers(theta: &[f64]) {}
/// numbers(ferrolmm_engine::UserTheta::default().values());
/// ```
///
/// ```compile_fail
/// fn numbers(theta: &[f64]) {}
/// numbers(&ferrolmm_engine::UserTheta::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserTheta(Vec<f64>);

impl UserTheta {
    /// The numbers.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The numbers, owned.
    #[must_use]
    pub fn into_values(self) -> Vec<f64> {
        self.0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<f64>> for UserTheta {
    fn from(values: Vec<f64>) -> Self {
        Self(values)
    }
}

impl From<&[f64]> for UserTheta {
    fn from(values: &[f64]) -> Self {
        Self(values.to_vec())
    }
}

impl FromIterator<f64> for UserTheta {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Index<usize> for UserTheta {
    type Output = f64;

    fn index(&self, at: usize) -> &f64 {
        &self.0[at]
    }
}
