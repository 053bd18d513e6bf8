# Rscript dev/layers-engine.R: do the engine's files keep to their layers? Answers with status 1 where not.
#
# A folder is a layer; their order is that of the table in src/rust/engine/src/lib.rs, from the top.
# A file imports files of its own layer and of those below it, and no files import each other in a
# circle. Tests (a `#[cfg(test)]` module at the end of a file, tests.rs, files in a folder tests) may
# import all.
root <- "src/rust/engine/src"
files <- setdiff(list.files(root, "[.]rs$", recursive = TRUE), "lib.rs")
files <- files[basename(files) != "tests.rs" & basename(dirname(files)) != "tests"]
library <- readLines(file.path(root, "lib.rs"))
rows <- grep("^//! \\| `[a-z]+/` \\|", library, value = TRUE)
layers <- rev(sub("^//! \\| `([a-z]+)/`.*", "\\1", rows))
problems <- character()
say <- function(...) problems <<- c(problems, paste0(...))

layer_of <- function(file) sub("/.*", "", file)
for (folder in setdiff(layer_of(files), layers)) {
  say(folder, ": no layer of the table in lib.rs")
}
for (folder in setdiff(layers, layer_of(files))) {
  say(folder, ": in the table of lib.rs, but there is no such folder")
}

# a/b.rs is the module a::b, a/mod.rs is a.
module <- gsub("/", "::", sub("(/mod)?[.]rs$", "", files))

# The names that "a::{b, c::{d, e}}" stands for.
expand <- function(tree) {
  open <- regexpr("{", tree, fixed = TRUE)
  if (open < 0L) return(tree)
  inside <- strsplit(substr(tree, open + 1L, nchar(tree) - 1L), "")[[1L]]
  depth <- cumsum((inside == "{") - (inside == "}"))
  ends <- c(which(inside == "," & depth == 0L), length(inside) + 1L)
  starts <- c(1L, utils::head(ends, -1L) + 1L)
  parts <- mapply(function(from, to) {
    paste(inside[seq_len(max(0L, to - from)) + from - 1L], collapse = "")
  }, starts, ends)
  parts <- parts[nzchar(parts)]
  unlist(lapply(paste0(substr(tree, 1L, open - 1L), parts), expand))
}

# Paths that a file names in its code, from the root.
paths_of <- function(i) {
  text <- sub("#\\[cfg\\(test\\)\\]\\s*(#\\[[^]]*\\]\\s*)*mod tests \\{.*", "",
              paste(sub("//.*", "", readLines(file.path(root, files[[i]]))), collapse = "\n"))
  statement <- "\\buse\\s+([^;]+);"
  used <- regmatches(text, gregexpr(statement, text, perl = TRUE))[[1L]]
  used <- unlist(lapply(gsub("\\s+", "", sub("^use\\s+", "", sub(";$", "", used))), expand))
  text <- gsub(statement, "", text, perl = TRUE)
  named <- regmatches(text, gregexpr("\\b(crate|super)(::\\w+)+", text, perl = TRUE))[[1L]]
  own <- strsplit(module[[i]], "::")[[1L]]
  is_folder <- basename(files[[i]]) == "mod.rs"
  resolve <- function(path) {
    words <- strsplit(path, "::")[[1L]]
    if (words[[1L]] == "crate") return(words[-1L])
    up <- sum(cumprod(words == "super"))
    if (up > 0L) return(c(utils::head(own, -up), words[-seq_len(up)]))
    if (is_folder) c(own, words)
  }
  found <- lapply(c(used, named), resolve)
  # the longest part of a path that is a module
  targets <- vapply(Filter(length, found), function(words) {
    candidates <- vapply(seq_along(words), function(k) paste(words[seq_len(k)], collapse = "::"), "")
    candidates <- candidates[candidates %in% module]
    if (length(candidates)) candidates[[length(candidates)]] else ""
  }, "")
  setdiff(targets, c("", module[[i]]))
}
arrows <- stats::setNames(lapply(seq_along(files), paths_of), module)
file_of <- function(m) files[match(m, module)]
height <- function(m) match(layer_of(file_of(m)), layers)
for (from in module) {
  for (to in arrows[[from]]) {
    if (isTRUE(height(to) > height(from))) {
      say(file_of(from), " imports ", file_of(to), ", which is in a layer above it")
    }
  }
}

# Circles: files that reach each other.
reached <- lapply(stats::setNames(module, module), function(from) {
  seen <- arrows[[from]]
  repeat {
    further <- setdiff(unlist(arrows[seen]), seen)
    if (!length(further)) return(seen)
    seen <- c(seen, further)
  }
})
left <- module
while (length(left)) {
  first <- left[[1L]]
  circle <- Filter(function(m) first %in% reached[[m]], reached[[first]])
  if (length(circle)) {
    say("circle: ", paste(sort(file_of(circle)), collapse = ", "))
    for (from in sort(circle)) {
      to <- intersect(arrows[[from]], circle)
      say("    ", file_of(from), " imports ", paste(file_of(to), collapse = ", "))
    }
  }
  left <- setdiff(left, c(first, circle))
}

if (length(problems)) {
  writeLines(problems)
  quit(status = 1L)
}
cat(length(layers), "layers,", length(files), "files,", length(unlist(arrows)),
    "imports: arrows only downwards, no circle\n")
