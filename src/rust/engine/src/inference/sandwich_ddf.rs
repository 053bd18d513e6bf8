//! Degrees of freedom of tests with a sandwich estimate.
//!
//! Under the model the scores of two clusters have the covariances P_ij = (i = j) S_i - T_i'T_j (see
//! [`crate::inference::sandwich`]); with sampling weights they have N_i'N_j, too ([`crate::inference::pseudo_likelihood_sandwich`]):
//! rows of N stand below those of T then, and what they are multiplied with has the other sign. For a hypothesis l, in the coordinates of the scores, the estimate of the variance is a
//! quadratic form with the expectation sum_i p_ii and the variance 2 sum_ij p_ij^2, p_ij = l'P_ij l: Satterthwaite's degrees of
//! freedom are (sum_i p_ii)^2 / sum_ij p_ij^2 (Bell & McCaffrey 2002).
//!
//! For a hypothesis of q rows, standardised by Omega^-1/2 with Omega = sum_i L P_ii L', the estimate is compared with a Wishart
//! matrix whose degrees of freedom give the sum of the variances of its elements (Pustejovsky & Tipton 2018, section 3.2; "HTZ"
//! of clubSandwich): eta = q (q + 1) / sum_ij [tr(P_ij)^2 + tr(P_ij P_ij)]. Then (eta - q + 1) / (eta q) times Wald's statistic is
//! compared with F of q and eta - q + 1 degrees of freedom. With q = 1 both are the same.
//!
//! No pair of clusters is looked at: with A_i = T_i L', vec(A_i) of length r q and M = sum_i vec(A_i) vec(A_i)'
//!
//! sum_ij tr(A_i'A_j)^2 = |M|^2,   sum_ij tr(A_i'A_j A_i'A_j) = sum_klst M[(k, s), (l, t)] M[(k, t), (l, s)],
//!
//! terms times the signs of rows k and l.

use crate::api::error::EngineError;
use crate::linalg::{dense, small};
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// Share of the largest eigenvalue of Omega up to which another one is mere rounding.
const ROUNDING: f64 = 1e-12;

/// Clusters between two looks at the stop flag.
const CLUSTERS: usize = 256;

/// S_j, T_j and N_j of all clusters, r x r each.
#[derive(Debug, Clone, Copy)]
pub struct ScoreMoments<'a> {
    /// r.
    pub rank: usize,
    /// S_j, one after the other.
    pub spread: &'a [f64],
    /// T_j.
    pub cross: &'a [f64],
    /// N_j; empty: none.
    pub against: &'a [f64],
}

impl ScoreMoments<'_> {
    fn validate(&self, rows: &[f64]) -> Result<(), EngineError> {
        let square = self.rank * self.rank;
        let fits = self.spread.len() == self.cross.len()
            && square > 0
            && (self.against.is_empty() || self.against.len() == self.cross.len())
            && self.spread.len() % square == 0
            && rows.len() % self.rank == 0;
        if fits {
            Ok(())
        } else {
            Err(EngineError::Dimension(
                "moments of scores must be square, and hypotheses as long".to_owned(),
            ))
        }
    }

    /// S_j, T_j and N_j of each cluster.
    fn each(&self) -> impl Iterator<Item = (&[f64], &[f64], &[f64])> {
        let square = self.rank * self.rank;
        let of = move |j: usize| j * square..(j + 1) * square;
        let clusters = 0..self.spread.len() / square;
        clusters.map(move |j| {
            let against = self.against.get(of(j)).unwrap_or_default();
            (&self.spread[of(j)], &self.cross[of(j)], against)
        })
    }

    /// Satterthwaite's degrees of freedom of each of some hypotheses, r numbers each.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Interrupted`].
    pub fn single(
        &self,
        rows: &[f64],
        interrupt: &dyn Fn() -> bool,
    ) -> Result<Vec<f64>, EngineError> {
        self.validate(rows)?;
        interruptible(true, interrupt, |stop, _| {
            let hypotheses = rows.chunks_exact(self.rank);
            Ok(hypotheses.map(|l| self.of_row(l, stop)).collect())
        })
    }

    fn of_row(&self, l: &[f64], stop: &StopFlag) -> f64 {
        let sums = self.sums(l, 1, stop);
        sums.mean[0].powi(2) / (sums.squares() / 2.0)
    }

    /// eta of a joint hypothesis of `q` rows, r numbers each. `None` where Omega is singular.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Interrupted`].
    pub fn joint(
        &self,
        rows: &[f64],
        interrupt: &dyn Fn() -> bool,
    ) -> Result<Option<f64>, EngineError> {
        self.validate(rows)?;
        let (r, q) = (self.rank, rows.len() / self.rank);
        interruptible(true, interrupt, |stop, _| {
            let omega = self.sums(rows, q, stop).mean;
            let (values, vectors) = small::symmetric_eigen(&omega, q);
            let largest = values.last().copied().unwrap_or(0.0);
            let Some(smallest) = values.first().copied() else {
                return Ok(None);
            };
            if smallest.is_nan() || smallest <= ROUNDING * largest {
                return Ok(None);
            }
            // rows of L standardised, up to a rotation, which changes no trace
            let mut standard = memory::zeros(r * q);
            small::mul_nn(rows, &vectors, r, q, q, &mut standard);
            for (row, value) in standard.chunks_exact_mut(r).zip(&values) {
                row.iter_mut().for_each(|v| *v /= value.sqrt());
            }
            let sums = self.sums(&standard, q, stop);
            Ok(Some((q * (q + 1)) as f64 / sums.squares()))
        })
    }

    /// Sums over clusters for the rows L (q x r, row after row).
    fn sums(&self, rows: &[f64], q: usize, stop: &StopFlag) -> Sums {
        let r = self.rank;
        let depth = if self.against.is_empty() { r } else { 2 * r };
        let width = depth * q;
        let mut out = Sums {
            r,
            depth,
            q,
            mean: memory::zeros(q * q),
            own: 0.0,
            gram: memory::zeros(width * width),
        };
        let mut half = memory::zeros(r * q);
        let mut d = memory::zeros(q * q);
        let mut n = memory::zeros(q * q);
        let mut other = memory::zeros(q * q);
        let mut some = memory::with_capacity(CLUSTERS * width);
        for (at, (spread, cross, against)) in self.each().enumerate() {
            if at % CLUSTERS == 0 {
                stop.check();
                out.add(&mut some);
            }
            // D = L S L', N = A'A, less that of the rows of the other sign
            small::mul_nn(spread, rows, r, r, q, &mut half);
            small::mul_tn(rows, &half, r, q, q, &mut d);
            small::mul_nn(cross, rows, r, r, q, &mut half);
            small::mul_tn(&half, &half, r, q, q, &mut n);
            some.extend_from_slice(&half);
            if !against.is_empty() {
                small::mul_nn(against, rows, r, r, q, &mut half);
                small::mul_tn(&half, &half, r, q, q, &mut other);
                n.iter_mut().zip(&other).for_each(|(n, v)| *n -= v);
                some.extend_from_slice(&half);
            }
            out.mean
                .iter_mut()
                .zip(d.iter().zip(&n))
                .for_each(|(sum, (d, n))| *sum += d - n);
            let trace = |a: &[f64]| (0..q).map(|s| a[s * q + s]).sum::<f64>();
            out.own += trace(&d) * (trace(&d) - 2.0 * trace(&n));
            out.own += small::trace_product(&d, &d, q) - 2.0 * small::trace_product(&d, &n, q);
        }
        out.add(&mut some);
        small::mirror_lower(&mut out.gram, width);
        out
    }
}

/// Sums over clusters of what a hypothesis makes of S_j and T_j.
struct Sums {
    r: usize,
    /// Rows of T and N together.
    depth: usize,
    q: usize,
    /// sum_i L P_ii L', q x q.
    mean: Vec<f64>,
    /// The terms of one cluster alone, without those of N_ii with itself.
    own: f64,
    /// M, its lower triangle until it is whole.
    gram: Vec<f64>,
}

impl Sums {
    /// Adds vec(A) vec(A)' of some clusters, and forgets them.
    fn add(&mut self, some: &mut Vec<f64>) {
        let width = self.depth * self.q;
        dense::add_gram(some, some.len() / width, width, 1.0, &mut self.gram);
        some.clear();
    }

    /// sum_ij [tr(P_ij)^2 + tr(P_ij P_ij)].
    fn squares(&self) -> f64 {
        let (r, depth, q) = (self.r, self.depth, self.q);
        let width = depth * q;
        // where row k of the part of hypothesis s is, and its sign
        let at = |s: usize, k: usize| match k < r {
            true => s * r + k,
            false => (q + s) * r + k - r,
        };
        let sign = |k: usize| if k < r { 1.0 } else { -1.0 };
        let mut sum = self.own;
        for t in 0..q {
            for s in 0..q {
                for l in 0..depth {
                    for k in 0..depth {
                        let value = self.gram[at(t, l) * width + at(s, k)];
                        let crossed = self.gram[at(s, l) * width + at(t, k)];
                        sum += sign(k) * sign(l) * value * (value + crossed);
                    }
                }
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::ScoreMoments;

    /// By all pairs of clusters.
    fn by_pairs(moments: &ScoreMoments<'_>, rows: &[f64], m: usize) -> (Vec<f64>, f64) {
        let r = moments.rank;
        let q = rows.len() / r;
        let mut mean = vec![0.0; q * q];
        let mut squares = 0.0;
        for i in 0..m {
            for j in 0..m {
                let of = |all: &[f64], c: usize, a: usize, b: usize| all[(c * r + b) * r + a];
                let mut p = vec![0.0; q * q];
                for s in 0..q {
                    for t in 0..q {
                        for a in 0..r {
                            for b in 0..r {
                                let mut entry = 0.0;
                                if i == j {
                                    entry += of(moments.spread, i, a, b);
                                }
                                for c in 0..r {
                                    entry -=
                                        of(moments.cross, i, c, a) * of(moments.cross, j, c, b);
                                    if !moments.against.is_empty() {
                                        entry += of(moments.against, i, c, a)
                                            * of(moments.against, j, c, b);
                                    }
                                }
                                p[t * q + s] += rows[s * r + a] * entry * rows[t * r + b];
                            }
                        }
                    }
                }
                if i == j {
                    mean.iter_mut().zip(&p).for_each(|(x, v)| *x += v);
                }
                let trace: f64 = (0..q).map(|s| p[s * q + s]).sum();
                squares += trace * trace;
                for s in 0..q {
                    for t in 0..q {
                        squares += p[t * q + s] * p[s * q + t];
                    }
                }
            }
        }
        (mean, squares)
    }

    #[test]
    fn sums_over_clusters_are_those_over_pairs() {
        let (r, m) = (3, 5);
        let cross: Vec<f64> = (0..r * r * m)
            .map(|e| 0.2 * (1.0 + (e * e) as f64).sin())
            .collect();
        let mut spread = vec![0.0; r * r * m];
        for c in 0..m {
            for i in 0..r {
                for j in 0..r {
                    let value = f64::from(u8::from(i == j)) + 0.1 * ((c + i * j) as f64).cos();
                    spread[(c * r + j) * r + i] = value;
                }
            }
        }
        let against: Vec<f64> = cross.iter().map(|v| 0.1 * (7.0 * v).cos()).collect();
        sums_are_right(&spread, &cross, &[], (r, m));
        sums_are_right(&spread, &cross, &against, (r, m));
    }

    fn sums_are_right(spread: &[f64], cross: &[f64], against: &[f64], (r, m): (usize, usize)) {
        let moments = ScoreMoments {
            rank: r,
            spread,
            cross,
            against,
        };
        let rows = [1.0, 0.5, -1.0, 0.0, 2.0, 1.0];
        let single = moments.single(&rows, &|| false).unwrap();
        for (l, found) in rows.chunks_exact(r).zip(single) {
            let (mean, squares) = by_pairs(&moments, l, m);
            assert!((found - 2.0 * mean[0].powi(2) / squares).abs() < 1e-10);
            let eta = moments.joint(l, &|| false).unwrap().unwrap();
            assert!((found - eta).abs() < 1e-10);
        }
        // standardised by Gram and Schmidt
        let (omega, _) = by_pairs(&moments, &rows, m);
        let a = 1.0 / omega[0].sqrt();
        let slope = omega[1] / omega[0];
        let b = 1.0 / (omega[3] - slope * omega[1]).sqrt();
        let standard: Vec<f64> = (0..r)
            .map(|i| a * rows[i])
            .chain((0..r).map(|i| b * (rows[r + i] - slope * rows[i])))
            .collect();
        let (one, squares) = by_pairs(&moments, &standard, m);
        assert!((one[0] - 1.0).abs() < 1e-12 && one[1].abs() < 1e-12);
        let eta = moments.joint(&rows, &|| false).unwrap().unwrap();
        assert!((eta - 6.0 / squares).abs() < 1e-10);
        // the same hypothesis twice
        let twice = [1.0, 0.5, -1.0, 2.0, 1.0, -2.0];
        assert!(moments.joint(&twice, &|| false).unwrap().is_none());
        assert!(moments.single(&rows[..4], &|| false).is_err());
    }
}
