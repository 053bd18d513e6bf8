## Writes the benchmark data sets, as .rds, into a folder.
##   Rscript bench/make_data.R FOLDER [SET ...]
## The simulated sets have fixed seeds and the definitions of the measurements that they are
## compared with: the draws stand in an order that must not change. Without names, all sets that
## bench/run measures by default.

RNGkind("Mersenne-Twister", "Inversion", "Rejection")

## A factor from integer codes: the levels are the sorted codes that occur, with a letter in front.
coded <- function(codes, letter) {
  values <- sort(unique(codes))
  structure(match(codes, values), levels = paste0(letter, values), class = "factor")
}

## Ratings of items by users, each pair once, both with degrees that follow power laws.
ratings <- function(n, users, items, seed) {
  set.seed(seed)
  weight_user <- sample((seq_len(users) + 50)^-0.7)
  weight_item <- sample((seq_len(items) + 20)^-0.9)
  key <- numeric()
  while (length(key) < n) {
    m <- ceiling(1.3 * (n - length(key)) + 1000)
    user <- sample.int(users, m, TRUE, weight_user)
    item <- sample.int(items, m, TRUE, weight_item)
    key <- unique(c(key, (user - 1) * items + item))
  }
  key <- sample(key, n)
  user <- as.integer((key - 1) %/% items) + 1L
  item <- as.integer((key - 1) %% items) + 1L
  x <- rnorm(n)
  y <- 3.5 + 0.1 * x + rnorm(users, 0, 0.45)[user] + rnorm(items, 0, 0.5)[item] +
    rnorm(n, 0, 0.85)
  data.frame(y = y, x = x, user = coded(user, "u"), item = coded(item, "i"))
}

## A factor that has lost its order and its unused levels.
unordered <- function(f) factor(as.character(f), levels = levels(droplevels(f)))

shipped <- function(name, package) {
  found <- new.env()
  utils::data(list = name, package = package, envir = found)
  as.data.frame(found[[name]])
}

make <- list(
  sleepstudy = function() shipped("sleepstudy", "lme4"),
  penicillin = function() shipped("Penicillin", "lme4"),
  pastes = function() shipped("Pastes", "lme4")[c("strength", "batch", "sample")],

  ## Ratings of lecturers by students: 73 421 rows, 2972 students, 1128 lecturers.
  insteval = function() {
    d <- shipped("InstEval", "lme4")[c("y", "s", "d", "dept", "service")]
    d[-1L] <- lapply(d[-1L], unordered)
    levels(d$service) <- paste0("v", levels(d$service))
    d
  },

  ## A-level chemistry: 31 022 pupils of 2410 schools of 131 authorities.
  chem97 = function() {
    d <- shipped("Chem97", "mlmRev")[c("score", "gcsescore", "lea", "school")]
    d[c("lea", "school")] <- lapply(d[c("lea", "school")], unordered)
    d
  },

  scotssec = function() {
    d <- shipped("ScotsSec", "mlmRev")[c("attain", "verbal", "sex", "primary", "second")]
    factors <- c("sex", "primary", "second")
    d[factors] <- lapply(d[factors], unordered)
    d
  },

  ## Project STAR, complete rows: 24 578 scores of 10 732 pupils, teachers within schools.
  star = function() {
    d <- shipped("star", "mlmRev")
    d <- d[c("math", "gr", "sx", "eth", "cltype", "yrs", "id", "tch", "sch")]
    d <- droplevels(d[stats::complete.cases(d), ])
    d$yrs <- as.numeric(d$yrs)
    factors <- vapply(d, is.factor, NA)
    d[factors] <- lapply(d[factors], unordered)
    d
  },

  ## 8525 patients of 407 doctors, 2 to 40 each.
  hdp = function() {
    set.seed(407)
    size <- sample(2:40, 407, TRUE)
    excess <- sum(size) - 8525L
    while (excess != 0L) {
      candidates <- if (excess > 0) which(size > 2L) else which(size < 40L)
      one <- sample(candidates, 1L)
      size[one] <- size[one] - sign(excess)
      excess <- sum(size) - 8525L
    }
    n <- 8525L
    doctor <- rep(seq_along(size), size)
    d <- data.frame(Age = round(rnorm(n, 50.97, 6.27), 2))
    d$LengthofStay <- pmin(10, pmax(1, round(rnorm(n, 5.49, 1.05))))
    d$IL6 <- round(rgamma(n, 2, 0.5), 3)
    d$CRP <- round(rgamma(n, 2.8, 0.56), 3)
    d$FamilyHx <- factor(ifelse(runif(n) < 0.2, "yes", "no"))
    mean <- 30 + 0.5 * d$Age + 1.2 * d$LengthofStay + 0.1 * d$IL6 - 0.2 * d$CRP +
      2 * (d$FamilyHx == "yes")
    d$tumorsize <- round(mean + rnorm(407, 0, 4)[doctor] + rnorm(n, 0, 9), 3)
    d$DID <- coded(doctor, "d")
    d
  },

  ## A random slope: 1e6 rows, 1e4 groups.
  slope1e6 = function() {
    set.seed(1)
    g <- sample.int(10000L, 1000000L, TRUE)
    x <- rnorm(1000000L)
    intercept <- rnorm(10000L, 0, 1.5)
    slope <- 0.4 * intercept + rnorm(10000L, 0, 0.5)
    y <- 2 + 0.7 * x + intercept[g] + slope[g] * x + rnorm(1000000L, 0, 2)
    data.frame(y = y, x = x, g = coded(g, "g"))
  },

  ## A random intercept: 1e7 rows, 1e5 groups.
  int1e7 = function() {
    set.seed(2)
    g <- sample.int(100000L, 10000000L, TRUE)
    x1 <- rnorm(10000000L)
    x2 <- runif(10000000L)
    y <- 1 + 0.5 * x1 - x2 + rnorm(100000L)[g] + rnorm(10000000L, 0, 2)
    data.frame(y = y, x1 = x1, x2 = x2, g = coded(g, "g"))
  },

  ## Two crossed factors of 2e4 and 5e3 levels, 1e6 rows.
  cross1e6 = function() {
    set.seed(3)
    a <- sample.int(20000L, 1000000L, TRUE)
    b <- sample.int(5000L, 1000000L, TRUE)
    x <- rnorm(1000000L)
    y <- 3 + 0.3 * x + rnorm(20000L, 0, 1)[a] + rnorm(5000L, 0, 0.7)[b] + rnorm(1000000L, 0, 1.5)
    data.frame(y = y, x = x, a = coded(a, "a"), b = coded(b, "b"))
  },

  ## Ratings as in MovieLens, 1e6 and 1e7 of them.
  ml1e6 = function() ratings(1000000L, 60000L, 20000L, 4),
  ml1e7 = function() ratings(10000000L, 70000L, 10700L, 5),

  ## 400 subjects by 60 items in a Latin square; two factors within both, all effects random in both.
  maximal = function() {
    set.seed(6)
    d <- expand.grid(item = 1:60, subj = 1:400)
    cell <- (d$item + d$subj) %% 4L
    d$A <- c(-0.5, -0.5, 0.5, 0.5)[cell + 1L]
    d$B <- c(-0.5, 0.5, -0.5, 0.5)[cell + 1L]
    x <- cbind(1, d$A, d$B, d$A * d$B)
    lower <- function(columns) {
      l <- matrix(0, 4L, 4L)
      l[lower.tri(l, diag = TRUE)] <- columns
      l
    }
    by_subject <- lower(c(120, 30, -20, 10, 40, 10, 5, 35, -10, 45))
    by_item <- lower(c(60, -15, 10, 5, 25, 5, -5, 30, 10, 20))
    subjects <- matrix(rnorm(4 * 400), 400L) %*% t(by_subject)
    items <- matrix(rnorm(4 * 60), 60L) %*% t(by_item)
    d$rt <- drop(x %*% c(600, 40, -25, 15)) + rowSums(x * subjects[d$subj, ]) +
      rowSums(x * items[d$item, ]) + rnorm(nrow(d), 0, 200)
    data.frame(
      rt = d$rt, A = d$A, B = d$B, subj = coded(d$subj, "s"), item = coded(d$item, "i")
    )
  },

  ## 200 predictors, 2e5 rows, 1000 groups.
  wide = function() {
    set.seed(7)
    x <- matrix(round(rnorm(200000L * 200L), 4), 200000L)
    colnames(x) <- paste0("x", 1:200)
    g <- sample.int(1000L, 200000L, TRUE)
    y <- drop(x %*% rnorm(200L, 0, 0.2)) + rnorm(1000L)[g] + rnorm(200000L, 0, 2)
    data.frame(y = y, x, g = coded(g, "g"))
  }
)

arguments <- commandArgs(TRUE)
folder <- arguments[[1L]]
wanted <- if (length(arguments) > 1L) arguments[-1L] else names(make)
stopifnot("no such data set" = wanted %in% names(make))
dir.create(folder, showWarnings = FALSE, recursive = TRUE)
for (name in wanted) {
  file <- file.path(folder, paste0(name, ".rds"))
  if (file.exists(file)) next
  d <- make[[name]]()
  partial <- paste0(file, ".partial")
  saveRDS(d, partial, compress = FALSE)
  file.rename(partial, file)
  cat(sprintf("%-12s %9d rows\n", name, nrow(d)))
}
