test_that("model matrices of the fit's own rows as data are those of the fit", {
  for (name in setdiff(names(twin_calls), "missing")) {
    fit <- our_twin(name)
    data <- twin_data()[[as.character(fit$call$data)]]
    expect_equal(model.matrix(fit, data = data), model.matrix(fit), ignore_attr = TRUE,
                 info = name)
    expect_equal(
      as.matrix(model.matrix(fit, "random", data = data)), as.matrix(model.matrix(fit, "random")),
      ignore_attr = TRUE, info = name
    )
    expect_equal(
      model.matrix(fit, "randomListRaw", data = data), model.matrix(fit, "randomListRaw"),
      ignore_attr = TRUE, info = name
    )
  }
})

test_that("other rows are coded as those of the fit", {
  fit <- our_twin("poly")
  data <- twin_data()$sleepstudy
  new <- data[c(5, 17, 100), ]
  expect_equal(model.matrix(fit, data = new), model.matrix(fit)[c(5, 17, 100), ],
               ignore_attr = TRUE)
  expect_identical(colnames(model.matrix(fit, data = new)), names(fixef(fit)))
  Z <- model.matrix(fit, "random", data = new)
  expect_equal(as.matrix(Z), as.matrix(getME(fit, "Z"))[c(5, 17, 100), ], ignore_attr = TRUE)
  expect_identical(colnames(Z), colnames(getME(fit, "Z")))
  # predictions are X beta + Z b
  expect_equal(
    as.vector(model.matrix(fit, data = new) %*% fixef(fit) + Z %*% getME(fit, "b")),
    unname(predict(fit, new))
  )
  # one level of a factor, and no response, are enough
  fit <- our_twin("factor_slope")
  x <- model.matrix(fit, data = data.frame(late = "late", Subject = "308"))
  expect_identical(unname(x[1L, ]), c(1, 1))
  new <- transform(data, Days = NA)[1:2, ]
  expect_true(all(is.na(model.matrix(our_twin("slope"), data = new)[, "Days"])))
  expect_error(
    model.matrix(our_twin("slope"), "random", data = transform(data, Subject = "new")),
    class = "ferrolmm_error"
  )
})
