//! C^-1 of correlations that are products along the line ([`Markov`]).
//!
//! With neighbouring correlations r_i it is tridiagonal: off the diagonal -r_i / (1 - r_i^2), on it
//! 1 + r_{i-1}^2 / (1 - r_{i-1}^2) + r_i^2 / (1 - r_i^2), and log|C| = sum log(1 - r_i^2). Everything costs O(rows).

use crate::linalg::hyperdual::HyperDual;
use crate::runtime::memory;
use crate::structure::correlation::law::Markov;

/// C^-1 of one pattern.
#[derive(Debug, Clone)]
pub(super) struct Tridiagonal {
    pub diagonal: Vec<f64>,
    pub off: Vec<f64>,
    pub r: Vec<f64>,
    /// sqrt(1 - r^2).
    pub root: Vec<f64>,
    pub log_det: f64,
}

impl Tridiagonal {
    /// `None` where a correlation is 1 in absolute value, or not a number.
    pub fn new(law: &Markov<f64>, positions: &[f64]) -> Option<Self> {
        let m = positions.len();
        let steps = m.saturating_sub(1);
        let mut out = Self {
            diagonal: vec![1.0; m],
            off: Vec::with_capacity(steps),
            r: Vec::with_capacity(steps),
            root: Vec::with_capacity(steps),
            log_det: 0.0,
        };
        for (i, link) in law.links(positions).enumerate() {
            let own = link.r * link.r / link.complement;
            if link.complement <= 0.0 || !own.is_finite() {
                return None;
            }
            out.diagonal[i] += own;
            out.diagonal[i + 1] += own;
            out.off.push(-link.r / link.complement);
            out.r.push(link.r);
            out.root.push(link.complement.sqrt());
            out.log_det += link.complement.ln();
        }
        Some(out)
    }

    /// own - r other across link `i`. Where r is near an end, 1 - |r| = (1 - r^2) / (1 + |r|) has digits that r has not.
    fn less(&self, i: usize, own: f64, other: f64) -> f64 {
        let r = self.r[i];
        if r.abs() <= 0.5 {
            return own - r * other;
        }
        let gap = self.root[i] * self.root[i] / (1.0 + r.abs());
        let other = other * r.signum();
        (own - other) + gap * other
    }

    /// x <- C^-1 x for rows x, as U'U x: entries of C^-1 are of the order of 1 / (1 - r^2), and what they have in common goes
    /// before it is divided.
    pub fn inverse_times(&self, x: &mut [f64], c: usize) {
        self.whiten(x, c);
        let rows = self.diagonal.len();
        for i in 1..rows {
            let row = &mut x[i * c..(i + 1) * c];
            row.iter_mut().for_each(|v| *v /= self.root[i - 1]);
        }
        for i in 1..rows {
            let (head, tail) = x.split_at_mut(i * c);
            for j in 0..c {
                let own = &mut head[(i - 1) * c + j];
                *own = self.less(i - 1, *own, tail[j]);
            }
        }
    }

    /// x <- C x by one sweep each way: r-weighted sums of what lies before and after.
    pub fn times(&self, x: &mut [f64], c: usize, scratch: &mut Vec<f64>) {
        let m = self.diagonal.len();
        scratch.clear();
        memory::resize(scratch, m * c);
        for i in (0..self.r.len()).rev() {
            let (head, tail) = scratch.split_at_mut((i + 1) * c);
            for j in 0..c {
                head[i * c + j] = self.r[i] * (tail[j] + x[(i + 1) * c + j]);
            }
        }
        for i in 1..m {
            let (head, tail) = x.split_at_mut(i * c);
            for j in 0..c {
                tail[j] += self.r[i - 1] * head[(i - 1) * c + j];
            }
        }
        x.iter_mut().zip(scratch.iter()).for_each(|(a, b)| *a += b);
    }

    /// x <- U x, U'U = C^-1: what each row adds to the one before, standardised.
    pub fn whiten(&self, x: &mut [f64], c: usize) {
        for i in (1..self.diagonal.len()).rev() {
            let (head, tail) = x.split_at_mut(i * c);
            for j in 0..c {
                tail[j] = self.less(i - 1, tail[j], head[(i - 1) * c + j]) / self.root[i - 1];
            }
        }
    }

    /// x <- U^-1 x.
    pub fn color(&self, x: &mut [f64], c: usize) {
        for i in 1..self.diagonal.len() {
            let (head, tail) = x.split_at_mut(i * c);
            for j in 0..c {
                tail[j] = self.r[i - 1] * head[(i - 1) * c + j] + self.root[i - 1] * tail[j];
            }
        }
    }
}

/// x <- T x for a symmetric tridiagonal T.
pub(super) fn multiply(diagonal: &[f64], off: &[f64], x: &mut [f64], c: usize) {
    let mut before = memory::zeros(c);
    for i in 0..diagonal.len() {
        for j in 0..c {
            let own = x[i * c + j];
            let mut value = diagonal[i] * own;
            if i > 0 {
                value += off[i - 1] * before[j];
            }
            if i < off.len() {
                value += off[i] * x[(i + 1) * c + j];
            }
            before[j] = own;
            x[i * c + j] = value;
        }
    }
}

/// A symmetric tridiagonal matrix.
#[derive(Debug, Clone)]
pub(super) struct Band {
    pub diagonal: Vec<f64>,
    pub off: Vec<f64>,
}

/// One derivative of C^-1, picked from the hyper-dual entries by `part`.
pub(super) fn change(
    law: &Markov<HyperDual>,
    positions: &[f64],
    part: impl Fn(HyperDual) -> f64,
) -> Band {
    let mut band = Band {
        diagonal: memory::zeros(positions.len()),
        off: Vec::with_capacity(positions.len().saturating_sub(1)),
    };
    for (i, link) in law.links(positions).enumerate() {
        let off = -(link.r / link.complement);
        let own = part(-(link.r * off));
        band.diagonal[i] += own;
        band.diagonal[i + 1] += own;
        band.off.push(part(off));
    }
    band
}

/// d/da of count log|C| + tr(C^-1 Omega), Omega by its band.
pub(super) fn slope(law: &Markov<HyperDual>, positions: &[f64], count: f64, omega: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (i, link) in law.links(positions).enumerate() {
        let off = -(link.r / link.complement);
        sum += (link.r * off).a * -(omega[2 * i] + omega[2 * i + 2])
            + 2.0 * off.a * omega[2 * i + 1]
            + count * link.complement.a / link.complement.v;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{Markov, Tridiagonal};
    use crate::structure::correlation::link::Link;

    /// C^-1 1 is 1 / (1 + r) at both ends and (1 - r) / (1 + r) between; of alternating signs, with -r for r.
    #[test]
    fn products_keep_their_digits_near_the_ends() {
        let m = 7;
        let positions: Vec<f64> = (1..=m).map(f64::from).collect();
        for gap in [0.9, 0.4, 1e-3, 1e-7, 1e-10] {
            for sign in [1.0, -1.0] {
                let link = Link {
                    r: sign * (1.0 - gap),
                    complement: gap * (2.0 - gap),
                };
                let block = Tridiagonal::new(&Markov::Lag(link), &positions).expect("a factor");
                let wave = |i: usize| if i % 2 == 1 { sign } else { 1.0 };
                let mut x: Vec<f64> = (0..positions.len()).map(wave).collect();
                block.inverse_times(&mut x, 1);
                for (i, value) in x.iter().enumerate() {
                    let is_end = i == 0 || i + 1 == positions.len();
                    let right = wave(i) * if is_end { 1.0 } else { gap } / (2.0 - gap);
                    let error = (value / right - 1.0).abs();
                    assert!(error < 1e-13, "{gap} {sign} {i}: {error}");
                }
            }
        }
    }
}
