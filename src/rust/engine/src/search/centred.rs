//! Random effects relative to the rows' mean standard deviation instead of sigma, where there are variance functions: a chart.
//!
//! sigma is the standard deviation of a row with d = 1, which for d = |v|^delta may be far from all rows: a change of delta
//! changes sigma, and with it all relative standard deviations of random effects, along a narrow curved valley. In
//! c = theta exp(-m(phi)), with m the mean of log d, it is straight.

use crate::basis::internal_theta::{FreeTheta, InternalTheta};
use crate::basis::parameters::Parameters;
use crate::basis::restriction::Restriction;
use crate::linalg::row_sums::dot;
use crate::runtime::memory;
use crate::search::chart::{Chart, Derivatives};
use crate::structure::residual::Residual;

/// (c, phi) as variables for (theta, phi), or for what a restriction leaves free of them.
pub(crate) struct Centred<'a> {
    model: &'a Residual,
    /// Variables that are relative to sigma.
    relative: Vec<usize>,
    /// phi of the variables.
    residual: Restriction,
}

impl<'a> Centred<'a> {
    /// For the variables of `restriction`, or for the parameters themselves.
    pub fn new(
        parameters: &Parameters,
        model: &'a Residual,
        restriction: Option<&Restriction>,
    ) -> Self {
        let terms = parameters.list.len();
        let all = || Restriction::none(&InternalTheta::new(memory::zeros(parameters.len())));
        let restriction = restriction.map_or_else(all, Restriction::clone);
        let is_deviation = |a: usize| a < terms && parameters.is_deviation(a);
        Self {
            model,
            relative: restriction.variables_of(is_deviation),
            residual: restriction.from(terms),
        }
    }

    /// exp(m) at these variables.
    fn unit(&self, z: &FreeTheta) -> f64 {
        self.model.mean_log_scale(&self.residual.values(z)).exp()
    }

    fn times(&self, mut z: Vec<f64>, factor: f64) -> Vec<f64> {
        self.relative.iter().for_each(|&v| z[v] *= factor);
        z
    }

    /// What the gradient `g` adds to the Hessian, as theta is not linear in (c, phi): `unit` is exp(m), with the derivatives of
    /// m.
    fn add_curvature(
        &self,
        z: &[f64],
        g: &[f64],
        (unit, slope, curvature): (f64, &[f64], &[f64]),
        hessian: &mut [f64],
    ) {
        let d = z.len();
        for &i in &self.relative {
            for b in 0..d {
                let mixed = g[i] * unit * slope[b];
                hessian[b * d + i] += mixed;
                hessian[i * d + b] += mixed;
                for a in 0..d {
                    let second = slope[b] * slope[a] + curvature[b * d + a];
                    hessian[b * d + a] += g[i] * z[i] * unit * second;
                }
            }
        }
    }
}

impl Chart for Centred<'_> {
    fn to_variables(&self, x: Vec<f64>) -> FreeTheta {
        // phi is the same in both
        let x = FreeTheta(x);
        let unit = self.unit(&x);
        FreeTheta(self.times(x.0, unit.recip()))
    }

    fn to_parameters(&self, z: &FreeTheta) -> Vec<f64> {
        self.times(z.0.clone(), self.unit(z))
    }

    fn pull(&self, at: &FreeTheta, own: Derivatives) -> Derivatives {
        let phi = self.residual.values(at);
        let FreeTheta(z) = at;
        let d = z.len();
        let (log_unit, slope, curvature) = self.model.mean_log_scale_derivatives(&phi);
        let slope = self.residual.gradient(&slope);
        let curvature = self.residual.hessian(&curvature);
        let unit = log_unit.exp();
        // columns of dx/dz
        let mut jacobian = memory::zeros(d * d);
        (0..d).for_each(|a| jacobian[a * d + a] = 1.0);
        for &i in &self.relative {
            jacobian[i * d + i] = unit;
            for (a, s) in slope.iter().enumerate() {
                jacobian[a * d + i] += z[i] * unit * s;
            }
        }
        let column = |a: usize| &jacobian[a * d..(a + 1) * d];
        let gradient = (0..d).map(|a| dot(column(a), &own.gradient)).collect();
        let mut hessian = memory::zeros(d * d);
        for b in 0..d {
            let row = |i: usize| &own.hessian[i * d..(i + 1) * d];
            let moved: Vec<f64> = (0..d).map(|i| dot(row(i), column(b))).collect();
            (0..d).for_each(|a| hessian[b * d + a] = dot(column(a), &moved));
        }
        if own.is_exact {
            let of_unit = (unit, slope.as_slice(), curvature.as_slice());
            self.add_curvature(z, &own.gradient, of_unit, &mut hessian);
        }
        Derivatives {
            gradient,
            hessian,
            is_exact: own.is_exact,
        }
    }

    fn scale(&self, z: &FreeTheta, scale: Vec<f64>) -> Vec<f64> {
        self.times(scale, self.unit(z).recip())
    }
}

#[cfg(test)]
mod tests {
    use crate::api::model::{ResidualStructure, Scale, ScaleFunction};
    use crate::structure::residual::Residual;

    #[test]
    fn mean_log_scale_has_its_derivatives() {
        let v: Vec<f64> = (0..20).map(|i| 0.3 + f64::from(i) * 0.7).collect();
        let stratum: Vec<i32> = (0..20).map(|i| 1 + i % 3).collect();
        let structure = ResidualStructure {
            groups: None,
            correlation: None,
            scales: vec![
                Scale::OfCovariate {
                    function: ScaleFunction::ConstantPower,
                    covariate: &v,
                    stratum: Some(&stratum),
                    strata: 3,
                },
                Scale::Ident {
                    stratum: &stratum,
                    strata: 3,
                },
                Scale::OfCovariate {
                    function: ScaleFunction::Exponential,
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
