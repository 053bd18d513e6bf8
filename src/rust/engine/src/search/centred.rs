//! The criterion for the optimiser where there are variance functions: random effects relative to the rows' mean standard
//! deviation instead of sigma.
//!
//! sigma is the standard deviation of a row with d = 1, which for d = |v|^delta may be far from all rows: a change of delta
//! changes sigma, and with it all relative standard deviations of random effects, along a narrow curved valley. In
//! c = theta exp(-m(phi)), with m the mean of log d, it is straight.

use crate::criterion::objective::Criterion;
use crate::optimize::{Objective, Wanted};
use crate::runtime::memory;
use crate::structure::residual::Residual;

/// A criterion in (c, phi).
pub(crate) struct Centred<'a, 'b> {
    criterion: &'a mut Criterion<'b>,
    model: &'a Residual,
    /// Parameters that are relative to sigma.
    relative: Vec<usize>,
    /// First residual parameter.
    terms: usize,
    /// x of the last evaluation.
    x: Vec<f64>,
}

impl<'a, 'b> Centred<'a, 'b> {
    pub fn new(criterion: &'a mut Criterion<'b>, model: &'a Residual) -> Self {
        let parameters = criterion.parameters;
        let relative = (0..parameters.list.len())
            .filter(|&a| parameters.is_deviation(a))
            .collect();
        Self {
            terms: parameters.list.len(),
            criterion,
            model,
            relative,
            x: Vec::new(),
        }
    }

    fn unit(&self, x: &[f64]) -> f64 {
        self.model.mean_log_scale(&x[self.terms..]).exp()
    }

    fn times(&self, x: &[f64], factor: f64) -> Vec<f64> {
        let mut out = x.to_vec();
        self.relative.iter().for_each(|&a| out[a] *= factor);
        out
    }

    /// (c, phi) of (theta, phi).
    pub fn variables_at(&self, x: &[f64]) -> Vec<f64> {
        self.times(x, self.unit(x).recip())
    }

    /// (theta, phi) of (c, phi).
    pub fn expand(&self, z: &[f64]) -> Vec<f64> {
        self.times(z, self.unit(z))
    }

    /// Starts where the criterion was evaluated.
    pub fn at(mut self, x: &[f64]) -> Self {
        self.x = x.to_vec();
        self
    }

    /// What the gradient `g` in (theta, phi) adds to the Hessian in (c, phi), as theta is not linear there: `unit` is exp(m), with
    /// the derivatives of m.
    fn add_curvature(
        &self,
        g: &[f64],
        unit: f64,
        slope: &[f64],
        curvature: &[f64],
        hessian: &mut [f64],
    ) {
        let (m, first) = (g.len(), self.terms);
        for &i in &self.relative {
            let z = self.x[i] / unit;
            for (b, s) in slope.iter().enumerate() {
                let mixed = g[i] * unit * s;
                hessian[(first + b) * m + i] += mixed;
                hessian[i * m + first + b] += mixed;
                for (a, t) in slope.iter().enumerate() {
                    let second = s * t + curvature[b * slope.len() + a];
                    hessian[(first + b) * m + first + a] += g[i] * z * unit * second;
                }
            }
        }
    }
}

impl Objective for Centred<'_, '_> {
    fn value(&mut self, z: &[f64]) -> Option<f64> {
        self.x = self.expand(z);
        if self.x.iter().any(|v| !v.is_finite()) {
            return None;
        }
        self.criterion.value(&self.x)
    }

    fn derivatives(&mut self, wanted: Wanted) -> (Vec<f64>, Vec<f64>, bool) {
        let (g, h, is_exact) = self.criterion.derivatives(wanted);
        let m = g.len();
        let (log_unit, slope, curvature) =
            self.model.mean_log_scale_derivatives(&self.x[self.terms..]);
        let unit = log_unit.exp();
        let first = self.terms;
        // columns of dx/dz
        let mut jacobian = memory::zeros(m * m);
        (0..m).for_each(|a| jacobian[a * m + a] = 1.0);
        for &i in &self.relative {
            jacobian[i * m + i] = unit;
            for (a, s) in slope.iter().enumerate() {
                jacobian[(first + a) * m + i] = self.x[i] * s;
            }
        }
        let column = |a: usize| &jacobian[a * m..(a + 1) * m];
        let inner = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(x, y)| x * y).sum::<f64>();
        let gradient: Vec<f64> = (0..m).map(|a| inner(column(a), &g)).collect();
        let mut hessian = memory::zeros(m * m);
        for b in 0..m {
            let moved: Vec<f64> = (0..m)
                .map(|i| inner(&h[i * m..(i + 1) * m], column(b)))
                .collect();
            for a in 0..m {
                hessian[b * m + a] = inner(column(a), &moved);
            }
        }
        // an average information has no such part: where log d is large, what it misses would be taken for curvature
        if is_exact {
            self.add_curvature(&g, unit, &slope, &curvature, &mut hessian);
        }
        (gradient, hessian, is_exact)
    }

    fn learns(&self) -> bool {
        self.criterion.learns()
    }

    fn scale(&self, z: &[f64]) -> Vec<f64> {
        let unit = self.unit(z);
        let scale = self.criterion.scale(&self.expand(z));
        self.times(&scale, unit.recip())
    }

    fn noise(&self, f: f64) -> f64 {
        self.criterion.noise(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::api::model::{ResidualStructure, Scale};
    use crate::structure::residual::Residual;

    #[test]
    fn mean_log_scale_has_its_derivatives() {
        let v: Vec<f64> = (0..20).map(|i| 0.3 + f64::from(i) * 0.7).collect();
        let stratum: Vec<i32> = (0..20).map(|i| 1 + i % 3).collect();
        let structure = ResidualStructure {
            groups: None,
            correlation: None,
            scales: vec![
                Scale::ConstantPower {
                    covariate: &v,
                    stratum: Some(&stratum),
                    strata: 3,
                },
                Scale::Ident {
                    stratum: &stratum,
                    strata: 3,
                },
                Scale::Exponential {
                    covariate: &v,
                    stratum: None,
                    strata: 0,
                },
            ],
            start: Vec::new(),
            held: Vec::new(),
        };
        let model = Residual::new(&structure, 20).expect("a structure");
        let x: Vec<f64> = (0..model.len()).map(|a| 0.1 * a as f64 - 0.3).collect();
        let (value, gradient, hessian) = model.mean_log_scale_derivatives(&x);
        assert!((value - model.mean_log_scale(&x)).abs() < 1e-14);
        let m = x.len();
        for a in 0..m {
            let moved = |by: f64| {
                let mut y = x.clone();
                y[a] += by;
                y
            };
            let (up, down) = (moved(1e-5), moved(-1e-5));
            let slope = (model.mean_log_scale(&up) - model.mean_log_scale(&down)) / 2e-5;
            assert!((slope - gradient[a]).abs() < 1e-9);
            let (up, down) = (
                model.mean_log_scale_derivatives(&up).1,
                model.mean_log_scale_derivatives(&down).1,
            );
            for b in 0..m {
                let second = (up[b] - down[b]) / 2e-5;
                assert!((second - hessian[a * m + b]).abs() < 1e-9);
            }
        }
    }
}
