# Values without their class: what a class says of the values it holds (which are missing, in what
# unit, how numbers are stored).

#' A variable as the plain values that its class stands for
#'
#' Missing values that a class defines become NA; 64-bit integers become doubles; attributes for
#' printing or for time series are dropped. Factors, dates, times and durations stay, as do classes
#' that this package does not know.
#' @noRd
plain_values <- function(x) {
  if (!is.object(x)) {
    return(if (length(dim(x)) == 1L) as.vector(x) else x)
  }
  if (inherits(x, "AsIs")) {
    oldClass(x) <- setdiff(oldClass(x), "AsIs")
    return(plain_values(x))
  }
  if (inherits(x, "POSIXlt")) {
    return(as.POSIXct(x))
  }
  if (inherits(x, c("factor", "Date", "POSIXct", "difftime")) || !is.atomic(x)) {
    return(x)
  }
  if (is_integer64(x)) {
    return(integer64_values(x))
  }
  if (is_labelled(x)) {
    return(strip(set_missing(x)))
  }
  # A class that says that its values are "numeric" only notes how they were made, as those of
  # 'datawizard' do. Its attribute is asked: an S4 class that contains numbers is another matter.
  says_numeric <- "numeric" %in% attr(x, "class", exact = TRUE)
  if (says_numeric || inherits(x, c("ts", "zoo", "table", "labelled", "noquote"))) {
    return(strip(x))
  }
  set_missing(x)
}

#' Like [plain_values()], for a column of the model frame: numbers in I() keep their class, as in
#' model.frame()
#' @noRd
frame_values <- function(x) {
  if (is.object(x) && !(inherits(x, "AsIs") && is.numeric(x) && length(oldClass(x)) == 1L)) {
    plain_values(x)
  } else if (length(dim(x)) == 1L) {
    as.vector(x)
  } else {
    x
  }
}

#' The bare vector or matrix
#' @noRd
strip <- function(x) {
  dim <- dim(x)
  names <- if (length(dim) == 2L) dimnames(x)
  x <- unclass(x)
  attributes(x) <- NULL
  if (length(dim) == 2L) {
    dim(x) <- dim
    dimnames(x) <- names
  }
  x
}

#' @noRd
is_labelled <- function(x) {
  inherits(x, c("haven_labelled", "haven_labelled_spss", "labelled_spss"))
}

#' NA where the class of a vector says that a value is missing
#'
#' The attributes of SPSS's missing values are read here, so that they count also where the package
#' that defines is.na() for them is not loaded.
#' @noRd
set_missing <- function(x) {
  values <- unclass(x)
  missing <- tryCatch(is.na(x), error = function(e) NULL)
  if (!is.logical(missing) || length(missing) != length(values)) {
    missing <- is.na(values)
  }
  if (is_labelled(x)) {
    missing <- missing | is_missing_code(values, missing_codes(x))
  }
  if (any(missing & !is.na(values))) {
    values[missing] <- NA
    attributes(values) <- attributes(x)
    return(values)
  }
  x
}

#' @noRd
is_integer64 <- function(x) is.double(x) && inherits(x, "integer64")

#' Values that a labelled vector declares to be missing; NULL where there are none
#' @noRd
missing_codes <- function(x) {
  if (is_labelled(x)) {
    codes <- attributes(x)[c("na_values", "na_range")]
    codes[lengths(codes) > 0L]
  }
}

#' Missing codes of some columns of a data frame or list; those without any are left out
#' @noRd
declared_missing <- function(data, columns) {
  codes <- lapply(unclass(data)[columns], missing_codes)
  codes[lengths(codes) > 0L]
}

#' @noRd
is_missing_code <- function(values, codes) {
  # the numbers themselves: a class has its own idea of what may be compared
  values <- as.vector(unclass(values))
  missing <- values %in% codes$na_values
  range <- codes$na_range
  if (length(range) == 2L) {
    missing <- missing | (!is.na(values) & values >= range[1L] & values <= range[2L])
  }
  missing
}

#' Missing values of new data by the codes of the fit's variables
#'
#' A part of a labelled column can lose its attributes (where 'haven' is not loaded): the code of a
#' missing value is not a number in new data either.
#' @noRd
set_missing_codes <- function(newdata, codes) {
  for (name in intersect(names(codes), names(newdata))) {
    x <- newdata[[name]]
    if (is.atomic(x) && is.null(dim(x)) && !is.factor(x)) {
      newdata[[name]] <- replace(x, is_missing_code(x, codes[[name]]), NA)
    }
  }
  newdata
}

#' Numbers of class integer64, whose doubles are the bits of 64-bit integers
#'
#' @returns doubles; NULL where they cannot hold the integers exactly (beyond 2^53)
#' @noRd
decode_integer64 <- function(x) {
  bytes <- writeBin(as.vector(unclass(x)), raw(), endian = "little")
  words <- matrix(
    readBin(bytes, "integer", 2L * length(x), size = 4L, endian = "little"), nrow = 2L
  )
  # the pattern of the smallest 32-bit integer is that of NA
  low <- as.double(words[1L, ])
  high <- as.double(words[2L, ])
  low[is.na(low)] <- -2^31
  high[is.na(high)] <- -2^31
  missing <- high == -2^31 & low == 0
  values <- high * 2^32 + ifelse(low < 0, low + 2^32, low)
  values[missing] <- NA
  if (any(abs(values) > 2^53, na.rm = TRUE)) NULL else values
}

#' @noRd
integer64_values <- function(x) {
  values <- decode_integer64(x)
  if (is.null(values)) {
    return(x)
  }
  dim(values) <- dim(x)
  dimnames(values) <- dimnames(x)
  values
}

#' Columns whose class hides missing values or the numbers themselves, before anything is computed
#' from them
#'
#' @param data a data frame or list, or anything else, which is returned as it is.
#' @noRd
readable_columns <- function(data, hidden = hidden_columns(data)) {
  if (length(hidden) == 0L) {
    return(data)
  }
  class <- oldClass(data)
  columns <- unclass(data)
  for (k in hidden) {
    x <- columns[[k]]
    columns[[k]] <- if (is_integer64(x)) integer64_values(x) else set_missing(x)
  }
  class(columns) <- class
  columns
}

#' Which columns they are
#' @noRd
hidden_columns <- function(data) {
  hidden <- integer()
  if (is.list(data)) {
    for (k in seq_along(data)) {
      x <- .subset2(data, k)
      if (is.object(x) && !is.factor(x) && (is_integer64(x) || is_labelled(x))) {
        hidden <- c(hidden, k)
      }
    }
  }
  hidden
}
