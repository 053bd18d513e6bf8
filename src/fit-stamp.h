/* Fits that were found to be whole: functions for .External() of the call's arguments, the fit alone. */
#ifndef FERROLMM_FIT_STAMP_H
#define FERROLMM_FIT_STAMP_H

#include <Rinternals.h>

/* Whether a fit of the very same contents was noted. */
SEXP ferrolmm_is_known(SEXP call);

/* Notes a fit that is whole. */
SEXP ferrolmm_know(SEXP call);

#endif
