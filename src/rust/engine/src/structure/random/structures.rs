//! The structures of random effects that there are, and what computes with each.

use crate::api::error::EngineError;
use crate::api::kinds::{CorrelationKind, RandomFacts};
use crate::api::model::Structure;
use crate::structure::correlation::registry::Family;
use crate::structure::correlation::structure::Parameter;
use crate::structure::random::correlated::Correlated;
use crate::structure::random::covariance::Covariance;
use crate::structure::random::diagonal::{Diagonal, Identity};
use crate::structure::random::factor_analytic::FactorAnalytic;
use crate::structure::random::fixed::FixedEffects;
use crate::structure::random::reduced_rank::ReducedRank;
use crate::structure::random::unstructured::Unstructured;

/// Any covariance matrix.
const UNSTRUCTURED: RandomFacts = RandomFacts {
    name: "us",
    factor: true,
    correlated: true,
    homogeneous: false,
    order_matters: false,
    has_factors: false,
};

/// Of reduced rank.
const REDUCED_RANK: RandomFacts = RandomFacts {
    name: "rr",
    has_factors: true,
    ..UNSTRUCTURED
};

/// Factors and specific variances.
const FACTOR_ANALYTIC: RandomFacts = RandomFacts {
    name: "fa",
    factor: false,
    has_factors: true,
    ..UNSTRUCTURED
};

/// Independent effects.
const DIAGONAL: RandomFacts = RandomFacts {
    name: "diag",
    factor: false,
    correlated: false,
    homogeneous: true,
    order_matters: false,
    has_factors: false,
};

/// What is known of them.
#[must_use]
pub fn random_facts() -> Vec<RandomFacts> {
    let kinds = CorrelationKind::all()
        .into_iter()
        .map(CorrelationKind::facts);
    let correlated = kinds.filter(|kind| kind.effects).map(|kind| RandomFacts {
        name: kind.name,
        factor: false,
        correlated: true,
        homogeneous: true,
        order_matters: kind.order_matters,
        has_factors: false,
    });
    [UNSTRUCTURED, DIAGONAL, REDUCED_RANK, FACTOR_ANALYTIC]
        .into_iter()
        .chain(correlated)
        .collect()
}

impl Structure {
    /// The structure of this name with so many factors; `None` where there is none.
    #[must_use]
    pub fn with_factors(name: &str, factors: usize) -> Option<Self> {
        match name {
            _ if factors == 0 => None,
            "rr" => Some(Self::ReducedRank { factors }),
            "fa" => Some(Self::FactorAnalytic { factors }),
            _ => None,
        }
    }

    /// The structure of this name; `None` where there is none, or none with one variance, or it has a number of factors.
    #[must_use]
    pub fn named(name: &str, homogeneous: bool) -> Option<Self> {
        match name {
            "us" => (!homogeneous).then_some(Self::Unstructured),
            "fixed" => (!homogeneous).then_some(Self::Fixed),
            "diag" if homogeneous => Some(Self::Identity),
            "diag" => Some(Self::Diagonal),
            _ => {
                let correlation = CorrelationKind::named(name)?;
                correlation.facts().effects.then_some(Self::Correlated {
                    correlation,
                    homogeneous,
                })
            }
        }
    }
}

/// Natural correlation parameters of k effects.
#[must_use]
pub fn effects_parameters(kind: CorrelationKind, k: usize) -> Vec<Parameter> {
    Family::of_effects(kind, k).parameters()
}

/// Natural correlation parameters of k effects at which a search starts.
#[must_use]
pub fn effects_start(kind: CorrelationKind, k: usize) -> Vec<f64> {
    Family::of_effects(kind, k).start(1.0)
}

/// Correlation matrix of k effects, k x k.
///
/// # Errors
/// [`EngineError::Dimension`] where these are no parameters of the structure.
pub fn effects_correlation(
    kind: CorrelationKind,
    natural: &[f64],
    k: usize,
) -> Result<Vec<f64>, EngineError> {
    let family = Family::of_effects(kind, k);
    let possible = natural.len() == family.len() && natural.iter().all(|v| v.is_finite());
    let law = possible.then(|| family.natural_law(natural, k)).flatten();
    let law = law.ok_or_else(|| {
        EngineError::Dimension("these are no parameters of the structure".to_owned())
    })?;
    let position: Vec<f64> = (1..=k).map(|i| i as f64).collect();
    Ok(law.matrix(k, |i| &position[i..=i]))
}

/// The structure of a term.
#[must_use]
pub fn covariance(structure: Structure, k: usize) -> Box<dyn Covariance> {
    match structure {
        Structure::Fixed => Box::new(FixedEffects { k }),
        _ if k == 1 => Box::new(Unstructured { k }),
        Structure::Unstructured => Box::new(Unstructured { k }),
        Structure::Diagonal => Box::new(Diagonal { k }),
        Structure::Identity => Box::new(Identity { k }),
        Structure::ReducedRank { factors } => Box::new(ReducedRank { k, factors }),
        Structure::FactorAnalytic { factors } => Box::new(FactorAnalytic { k, factors }),
        Structure::Correlated {
            correlation,
            homogeneous,
        } => Box::new(Correlated::new(correlation, k, homogeneous)),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn each_structure_that_is_listed_is_found_by_its_name() {
        for facts in random_facts() {
            let structure = if facts.has_factors {
                assert_eq!(Structure::named(facts.name, false), None);
                assert_eq!(Structure::with_factors(facts.name, 0), None);
                Structure::with_factors(facts.name, 2)
            } else {
                assert_eq!(Structure::with_factors(facts.name, 2), None);
                Structure::named(facts.name, false)
            };
            let structure = structure.expect("a known name");
            let homogeneous = Structure::named(facts.name, true);
            assert_eq!(homogeneous.is_some(), facts.homogeneous, "{facts:?}");
            let k = 4;
            let own = covariance(structure, k);
            assert_eq!(own.linear().is_some(), facts.factor || !facts.correlated);
            if let Some(one) = homogeneous {
                assert_eq!(own.len() - covariance(one, k).len(), k - 1);
            }
        }
        for name in ["car1", "arma", "gaus", "none of them"] {
            assert_eq!(Structure::named(name, false), None);
        }
    }

    /// Each parameter of a structure of effects is the correlation of the first effect with a later one.
    #[test]
    fn parameters_are_correlations_of_the_first_effect() {
        for kind in CorrelationKind::all() {
            if kind.facts().effects {
                let k = 5;
                let rho = effects_start(kind, k);
                let c = effects_correlation(kind, &rho, k).expect("possible");
                for (i, rho) in rho.iter().enumerate() {
                    assert!((c[i + 1] - rho).abs() < 1e-14, "{kind:?}");
                }
            }
        }
    }

    /// [`Correlated`] takes correlations from the first effect on for those of all pairs at the same lag.
    #[test]
    fn correlations_of_effects_depend_on_the_lag_alone() {
        let k = 5;
        for kind in CorrelationKind::all() {
            if kind.facts().effects {
                let family = Family::of_effects(kind, k);
                let internal: Vec<f64> = (0..family.len()).map(|i| 0.7 - 0.4 * i as f64).collect();
                let c = effects_correlation(kind, &family.natural(&internal), k).expect("possible");
                for e in 0..k * k {
                    let (i, j) = (e % k, e / k);
                    assert!((c[e] - c[i.abs_diff(j)]).abs() < 1e-14, "{kind:?} {i} {j}");
                }
            }
        }
    }

    #[test]
    fn correlations_may_be_at_their_ends_and_not_beyond() {
        let cs = CorrelationKind::named("cs").expect("a known name");
        let c = effects_correlation(cs, &[-0.5], 3).expect("possible");
        assert!((c[1] + 0.5).abs() < 1e-15 && (c[4] - 1.0).abs() < 1e-15);
        for impossible in [&[-0.6][..], &[1.1], &[f64::NAN], &[0.1, 0.1]] {
            assert!(effects_correlation(cs, impossible, 3).is_err());
        }
    }
}
