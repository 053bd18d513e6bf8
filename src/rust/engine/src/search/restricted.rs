//! Held and tied parameters as a chart: x = x_0 + A z.

use crate::basis::internal_theta::{FreeTheta, InternalTheta};
use crate::basis::restriction::Restriction;
use crate::search::chart::{Chart, Derivatives};

impl Chart for &Restriction {
    fn to_variables(&self, x: Vec<f64>) -> FreeTheta {
        self.variables_at(&InternalTheta::new(x))
    }

    fn to_parameters(&self, z: &FreeTheta) -> Vec<f64> {
        self.values(z)
    }

    fn pull(&self, _: &FreeTheta, own: Derivatives) -> Derivatives {
        Derivatives {
            gradient: self.gradient(&own.gradient),
            hessian: self.hessian(&own.hessian),
            ..own
        }
    }

    fn scale(&self, _: &FreeTheta, scale: Vec<f64>) -> Vec<f64> {
        Restriction::scale(self, &scale)
    }
}
