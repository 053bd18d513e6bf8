//! The criterion by estimates: from factorisations to an estimator and back.

use crate::api::result::Path;
use crate::criterion::iterative::estimator::Estimator;
use crate::criterion::latest::{CriterionWorkspace, Latest};
use crate::criterion::objective::Criterion;
use crate::system::equations::{Factor, SelectedInverse};

/// An estimator with its last evaluation.
pub(crate) struct Estimated {
    estimator: Estimator,
    factor: Factor,
    latest: Latest,
}

impl Criterion<'_> {
    /// From here on by iteration and random vectors.
    pub(crate) fn estimate(&mut self) {
        self.path = Path::Iterative;
        self.estimator = Some(Estimator::new(self.base));
    }

    /// Leaves less to chance from here on, if that is possible; nothing is evaluated then.
    pub(crate) fn refine(&mut self) -> bool {
        let base = self.base;
        let refined = self.estimator.as_mut().is_some_and(|e| e.refine(base));
        if refined {
            (self.factor, self.latest) = (None, None);
        }
        refined
    }

    /// From here on by factorisation; nothing is evaluated then. Returns what was there.
    pub(crate) fn give_up_estimator(&mut self) -> Option<Estimated> {
        self.workspace = CriterionWorkspace::default();
        self.path = Path::Exact;
        Some(Estimated {
            estimator: self.estimator.take()?,
            factor: self.factor.take()?,
            latest: self.latest.take()?,
        })
    }

    /// By estimates again, as it was before they were given up; the last point must be the same.
    pub(crate) fn take_back(&mut self, estimated: Estimated) {
        self.path = Path::Iterative;
        self.estimator = Some(estimated.estimator);
        (self.factor, self.latest) = (Some(estimated.factor), Some(estimated.latest));
    }

    /// From here on by estimates again, with the criterion and perhaps its gradient at the last point as they are now.
    pub(crate) fn anchor(&mut self, estimated: Estimated, with_gradient: bool) -> Option<()> {
        let Estimated {
            mut estimator,
            mut factor,
            mut latest,
        } = estimated;
        let exact = self.at(self.factor.as_ref()?) - self.at(&factor);
        let mut errors = Vec::new();
        if with_gradient {
            let own = &mut latest.derivatives.gradient;
            let slopes = &self.latest()?.derivatives.gradient;
            errors.extend(slopes.iter().zip(own.iter()).map(|(x, y)| x - y));
            own.clone_from(slopes);
        }
        factor.log_det_m += exact;
        estimator.anchor_at(&self.point, exact, errors);
        self.workspace = CriterionWorkspace::default();
        self.path = if with_gradient {
            Path::Anchored
        } else {
            Path::ExactValue
        };
        self.estimator = Some(estimator);
        self.factor = Some(factor);
        self.latest = Some(latest);
        Some(())
    }

    pub(super) fn estimated(&self, estimator: &mut Estimator) -> Option<Latest> {
        let (solution, derivatives) =
            estimator.derivatives(self.base, self.factor.as_ref()?, self.current_point()?)?;
        Some(Latest {
            solution,
            inverse: SelectedInverse::default(),
            derivatives,
            rows: None,
            exact: None,
        })
    }
}
