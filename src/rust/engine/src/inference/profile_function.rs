//! A function of the variance components of a model, which a profile goes along: heritability, an intraclass correlation, a
//! covariance, a sum of variances.
//!
//! The components are the covariance matrices sigma^2 G of the terms (lower triangles, column by column, term after term), the
//! natural residual parameters, and sigma^2: those of [`crate::inference::Satterthwaite::jacobian`]. With the exact gradient g_c
//! and Hessian g_cd in the components, the chain rule gives those in the internal parameters: s_a = sum g_c c_a and s_ab = sum
//! g_c c_ab + sum g_cd c_a d_b.

use crate::inference::profile_program::Function;
use crate::inference::profile_targets::{Psi, Surface};
use crate::linalg::hyperdual::HyperDual;
use crate::runtime::memory;

/// Value, gradient and Hessian (psi.len() squared) of one component in (theta, tau).
struct Component {
    value: f64,
    slope: Vec<f64>,
    bend: Vec<f64>,
}

/// What a component is.
enum Kind {
    Covariance(usize, usize, usize),
    Residual(usize),
    Sigma2,
}

impl Surface<'_, '_> {
    /// How many components there are.
    pub(super) fn count_components(&self) -> usize {
        let cells = |k: usize| k * (k + 1) / 2;
        let random: usize = self.prepared.bases.iter().map(|basis| cells(basis.k)).sum();
        let phi = (self.prepared.parameters.of_residual(&self.optimum.theta)).len();
        random + phi + 1
    }

    fn kind(&self, mut c: usize) -> Kind {
        for (term, basis) in self.prepared.bases.iter().enumerate() {
            for j in 0..basis.k {
                let below = basis.k - j;
                if c < below {
                    return Kind::Covariance(term, j + c, j);
                }
                c -= below;
            }
        }
        let phi = self.prepared.parameters.of_residual(&self.optimum.theta);
        if c < phi.len() {
            Kind::Residual(c)
        } else {
            Kind::Sigma2
        }
    }

    fn component_value(&self, psi: &Psi, c: usize) -> f64 {
        let sigma2 = psi.tau.exp();
        match self.kind(c) {
            Kind::Covariance(term, i, j) => sigma2 * self.covariance(psi, term, i, j),
            Kind::Residual(i) => {
                let phi = self.prepared.parameters.of_residual(&psi.theta);
                self.prepared.residual_model().natural(phi)[i]
            }
            Kind::Sigma2 => sigma2,
        }
    }

    /// sigma^2 c_a, sigma^2 c_ab of a covariance c relative to sigma^2, and sigma^2 c times 1, c_a in tau; the derivatives of
    /// a natural residual parameter; sigma^2 in tau.
    fn component(&self, psi: &Psi, c: usize) -> Component {
        let size = psi.len();
        let last = size - 1;
        let sigma2 = psi.tau.exp();
        let value = self.component_value(psi, c);
        let (slope, bend) = match self.kind(c) {
            Kind::Covariance(term, i, j) => {
                let (mut slope, mut bend) = self.covariance_slopes(psi, term, i, j);
                slope.iter_mut().chain(&mut bend).for_each(|v| *v *= sigma2);
                slope[last] = value;
                for a in 0..size {
                    bend[last * size + a] = slope[a];
                    bend[a * size + last] = slope[a];
                }
                (slope, bend)
            }
            Kind::Residual(i) => {
                let phi = self.prepared.parameters.of_residual(&psi.theta);
                let model = self.prepared.residual_model();
                let first = last - phi.len();
                let jacobian = model.natural_jacobian(phi);
                let mut slope = memory::zeros(size);
                let mut bend = memory::zeros(size * size);
                for a in 0..phi.len() {
                    slope[first + a] = jacobian[a * phi.len() + i];
                    for b in 0..phi.len() {
                        bend[(first + b) * size + first + a] = model.natural_second(phi, a, b)[i];
                    }
                }
                (slope, bend)
            }
            Kind::Sigma2 => {
                let mut slope = memory::zeros(size);
                let mut bend = memory::zeros(size * size);
                slope[last] = sigma2;
                bend[last * size + last] = sigma2;
                (slope, bend)
            }
        };
        Component { value, slope, bend }
    }

    /// The function on its scale.
    pub(super) fn function_value(&self, function: &Function, psi: &Psi) -> f64 {
        let values: Vec<f64> = (function.used().iter())
            .map(|&c| self.component_value(psi, c))
            .collect();
        let scale = function.scale();
        scale.scaled(scale.inside(function.evaluate(&values)))
    }

    /// Gradient and Hessian of the function on its scale.
    pub(super) fn function_slopes(&self, function: &Function, psi: &Psi) -> (Vec<f64>, Vec<f64>) {
        let size = psi.len();
        let components: Vec<Component> = (function.used().iter())
            .map(|&c| self.component(psi, c))
            .collect();
        let values: Vec<f64> = components.iter().map(|c| c.value).collect();
        let mut slope = memory::zeros(size);
        let mut bend = memory::zeros(size * size);
        for (c, one) in components.iter().enumerate() {
            for (d, other) in components.iter().enumerate() {
                let s =
                    (function.scale()).scaled(function.evaluate(&HyperDual::seeded(&values, c, d)));
                for b in 0..size {
                    for a in 0..size {
                        bend[b * size + a] += s.ab * one.slope[a] * other.slope[b];
                    }
                }
                if c == d {
                    slope
                        .iter_mut()
                        .zip(&one.slope)
                        .for_each(|(x, y)| *x += s.a * y);
                    bend.iter_mut()
                        .zip(&one.bend)
                        .for_each(|(x, y)| *x += s.a * y);
                }
            }
        }
        (slope, bend)
    }
}
