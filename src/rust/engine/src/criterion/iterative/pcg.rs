//! Conjugate gradients for I - E, eight right-hand sides at a time (Hestenes & Stiefel 1952), with the coefficients that
//! give Lanczos' tridiagonal matrix (Saad 2003, Iterative Methods for Sparse Linear Systems, section 6.7).

use crate::criterion::iterative::lanczos::{derivative, quadrature, Term, Tridiagonal};
use crate::criterion::iterative::lanes::{Lane, LANES};
use crate::criterion::iterative::operator::Operator;
use crate::linalg::wide;
use crate::system::equations::System;

/// Most iterations.
const LIMIT: usize = 2000;

/// What a run of conjugate gradients found for right-hand sides b.
#[derive(Debug, Clone)]
pub struct Run {
    /// E (I - E)^-1 b.
    v: Vec<Lane>,
    /// The residual before each iteration and at the end, where they are kept.
    residuals: Vec<Vec<Lane>>,
    /// Squared lengths of these residuals, lane by lane.
    lengths: Vec<Vec<f64>>,
    tridiagonal: Vec<Tridiagonal>,
}

/// One term of the derivatives of some b'f(I - E)b, lane by lane: sign times x'd(I - E) x.
pub struct Direction {
    /// The sign, or zero where a lane has no more terms.
    pub sign: Lane,
    /// x.
    pub x: Vec<Lane>,
    /// (I - E) x.
    pub ax: Vec<Lane>,
}

impl Run {
    /// b' f(I - E) b for one right-hand side.
    #[must_use]
    pub fn quadrature(&self, lane: usize, f: impl Fn(f64) -> f64) -> f64 {
        self.lengths[lane][0] * quadrature(&self.tridiagonal[lane], f)
    }

    /// Calls `each` with the terms of the derivatives of b' f(I - E) b, given the divided differences of f.
    pub fn derivatives(&self, divided: impl Fn(f64, f64) -> f64, mut each: impl FnMut(&Direction)) {
        let terms: Vec<Vec<Term>> = self
            .tridiagonal
            .iter()
            .map(|t| derivative(t, &divided))
            .collect();
        let zero = vec![[0.0; LANES]; self.v.len()];
        for c in 0..terms.iter().map(Vec::len).max().unwrap_or(0) {
            let mut direction = Direction {
                sign: [0.0; LANES],
                x: zero.clone(),
                ax: zero.clone(),
            };
            let (mut x, mut ax) = (Vec::new(), Vec::new());
            for (lane, terms) in terms.iter().enumerate() {
                let Some(term) = terms.get(c) else { continue };
                direction.sign[lane] = term.weight.signum();
                self.add_coefficients(lane, term.weight, &term.x, &mut x);
                self.add_coefficients(lane, term.weight, &term.ax, &mut ax);
            }
            self.combine(&x, &mut direction.x);
            self.combine(&ax, &mut direction.ax);
            each(&direction);
        }
    }

    /// Coefficients on the residuals instead of Lanczos' vectors, which are (-1)^i r_i / |r_i|, times |b| sqrt(weight).
    fn add_coefficients(&self, lane: usize, weight: f64, y: &[f64], out: &mut Vec<Lane>) {
        let lengths = &self.lengths[lane];
        let mut size = (weight.abs() * lengths[0]).sqrt();
        out.resize(out.len().max(y.len()), [0.0; LANES]);
        for ((out, y), length) in out.iter_mut().zip(y).zip(lengths) {
            if *length > 0.0 {
                out[lane] = size * y / length.sqrt();
            }
            size = -size;
        }
    }

    /// out += sum of coefficients times residuals.
    fn combine(&self, coefficients: &[Lane], out: &mut [Lane]) {
        for (c, r) in coefficients.iter().zip(&self.residuals) {
            wide(
                #[inline(always)]
                || {
                    for (out, r) in out.iter_mut().zip(r) {
                        for i in 0..LANES {
                            out[i] += c[i] * r[i];
                        }
                    }
                },
            );
        }
    }
}

/// Solves (I - E) x = b until the residual is `tolerance` times b; keeps what the derivatives of quadratures need if asked to.
#[must_use]
pub fn run(operator: &Operator, system: &System, b: &[Lane], tolerance: f64, keep: bool) -> Run {
    let q2 = b.len();
    let zero = vec![[0.0; LANES]; q2];
    let mut z = vec![[0.0; LANES]; system.q1()];
    let (mut r, mut p, mut ep, mut v) = (b.to_vec(), b.to_vec(), zero.clone(), zero);
    let square = dot(&r, &r);
    let mut rho = square;
    let mut out = Run {
        v: Vec::new(),
        residuals: Vec::new(),
        lengths: square.iter().map(|s| vec![*s]).collect(),
        tridiagonal: vec![Tridiagonal::default(); LANES],
    };
    let mut active: Vec<bool> = square.iter().map(|s| *s > 0.0).collect();
    let mut previous = [(0.0, 0.0); LANES];
    for _ in 0..LIMIT {
        if !active.contains(&true) {
            break;
        }
        if keep {
            out.residuals.push(r.clone());
        }
        operator.times(system, &p, &mut z);
        operator.off_diagonal(system, &p, &z, &mut ep);
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
            out.lengths[i].push(new[i]);
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
    if keep {
        out.residuals.push(r);
    }
    out.v = v;
    out
}

/// (I - E)^-1 b.
#[must_use]
pub fn solve(operator: &Operator, system: &System, b: &[Lane], tolerance: f64) -> Vec<Lane> {
    let found = run(operator, system, b, tolerance, false);
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
