/* Fits that were found to be whole are known again by their contents: a stamp of all that a fit consists of,
   values of up to MOST_VALUES and what kind and how many where there are more. Environments and functions
   count as what they are, not by what they hold. R/fit-check.R says what a whole fit is. */
#include <stdint.h>
#include <string.h>
#include <Rinternals.h>
#include <Rversion.h>
#include "fit-stamp.h"

/* As `most_rows_read` in R/fit-check.R: reading more would take longer than most methods do. */
#define MOST_VALUES 100000

/* Nothing that lmm() makes is as deep; what is has no stamp. */
#define DEEPEST 200

/* How many fits are known. */
#define KNOWN 64

static uint64_t known[KNOWN];
static unsigned int next_known = 0;

struct stamp {
    uint64_t value;
    int too_deep;
};

static uint64_t mixed(uint64_t value, uint64_t word)
{
    value = (value ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return value ^ (value >> 29);
}

static void take(struct stamp *stamp, uint64_t word)
{
    stamp->value = mixed(stamp->value, word);
}

/* `count` bytes; several chains, because each step of one waits for the one before. */
static void take_bytes(struct stamp *stamp, const unsigned char *bytes, size_t count)
{
    uint64_t chains[4] = {1, 2, 3, 4};
    uint64_t words[4];
    for (; count >= sizeof words; bytes += sizeof words, count -= sizeof words) {
        memcpy(words, bytes, sizeof words);
        for (int i = 0; i < 4; i++) {
            chains[i] = mixed(chains[i], words[i]);
        }
    }
    memset(words, 0, sizeof words);
    memcpy(words, bytes, count);
    for (int i = 0; i < 4; i++) {
        take(stamp, mixed(chains[i], words[i]));
    }
}

static size_t bytes_of_one(SEXP x)
{
    switch (TYPEOF(x)) {
    case LGLSXP:
    case INTSXP:
        return sizeof(int);
    case REALSXP:
        return sizeof(double);
    case CPLXSXP:
        return sizeof(Rcomplex);
    case RAWSXP:
        return 1;
    default:
        return sizeof(SEXP);
    }
}

/* Values that R has not written out yet, such as those of 1:n, are asked for some at a time. */
static void take_unwritten(struct stamp *stamp, SEXP x, R_xlen_t length)
{
    int integers[256];
    double doubles[256];
    for (R_xlen_t from = 0; from < length; from += 256) {
        if (TYPEOF(x) == INTSXP) {
            R_xlen_t got = INTEGER_GET_REGION(x, from, 256, integers);
            take_bytes(stamp, (const unsigned char *) integers, got * sizeof *integers);
        } else if (TYPEOF(x) == REALSXP) {
            R_xlen_t got = REAL_GET_REGION(x, from, 256, doubles);
            take_bytes(stamp, (const unsigned char *) doubles, got * sizeof *doubles);
        } else {
            /* text that R makes of numbers */
            return;
        }
    }
}

static void take_object(struct stamp *stamp, SEXP x, int depth);

struct place {
    struct stamp *stamp;
    int depth;
};

static SEXP take_attribute(SEXP name, SEXP value, void *data)
{
    struct place *place = data;
    take(place->stamp, (uint64_t) (uintptr_t) name);
    take_object(place->stamp, value, place->depth + 1);
    return NULL;
}

static void take_attributes(struct stamp *stamp, SEXP x, int depth)
{
    struct place place = {stamp, depth};
#if R_VERSION >= R_Version(4, 6, 0)
    R_mapAttrib(x, take_attribute, &place);
#else
    for (SEXP at = ATTRIB(x); at != R_NilValue; at = CDR(at)) {
        take_attribute(TAG(at), CAR(at), &place);
    }
#endif
    take(stamp, 2);
}

static void take_object(struct stamp *stamp, SEXP x, int depth)
{
    if (depth > DEEPEST) {
        stamp->too_deep = 1;
        return;
    }
    take(stamp, (uint64_t) TYPEOF(x) * 2 + (Rf_isObject(x) != 0));
    switch (TYPEOF(x)) {
    case NILSXP:
        return;
    case LGLSXP:
    case INTSXP:
    case REALSXP:
    case CPLXSXP:
    case RAWSXP:
    case STRSXP: {
        R_xlen_t length = XLENGTH(x);
        take(stamp, (uint64_t) length);
        if (length <= MOST_VALUES) {
            /* R keeps each text once: where it is tells what it is */
            const void *values = DATAPTR_OR_NULL(x);
            if (values == NULL) {
                take_unwritten(stamp, x, length);
            } else {
                take_bytes(stamp, values, (size_t) length * bytes_of_one(x));
            }
        }
        break;
    }
    case VECSXP:
    case EXPRSXP: {
        R_xlen_t length = XLENGTH(x);
        take(stamp, (uint64_t) length);
        for (R_xlen_t i = 0; i < length; i++) {
            take_object(stamp, VECTOR_ELT(x, i), depth + 1);
        }
        break;
    }
    case LISTSXP:
    case LANGSXP:
        for (SEXP at = x; at != R_NilValue; at = CDR(at)) {
            if (TYPEOF(at) != LISTSXP && TYPEOF(at) != LANGSXP) {
                break;
            }
            take(stamp, (uint64_t) (uintptr_t) TAG(at));
            take_object(stamp, CAR(at), depth + 1);
        }
        take(stamp, 1);
        break;
    default:
        /* symbols, environments, functions */
        take(stamp, (uint64_t) (uintptr_t) x);
        return;
    }
    take_attributes(stamp, x, depth);
}

/* 0 where there is none. */
static uint64_t stamp_of(SEXP fit)
{
    struct stamp stamp = {UINT64_C(0x51ED270B), 0};
    take_object(&stamp, fit, 0);
    return stamp.too_deep ? 0 : stamp.value;
}

SEXP ferrolmm_is_known(SEXP call)
{
    uint64_t stamp = stamp_of(CADR(call));
    for (int i = 0; stamp != 0 && i < KNOWN; i++) {
        if (known[i] == stamp) {
            return Rf_ScalarLogical(1);
        }
    }
    return Rf_ScalarLogical(0);
}

SEXP ferrolmm_know(SEXP call)
{
    uint64_t stamp = stamp_of(CADR(call));
    if (stamp != 0) {
        known[next_known] = stamp;
        next_known = (next_known + 1) % KNOWN;
    }
    return R_NilValue;
}
