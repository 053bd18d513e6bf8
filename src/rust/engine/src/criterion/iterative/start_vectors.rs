//! What Lanczos runs start from: vectors near the leading eigenvectors of E, and random signs orthogonal to them.

use crate::criterion::iterative::lanes::{Lane, LANES};
use crate::criterion::iterative::operator::Operator;
use crate::system::equations::System;

/// Random sign vectors, in groups of [`LANES`].
pub(super) const GROUPS: usize = 2;

/// Power iterations towards the leading eigenvectors.
const POWERS: usize = 6;

/// Q, orthonormal vectors near the leading eigenvectors of E, and (I - QQ')r for the random signs r.
pub(super) fn starts(operator: &Operator, system: &System, seed: u64) -> Vec<Vec<Lane>> {
    let q = leading_vectors(operator, system);
    let others = (0..GROUPS).map(|group| {
        let signs = signs(system.schur.q2, seed ^ ((group as u64) << 48));
        project(&signs, &q)
    });
    std::iter::once(q.clone()).chain(others).collect()
}

/// Orthonormal vectors near the leading eigenvectors of E.
fn leading_vectors(operator: &Operator, system: &System) -> Vec<Lane> {
    let schur = &system.schur;
    // each column of each factor in turn, then signs: others, else the random vectors would not be independent of Q
    let mut x = signs(schur.q2, 0);
    let mut lane = 0;
    for (f, factor) in system.moments.factors.iter().enumerate().skip(1) {
        for a in 0..factor.k {
            if lane == LANES / 2 {
                break;
            }
            for (v, &(g, _)) in schur.node.iter().enumerate() {
                for row in schur.offset[v]..schur.offset[v + 1] {
                    let own = g == f && row - schur.offset[v] == a;
                    x[row][lane] = f64::from(u8::from(own));
                }
            }
            lane += 1;
        }
    }
    operator.unscale(system, &mut x);
    let mut z = vec![[0.0; LANES]; system.q1()];
    for _ in 0..POWERS {
        let q = orthonormal(&x);
        operator.times(system, &q, &mut z);
        operator.off_diagonal(system, &q, &z, &mut x);
    }
    orthonormal(&x)
}

/// x - Q Q'x.
fn project(x: &[Lane], q: &[Lane]) -> Vec<Lane> {
    let mut products = [[0.0; LANES]; LANES];
    for (x, q) in x.iter().zip(q) {
        for (row, q) in products.iter_mut().zip(q) {
            row.iter_mut().zip(x).for_each(|(p, x)| *p += q * x);
        }
    }
    x.iter()
        .zip(q)
        .map(|(x, q)| {
            let mut out = *x;
            for (row, q) in products.iter().zip(q) {
                out.iter_mut().zip(row).for_each(|(x, p)| *x -= q * p);
            }
            out
        })
        .collect()
}

/// Orthonormal lanes, by modified Gram-Schmidt twice; zero where a lane depends on those before it.
fn orthonormal(x: &[Lane]) -> Vec<Lane> {
    let mut q = x.to_vec();
    for i in 0..LANES {
        let before = q.iter().map(|r| r[i] * r[i]).sum::<f64>();
        for _ in 0..2 {
            for j in 0..i {
                let product: f64 = q.iter().map(|r| r[i] * r[j]).sum();
                q.iter_mut().for_each(|r| r[i] -= product * r[j]);
            }
        }
        let after = q.iter().map(|r| r[i] * r[i]).sum::<f64>();
        let scale = if after > 1e-20 * before && after > 0.0 {
            after.sqrt().recip()
        } else {
            0.0
        };
        q.iter_mut().for_each(|r| r[i] *= scale);
    }
    q
}

/// Random signs.
fn signs(n: usize, seed: u64) -> Vec<Lane> {
    let own = mix(seed);
    (0..n as u64)
        .map(|row| {
            let bits = mix(own ^ row);
            std::array::from_fn(|i| if bits >> i & 1 == 1 { 1.0 } else { -1.0 })
        })
        .collect()
}

/// Steele, Lea & Flood (2014), SplitMix64's finaliser.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
