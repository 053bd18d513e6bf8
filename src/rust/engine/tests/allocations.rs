//! Evaluations of the criterion after the first allocate nothing but the gradient and the Hessian that they return.
//!
//! Allocations of all threads are counted, so that this binary has one test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::alloc::System;

use common::internal::Prepared;
use common::{shapes, Model, Rng};
use ferrolmm_engine::basis::internal_theta::InternalTheta;
use ferrolmm_engine::optimize::HessianRequest;
use ferrolmm_engine::Classes;
use stats_alloc::{Region, StatsAlloc, INSTRUMENTED_SYSTEM};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// T well away from singular or, with `singular`, the first of its diagonal entries zero.
fn point(prepared: &Prepared, rng: &mut Rng, singular: bool) -> InternalTheta {
    let parameter =
        |(a, parameter): (usize, &ferrolmm_engine::basis::parameters::TermParameter)| {
            let (row, column) = parameter.entries[0];
            if row != column {
                rng.between(-0.2, 0.2)
            } else if singular && a == 0 {
                0.0
            } else {
                rng.between(0.5, 1.5)
            }
        };
    let list = prepared.parameters.list.iter().enumerate();
    list.map(parameter).collect()
}

/// Number of allocations (a buffer that grows counts as one) and their bytes.
fn counted(work: impl FnOnce()) -> (usize, usize) {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    (
        change.allocations + change.reallocations,
        change.bytes_allocated,
    )
}

fn check(model: &Model, reml: bool) {
    let both = [HessianRequest::Model, HessianRequest::Exact];
    check_prepared(model.name, &Prepared::new(model), reml, &both);
}

fn check_prepared(name: &str, prepared: &Prepared, reml: bool, requests: &[HessianRequest]) {
    let mut rng = Rng::new(900);
    let mut criterion = prepared.criterion(reml);
    let m = prepared.parameters.len();
    let returned = (2, (m + m * m) * size_of::<f64>());
    for &wanted in requests {
        for singular in [false, true] {
            for round in 0..4 {
                let x = point(prepared, &mut rng, singular);
                let value = counted(|| {
                    criterion.value(&x).unwrap();
                });
                let derivatives = counted(|| {
                    criterion.derivatives(wanted);
                });
                if round > 0 {
                    let what = format!("{name}, REML {reml}, {wanted:?} at {x:?}");
                    assert_eq!(value, (0, 0), "{what}: value");
                    assert_eq!(derivatives, returned, "{what}: derivatives");
                }
            }
        }
    }
}

/// Each other level of each factor in another class. The exact Hessian makes lists of the levels of each class.
fn check_classes(model: &Model, reml: bool) {
    let factors = model.factors.iter();
    let codes: Vec<Vec<i32>> = factors
        .map(|(_, levels)| (0..*levels as i32).map(|level| level % 2 + 1).collect())
        .collect();
    let mut data = model.data();
    for term in &mut data.terms {
        term.classes = Some(Classes {
            codes: &codes[term.factor],
            count: 2,
        });
    }
    check_prepared(
        model.name,
        &Prepared::of(&data),
        reml,
        &[HessianRequest::Model],
    );
}

/// Several pieces of work over the levels and over the nodes.
fn many_levels() -> Model {
    shapes::Builder::new("many levels", 6000, 901)
        .intercept()
        .covariates(2)
        .factor(2500)
        .factor(40)
        .random_slopes(0, 1)
        .random_slopes(1, 1)
        .response(0.7)
}

#[test]
fn evaluations_after_the_first_allocate_only_what_they_return() {
    // it does count
    assert_eq!(counted(|| drop(vec![0.0; 100])), (1, 800));
    let large = [shapes::dense_w(), shapes::strips(), many_levels()];
    for model in shapes::all().iter().chain(&large) {
        for reml in [true, false] {
            check(model, reml);
            check_classes(model, reml);
        }
    }
}
