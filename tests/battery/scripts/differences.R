# Where results of the scripts differ from lmer's, and may: each with a sentence that says who is
# right and how that was shown. `says` is a regular expression for lines that
# tests/battery/scripts/run prints.
explain <- function(script, says, because) list(script = script, says = says, because = because)

kenward <- paste(
  "emmeans asks pbkrtest for Kenward and Roger's standard errors and degrees of freedom by",
  "default; ours are Satterthwaite's. With lmer.df = \"kenward-roger\" they are the same (rows of",
  "tests/battery)."
)
tables <- paste(
  "car tests with chi-squared statistics by default; ours are F, the statistic divided by its",
  "degrees of freedom. With test.statistic = \"Chisq\" they are car's (rows of tests/battery)."
)
ran_pars <- paste(
  "broom.mixed has no standard errors of variances; ours are those of VarCorr(fit, se = TRUE)."
)

explained <- list(
  explain("reading", "^random: Pr[(]>(Chibarsq|LRT)[)]", paste(
    "ranova() has two more p values, for a variance that is zero; the chi-squared one is",
    "lmerTest's."
  )),
  explain("reading", "^wald: (rows |.*(missing|us alone)$)", tables),
  explain("reading", "^(cells|milliseconds|d): (df|SE|lower.CL|upper.CL) ", kenward),
  explain("reading", "^(simple|interaction): (SE|df|t.ratio|p.value) ", kenward),
  explain("reading", "^predicted: (std.error|conf.low|conf.high) |^picture: 2.ym(in|ax) ", paste(
    "ggeffects builds the rows that it predicts with treatment contrasts, whatever those of the",
    "fit are, so lmer's errors are those of other cells. Ours are sqrt(x'Vx) with x by",
    "contr.sum(), by hand: 0.0408 at the mean age, long sentences, related primes."
  )),
  explain("reading", "^spread: std.error.* us alone", ran_pars),
  explain("reading", "^table: ", paste(
    "sjPlot names sum contrasts \"prime1\" for lmer() and \"prime [1]\" for other classes. Read",
    "line by line, the two tables are the same in all else."
  )),
  explain("meadows", "^single: ", paste(
    "lmerTest's drop1() tests with F whatever `test` says; ours has the likelihood ratio tests",
    "that test = \"Chisq\" asks for, as lme4's drop1()."
  )),
  explain("meadows", "^(uses|letters): (SE|df|lower.CL|upper.CL) ", kenward),
  explain("meadows", "^(tested|hypothesis): .*(missing|us alone)$", tables),
  explain("meadows", "^intervals: ", paste(
    "lme4 profiles the likelihood of an ML fit, also where the fit is by REML; ours profiles the",
    "criterion of the fit (tests/testthat/test-infer-profile.R, by brute force). After refitML()",
    "the limits are lme4's."
  )),
  explain("meadows", "^shift: ", paste(
    "Ten more on each response are ten more on the intercept and nothing elsewhere: so with us, to",
    "1e-13. lmer's refit() stops beside its optimum."
  )),
  explain("meadows", "^tidy: std.error has 0 NAs", ran_pars),
  explain("meadows", "^heteroscedastic: values ", paste(
    "performance divides squared residuals by the deviance over its degrees of freedom, so that p",
    "depends on the units of the response; ours divides by their mean: car::ncvTest(), with the",
    "variance of the random effects held at zero (tests/testthat/test-interop-performance.R)."
  )),
  explain("schools", "^(trends|means): .*(SE|df|lower.CL|upper.CL|t.ratio|p.value) ", kenward),
  explain("schools", "^quantiles: ", paste(
    "The same points: lattice sorts lmer's, and names them; ours stand in the order of the levels."
  )),
  explain("schools", "^interval: ", paste(
    "Wald intervals of lme4 are normal; ours take the t distribution with Satterthwaite's degrees",
    "of freedom. With ddf = \"asymptotic\" they are lme4's."
  )),
  explain("schools", "^influence: ", paste(
    "lme4 multiplies Cook's distance by (n - p) / n, with n the number of deletions: 39/40 here,",
    "to 1e-5, where ours fits anew too (update = \"exact\"). By default the variances of our",
    "deletions are those of one Newton step."
  ))
)
