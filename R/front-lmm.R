#' Fit a linear mixed model
#'
#' Fits a linear mixed model by restricted maximum likelihood (REML) or maximum likelihood (ML).
#' Arguments and formulas are those of `lme4::lmer()`; residuals may be correlated and have
#' different variances, as in `nlme::lme()` and `nlme::gls()`.
#'
#' The model is \eqn{y = X\beta + Zb + \epsilon} with
#' \eqn{b = \Lambda(\theta) u}, \eqn{u \sim N(0, \sigma^2 I)} and
#' \eqn{\epsilon \sim N(0, \sigma^2 R(\phi))}, in the notation of Bates et al. (2015). Without a
#' residual structure \eqn{R = W^{-1}}, \eqn{W} the `weights`. The
#' criterion is minimised over \eqn{\theta} and \eqn{\phi} with exact derivatives, and the fit
#' carries a certificate that it is a minimum: see `summary()`.
#'
#' @section Random-effects terms:
#' \describe{
#'   \item{`(1 | g)`}{a random intercept for each level of `g`.}
#'   \item{`(x | g)`, `(1 + x | g)`}{random intercept and slope of `x`, correlated.}
#'   \item{`(0 + x | g)`}{a random slope without intercept.}
#'   \item{`(x || g)`}{random effects that are independent: one variance for each column of
#'     `model.matrix(~ x)`, also where `x` is a factor.}
#'   \item{`(1 | a/b)`}{`b` nested in `a`: the same as `(1 | a) + (1 | a:b)`.}
#'   \item{`(1 | a:b)`}{a random intercept for each combination of levels that occurs.}
#'   \item{`(1 | a*b)`}{`(1 | a) + (1 | b) + (1 | a:b)`.}
#'   \item{`(1 | mm(g1, g2))`}{multiple membership: rows belong to several levels, see below.}
#'   \item{`us(x | g)`, `diag(x | g)`, `cs(x | g)`, ...}{the covariance structure by name, see the
#'     next section.}
#'   \item{`s(x)`, `t2(x, z)`}{smooth functions, as of 'mgcv': see [smooths()].}
#' }
#' A grouping factor may be a factor, character, logical, integer or numeric variable, or an
#' expression such as `factor(g)`, `interaction(a, b)` or `cut(x, 3)`. Levels are values, whatever
#' they print as: whole numbers, strings, days, points in time, durations; fractions that agree to
#' 15 digits are one level, as for `factor()`. So new data may have them in another type or unit.
#' What an expression takes from all rows of the data (the breaks of `cut(x, 3)`, the mean in `x -
#' mean(x)`) is kept for new data. `.` in the fixed part stands for all columns of `data` that are
#' not in the response, grouping variables included, as in lme4. A random-effects term that another
#' one contains, such as `(1 | g)` next to `(x | g)`, is dropped with a warning.
#'
#' @section Fixed effects of many levels:
#' `fixed(1 | g)` is a fixed effect for each level of `g`, as the factor `g` among the other
#' predictors, but without a column for each: of thousands of levels or a million, which are
#' eliminated as random effects are. `fixed(x | g)` are an intercept and a slope for each level,
#' `fixed(0 + x | g)` slopes alone; there may be several terms, with factors that are crossed or
#' nested, beside random effects or (as in `fixest::feols()`) without any. Estimates, standard
#' errors, degrees of freedom, restricted likelihood and predictions are those of the model with the
#' factor.
#' [fixed_levels()] returns the effects of the levels, with standard errors on request. Coefficients
#' of predictors that they reproduce, as the intercept and what is constant within levels, are `NA`.
#' The rank is that of all columns together: exact for one or two factors of intercepts, else
#' numerical. Fits are by REML. Functions that would have to know of the effects and do not refuse
#' such models by name, as do residual structures, smooths and constraints of [lmm_control()].
#'
#' @section Multiple membership, and a matrix of one's own:
#' In `(x | mm(g1, g2, weights = cbind(w1, w2)))` row i belongs to the levels that `g1` and `g2`
#' name, which are levels of one grouping factor: its random part is the weighted mean \eqn{\sum_k
#' w_{ik} z_i' b_{g_k(i)}} of theirs, as of pupils who changed school (Browne, Goldstein and
#' Rasbash 2001). The spelling is that of 'brms'. Weights are divided by their sum in each row;
#' `scale = FALSE` takes them as they are, also negative ones (as for the two players of a match).
#' Without `weights` all members weigh the same. A weight of zero is no membership: whatever level
#' it stands beside counts for nothing, but it must be one: a row with a missing member is left out
#' of the fit. A level that a row names twice has the sum of the weights.
#'
#' `(1 | mm(Z))` takes a numeric matrix with a row for each row of the data as the columns of the
#' random effects, \eqn{Z b} with \eqn{b \sim N(0, \sigma_b^2 I)}: its column names are the levels.
#' It may be sparse ('Matrix'), and is a column of `data` or a variable beside it; new data have it
#' as a column. All methods take such models but those that need one level of each grouping factor
#' for each row (`getGroups()`, `pooling()`, covariance matrices from clusters, rules for degrees
#' of freedom, ...), which say so; known matrices of levels, `by` and residual structures cannot be
#' combined with `mm()`.
#'
#' @section Covariance structures of random effects:
#' Structures of the covariance matrix of the k random effects of a level, spelt as in 'lme4' 2.x
#' and 'glmmTMB':
#'
#' | term | structure | parameters |
#' | --- | --- | --- |
#' | `us(x \| g)`, `(x \| g)` | unstructured | k(k+1)/2 |
#' | `diag(x \| g)` | independent, own variances | k |
#' | `diag(x \| g, hom = TRUE)`, `homdiag()` | independent, one variance | 1 |
#' | `cs(x \| g)` | one correlation, own variances | k + 1 |
#' | `cs(x \| g, hom = TRUE)`, `homcs()` | compound symmetry | 2 |
#' | `ar1(0 + f \| g)` | first-order autoregressive, one variance | 2 |
#' | `ar1(0 + f \| g, hom = FALSE)`, `hetar1()` | the same, own variances | k + 1 |
#' | `toep(0 + f \| g)` | a correlation for each lag, own variances | 2k - 1 |
#' | `toep(0 + f \| g, hom = TRUE)`, `homtoep()` | the same, one variance | k |
#' | `rr(0 + f \| g, k = d)` | reduced rank: loadings on d factors | kd - d(d-1)/2 |
#' | `fa(0 + f \| g, k = d)` | factor-analytic: and specific variances | kd - d(d-1)/2 + k |
#'
#' `rr()` and `fa()` are for many correlated effects, as of varieties in environments: \eqn{G =
#' \Lambda \Lambda'}, with \eqn{\Lambda} k x d, and for `fa()` a specific variance of each effect
#' besides. They have no more parameters than `us()`: d is at most k for `rr()`, and \eqn{(2k + 1 -
#' \sqrt{8k + 1}) / 2} for `fa()`, which so needs 3 effects for one factor, 5 for two. `theta` has
#' loadings with zeros above the diagonal, column by column, then specific standard deviations, all
#' relative to sigma; [factor_loadings()] rotates them. A specific variance of zero, a Heywood
#' case, is a singular fit. Likelihood ratios of numbers of factors have no chi-squared
#' distribution: compare AIC or BIC. What takes parameters one by one (profiles, bootstraps,
#' [ranova()], [vpredict()]) is refused by name.
#'
#' In `ar1()` and `toep()` the lag of two effects is how far apart they stand among the columns of
#' `model.matrix(~ 0 + f)`: levels of `f` in their order, so `f` must be a factor. A level that no
#' row has (or no longer has, after `subset` or missing values) counts if it lies between others; it
#' has a predicted effect, and needs the variance of the others (`hom = TRUE`).
#'
#' Levels of a grouping factor are independent unless their covariance matrix is given: `us(1 | id,
#' cov = K)` for a covariance matrix, as of the additive relationship of animals, and `us(1 | id,
#' prec = Q)` for its inverse. `K` and `Q` are symmetric, dense or sparse ('Matrix'), with dimnames
#' that are matched to the levels of `id`. The covariance matrix of the random effects is then the
#' Kronecker product of `K` and that of the effects of one level. Of `K`, the levels that occur are
#' used. All levels of `Q` stay in the model, including those without rows (ancestors in a
#' pedigree, see [pedigree_precision()]): [ranef()] predicts them. A second term on the same
#' variable without a known matrix, `us(1 | id, cov = K) + (1 | id)`, has a grouping factor of its
#' own.
#'
#' `us(x | g, by = arm)` gives the levels of `g` in each level of `arm` a covariance matrix of their
#' own, with every structure (GROUP= in SAS): theta has the parameters of the first level of `arm`,
#' then those of the second, with names that end in the level, and [VarCorr()] a matrix for each.
#' `by` is a variable, an expression or an interaction, `arm:sex`, that is the same in all rows of a
#' level of `g`. New data need it for levels of `g` that the fit has not, where variances of these
#' are asked for or effects are drawn; levels of the fit stay what they are. A known matrix must
#' have zeros between levels of different `arm`, and all of its levels rows. Where the residual
#' variances differ as well, `weights = varIdent(form = ~ 1 | arm)` has these.
#'
#' @section Residual structures:
#' The residuals of one group are N(0, \eqn{\sigma^2 W^{-1/2} D C D W^{-1/2}}), those of different
#' groups independent; \eqn{C} is a correlation matrix, \eqn{D} a diagonal matrix of standard
#' deviations relative to \eqn{\sigma}, \eqn{W} the precision weights. There are two spellings. A
#' model with a residual structure needs no random effects: it is then what `nlme::gls()` or an MMRM
#' fits.
#'
#' * As in 'nlme': `correlation =` gives \eqn{C}, by [nlme::corAR1()], [nlme::corCAR1()],
#'   [nlme::corARMA()], [nlme::corCompSymm()], [nlme::corSymm()], [nlme::corExp()],
#'   [nlme::corGaus()], [nlme::corLin()], [nlme::corRatio()] or [nlme::corSpher()]; `weights =`
#'   gives \eqn{D}, by [nlme::varIdent()], [nlme::varPower()], [nlme::varExp()],
#'   [nlme::varConstPower()], [nlme::varConstProp()], [nlme::varFixed()] or [nlme::varComb()].
#'   'nlme' need not be attached.
#'   In `form = ~ t | g`, `g` gives the groups (the interaction, for `a/b` and `a:b`) and `t` the
#'   position in the group; with `form = ~ 1 | g` that is the order of the rows. The groups may be
#'   finer than those of the random effects, the same, coarser or crossed with them. Where `form`
#'   names no groups, they are the innermost groups of the random effects; without random effects
#'   all rows are one group. `fixed = TRUE` holds parameters at their values.
#' * As in 'mmrm': `residual = ~ us(visit | subject)`, with the structures `us`, `toep`, `toeph`,
#'   `ad`, `adh` (ante-dependence), `ar1`, `ar1h`, `cs`, `csh`, `sp_exp(x, y | subject)`,
#'   `sp_gau()`. `us` and those that end in h have a standard deviation for each visit, relative to
#'   that of the first. `sp_matern(x, y | subject, nu = 1.5)` is Matern's correlation at distance h,
#'   with \eqn{a = \sqrt{2 \nu} h / range}: exp(-a) for `nu = 0.5` (as `sp_exp`), (1 + a) exp(-a)
#'   for 1.5, the default, and \eqn{(1 + a + a^2/3) \exp(-a)} for 2.5 (Rasmussen and Williams, 2006,
#'   eq. 4.17). `nu` is not estimated; compare fits by [logLik()]. With a slash, as in
#'   `us(visit | arm / subject)`, each level of `arm` has parameters and a variance of its own, with
#'   every structure (GROUP= in SAS); groups are then the combinations of `arm` and `subject`, and
#'   covariances by an interaction are `us(visit | arm:centre / subject)`. The `sp_` structures take
#'   `nugget = TRUE`: correlations are 1 - nugget times those of the function. A matrix among their
#'   variables, or those of `corExp` and its relatives, has a coordinate in each column.
#'
#' A colon makes products: `residual = ~ us(trait):ar1(visit) | id` correlates two rows of an `id`
#' as `us()` does their traits, times as `ar1()` does their visits (TYPE=UN@AR(1) in SAS; Galecki,
#' 1994), and `~ ar1(row):ar1(col, nugget = TRUE)` are the plots of a field with independent errors
#' beside (Cullis and Gleeson, 1991). The groups stand once, behind the product; without them all
#' rows are one group. Two or three factors of different variables are possible, of `us`, `toep`,
#' `toeph`, `ad`, `adh`, `ar1`, `ar1h`, `cs` and `csh`; standard deviations of several factors are
#' multiplied. Not every combination needs a row, and none may have two, unless there is a nugget.
#' Parameters are named after the variables, as `residual.visit.rho`.
#'
#' `residual = ~ known(V)` is a known covariance matrix of the rows of the data, as of estimates in
#' a meta-analysis: the residuals are N(0, \eqn{\sigma^2 V}), and with `control = lmm_control(sigma
#' = 1)` their covariances are `V` itself, as in `metafor::rma.mv(yi, V)` (whose restricted
#' log-likelihood is ours plus half the log-determinant of X'X, unless `REMLf = FALSE`). `V` is
#' symmetric and positive definite, dense or sparse ('Matrix'), a list of its diagonal blocks
#' (matrices or numbers), or a vector of variances, found in `data` or where the formula was
#' written. Its rows are those of the data in their order, before `subset` and missing values, which
#' leave out rows of `V` as well; if both have row names, they must be the same. Only what rows in
#' use have in `V` counts. Rows that `V` connects, also through others, are one group, whose part
#' of `V` is a dense matrix: the largest group, not the number of rows, decides how much memory is
#' needed. There are no `weights` beside it. `V` says nothing of rows of other data:
#' `predict(newdata, interval = "prediction")` needs their variances, `weights = 1 / v`.
#'
#' Lags (of `ar1`, `ar1h`, `toep`, `toeph`, `corAR1`, `corARMA`): where the visit is a factor, lags
#' count its levels, including those that no row has, so that visits 1, 2 and 4 of 4 are 1, 2 and 3
#' apart. For `ar1`, `corAR1` and `corARMA` whole numbers (dates: days) are taken as they are; for
#' `toep` in units of their largest common step, so that ages 8, 10 and 14 are 1, 2 and 3 apart.
#' Character vectors have no order and are refused. A Toeplitz matrix needs two rows of a group at
#' each lag.
#'
#' | structure | parameters, as in `fit$phi` | internal, unconstrained |
#' | --- | --- | --- |
#' | corAR1, `ar1` | `rho` in (-1, 1) | rho = sin x |
#' | corCAR1 | `rho` in (0, 1), correlation rho^\|t - s\| | log of the range -1/log rho |
#' | corARMA | `ar1`, ..., `ma1`, ..., as [stats::arima()] | partial autocorrelations, sin x each |
#' | corCompSymm, `cs` | `rho` in (-1/(m-1), 1), m rows in a group | lo + (1 - lo)(1 + sin x)/2 |
#' | corSymm, `us` | `cor(2,1)`, `cor(3,1)`, ... | rows (x, 1)/norm of a triangular root |
#' | `toep` | `rho1`, ..., by lag | partial autocorrelations, sin x each |
#' | `ad` | `cor(2,1)`, `cor(3,2)`, ... of neighbours; others are their products | sin x each |
#' | corExp, `sp_exp`, ... | `range`; `nugget`: correlations times 1 - nugget | log; (1 + sin x)/2 |
#' | varIdent | `sd.ratio s` of stratum s to the first (that of the first row) | log |
#' | varPower | `power`: d = \|v\|^power | as it is |
#' | varExp | `exp`: d = exp(exp v) | times the standard deviation of v |
#' | varConstPower | `const` > 0, `power`: d = const + \|v\|^power | log; as it is |
#' | varConstProp | `const`, `prop` > 0: d = sqrt(const^2 + prop^2 v^2), with a known sigma | log |
#'
#' Names begin with `residual.`; parameters of strata end with the stratum. Models whose variances
#' depend on the fitted values (`varPower()` and others without a variable in `form`) are fitted
#' repeatedly, as in 'nlme', until the fitted values settle; standard errors and profiles take the
#' fitted values in the variance function as given.
#'
#' A random-effects term that duplicates the residual structure, such as `(1 | g)` with
#' `corCompSymm(form = ~ 1 | g)`, gives a warning of class `ferrolmm_warning_identifiable`.
#'
#' @section What is reported:
#' A fit is silent where nothing is wrong. Columns of the fixed effects that are linear
#' combinations of others are dropped as by [stats::lm()], with a message of class
#' `ferrolmm_message_rank`. A variance of zero, or a correlation of 1 or -1, gives a message of
#' class `ferrolmm_message_singular`. Where the certificate of the optimum does not hold, there
#' is a warning of class `ferrolmm_warning_convergence`. Errors have the class `ferrolmm_error`
#' and a second one for their kind, such as `ferrolmm_error_data`.
#'
#' @param formula (`formula`)\cr two-sided, with random-effects terms in parentheses; or a string
#'   that holds such a formula.
#' @param data (`data.frame`, `list` or `environment`)\cr where the variables are; those not found
#'   there are taken from the environment of the formula. Or [lmm_moments()], rows that are read in
#'   chunks ([lmm_chunks()]), or rows that stay in a database: a lazy table of 'dplyr', or
#'   [lmm_source()].
#' @param REML (`logical(1)`)\cr restricted maximum likelihood; `FALSE` for maximum likelihood.
#' @param weights (`numeric`)\cr precision weights: the residual variance of row i is
#'   \eqn{\sigma^2 / w_i}. Evaluated in `data`. A row of weight zero is left out, as by `subset`; a
#'   weight that is NA or NaN is a missing value (see `na.action`), a negative or infinite one an
#'   error. Or a variance function of 'nlme', see below; or [sampling_weights()], which say how many
#'   a row and a group stand for in the population.
#' @param subset (`logical`, row numbers or row names)\cr rows to use. Evaluated in `data`.
#' @param na.action (`function`)\cr what to do with missing values: [stats::na.omit()] (the
#'   usual default, from `getOption("na.action")`), [stats::na.exclude()] or [stats::na.fail()].
#' @param offset (`numeric`)\cr a known part of the mean, added to `offset()` terms of the formula.
#'   Evaluated in `data`.
#' @param contrasts (named `list`)\cr contrasts of factors in the fixed part, each a matrix, a
#'   function or its name.
#' @param start (`numeric` or `list`)\cr where the optimiser starts: `theta`, or `list(theta = )`;
#'   with a residual structure `list(theta = , phi = )`. Seldom needed.
#' @param control (`lmm_control`)\cr options of the fit, see [lmm_control()], such as a known
#'   residual standard deviation, or parameters that are held or tied.
#' @param correlation (`corStruct`)\cr correlations of residuals, by a constructor of 'nlme', see
#'   below.
#' @param residual (`formula`)\cr structure of the residuals, such as `~ us(visit | subject)`, see
#'   below; an alternative to `correlation`.
#' @param ... None: any other argument is an error that suggests the one that may have been meant.
#'
#' @returns An object of class `lmm`: a list that holds among others `coefficients` (fixed
#'   effects), `theta` (covariance parameters), `phi` (parameters of the residual structure),
#'   `sigma`, `frame` (the model frame) and `certificate`. Use its methods: `summary()`, [fixef()],
#'   [ranef()], [VarCorr()], `vcov()`, `fitted()`, `residuals()`, `predict()`, `logLik()`,
#'   [getME()].
#' @references
#' Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear mixed-effects models
#' using lme4. *Journal of Statistical Software*, 67(1), 1-48. \doi{10.18637/jss.v067.i01}
#'
#' Browne, W. J., Goldstein, H. and Rasbash, J. (2001). Multiple membership multiple classification
#' (MMMC) models. *Statistical Modelling*, 1(2), 103-124.
#'
#' Cullis, B. R. and Gleeson, A. C. (1991). Spatial analysis of field experiments: an extension to
#' two dimensions. *Biometrics*, 47, 1449-1460.
#'
#' Galecki, A. T. (1994). General class of covariance structures for two or more repeated factors in
#' longitudinal data analysis. *Communications in Statistics: Theory and Methods*, 23, 3105-3119.
#'
#' Rasmussen, C. E. and Williams, C. K. I. (2006). *Gaussian Processes for Machine Learning*. MIT
#' Press.
#' @seealso [smooths()] for smooth terms, [summary.lmm()], [anova.lmm()], [predict.lmm()],
#'   [confint.lmm()], [plot.lmm()], [ddf] for degrees of freedom, [lmm_control()] for options,
#'   [emmeans-lmm] for marginal means; `vignette("ferrolmm")` and `vignette("doctors")`.
#' @examples
#' data(Orthodont, package = "nlme")
#' m <- lmm(distance ~ age + (age | Subject), data = Orthodont)
#' summary(m)
#' lmm(distance ~ age * Sex + (age || Subject), data = Orthodont, REML = FALSE)
#' lmm(distance ~ age * Sex + us(1 | Subject, by = Sex), data = Orthodont)
#'
#' ## pupils who may have changed school, by the share of time in each
#' set.seed(1)
#' pupils <- data.frame(school1 = sample(20, 200, TRUE), school2 = sample(20, 200, TRUE),
#'                      share1 = runif(200))
#' effect <- rnorm(20)
#' pupils$score <- with(pupils, share1 * effect[school1] + (1 - share1) * effect[school2]) +
#'   rnorm(200)
#' lmm(score ~ 1 + (1 | mm(school1, school2, weights = cbind(share1, 1 - share1))), data = pupils)
#'
#' ## structures of the residuals: a variance for each sex, correlations along time
#' lmm(distance ~ age * Sex + (1 | Subject), Orthodont, weights = varIdent(form = ~ 1 | Sex))
#' lmm(distance ~ age * Sex, Orthodont, correlation = corAR1(form = ~ 1 | Subject))
#' lmm(distance ~ age * Sex, Orthodont, residual = ~ us(age | Subject))
#'
#' ## a meta-analysis: two outcomes of five trials with known sampling covariances
#' # (Berkey et al., 1998, Statistics in Medicine, 17, 2537-2550)
#' trials <- data.frame(
#'   trial = gl(5, 2), outcome = gl(2, 1, 10, c("PD", "AL")),
#'   y = c(0.47, -0.32, 0.20, -0.60, 0.40, -0.12, 0.26, -0.31, 0.56, -0.39)
#' )
#' V <- list(
#'   matrix(c(0.0075, 0.0030, 0.0030, 0.0077), 2), matrix(c(0.0057, 0.0009, 0.0009, 0.0008), 2),
#'   matrix(c(0.0021, 0.0007, 0.0007, 0.0014), 2), matrix(c(0.0029, 0.0009, 0.0009, 0.0015), 2),
#'   matrix(c(0.0148, 0.0072, 0.0072, 0.0304), 2)
#' )
#' lmm(y ~ 0 + outcome + (0 + outcome | trial), trials, REML = FALSE, residual = ~ known(V),
#'     control = lmm_control(sigma = 1))
#' @export
lmm <- function(formula, data = NULL, REML = TRUE,
                weights, subset, na.action, offset,
                contrasts = NULL, start = NULL, control = lmm_control(),
                correlation = NULL, residual = NULL, ...) {
  if (...length() > 0L) check_lmm_dots(...)
  call <- match.call()
  given <- list(
    correlation = if (!missing(correlation)) {
      unevaluated(substitute(correlation), function() correlation)
    },
    residual = if (!missing(residual)) unevaluated(substitute(residual), function() residual),
    weights = if (!missing(weights)) unevaluated(substitute(weights), function() weights),
    subset = if (!missing(subset)) unevaluated(substitute(subset), function() subset),
    offset = if (!missing(offset)) unevaluated(substitute(offset), function() offset)
  )
  control <- check_control(control)
  if (length(control$options) > 0L) {
    before <- options(control$options)
    on.exit(options(before))
  }
  na_action <- find_na_action(if (missing(na.action)) getOption("na.action") else na.action)
  check_given(missing(formula), data)
  call <- callable(call, substitute(data), given)
  reml <- check_reml(REML)
  caller <- parent.frame()
  fit <- if (is_aggregated(data)) fit_aggregated else fit_formula
  with_memory(
    fit(call, formula, data, reml, given, na_action, contrasts, start, control, caller)
  )
}

#' Are there moments, or rows that become moments before a model sees them?
#' @noRd
is_aggregated <- function(data) {
  inherits(data, c("lmm_moments", "lmm_chunks", "lmm_source", "tbl_lazy"))
}

#' The call in a form that can be evaluated again and read
#'
#' It is a call of lmm() even where it was made as FUN() by lapply(). Where arguments came by the
#' `...` of another function, `..1` is replaced by what was written there.
#' @noRd
callable <- function(call, data, given) {
  if (!identical(call[[1L]], quote(lmm)) && !is_call_to(call[[1L]], c("::", ":::"))) {
    call[[1L]] <- quote(lmm)
  }
  for (name in names(given)[lengths(given) > 0L]) {
    if (is.symbol(call[[name]])) call[[name]] <- given[[name]]$expr
  }
  if (is_dots_element(call$data)) {
    call$data <- data
  }
  call
}

#' Is it `..1`, `..2`, ...?
#' @noRd
is_dots_element <- function(x) {
  is.symbol(x) && startsWith(as.character(x), "..") && grepl("^[.][.][0-9]+$", x)
}

#' Refuse arguments that lmm() does not have
#' @noRd
check_lmm_dots <- function(...) {
  given <- ...names()
  abort_unknown_arguments(
    if (is.null(given)) character(...length()) else given, as.list(substitute(list(...)))[-1L],
    setdiff(names(formals(lmm)), "..."), lmm_hints
  )
}

#' @noRd
check_reml <- function(reml) {
  if (is.numeric(reml) && length(reml) == 1L && reml %in% c(0, 1)) {
    reml <- reml == 1
  }
  if (!is.logical(reml) || length(reml) != 1L || is.na(reml)) {
    ferrolmm_abort("`REML` must be TRUE or FALSE.", "argument")
  }
  reml
}
