//! Conjugate gradients for I - E, eight right-hand sides at a time (Hestenes & Stiefel 1952), with the coefficients that
//! give Lanczos' tridiagonal matrix (Saad 2003, Iterative Methods for Sparse Linear Systems, section 6.7).

use crate::factor::System;
use crate::iterative::lanczos::{quadrature, Tridiagonal};
use crate::iterative::operator::{Lane, Operator, LANES};
use crate::linalg::wide;

/// Most iterations.
const LIMIT: usize = 2000;

/// What a run of conjugate gradients found for right-hand sides b.
#[derive(Debug, Clone)]
pub struct Run {
    /// E (I - E)^-1 b.
    pub v: Vec<Lane>,
    /// E b.
    pub u: Vec<Lane>,
    /// b'b.
    pub square: Lane,
    /// Iterations.
    pub iterations: usize,
    tridiagonal: Vec<Tridiagonal>,
}

impl Run {
    /// b' f(I - E) b for one right-hand side.
    #[must_use]
    pub fn quadrature(&self, lane: usize, f: impl Fn(f64) -> f64) -> f64 {
        self.square[lane] * quadrature(&self.tridiagonal[lane], f)
    }
}

/// Solves (I - E) x = b until the residual is `tolerance` times b.
#[must_use]
pub fn run(operator: &Operator, system: &System, b: &[Lane], tolerance: f64) -> Run {
    let q2 = b.len();
    let zero = vec![[0.0; LANES]; q2];
    let mut z = vec![[0.0; LANES]; system.q1()];
    let (mut r, mut p, mut ep, mut v) = (b.to_vec(), b.to_vec(), zero.clone(), zero);
    let square = dot(&r, &r);
    let mut rho = square;
    let mut out = Run {
        v: Vec::new(),
        u: Vec::new(),
        square,
        iterations: 0,
        tridiagonal: vec![Tridiagonal::default(); LANES],
    };
    let mut active: Vec<bool> = square.iter().map(|s| *s > 0.0).collect();
    let mut previous = [(0.0, 0.0); LANES];
    while active.iter().any(|a| *a) && out.iterations < LIMIT {
        operator.times(system, &p, &mut z);
        operator.off_diagonal(system, &p, &z, &mut ep);
        if out.iterations == 0 {
            out.u.clone_from(&ep);
        }
        out.iterations += 1;
        let curvature = wide(
            #[inline(always)]
            || curvature(&p, &ep),
        );
        let mut alpha = [0.0; LANES];
        for i in 0..LANES {
            active[i] = active[i] && curvature[i] > 0.0;
            if active[i] {
                alpha[i] = rho[i] / curvature[i];
            }
        }
        let new = wide(
            #[inline(always)]
            || {
                for ((v, r), (p, ep)) in v.iter_mut().zip(&mut r).zip(p.iter().zip(&ep)) {
                    for i in 0..LANES {
                        v[i] += alpha[i] * ep[i];
                        r[i] -= alpha[i] * (p[i] - ep[i]);
                    }
                }
                dot(&r, &r)
            },
        );
        let mut beta = [0.0; LANES];
        for i in 0..LANES {
            if !active[i] {
                continue;
            }
            beta[i] = new[i] / rho[i];
            let (a, b) = previous[i];
            let own = 1.0 / alpha[i] + if a > 0.0 { b / a } else { 0.0 };
            out.tridiagonal[i].push(own, beta[i].sqrt() / alpha[i]);
            previous[i] = (alpha[i], beta[i]);
            rho[i] = new[i];
            active[i] = new[i] > tolerance * tolerance * square[i];
        }
        wide(
            #[inline(always)]
            || {
                for (p, r) in p.iter_mut().zip(&r) {
                    for i in 0..LANES {
                        p[i] = r[i] + beta[i] * p[i];
                    }
                }
            },
        );
    }
    out.v = v;
    out
}

/// (I - E)^-1 b.
#[must_use]
pub fn solve(operator: &Operator, system: &System, b: &[Lane], tolerance: f64) -> Vec<Lane> {
    let found = run(operator, system, b, tolerance);
    let mut x = b.to_vec();
    for (x, v) in x.iter_mut().zip(&found.v) {
        x.iter_mut().zip(v).for_each(|(x, v)| *x += v);
    }
    x
}

#[inline(always)]
fn dot(a: &[Lane], b: &[Lane]) -> Lane {
    let mut sum = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sum[i] += a[i] * b[i];
        }
    }
    sum
}

/// p'(p - Ep).
#[inline(always)]
fn curvature(p: &[Lane], ep: &[Lane]) -> Lane {
    let mut sum = [0.0; LANES];
    for (p, ep) in p.iter().zip(ep) {
        for i in 0..LANES {
            sum[i] += p[i] * (p[i] - ep[i]);
        }
    }
    sum
}
