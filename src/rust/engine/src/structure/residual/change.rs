//! Derivatives of one pattern's correlation matrix, in the form that suits its structure.

use crate::linalg::dense::{self, Matrix};
use crate::linalg::hyperdual::{HyperDual, Scalar};
use crate::runtime::memory;
use crate::structure::correlation::law::Law;
use crate::structure::residual::block::{axpy, correlations, Block};
use crate::structure::residual::layout::{Layout, Pattern};
use crate::structure::residual::rank_one::RankOne;
use crate::structure::residual::tridiagonal::{self, Band};

/// One derivative of C or, where that is the banded one, of C^-1.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Of C^-1.
    Inverse(Band),
    /// Of the common correlation.
    Common(f64),
    /// Of C: the strict lower triangle.
    Dense(Matrix),
    /// None: the parameter is that of another class.
    Nothing,
}

impl Change {
    pub fn new(
        law: &Law<HyperDual>,
        layout: &Layout,
        pattern: &Pattern,
        part: impl Fn(HyperDual) -> f64,
    ) -> Self {
        match law {
            Law::Markov(law) => Self::Inverse(tridiagonal::change(
                law,
                layout.positions(pattern.places.clone()),
                part,
            )),
            Law::Exchangeable(law) => Self::Common(part(law.rho)),
            _ => Self::Dense(correlations(law, layout, pattern, part)),
        }
    }

    /// x <- C^-1 C_a C^-1 x for rows x.
    pub fn sandwich(&self, block: &Block, x: &mut [f64], c: usize, scratch: &mut Vec<f64>) {
        match self {
            Self::Nothing => x.fill(0.0),
            Self::Inverse(band) => {
                tridiagonal::multiply(&band.diagonal, &band.off, x, c);
                x.iter_mut().for_each(|v| *v = -*v);
            }
            Self::Common(_) | Self::Dense(_) => {
                block.inverse_times(x, c);
                self.times(x, c, scratch);
                block.inverse_times(x, c);
            }
        }
    }

    /// Is it one of C^-1?
    pub fn is_of_inverse(&self) -> bool {
        matches!(self, Self::Inverse(_))
    }

    /// x <- C_a x where C_a is at hand.
    pub fn times(&self, x: &mut [f64], c: usize, scratch: &mut Vec<f64>) {
        match self {
            Self::Inverse(_) => {}
            Self::Nothing => x.fill(0.0),
            Self::Common(slope) => {
                let others = (x.len() / c.max(1)) as f64 - 1.0;
                RankOne::by_mean(-slope, others * slope, x, c);
            }
            Self::Dense(matrix) => {
                let m = matrix.nrows;
                scratch.clear();
                scratch.extend_from_slice(x);
                x.fill(0.0);
                for s in 0..m {
                    for t in s + 1..m {
                        let value = matrix.data[s * m + t];
                        axpy(
                            value,
                            &scratch[s * c..(s + 1) * c],
                            &mut x[t * c..(t + 1) * c],
                        );
                        axpy(
                            value,
                            &scratch[t * c..(t + 1) * c],
                            &mut x[s * c..(s + 1) * c],
                        );
                    }
                }
            }
        }
    }
}

/// What a dense pattern's slopes are taken against: count C^-1 - C^-1 Omega C^-1, row- or column-major.
pub(super) fn dense_weights(block: &Block, count: f64, omega: &[f64]) -> Option<Vec<f64>> {
    let Block::Dense(dense) = block else {
        return None;
    };
    let (m, width) = (block.m(), block.band() + 1);
    let inverse = &dense.inverse.data;
    let mut full = memory::zeros(m * m);
    for s in 0..m {
        for t in s..m {
            let value = omega[s * width + t - s];
            full[s * m + t] = value;
            full[t * m + s] = value;
        }
    }
    let (mut half, mut both) = (memory::zeros(m * m), memory::zeros(m * m));
    dense::rows_times(inverse, &full, m, m, m, &mut half);
    dense::rows_times(&half, inverse, m, m, m, &mut both);
    Some(
        inverse
            .iter()
            .zip(&both)
            .map(|(q, n)| count * q - n)
            .collect(),
    )
}

/// d/da of count log|C| + tr(C^-1 Omega) for one pattern; `weights` are [`dense_weights`].
pub(super) fn slope(
    law: &Law<HyperDual>,
    layout: &Layout,
    pattern: &Pattern,
    omega: &[f64],
    weights: Option<&[f64]>,
) -> f64 {
    let count = pattern.count as f64;
    let m = pattern.m();
    match (law, weights) {
        (Law::Markov(law), _) => {
            tridiagonal::slope(law, layout.positions(pattern.places.clone()), count, omega)
        }
        (Law::Exchangeable(law), _) => {
            let (within, between) = (law.complement.recip(), law.growth(m).recip());
            count * law.log_det(m).a + within.a * omega[0] + between.a * omega[1]
        }
        (_, Some(weights)) => {
            let change = correlations(law, layout, pattern, |v| v.a);
            let lower = (0..m).flat_map(|s| (s + 1..m).map(move |t| s * m + t));
            2.0 * lower.map(|e| change.data[e] * weights[e]).sum::<f64>()
        }
        (_, None) => 0.0,
    }
}
