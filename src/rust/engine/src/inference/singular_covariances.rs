//! Traces and forms of dV where covariance matrices of random effects are singular, with nothing divided by them.
//!
//! Elsewhere V_a = Z Lambda kappa_a Lambda'Z' with kappa_a = T^-1 E_a T^-T, E_a = dG/dpsi_a, which T = 0 does not allow: a floor
//! under T moves results, and rounding grows as 1 / T^2 (more than that where weights differ). In user's terms V_a = Z E_a Z', so
//! that all is a function of B = Z'V^-1Z and N = Z'V^-1[Q r]:
//!
//! | | |
//! |---|---|
//! | tr(V^-1 V_a) | tr(E_a B) |
//! | tr(V^-1 V_a V^-1 V_b) | tr(E_a B E_b B) |
//! | \[Q r\]'V^-1 V_a V^-1 \[Q r\] | N'E_a N |
//! | \[Q r\]'V^-1 V_a V^-1 V_b V^-1 \[Q r\] | N'E_a B E_b N |
//!
//! (E_a stands for I x E_a, with a known covariance matrix K of the levels for K x E_a = (K x I) (I x E_a). Residuals of any
//! structure have R^-1 in the place of W.) With the first factor alone, B_j = (I + A_j G)^-1 A_j for each level j, A_j = Z_j'WZ_j, N_j = (I + A_j
//! G)^-1 Z_j'W[Q r] and D_j = (I + A_j G)^-1 Z_j'WZ_2, Z_2 the effects of all others: no difference is taken, and at G = 0 they are
//! the cross-products themselves. The others see S = Z_2'V_1^-1Z_2 = Z_2'WZ_2 - sum_j Z_2'WZ_j G D_j, and with
//! G_2 = L (K x I) L' and Y = L (K^-1 x I + L'SL)^-1 L', R = I - Y S:
//!
//! | effects of | first factor, levels j and l | others |
//! |---|---|---|
//! | first factor | B_j \[j = l\] - D_j Y D_l' | D_j R |
//! | others | | S R |
//!
//! Sums over pairs of levels of the first factor collapse into Psi_a = sum_j D_j'E_a D_j: the last part of tr(E_a B E_b B) is
//! tr(Y Psi_a Y Psi_b), and between the first factor and others it is tr(R'Psi_a R E_b).
//!
//! A residual parameter has V_b = R_b, and is a matter of columns: with x_b = R_b V^-1 Q beside \[Q r\], Q'V^-1 R_b V^-1 Q =
//! Q'V^-1 x_b, Q'V^-1 R_b V^-1 R_c V^-1 Q = x_b'V^-1 x_c, and Q'V^-1 V_a V^-1 R_b V^-1 Q = N'E_a Z'V^-1 x_b.
//!
//! Effects that have no rows in common, and no entry of a K^-1, have nothing to do with each other: sums over them are sums over
//! pieces of the model.

use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::direction::Direction;
use crate::fit::prepared::Prepared;
use crate::inference::singular_covariances_part::{Columns, Part};
use crate::inference::singular_covariances_pieces::{largest_piece, pieces};
use crate::runtime::memory;
use crate::system::complement::Storage;
use crate::system::equations::System;

/// Order of a sparse complement up to which dense matrices of that order are made.
const LARGEST_SPARSE: usize = 1000;

/// Order of a dense complement up to which they are.
const LARGEST: usize = 6000;

/// Variance of an effect relative to that of the mean of the residuals of its level up to which differences of doubles leave
/// digits.
const SHARE: f64 = 1e8;

/// Multiply-adds of a pass over pairs of neighbours up to which it is made: some seconds.
const LONG: f64 = 2e9;

/// Z'V^-1Z and Z'V^-1C at one T, singular or not.
pub(super) struct Information<'a> {
    parts: Vec<Part<'a>>,
    /// C'V^-1C.
    pub cross: Vec<f64>,
}

/// Whether these matrices can be made: not too large, and with digits beside the other effects.
pub(super) fn is_possible(prepared: &Prepared, theta: &InternalTheta) -> bool {
    let (moments, schur) = (&prepared.system.moments, &prepared.system.schur);
    let largest = match schur.storage {
        Storage::Dense(_) => LARGEST,
        Storage::Sparse(_) => LARGEST_SPARSE,
    };
    !prepared.center.has_effects()
        && moments.factors.iter().all(|f| f.multiplicity.is_empty())
        && prepared.largest_share(theta) <= SHARE
        && largest_piece(&prepared.system) <= largest
        && schur.pair_work(prepared.system.k1()) <= LONG
}

/// The part for Q, of rank r, of a matrix for all columns.
pub(super) fn of_fixed(a: &[f64], width: usize, r: usize) -> Vec<f64> {
    memory::collect((0..r * r).map(|e| a[(e / r) * width + e % r]))
}

/// The sum of lists of numbers.
fn total(lists: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    let add = |mut sum: Vec<f64>, list: Vec<f64>| {
        sum.iter_mut().zip(&list).for_each(|(x, y)| *x += y);
        sum
    };
    lists.reduce(add).unwrap_or_default()
}

impl<'a> Information<'a> {
    /// Of these columns, at T of each level.
    pub fn new(system: &'a System, t: &Covariances, columns: Columns) -> Option<Self> {
        let mut parts = Vec::new();
        let mut cross = memory::copy(&columns.cross);
        for piece in pieces(system) {
            let own = Columns {
                width: columns.width,
                of_effects: piece.of_effects(&columns.of_effects, columns.width),
                cross: memory::zeros(cross.len()),
            };
            let part = Part::new(piece, t, own)?;
            cross.iter_mut().zip(&part.cross).for_each(|(x, y)| *x += y);
            parts.push(part);
        }
        Some(Self { parts, cross })
    }

    /// N'E_a N of each direction.
    pub fn forms(&self, directions: &[Direction]) -> Vec<Vec<f64>> {
        let form = |direction| total(self.parts.iter().map(|part| part.form(direction)));
        directions.iter().map(form).collect()
    }

    /// N'E_a B E_b N of each pair of directions, `[a][b]`.
    pub fn double_forms(&self, directions: &[Direction]) -> Vec<Vec<Vec<f64>>> {
        let mut parts = self.parts.iter().map(|part| part.double_forms(directions));
        let mut out = parts.next().unwrap_or_default();
        for part in parts {
            for (own, other) in out.iter_mut().flatten().zip(part.iter().flatten()) {
                own.iter_mut().zip(other).for_each(|(x, y)| *x += y);
            }
        }
        out
    }

    /// tr(V^-1 V_a) of each direction.
    pub fn traces(&self, directions: &[Direction]) -> Vec<f64> {
        total(self.parts.iter().map(|part| part.traces(directions)))
    }

    /// tr(V^-1 V_a V^-1 V_b) of all pairs of directions, m x m.
    pub fn double_traces(&self, directions: &[Direction]) -> Vec<f64> {
        total(self.parts.iter().map(|part| part.double_traces(directions)))
    }
}
