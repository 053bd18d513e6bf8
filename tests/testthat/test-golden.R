## Published numbers, none of them ours: golden/README.md says what the two tables hold.

read_golden <- function(file) {
  utils::read.csv(test_path("golden", file), na.strings = "", stringsAsFactors = FALSE)
}
models <- read_golden("models.csv")
published <- read_golden("published.csv")

## Data of packages that Debian lacks are in the corpus that is shared with other projects, where it
## is beside the repository (or where FERROLMM_CORPUS says).
corpus_files <- c(fev_data = "mmrm_fev.csv")

corpus_file <- function(dataset) {
  corpus <- Sys.getenv("FERROLMM_CORPUS", test_path("..", "..", "..", "shared", "corpus"))
  file <- file.path(corpus, "data", corpus_files[dataset])
  if (!is.na(corpus_files[dataset]) && file.exists(file)) file
}

golden_data <- function(model) {
  file <- corpus_file(model$dataset)
  if (!is.null(file)) {
    d <- utils::read.csv(file, stringsAsFactors = TRUE)
  } else {
    skip_if_not_installed(model$package)
    found <- new.env()
    utils::data(list = model$dataset, package = model$package, envir = found)
    d <- as.data.frame(found[[model$dataset]])
  }
  for (v in names(d)) if (is.ordered(d[[v]])) d[[v]] <- factor(d[[v]], ordered = FALSE)
  if (is.na(model$setup)) d else droplevels(eval(str2lang(model$setup), list(d = d)))
}

## The fit's value of one published number.
ours <- function(fit, what, group, term, level) {
  terms <- strsplit(c(term, ""), "~", fixed = TRUE)[[1L]]
  pair <- rep_len(terms, 2L)
  switch(what,
    criterion = if (isREML(fit)) REMLcrit(fit) else deviance(fit),
    loglik = as.numeric(logLik(fit)),
    pseudo_loglik = -fit$criterion / 2,
    npar = attr(logLik(fit), "df"),
    aic = AIC(fit),
    bic = BIC(fit),
    singular = as.numeric(isSingular(fit)),
    sigma = sigma(fit),
    sigma2 = sigma(fit)^2,
    fixef = fixef(fit)[[term]],
    se = sqrt(vcov(fit)[term, term]),
    adjusted = coef(summary(fit, ddf = group))[term, "Std. Error"],
    se_variance = sqrt(vcov(fit, which = "theta", scale = "vcov")[term, term]),
    df = coef(summary(fit, ddf = group))[term, "df"],
    vcov = vcov(fit)[pair[1L], pair[2L]],
    robust = vcov(fit, type = group)[term, term],
    var = random_covariance(fit, group, term)[term, term],
    sd = sqrt(random_covariance(fit, group, term)[term, term]),
    cor = stats::cov2cor(random_covariance(fit, group, pair)[pair, pair])[1L, 2L],
    rcov = residual_covariance_of(fit, group)[pair[1L], pair[2L]],
    rcor = stats::cov2cor(residual_covariance_of(fit, group))[pair[1L], pair[2L]],
    phi = residual_parameter(fit, term),
    ranef = ranef(fit, condVar = FALSE)[[group]][level, term],
    condvar = conditional_variance(fit, group, level, pair),
    stop("no such check: ", what)
  )
}

## Of the terms on a group (two, after `||`), the one that has the effects named.
random_covariance <- function(fit, group, effects) {
  v <- VarCorr(fit)
  v <- v[sub("\\.[0-9]+$", "", names(v)) == group]
  v[[which(vapply(v, function(m) all(effects %in% rownames(m)), NA))]]
}

## Visit by visit, of one group where each has its own.
residual_covariance_of <- function(fit, group) {
  visits <- getVarCov(fit, type = "conditional")
  if (is.na(group)) visits else visits[[group]]
}

residual_parameter <- function(fit, name) {
  parameters <- attr(VarCorr(fit), "residual")
  parameters$estimate[parameters$parameter == name]
}

conditional_variance <- function(fit, group, level, pair) {
  modes <- ranef(fit, condVar = TRUE)[[group]]
  i <- match(pair, names(modes))
  attr(modes, "postVar")[i[1L], i[2L], match(level, rownames(modes))]
}

for (i in seq_len(nrow(models))) {
  model <- models[i, ]
  test_that(paste("published numbers:", model$model), {
    d <- golden_data(model)
    more <- if (!is.na(model$arguments)) as.list(str2lang(model$arguments))[-1L]
    call <- as.call(c(quote(lmm), str2lang(model$formula), quote(d), REML = model$reml, more))
    fit <- suppressMessages(eval(call))
    numbers <- published[published$model == model$model, ]
    expect_gt(nrow(numbers), 0L)
    for (j in seq_len(nrow(numbers))) {
      k <- numbers[j, ]
      label <- paste(stats::na.omit(c(k$what, k$group, k$term, k$level)), collapse = " ")
      gap <- abs(ours(fit, k$what, k$group, k$term, k$level) - k$value)
      expect_lte(gap, k$tolerance, label = paste("gap of", label))
    }
  })
}

test_that("every published number belongs to a model", {
  expect_true(all(published$model %in% models$model))
})
