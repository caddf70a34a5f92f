/*
 * Python pickles of protocols 2 to 5, read as data: the result is a tree of the values that the bytes describe, and
 * nothing is ever imported or called. What a pickle wants to be called (REDUCE, INST, OBJ) must be on the caller's list
 * of harmless names, or the pickle is refused by that name; it becomes an OBJECT that keeps callee and arguments.
 * Instances of classes (NEWOBJ) become OBJECTs whatever the class is, and names that are only mentioned become GLOBALs.
 *
 * Bounded: every byte read is checked, memory is proportional to the bytes read, and the limits below hold. A pickle
 * can use a value many times, so the tree may be a graph, even with cycles: whoever walks it has to bound depth and
 * steps.
 */
#ifndef BF_IO_PICKLE_H
#define BF_IO_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define BF_PICKLE_MAX_BYTES ((size_t)64 << 20)
#define BF_PICKLE_MAX_VALUES ((size_t)2 << 20)
#define BF_PICKLE_MAX_STACK ((size_t)1 << 20)
#define BF_PICKLE_MAX_MARKS 1024
#define BF_PICKLE_MAX_NAME 256 /* bytes of the module and of the name of a global */

typedef enum bf_pickle_type {
    BF_PICKLE_NONE,
    BF_PICKLE_BOOL,      /* integer */
    BF_PICKLE_INT,       /* integer */
    BF_PICKLE_BIG,       /* text: integer beyond 64 bits, little-endian two's complement */
    BF_PICKLE_FLOAT,     /* real */
    BF_PICKLE_TEXT,      /* text: not checked to be UTF-8 */
    BF_PICKLE_BYTES,     /* text */
    BF_PICKLE_TUPLE,     /* items */
    BF_PICKLE_LIST,      /* items */
    BF_PICKLE_SET,       /* items */
    BF_PICKLE_DICT,      /* items: key, value, key, value, ... */
    BF_PICKLE_GLOBAL,    /* what: module (TEXT), args: name (TEXT) */
    BF_PICKLE_OBJECT,    /* what: class or callee (GLOBAL), args: arguments, state: of BUILD, items: appended or set */
    BF_PICKLE_PERSISTENT /* what: the identifier */
} bf_pickle_type;

typedef struct bf_pickle_value bf_pickle_value;
struct bf_pickle_value {
    bf_pickle_type type;
    bool pairs;           /* OBJECT: its items are keys and values in turn */
    uint32_t count, room; /* bytes of `text`, or entries of `items` */
    union {
        int64_t integer;
        double real;
        const char *text; /* inside the pickle, no NUL behind it */
        const bf_pickle_value **items;
    };
    const bf_pickle_value *what, *args, *state; /* NULL where the type has none */
};

typedef struct bf_pickle bf_pickle;

/* May a pickle call this GLOBAL? */
typedef bool (*bf_pickle_allow)(const bf_pickle_value *global);

/*
 * Reads one pickle from the start of data[size], which must outlive the result; *used = its bytes. `name` is the file,
 * for messages. BF_FILE for anything that is not such a pickle, is damaged, beyond a limit or not allowed.
 */
bf_status bf_pickle_parse(const char *name, const void *data, size_t size, bf_pickle_allow allow, bf_pickle **out,
                          size_t *used, bf_err *err);
void bf_pickle_free(bf_pickle *p);

const bf_pickle_value *bf_pickle_root(const bf_pickle *p);
int bf_pickle_protocol(const bf_pickle *p);
/* Every value in the order in which they were made, those that the root does not reach included; NULL past the last. */
size_t bf_pickle_count(const bf_pickle *p);
const bf_pickle_value *bf_pickle_at(const bf_pickle *p, size_t i);

/* Is it this TEXT? Is it the GLOBAL "module.name"? */
bool bf_pickle_is_text(const bf_pickle_value *v, const char *text);
bool bf_pickle_is_global(const bf_pickle_value *v, const char *dotted);
/* "module.name" of a GLOBAL, cut to fit, printable. */
#define BF_PICKLE_DOTTED (2 * BF_PICKLE_MAX_NAME + 2)
void bf_pickle_dotted(const bf_pickle_value *global, char out[BF_PICKLE_DOTTED]);

/* What acts as a dictionary: a DICT, an OBJECT whose items are pairs, and the collections.OrderedDict of Python 2. */
bool bf_pickle_is_dict(const bf_pickle_value *v);
size_t bf_pickle_pairs(const bf_pickle_value *v); /* 0 for anything else */
void bf_pickle_pair(const bf_pickle_value *v, size_t i, const bf_pickle_value **key, const bf_pickle_value **value);
/* Value of a text key; NULL when absent or `v` is no dictionary. The last one counts, as in Python. */
const bf_pickle_value *bf_pickle_get(const bf_pickle_value *v, const char *key);

#endif
