# Rscript dev/layers-r.R: do the R files keep to their layers? Answers with status 1 where not.
#
# The prefix of a file is its layer. A function calls functions of its own layer and of those below it in
# this table: so a layer can be read without those above.
layers <- c(
  "interop",    # other packages
  "explore",    # the model next to other views of the data
  "show",       # text, equations, pictures
  "infer",      # tests and intervals
  "method",     # what a fit says: estimates, predictions, diagnostics
  "front",      # lmm(), its options; fitting again
  "fit",        # the object that lmm() returns, and what it says of itself
  "design",     # formula and data to X, Z, groups: what the engine takes
  "structure",  # parameters of random effects and of residuals
  "data",       # columns and levels as typed values
  "engine",     # the only way to Rust: calls, time limit, progress, memory
  "core"        # conditions, checks of arguments, expressions, text: knows no model
)
# Files without a layer: may call everything.
free <- c("zzz.R", "data.R", "ferrolmm-package.R")
# The generated file belongs to the layer that calls it.
generated <- c(`extendr-wrappers.R` = "engine")

files <- list.files("R", "[.]R$")
layer_of <- function(file) {
  prefix <- sub("-.*", "", file)
  ifelse(file %in% names(generated), generated[file], prefix)
}
problems <- character()
say <- function(...) problems <<- c(problems, paste0(...))

unknown <- setdiff(files[!layer_of(files) %in% layers], free)
for (file in unknown) say("R/", file, ": its prefix is no layer of dev/layers-r.R")

# What each file defines, evaluated apart from the package: nothing is installed for this.
home <- new.env()
origin <- character()
for (file in files) {
  for (expression in as.list(parse(file.path("R", file), keep.source = FALSE))) {
    if (is.call(expression) && identical(expression[[1L]], as.name("<-")) &&
          is.name(expression[[2L]])) {
      name <- as.character(expression[[2L]])
      if (name %in% names(origin)) say("R/", file, ": ", name, "() is in R/", origin[[name]], " too")
      origin[[name]] <- file
      assign(name, expression[[3L]], envir = home)
    }
  }
}

# Names that a definition uses: calls, and functions or constants that are handed over. What S3
# dispatch finds is not seen: a generic may end in any layer.
uses <- function(name) {
  definition <- get(name, envir = home)
  probe <- if (is.call(definition) && identical(definition[[1L]], as.name("function"))) {
    eval(definition, globalenv())
  } else {
    eval(call("function", NULL, definition), globalenv())
  }
  setdiff(intersect(codetools::findGlobals(probe), names(origin)), name)
}
edges <- do.call(rbind, lapply(names(origin), function(name) {
  called <- uses(name)
  if (length(called)) {
    data.frame(from = origin[[name]], caller = name, to = unname(origin[called]), callee = called)
  }
}))
edges <- edges[edges$from != edges$to & !edges$from %in% free, ]
place <- function(file) match(layer_of(file), layers)
up <- edges[is.na(place(edges$to)) | place(edges$to) < place(edges$from), ]
for (i in seq_len(nrow(up))) {
  say("R/", up$from[[i]], ": ", up$caller[[i]], "() calls ", up$callee[[i]], "() of R/", up$to[[i]],
      ", a layer above")
}

# Circles of files within a layer: strongly connected by calls.
reach <- function(from, arrows) {
  seen <- from
  repeat {
    further <- setdiff(arrows$to[arrows$from %in% seen], seen)
    if (!length(further)) return(seen)
    seen <- c(seen, further)
  }
}
for (layer in layers) {
  inside <- edges[layer_of(edges$from) == layer & layer_of(edges$to) == layer, ]
  members <- unique(c(inside$from, inside$to))
  reached <- lapply(stats::setNames(members, members), reach, inside)
  while (length(members)) {
    first <- members[[1L]]
    circle <- Filter(function(other) first %in% reached[[other]], reached[[first]])
    if (length(circle) > 1L) {
      say("circle in ", layer, ": ", paste0("R/", sort(circle), collapse = ", "))
      within <- inside[inside$from %in% circle & inside$to %in% circle, ]
      for (part in split(within, paste(within$from, within$to))) {
        say("    ", part$from[[1L]], " -> ", part$to[[1L]], ": ",
            paste0(unique(part$callee), "()", collapse = ", "))
      }
    }
    members <- setdiff(members, circle)
  }
}

# Each R/a-b-c.R has its tests in test-a-b-c.R, or, as a part of one concept, in test-a-b.R.
tested <- function(file) {
  words <- strsplit(sub("[.]R$", "", file), "-")[[1L]]
  names <- vapply(seq.int(min(2L, length(words)), length(words)), function(k) {
    paste(c("test", words[seq_len(k)]), collapse = "-")
  }, "")
  any(file.exists(file.path("tests/testthat", paste0(names, ".R"))))
}
for (file in setdiff(files, c(names(generated), "ferrolmm-package.R"))) {
  if (!tested(file)) say("R/", file, " has no file of tests")
}

for (file in setdiff(files, names(generated))) {
  lines <- length(readLines(file.path("R", file)))
  if (lines > 500L) say("R/", file, " has ", lines, " lines: which concepts are in it?")
}

if (length(problems)) {
  writeLines(problems)
  quit(status = 1L)
}
cat(length(layers), "layers,", length(files), "files,", length(origin), "functions: arrows only downwards\n")
