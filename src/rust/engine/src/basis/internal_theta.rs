//! theta inside the engine: in the internal coordinates of the orthogonal bases, and as what is left free of them.

use std::ops::{Index, IndexMut};

/// All covariance parameters in internal coordinates: those of the terms in the orthogonal bases, then the residual ones.
///
/// It does not turn into the user's theta ([`crate::UserTheta`]) or into variables of a chart by itself: `basis/user.rs` and
/// `search/charted.rs` lead from one to the other. Parameters of one term alone, and phi alone, are plain slices.
///
/// ```
/// use ferrolmm_engine::basis::internal_theta::InternalTheta;
/// fn evaluate(theta: &InternalTheta) {}
/// evaluate(&InternalTheta::new(vec![0.5]));
/// ```
///
/// ```compile_fail
/// use ferrolmm_engine::basis::internal_theta::InternalTheta;
/// fn evaluate(theta: &InternalTheta) {}
/// evaluate(&ferrolmm_engine::UserTheta::from(vec![0.5]));
/// ```
///
/// ```compile_fail
/// use ferrolmm_engine::basis::internal_theta::InternalTheta;
/// fn evaluate(theta: &InternalTheta) {}
/// evaluate(&[0.5]);
/// ```
///
/// ```compile_fail
/// use ferrolmm_engine::basis::internal_theta::InternalTheta;
/// fn report(theta: &ferrolmm_engine::UserTheta) {}
/// report(&InternalTheta::new(vec![0.5]));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InternalTheta(Vec<f64>);

impl InternalTheta {
    /// These numbers, which are in internal coordinates.
    #[must_use]
    pub fn new(values: Vec<f64>) -> Self {
        Self(values)
    }

    /// The parameters of the terms, followed by the residual ones.
    #[must_use]
    pub fn join(of_terms: &[f64], phi: &[f64]) -> Self {
        Self([of_terms, phi].concat())
    }

    /// The numbers.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The numbers, to be changed.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.0
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

    /// Takes over the numbers of another, in the memory that is there.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }
}

impl FromIterator<f64> for InternalTheta {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Index<usize> for InternalTheta {
    type Output = f64;

    fn index(&self, a: usize) -> &f64 {
        &self.0[a]
    }
}

impl IndexMut<usize> for InternalTheta {
    fn index_mut(&mut self, a: usize) -> &mut f64 {
        &mut self.0[a]
    }
}

/// Variables of a chart: what the optimiser moves. They do not turn into a slice by themselves: that would be parameters.
#[derive(Debug, Clone)]
pub(crate) struct FreeTheta(pub Vec<f64>);
