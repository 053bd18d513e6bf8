//! Charts: other coordinates for the optimiser, and how they compose.
//!
//! The parameters are x(z) with variables z. The optimiser works in z, all else in x, and only [`super::charted`] holds both.
//! With J = dx/dz, a gradient g and a Hessian H in x are J'g and J'HJ + sum_i g_i d2x_i / dz dz' in z.

use crate::basis::internal_theta::FreeTheta;

/// A smooth map from variables to parameters.
///
/// Variables have a type of their own, so that they are not taken for parameters. In a composition, the variables of one chart
/// are the parameters of the next, so that these are plain numbers: [`super::charted`] makes internal parameters of those of
/// the first.
pub(crate) trait Chart {
    /// z of an x that the chart reaches.
    fn to_variables(&self, x: Vec<f64>) -> FreeTheta;

    /// x of z.
    fn to_parameters(&self, z: &FreeTheta) -> Vec<f64>;

    /// Gradient and Hessian in z, of those in x at the point z. A Hessian that is not exact gets no second-order term: an
    /// average information has none, and what it misses would be taken for curvature.
    fn pull(&self, z: &FreeTheta, own: Derivatives) -> Derivatives;

    /// Natural size of each variable at z, of those of the parameters.
    fn scale(&self, z: &FreeTheta, scale: Vec<f64>) -> Vec<f64>;
}

/// First and second derivatives at a point.
#[derive(Debug, Clone)]
pub(crate) struct Derivatives {
    pub gradient: Vec<f64>,
    /// m x m.
    pub hessian: Vec<f64>,
    pub is_exact: bool,
}

/// No chart: the variables are the parameters.
impl<C: Chart> Chart for Option<C> {
    fn to_variables(&self, x: Vec<f64>) -> FreeTheta {
        match self {
            Some(chart) => chart.to_variables(x),
            None => FreeTheta(x),
        }
    }

    fn to_parameters(&self, z: &FreeTheta) -> Vec<f64> {
        match self {
            Some(chart) => chart.to_parameters(z),
            None => z.0.clone(),
        }
    }

    fn pull(&self, z: &FreeTheta, own: Derivatives) -> Derivatives {
        match self {
            Some(chart) => chart.pull(z, own),
            None => own,
        }
    }

    fn scale(&self, z: &FreeTheta, scale: Vec<f64>) -> Vec<f64> {
        match self {
            Some(chart) => chart.scale(z, scale),
            None => scale,
        }
    }
}

/// One chart after the other: the variables of the first are the parameters of the second.
impl<A: Chart, B: Chart> Chart for (A, B) {
    fn to_variables(&self, x: Vec<f64>) -> FreeTheta {
        self.1.to_variables(self.0.to_variables(x).0)
    }

    fn to_parameters(&self, z: &FreeTheta) -> Vec<f64> {
        self.0.to_parameters(&FreeTheta(self.1.to_parameters(z)))
    }

    fn pull(&self, z: &FreeTheta, own: Derivatives) -> Derivatives {
        let between = FreeTheta(self.1.to_parameters(z));
        self.1.pull(z, self.0.pull(&between, own))
    }

    fn scale(&self, z: &FreeTheta, scale: Vec<f64>) -> Vec<f64> {
        let between = FreeTheta(self.1.to_parameters(z));
        self.1.scale(z, self.0.scale(&between, scale))
    }
}

#[cfg(test)]
mod tests {
    use super::{Chart, Derivatives};
    use crate::api::model::{ResidualStructure, Scale, ScaleFunction, Structure};
    use crate::basis::covariances::Levels;
    use crate::basis::internal_theta::{FreeTheta, InternalTheta};
    use crate::basis::parameters::Parameters;
    use crate::basis::random::{FactorLayout, TermBasis};
    use crate::basis::restriction::Restriction;
    use crate::search::centred::Centred;
    use crate::structure::residual::Residual;

    /// Two independent effects of one factor, and one of another.
    fn parameters(residual: usize) -> Parameters {
        let layout = |k: usize, terms: Vec<usize>| FactorLayout {
            user: Some(0),
            n_levels: 5,
            k,
            terms,
            classes: None,
        };
        let basis = |factor: usize, k: usize| TermBasis {
            term: factor,
            levels: Levels::All,
            k,
            offset: 0,
            factor,
            structure: Structure::Diagonal,
            change: (0..k * k)
                .map(|e| f64::from(u8::from(e % (k + 1) == 0)))
                .collect(),
        };
        let layouts = [layout(2, vec![0]), layout(1, vec![1])];
        Parameters::new(&layouts, &[basis(0, 2), basis(1, 1)], residual)
    }

    /// f(x) = sum_a exp(w_a x_a) + (sum_a v_a x_a)^3.
    fn function(x: &[f64]) -> (f64, Derivatives) {
        let m = x.len();
        let w = |a: usize| 0.3 + 0.1 * a as f64;
        let v = |a: usize| 0.5 - 0.2 * a as f64;
        let along: f64 = (0..m).map(|a| v(a) * x[a]).sum();
        let value = (0..m).map(|a| (w(a) * x[a]).exp()).sum::<f64>() + along.powi(3);
        let gradient = |a: usize| w(a) * (w(a) * x[a]).exp() + 3.0 * along.powi(2) * v(a);
        let hessian = |a: usize, b: usize| {
            let own = if a == b {
                w(a).powi(2) * (w(a) * x[a]).exp()
            } else {
                0.0
            };
            own + 6.0 * along * v(a) * v(b)
        };
        let derivatives = Derivatives {
            gradient: (0..m).map(gradient).collect(),
            hessian: (0..m * m).map(|e| hessian(e % m, e / m)).collect(),
            is_exact: true,
        };
        (value, derivatives)
    }

    /// Derivatives in the variables against differences, and the way there and back.
    fn check(chart: &impl Chart, z: &FreeTheta) {
        let x = chart.to_parameters(z);
        let (FreeTheta(back), FreeTheta(z)) = (chart.to_variables(x), z);
        assert!(back.iter().zip(z).all(|(a, b)| (a - b).abs() < 1e-12));
        let at = |z: &FreeTheta| function(&chart.to_parameters(z));
        let pulled = |z: &FreeTheta| chart.pull(z, at(z).1);
        let Derivatives {
            gradient, hessian, ..
        } = pulled(&FreeTheta(z.clone()));
        let d = z.len();
        let beside = |a: usize, by: f64| {
            let mut z = z.to_vec();
            z[a] += by;
            FreeTheta(z)
        };
        for a in 0..d {
            let (up, down) = (beside(a, 1e-5), beside(a, -1e-5));
            let slope = (at(&up).0 - at(&down).0) / 2e-5;
            assert!((slope - gradient[a]).abs() < 1e-7 * (1.0 + slope.abs()));
            let (up, down) = (pulled(&up).gradient, pulled(&down).gradient);
            for b in 0..d {
                let second = (up[b] - down[b]) / 2e-5;
                let exact = hessian[a * d + b];
                assert!(
                    (second - exact).abs() < 1e-6 * (1.0 + exact.abs()),
                    "{a} {b}"
                );
            }
        }
    }

    #[test]
    fn composed_charts_have_their_derivatives() {
        let v: Vec<f64> = (0..20).map(|i| 0.3 + f64::from(i) * 0.3).collect();
        let stratum: Vec<i32> = (0..20).map(|i| 1 + i % 2).collect();
        let structure = ResidualStructure {
            groups: None,
            correlation: None,
            scales: vec![
                Scale::OfCovariate {
                    function: ScaleFunction::ConstantPower,
                    covariate: &v,
                    stratum: None,
                    strata: 0,
                },
                Scale::Ident {
                    stratum: &stratum,
                    strata: 2,
                },
            ],
            start: Vec::new(),
            held: Vec::new(),
        };
        let model = Residual::new(&structure, 20).unwrap();
        let parameters = parameters(model.len());
        let x = InternalTheta::new(vec![0.8, -0.5, 0.6, 0.3, 0.7, -0.2]);
        assert_eq!(parameters.len(), x.len());
        let centred = |restriction| Centred::new(&parameters, &model, restriction);
        check(&Some(centred(None)), &FreeTheta(x.values().to_vec()));
        check(&None::<Centred<'_>>, &FreeTheta(x.values().to_vec()));
        let free = Restriction::holding(&x, |_| false);
        let held = Restriction::holding(&x, |a| a == 1 || a == 4);
        let place = vec![
            Some((0, 1.0)),
            None,
            Some((0, -1.7)),
            Some((1, 1.0)),
            Some((1, 0.6)),
            Some((2, 1.0)),
        ];
        let tied = Restriction::new(place, x.values().to_vec(), 3);
        for restriction in [&free, &held, &tied] {
            let z = restriction.variables_at(&x);
            check(&Some(restriction), &z);
            check(&(Some(restriction), Some(centred(Some(restriction)))), &z);
        }
        // what is held stays where it is, wherever the others go
        let chart = (&tied, centred(Some(&tied)));
        let moved = chart.to_parameters(&FreeTheta(vec![1.3, 0.9, -0.4]));
        assert!((moved[1] - x[1]).abs() < 1e-15);
        assert!((moved[2] / moved[0] + 1.7).abs() < 1e-12);
    }
}
