//! Which part of the curvature of V in its parameters is a matter of how they are chosen: what of D = sum_ab W_ab V_ab lies in
//! the tangent space of the V_a, in the metric tr(P A P B) of the expected information.
//!
//! Kenward and Roger (2009, Computational Statistics & Data Analysis 53): the estimates of the variance parameters are biased
//! where V is not linear in them. For the restricted likelihood of a normal distribution Cox and Snell's bias (1968, JRSS B 30) is
//! b = -1/4 W d, d_a = tr(P D P V_a) and W = 2 T^-1 with T_ab = tr(P V_a P V_b), as tr(P V_ab P V_c) cancels but for this term.
//! So the correction of 1997, - Phi X'V^-1 D V^-1 X Phi / 2, less the bias sum_a b_a dPhi/dnu_a, is the same with D - sum_a g_a V_a
//! in the place of D, g = W d / 2 = T^-1 d: with what is left of D beside the tangent space, which no choice of parameters changes.

use crate::linalg::small;
use crate::runtime::memory;

/// Eigenvalues relative to the largest one that are rounding.
const FLAT: f64 = 1e-10;

/// T, s x s, and d; the last parameter is sigma^2 relative to its estimate, so that V itself is its derivative.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub traces: Vec<f64>,
    pub bend: Vec<f64>,
}

impl Expected {
    /// From tr(P E P F) and tr(P E) of the m derivatives V_a and of parts of which D is the sum; `degrees` is tr(P V).
    pub fn new(double: &[f64], single: &[f64], m: usize, degrees: f64) -> Self {
        let (all, s) = (single.len(), m + 1);
        let mut traces = memory::zeros(s * s);
        for b in 0..m {
            for a in 0..m {
                traces[b * s + a] = double[b * all + a];
            }
            traces[m * s + b] = single[b];
            traces[b * s + m] = single[b];
        }
        traces[m * s + m] = degrees;
        let of = |a: usize| (m..all).map(|t| double[t * all + a]).sum();
        let mut bend: Vec<f64> = memory::collect((0..m).map(of));
        bend.push(single[m..].iter().sum());
        Self { traces, bend }
    }

    /// g, with what W says is free: directions of no variance are held, tied or known, and no part of the tangent space.
    pub fn along(&self, w: &[f64]) -> Vec<f64> {
        let s = self.bend.len();
        let size: Vec<f64> = (0..s).map(|a| w[a * s + a].max(0.0).sqrt()).collect();
        let unit = |a: usize| if size[a] > 0.0 { size[a].recip() } else { 0.0 };
        let scaled: Vec<f64> =
            memory::collect((0..s * s).map(|e| w[e] * unit(e % s) * unit(e / s)));
        // W = F F'
        let free = columns(&scaled, s, |value| value.sqrt());
        let k = free.len() / s.max(1);
        let mut free: Vec<f64> =
            memory::collect(free.iter().enumerate().map(|(e, v)| v * size[e % s]));
        // of length 1 in the metric of T
        for column in free.chunks_exact_mut(s.max(1)) {
            let mut image = memory::zeros(s);
            small::mul_nn(&self.traces, column, s, s, 1, &mut image);
            let square: f64 = column.iter().zip(&image).map(|(x, y)| x * y).sum();
            if square > 0.0 {
                let length = square.sqrt();
                column.iter_mut().for_each(|v| *v /= length);
            }
        }
        let mut half = memory::zeros(s * k);
        let mut inner = memory::zeros(k * k);
        small::mul_nn(&self.traces, &free, s, s, k, &mut half);
        small::mul_tn(&free, &half, s, k, k, &mut inner);
        let mut right = memory::zeros(k);
        small::mul_tn(&free, &self.bend, s, k, 1, &mut right);
        // (F'TF)^+ = U U'
        let root = columns(&inner, k, |value| value.sqrt().recip());
        let rank = root.len() / k.max(1);
        let mut turned = memory::zeros(rank);
        small::mul_tn(&root, &right, k, rank, 1, &mut turned);
        let mut x = memory::zeros(k);
        small::mul_nn(&root, &turned, k, rank, 1, &mut x);
        let mut out = memory::zeros(s);
        small::mul_nn(&free, &x, s, k, 1, &mut out);
        out
    }
}

/// Eigenvectors of a semidefinite matrix whose eigenvalues are no rounding, each times a function of its eigenvalue.
fn columns(a: &[f64], n: usize, factor: impl Fn(f64) -> f64) -> Vec<f64> {
    let (values, vectors) = small::symmetric_eigen(a, n);
    let limit = FLAT * values.iter().fold(0.0f64, |m, v| m.max(*v));
    let pairs = values.iter().zip(vectors.chunks_exact(n.max(1)));
    let kept = pairs.filter(|(value, _)| **value > limit);
    let scaled = kept.flat_map(|(value, v)| {
        let times = factor(*value);
        v.iter().map(move |x| x * times)
    });
    scaled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curvature_in_the_tangent_space_is_found_there() {
        // V_1, V_2 and V with T of theirs; D = 2 V_1 - V_2 + 3 V
        let t = [4.0, 1.0, 2.0, 1.0, 3.0, 1.5, 2.0, 1.5, 9.0];
        let g = [2.0, -1.0, 3.0];
        let bend = (0..3).map(|a| (0..3).map(|b| t[b * 3 + a] * g[b]).sum());
        let expected = Expected {
            traces: t.to_vec(),
            bend: bend.collect(),
        };
        let w = [1.0, 0.002, 0.0, 0.002, 1e-4, 0.0, 0.0, 0.0, 1e6];
        for (found, g) in expected.along(&w).iter().zip(g) {
            assert!((found - g).abs() < 1e-10, "{found} {g}");
        }
        // a parameter that is known is no part of it
        let known = [1.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.1, 0.0, 2.0];
        let found = expected.along(&known);
        assert!(found[1].abs() < f64::MIN_POSITIVE);
        let left: Vec<f64> = (0..3)
            .map(|a| expected.bend[a] - (0..3).map(|b| t[b * 3 + a] * found[b]).sum::<f64>())
            .collect();
        assert!(left[0].abs() < 1e-10 && left[2].abs() < 1e-10 && left[1].abs() > 0.1);
        assert_eq!(expected.along(&[0.0; 9]), vec![0.0; 3]);
    }
}
