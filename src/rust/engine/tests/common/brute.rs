//! The model by definition: V is formed n x n from the user's columns and the user's theta. Slow, and independent of the
//! engine.

use super::Model;

/// Dense lower Cholesky factor, n x n by rows.
pub fn cholesky(a: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let s: f64 = l[i * n..i * n + j]
                .iter()
                .zip(&l[j * n..j * n + j])
                .map(|(x, y)| x * y)
                .sum();
            let value = a[i * n + j] - s;
            if i == j {
                if value.is_nan() || value <= 0.0 {
                    return None;
                }
                l[i * n + i] = value.sqrt();
            } else {
                l[i * n + j] = value / l[j * n + j];
            }
        }
    }
    Some(l)
}

/// x <- L^-1 x.
pub fn forward(l: &[f64], n: usize, x: &mut [f64]) {
    for i in 0..n {
        let s: f64 = l[i * n..i * n + i]
            .iter()
            .zip(x.iter())
            .map(|(a, b)| a * b)
            .sum();
        x[i] = (x[i] - s) / l[i * n + i];
    }
}

/// x <- L^-T x.
pub fn backward(l: &[f64], n: usize, x: &mut [f64]) {
    for i in (0..n).rev() {
        x[i] /= l[i * n + i];
        let value = x[i];
        for (target, a) in x[..i].iter_mut().zip(&l[i * n..i * n + i]) {
            *target -= a * value;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Q and R of the columns (Gram-Schmidt, twice), R upper triangular r x r column-major with positive diagonal.
pub fn qr(columns: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let r = columns.len();
    let mut upper = vec![0.0; r * r];
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(r);
    for (c, column) in columns.iter().enumerate() {
        let mut v = column.clone();
        for _ in 0..2 {
            for (i, direction) in q.iter().enumerate() {
                let s = dot(&v, direction);
                upper[c * r + i] += s;
                v.iter_mut().zip(direction).for_each(|(a, b)| *a -= s * b);
            }
        }
        let length = dot(&v, &v).sqrt();
        upper[c * r + c] = length;
        v.iter_mut().for_each(|a| *a /= length);
        q.push(v);
    }
    (q, upper)
}

/// Everything at one theta.
#[derive(Debug, Clone)]
pub struct Brute {
    pub criterion: f64,
    /// Kept columns only.
    pub beta: Vec<f64>,
    pub sigma: f64,
    pub ld_l2: f64,
    pub ld_rx2: f64,
    pub pwrss: f64,
    pub wrss: f64,
    pub ussq: f64,
    /// Columns scaled to unit length before the decomposition: `rx[i, j] * scale[j]`, `vcov[i, j] / scale / scale`.
    pub rx: Vec<f64>,
    pub vcov: Vec<f64>,
    pub u: Vec<f64>,
    pub b: Vec<f64>,
    pub fitted: Vec<f64>,
    pub residuals: Vec<f64>,
    /// Lower Cholesky factor of V by rows.
    pub factor: Vec<f64>,
}

/// V = diag(1/w) + Z G Z', n x n.
pub fn marginal(model: &Model, theta: &[f64]) -> Vec<f64> {
    let n = model.n();
    let mut v = vec![0.0; n * n];
    for i in 0..n {
        v[i * n + i] = 1.0 / model.weight(i);
    }
    for (term, t) in model.terms.iter().zip(model.factors_at(theta)) {
        let k = term.k();
        // rows of Z T, by level
        let half: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                (0..k)
                    .map(|c| (c..k).map(|r| term.value(r, i) * t[c * k + r]).sum())
                    .collect()
            })
            .collect();
        let codes = &model.factors[term.factor].0;
        for i in 0..n {
            for j in 0..=i {
                if codes[i] == codes[j] {
                    v[i * n + j] += dot(&half[i], &half[j]);
                }
            }
        }
    }
    v
}

impl Brute {
    pub fn new(model: &Model, theta: &[f64], reml: bool) -> Option<Self> {
        let n = model.n();
        let factor = cholesky(&marginal(model, theta), n)?;
        let log_det_v: f64 = 2.0 * (0..n).map(|i| factor[i * n + i].ln()).sum::<f64>();
        let r = model.kept.len();
        let scale: Vec<f64> = model
            .kept
            .iter()
            .map(|&j| {
                let column = &model.x[j * n..(j + 1) * n];
                dot(column, column).sqrt()
            })
            .collect();
        let columns: Vec<Vec<f64>> = model
            .kept
            .iter()
            .zip(&scale)
            .map(|(&j, s)| {
                let mut column: Vec<f64> =
                    model.x[j * n..(j + 1) * n].iter().map(|v| v / s).collect();
                forward(&factor, n, &mut column);
                column
            })
            .collect();
        let (q, upper) = qr(&columns);
        let mut response: Vec<f64> = (0..n)
            .map(|i| model.y[i] - model.offset.as_ref().map_or(0.0, |o| o[i]))
            .collect();
        forward(&factor, n, &mut response);
        let mut rhs = vec![0.0; r];
        for _ in 0..2 {
            for (c, direction) in q.iter().enumerate() {
                let s = dot(&response, direction);
                rhs[c] += s;
                response
                    .iter_mut()
                    .zip(direction)
                    .for_each(|(a, b)| *a -= s * b);
            }
        }
        let pwrss = dot(&response, &response);
        let solve = |mut x: Vec<f64>| -> Vec<f64> {
            for i in (0..r).rev() {
                for c in i + 1..r {
                    x[i] -= upper[c * r + i] * x[c];
                }
                x[i] /= upper[i * r + i];
            }
            x
        };
        let beta: Vec<f64> = solve(rhs).iter().zip(&scale).map(|(b, s)| b / s).collect();
        let inverse: Vec<Vec<f64>> = (0..r)
            .map(|c| solve((0..r).map(|i| f64::from(u8::from(i == c))).collect()))
            .collect();
        let mut vcov = vec![0.0; r * r];
        for i in 0..r {
            for j in 0..r {
                vcov[j * r + i] = (0..r).map(|c| inverse[c][i] * inverse[c][j]).sum();
            }
        }
        let degrees = n as f64 - if reml { r as f64 } else { 0.0 };
        let ld_rx2 = 2.0
            * (0..r)
                .map(|i| upper[i * r + i].ln() + scale[i].ln())
                .sum::<f64>();
        let ld_l2 = log_det_v + (0..n).map(|i| model.weight(i).ln()).sum::<f64>();
        let criterion = log_det_v
            + if reml { ld_rx2 } else { 0.0 }
            + degrees * (1.0 + (2.0 * std::f64::consts::PI * pwrss / degrees).ln());
        // V^-1 (y - X beta)
        let mut weighted = response;
        backward(&factor, n, &mut weighted);
        let (mut u, mut b) = (Vec::new(), Vec::new());
        let mut fitted: Vec<f64> = (0..n)
            .map(|i| {
                model.offset.as_ref().map_or(0.0, |o| o[i])
                    + model
                        .kept
                        .iter()
                        .zip(&beta)
                        .map(|(&j, c)| c * model.x[j * n + i])
                        .sum::<f64>()
            })
            .collect();
        for (at, t) in model.factors_at(theta).iter().enumerate() {
            let term = &model.terms[at];
            let k = term.k();
            let mut sums = vec![0.0; model.levels(at) * k];
            let codes = &model.factors[term.factor].0;
            for i in 0..n {
                let level = codes[i] as usize - 1;
                for c in 0..k {
                    sums[level * k + c] += term.value(c, i) * weighted[i];
                }
            }
            let start = b.len();
            for level in sums.chunks_exact(k) {
                let own: Vec<f64> = (0..k)
                    .map(|c| (c..k).map(|i| t[c * k + i] * level[i]).sum())
                    .collect();
                for i in 0..k {
                    b.push((0..=i).map(|c| t[c * k + i] * own[c]).sum::<f64>());
                }
                u.extend(own);
            }
            for i in 0..n {
                let level = codes[i] as usize - 1;
                for c in 0..k {
                    fitted[i] += term.value(c, i) * b[start + level * k + c];
                }
            }
        }
        let residuals: Vec<f64> = model.y.iter().zip(&fitted).map(|(y, f)| y - f).collect();
        let rx = (0..r * r)
            .map(|e| {
                if e % r <= e / r {
                    upper[e] * scale[e / r]
                } else {
                    0.0
                }
            })
            .collect();
        Some(Self {
            criterion,
            beta,
            sigma: (pwrss / degrees).sqrt(),
            ld_l2,
            ld_rx2,
            pwrss,
            wrss: (0..n).map(|i| model.weight(i) * residuals[i].powi(2)).sum(),
            ussq: dot(&u, &u),
            rx,
            vcov: (0..r * r)
                .map(|e| vcov[e] / (scale[e % r] * scale[e / r]))
                .collect(),
            u,
            b,
            fitted,
            residuals,
            factor,
        })
    }

    /// G - G Z_j'V^-1Z_j G for each level of each term, k x k x J.
    pub fn conditional_variances(&self, model: &Model, theta: &[f64]) -> Vec<Vec<f64>> {
        let n = model.n();
        model
            .factors_at(theta)
            .iter()
            .enumerate()
            .map(|(at, t)| {
                let term = &model.terms[at];
                let k = term.k();
                let g: Vec<f64> = (0..k * k)
                    .map(|e| (0..k).map(|c| t[c * k + e % k] * t[c * k + e / k]).sum())
                    .collect();
                let codes = &model.factors[term.factor].0;
                let mut out = Vec::new();
                for level in 0..model.levels(at) {
                    // L^-1 Z_j G
                    let columns: Vec<Vec<f64>> = (0..k)
                        .map(|c| {
                            let mut column: Vec<f64> = (0..n)
                                .map(|i| {
                                    if codes[i] as usize == level + 1 {
                                        (0..k).map(|r| term.value(r, i) * g[c * k + r]).sum()
                                    } else {
                                        0.0
                                    }
                                })
                                .collect();
                            forward(&self.factor, n, &mut column);
                            column
                        })
                        .collect();
                    for c in 0..k {
                        for i in 0..k {
                            out.push(g[c * k + i] - dot(&columns[i], &columns[c]));
                        }
                    }
                }
                out
            })
            .collect()
    }
}

/// The criterion alone; infinite where V is not positive definite.
pub fn criterion(model: &Model, theta: &[f64], reml: bool) -> f64 {
    Brute::new(model, theta, reml).map_or(f64::INFINITY, |b| b.criterion)
}
