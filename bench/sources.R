## One model, its rows in memory, in chunks and in databases: seconds and memory.
##   Rscript bench/sources.R [ROWS] [LEVELS] [SOURCE...]  (1e6 rows, 50,000 levels, every source)
##   Rscript bench/sources.R ROWS crossed [SOURCE...]     (5000, 500 and 50 levels)
##   Rscript bench/sources.R --generated [ROWS] [LEVELS] [SOURCE...]
##                                                rows that DuckDB and Spark make themselves
## y ~ x + (x | g), or y ~ x + (1 | g) + (1 | h) + (1 | k), whose moments are tables. Each source in
## a process of its own, whose highest resident size is told (that of a server or of DuckDB's program
## is not in it); the rows are the same, but generated ones. The databases are filled before, and
## that is not counted. Those that run are named by
## FERROLMM_POSTGRES, FERROLMM_MARIADB, FERROLMM_SPARK (folders: dev/postgres start and its
## neighbours print them) and FERROLMM_DUCKDB (what dev/duckdb prints). FERROLMM_BENCH: a folder for
## files of the databases.
arguments <- commandArgs(TRUE)
generated <- "--generated" %in% arguments
arguments <- setdiff(arguments, "--generated")
file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
rows <- if (length(arguments) > 0L) as.numeric(arguments[[1L]]) else 1e6
crossed <- identical(arguments[2L], "crossed")
levels <- if (crossed) "5000" else if (length(arguments) > 1L) arguments[[2L]] else "50000"
levels <- as.integer(levels)
folder <- normalizePath(Sys.getenv("FERROLMM_BENCH", tempdir()))
formula <- if (crossed) y ~ x + (1 | g) + (1 | h) + (1 | k) else y ~ x + (x | g)
for (name in c("elsewhere", "duckdb", "jdbc")) {
  source(file.path(dirname(file), "..", "tests", "testthat", paste0("helper-", name, ".R")),
         chdir = TRUE)
}

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
    if (!crossed) {
      return(data.frame(g = g, x = x, y = 1 + 2 * x + u[g] + v[g] * x + stats::rnorm(n)))
    }
    h <- sample.int(500L, n, TRUE)
    k <- sample.int(50L, n, TRUE)
    y <- 1 + 2 * x + u[g] + v[h] + 2 * v[1000L + k] + stats::rnorm(n)
    data.frame(g = g, h = h, k = k, x = x, y = y)
  }
}

connect <- function(name) {
  switch(name,
    SQLite = DBI::dbConnect(RSQLite::SQLite(), file.path(folder, "bench.sqlite")),
    PostgreSQL = DBI::dbConnect(
      RPostgreSQL::PostgreSQL(), dbname = "postgres", user = "postgres",
      host = Sys.getenv("FERROLMM_POSTGRES")
    ),
    MariaDB = DBI::dbConnect(
      elsewhere("RMySQL", "MySQL")(), user = "root", dbname = "test",
      unix.socket = file.path(Sys.getenv("FERROLMM_MARIADB"), "socket")
    ),
    DuckDB = program_connect(Sys.getenv("FERROLMM_DUCKDB"), file.path(folder, "bench.duckdb")),
    Spark = jdbc_connect(
      readLines(file.path(Sys.getenv("FERROLMM_SPARK"), "url")), "org.apache.hive.jdbc.HiveDriver",
      list.files(file.path(Sys.getenv("FERROLMM_SPARK"), "jars"), "[.]jar$", full.names = TRUE)
    )
  )
}

dialect <- function(name) switch(name, DuckDB = "duckdb", Spark = "spark")

ask <- function(con, ...) invisible(DBI::dbClearResult(DBI::dbSendQuery(con, paste0(...))))

# By the driver's own way to write, or from a file with all digits, which is written once
fill <- function(name) {
  if (name == "MariaDB") {
    con <- DBI::dbConnect(
      elsewhere("RMySQL", "MySQL")(), user = "root",
      unix.socket = file.path(Sys.getenv("FERROLMM_MARIADB"), "socket")
    )
    ask(con, "CREATE DATABASE IF NOT EXISTS test")
    DBI::dbDisconnect(con)
  }
  con <- connect(name)
  on.exit(DBI::dbDisconnect(con))
  if (generated) {
    return(generate(con, name))
  }
  ask(con, "DROP TABLE IF EXISTS visits")
  if (name %in% c("SQLite", "PostgreSQL")) {
    read <- chunks()
    append <- FALSE
    while (!is.null(chunk <- read())) {
      DBI::dbWriteTable(con, "visits", chunk, append = append, row.names = FALSE)
      append <- TRUE
    }
    return(invisible())
  }
  csv <- file.path(folder, "visits.csv")
  if (!file.exists(csv)) {
    to <- base::file(csv, "w")
    read <- chunks()
    while (!is.null(chunk <- read())) {
      writeLines(sprintf("%d,%.17g,%.17g", chunk$g, chunk$x, chunk$y), to)
    }
    close(to)
  }
  switch(name,
    MariaDB = {
      ask(con, "CREATE TABLE visits (g INTEGER, x DOUBLE, y DOUBLE)")
      ask(con, "LOAD DATA LOCAL INFILE '", csv, "' INTO TABLE visits FIELDS TERMINATED BY ','")
    },
    DuckDB = ask(
      con, "CREATE TABLE visits AS SELECT * FROM read_csv('", csv, "', header = false, columns = ",
      "{'g': 'INTEGER', 'x': 'DOUBLE', 'y': 'DOUBLE'})"
    ),
    Spark = {
      ask(con, "CREATE TEMPORARY VIEW lines (g INT, x DOUBLE, y DOUBLE) USING csv OPTIONS (path '",
          csv, "')")
      ask(con, "CREATE TABLE visits USING parquet AS SELECT * FROM lines")
    }
  )
}

# Rows of the same law, made by the engine itself
generate <- function(con, name) {
  ask(con, "DROP TABLE IF EXISTS visits")
  ask(con, "DROP TABLE IF EXISTS modes")
  count <- format(rows, scientific = FALSE)
  if (name == "DuckDB") {
    # sqrt(-2 log(1 - U)) cos(2 pi V) is normal
    normal <- "sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())"
    ask(con, "SELECT setseed(0.5)")
    ask(con, "CREATE TABLE modes AS SELECT CAST(range AS INTEGER) AS g, ", normal, " AS u, 0.3 * ",
        normal, " AS v FROM range(", levels, ")")
    ask(con, "CREATE TABLE visits AS SELECT g, x, 1 + 2 * x + u + v * x + e AS y FROM (SELECT ",
        "CAST(floor(random() * ", levels, ") AS INTEGER) AS g, ", normal, " AS x, ", normal,
        " AS e FROM range(", count, ")) JOIN modes USING (g)")
  } else {
    ask(con, "CREATE TABLE modes USING parquet AS SELECT CAST(id AS INT) AS g, randn(1) AS u, ",
        "0.3 * randn(2) AS v FROM range(", levels, ")")
    ask(con, "CREATE TABLE visits USING parquet AS SELECT g, x, 1 + 2 * x + u + v * x + e AS y ",
        "FROM (SELECT CAST(floor(rand(3) * ", levels, ") AS INT) AS g, randn(4) AS x, ",
        "randn(5) AS e FROM range(", count, ")) JOIN modes USING (g)")
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
    lmm_source(connect(name), "visits", dialect = dialect(name))
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
  named <- c(PostgreSQL = "FERROLMM_POSTGRES", MariaDB = "FERROLMM_MARIADB",
             DuckDB = "FERROLMM_DUCKDB", Spark = "FERROLMM_SPARK")
  names <- names(named)[nzchar(Sys.getenv(named))]
  names <- if (generated) {
    intersect(c("DuckDB", "Spark"), names)
  } else {
    c("rows", "chunks", "SQLite", names)
  }
  if (length(arguments) > 2L) names <- match.arg(arguments[-(1:2)], names, several.ok = TRUE)
  cat("| source | seconds | peak MB | REML criterion | sigma |\n|---|---|---|---|---|\n")
  Sys.setenv(FERROLMM_BENCH = folder)
  for (name in names) {
    if (!name %in% c("rows", "chunks")) fill(name)
    system2(
      "Rscript", c(shQuote(file), rows, if (crossed) "crossed" else levels),
      env = paste0("FERROLMM_SOURCE=", name)
    )
  }
  # what may be large, and is a file of ours
  unlink(file.path(folder, c("visits.csv", "bench.duckdb", "bench.sqlite")))
}
