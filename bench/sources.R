## One model, its rows in memory, in chunks and in databases: seconds and memory.
##   Rscript bench/sources.R [ROWS] [LEVELS]          (1e6 rows, 50,000 levels)
## y ~ x + (x | g). Each source in a process of its own, whose highest resident size is told; the
## rows are the same. The database is filled before, and that is not counted. PostgreSQL: start a
## server of its own by dev/postgres, and name its folder in FERROLMM_POSTGRES.
arguments <- commandArgs(TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
rows <- if (length(arguments) > 0L) as.numeric(arguments[[1L]]) else 1e6
levels <- if (length(arguments) > 1L) as.integer(arguments[[2L]]) else 50000L
folder <- Sys.getenv("FERROLMM_BENCH", tempdir())
formula <- y ~ x + (x | g)

# The same rows in every process, a chunk at a time
chunks <- function(size = 250000) {
  set.seed(1)
  u <- stats::rnorm(levels)
  v <- 0.3 * stats::rnorm(levels)
  done <- 0
  function() {
    n <- min(size, rows - done)
    if (n <= 0) return(NULL)
    # a seed for each chunk: what reads or writes between them may draw numbers, too
    set.seed(1 + done / size)
    done <<- done + n
    g <- sample.int(levels, n, TRUE)
    x <- stats::rnorm(n)
    data.frame(g = g, x = x, y = 1 + 2 * x + u[g] + v[g] * x + stats::rnorm(n))
  }
}

connect <- function(name) {
  if (name == "PostgreSQL") {
    DBI::dbConnect(
      RPostgreSQL::PostgreSQL(), dbname = "postgres", user = "postgres",
      host = Sys.getenv("FERROLMM_POSTGRES")
    )
  } else {
    DBI::dbConnect(RSQLite::SQLite(), file.path(folder, "bench.sqlite"))
  }
}

fill <- function(name) {
  con <- connect(name)
  on.exit(DBI::dbDisconnect(con))
  if (DBI::dbExistsTable(con, "visits")) DBI::dbRemoveTable(con, "visits")
  read <- chunks()
  append <- FALSE
  while (!is.null(chunk <- read())) {
    DBI::dbWriteTable(con, "visits", chunk, append = append, row.names = FALSE)
    append <- TRUE
  }
}

peak <- function() {
  line <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

one <- function(name) {
  suppressPackageStartupMessages(library(ferrolmm))
  data <- switch(name,
    rows = {
      read <- chunks()
      parts <- list()
      while (!is.null(chunk <- read())) parts[[length(parts) + 1L]] <- chunk
      as.data.frame(lapply(stats::setNames(nm = names(parts[[1L]])), function(column) {
        unlist(lapply(parts, `[[`, column))
      }))
    },
    chunks = lmm_chunks(chunks()),
    lmm_source(connect(name), "visits")
  )
  gc()
  before <- proc.time()[["elapsed"]]
  fit <- suppressMessages(lmm(formula, data))
  after <- proc.time()[["elapsed"]]
  cat(sprintf(
    "| %s | %.2f | %.0f | %.6f | %.8f |\n", name, after - before, peak(), fit$criterion,
    sigma(fit)
  ))
}

if (nzchar(Sys.getenv("FERROLMM_SOURCE"))) {
  one(Sys.getenv("FERROLMM_SOURCE"))
} else {
  names <- c("rows", "chunks", "SQLite", if (nzchar(Sys.getenv("FERROLMM_POSTGRES"))) "PostgreSQL")
  cat("| source | seconds | peak MB | REML criterion | sigma |\n|---|---|---|---|---|\n")
  Sys.setenv(FERROLMM_BENCH = folder)
  for (name in names) {
    if (!name %in% c("rows", "chunks")) fill(name)
    system2("Rscript", c(shQuote(file), rows, levels), env = paste0("FERROLMM_SOURCE=", name))
  }
}
