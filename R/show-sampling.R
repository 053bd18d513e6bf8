# Sampling weights in words.

#' The sampling weights in words, for prints
#' @noRd
format_sampling <- function(object, wrap = TRUE) {
  if (!is_sampled(object)) {
    return(NULL)
  }
  clusters <- sampled_clusters(object)
  text <- paste0(
    "Sampling weights of ", sampled_levels(object), " (", sampling_words(object$sampling),
    "), sum ", format(object$sampling$total, digits = 6L), "; robust standard errors, ",
    count_of(clusters$count, "cluster"), " of `", clusters$name, "`"
  )
  if (wrap) wrap_text(text, exdent = 2L) else text
}

#' A sentence for a report
#' @noRd
describe_sampling <- function(object) {
  clusters <- sampled_clusters(object)
  paste0(
    "Sampling weights of ", sampled_levels(object), " (", sampling_words(object$sampling),
    ") entered a weighted pseudo-likelihood (Rabe-Hesketh and Skrondal 2006; Asparouhov 2006), ",
    "which was maximised. Standard errors are robust (sandwich) estimates, with the ",
    clusters$count, " groups of ", clusters$name, " as independent clusters."
  )
}

#' @noRd
sampled_levels <- function(object) {
  own <- object$sampling$levels == "(rows)"
  factors <- paste0("`", object$sampling$levels[!own], "`", recycle0 = TRUE)
  enumerate(c(if (any(own)) "rows", factors))
}

#' @noRd
sampling_words <- function(sampling) {
  paste0(
    if (sampling$conditional) "conditional" else "overall",
    switch(sampling$scale,
      none = "", size = ", those of rows scaled to the size of their group",
      effective = ", those of rows scaled to the effective size of their group"
    )
  )
}
