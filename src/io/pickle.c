#include "io/pickle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

typedef bf_pickle_value value;

enum { CHUNK = 256 }; /* values per block; blocks never move, so that values can point at each other */

struct bf_pickle {
    value **blocks;
    size_t n_blocks, room_blocks;
    size_t count;
    int protocol;
    const value *root;
};

/* Values without contents exist once. */
static const value none = {.type = BF_PICKLE_NONE};
static const value no = {.type = BF_PICKLE_BOOL, .integer = 0};
static const value yes = {.type = BF_PICKLE_BOOL, .integer = 1};
static const value empty_tuple = {.type = BF_PICKLE_TUPLE};

/* The stack machine that a pickle is a program for. */
typedef struct machine {
    const char *name;
    const unsigned char *data;
    size_t at, size, op_at; /* op_at: of the present operation, for messages */
    bf_pickle_allow allow;
    bf_pickle *p;
    const value **stack;
    size_t depth, room_stack;
    const value **memo; /* NULL: not set */
    size_t n_memo, room_memo;
    size_t marks[BF_PICKLE_MAX_MARKS];
    size_t n_marks;
    bool stopped;
} machine;

#define BAD(...) (bad(m, err, __VA_ARGS__), BF_FILE)
static void bad(const machine *m, bf_err *err, const char *fmt, ...) BF_PRINTF(3, 4);
static void bad(const machine *m, bf_err *err, const char *fmt, ...)
{
    char text[700];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    bf_fail(err, BF_FILE, "%s, pickle byte %zu: %s", m->name, m->op_at, text);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static bf_status take(machine *m, size_t n, const unsigned char **out, bf_err *err)
{
    if (n > m->size - m->at) return BAD("%zu bytes are needed, but %zu are left: it is cut short", n, m->size - m->at);
    *out = m->data + m->at;
    m->at += n;
    return BF_OK;
}

/* A little-endian number of `width` bytes. */
static bf_status take_number(machine *m, size_t width, uint64_t *out, bf_err *err)
{
    const unsigned char *p;
    bf_status st = take(m, width, &p, err);
    *out = 0;
    for (size_t i = width; st == BF_OK && i-- > 0;) *out = *out << 8 | p[i];
    return st;
}

/* A length of `width` bytes and as many bytes. */
static bf_status take_counted(machine *m, size_t width, const unsigned char **out, uint32_t *n, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t length;
    BF_TRY(take_number(m, width, &length, err));
    if (length > m->size - m->at) {
        st = BAD("a text of %" PRIu64 " bytes, but %zu are left", length, m->size - m->at);
        goto out;
    }
    *n = (uint32_t)length; /* at most BF_PICKLE_MAX_BYTES */
    BF_TRY(take(m, (size_t)length, out, err));
out:
    return st;
}

static bf_status take_line(machine *m, const unsigned char **out, uint32_t *n, bf_err *err)
{
    const unsigned char *start = m->data + m->at, *end = memchr(start, '\n', m->size - m->at);
    if (end == NULL) return BAD("a line without an end");
    *out = start;
    *n = (uint32_t)(end - start);
    m->at += *n + 1u;
    return BF_OK;
}

/* ---- values and stack -------------------------------------------------------------------------------------------- */

/* Room for one more in a growing array of pointers; doubles, so that all copies together stay proportional. */
static bf_status grow(void *array_ptr, size_t used, size_t *room, bf_err *err)
{
    bf_status st = BF_OK;
    void **array = array_ptr, *larger;
    if (used < *room) return BF_OK;
    const size_t n = *room > 0 ? 2 * *room : 8;
    larger = realloc(*array, n * sizeof(void *));
    BF_CHECK(larger != NULL, BF_RUNTIME, "out of memory while reading a pickle");
    *array = larger;
    *room = n;
out:
    return st;
}

static bf_status new_value(machine *m, bf_pickle_type type, value **out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_pickle *p = m->p;
    if (p->count >= BF_PICKLE_MAX_VALUES) return BAD("more than %zu values", BF_PICKLE_MAX_VALUES);
    if (p->count == p->n_blocks * CHUNK) {
        BF_TRY(grow(&p->blocks, p->n_blocks, &p->room_blocks, err));
        BF_NEW(p->blocks[p->n_blocks], CHUNK);
        p->n_blocks++;
    }
    *out = &p->blocks[p->count / CHUNK][p->count % CHUNK];
    (*out)->type = type;
    p->count++;
out:
    return st;
}

static bf_status push(machine *m, const value *v, bf_err *err)
{
    if (m->depth >= BF_PICKLE_MAX_STACK) return BAD("more than %zu values on the stack", BF_PICKLE_MAX_STACK);
    bf_status st = grow(&m->stack, m->depth, &m->room_stack, err);
    if (st == BF_OK) m->stack[m->depth++] = v;
    return st;
}

static bf_status push_new(machine *m, bf_pickle_type type, value **out, bf_err *err)
{
    bf_status st = new_value(m, type, out, err);
    return st == BF_OK ? push(m, *out, err) : st;
}

/* How many values lie above the topmost mark. */
static size_t above_mark(const machine *m)
{
    return m->depth - (m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0);
}

static bf_status pop(machine *m, const value **out, bf_err *err)
{
    if (above_mark(m) == 0) return BAD("nothing is on the stack");
    *out = m->stack[--m->depth];
    return BF_OK;
}

/* Removes the topmost mark: the *n values above it are stack[depth .. depth + n). */
static bf_status pop_mark(machine *m, size_t *n, bf_err *err)
{
    if (m->n_marks == 0) return BAD("no mark is on the stack");
    *n = above_mark(m);
    m->n_marks--;
    m->depth -= *n;
    return BF_OK;
}

/* The value on top of the stack, for an operation that changes it: only values of this pickle can be changed. */
static bf_status top(machine *m, value **out, bf_err *err)
{
    const value *v;
    if (above_mark(m) == 0) return BAD("nothing is on the stack");
    v = m->stack[m->depth - 1];
    if (v == &none || v == &yes || v == &no || v == &empty_tuple) return BAD("a value that cannot change is to change");
    *out = (value *)v; /* made by new_value */
    return BF_OK;
}

static bf_status add_item(value *to, const value *item, bf_err *err)
{
    size_t room = to->room;
    bf_status st = grow(&to->items, to->count, &room, err);
    if (st != BF_OK) return st;
    to->room = (uint32_t)room;
    to->items[to->count++] = item;
    return BF_OK;
}

/* A container of the n values behind the top of the stack. */
static bf_status push_container(machine *m, bf_pickle_type type, size_t n, bf_err *err)
{
    bf_status st = BF_OK;
    value *v;
    const size_t first = m->depth;
    BF_TRY(new_value(m, type, &v, err));
    if (n > 0) {
        BF_NEW(v->items, n);
        memcpy(v->items, m->stack + first, n * sizeof *v->items);
        v->count = v->room = (uint32_t)n;
    }
    BF_TRY(push(m, v, err));
out:
    return st;
}

/* ---- operations: one function per family ------------------------------------------------------------------------- */

static bf_status op_protocol(machine *m, unsigned char op, bf_err *err)
{
    const unsigned char *p;
    (void)op;
    bf_status st = take(m, 1, &p, err);
    if (st != BF_OK) return st;
    if (*p < 2 || *p > 5) return BAD("protocol %u; protocols 2 to 5 are read", *p);
    m->p->protocol = *p;
    return BF_OK;
}

/* Frames only say how far to read ahead. */
static bf_status op_frame(machine *m, unsigned char op, bf_err *err)
{
    uint64_t n;
    (void)op;
    bf_status st = take_number(m, 8, &n, err);
    if (st == BF_OK && n > m->size - m->at)
        return BAD("a frame of %" PRIu64 " bytes, but %zu are left", n, m->size - m->at);
    return st;
}

static bf_status op_stop(machine *m, unsigned char op, bf_err *err)
{
    (void)op;
    if (m->n_marks != 0 || m->depth != 1) return BAD("it ends with %zu values and %zu marks", m->depth, m->n_marks);
    m->p->root = m->stack[0];
    m->stopped = true;
    return BF_OK;
}

static bf_status op_constant(machine *m, unsigned char op, bf_err *err)
{
    return push(m, op == 'N' ? &none : op == 0x88 ? &yes : op == 0x89 ? &no : &empty_tuple, err);
}

/* BININT: signed; BININT1, BININT2: not. */
static bf_status op_int(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t n;
    value *v;
    BF_TRY(take_number(m, op == 'J' ? 4 : op == 'K' ? 1 : 2, &n, err));
    BF_TRY(push_new(m, BF_PICKLE_INT, &v, err));
    v->integer = op == 'J' ? (int32_t)(uint32_t)n : (int64_t)n;
out:
    return st;
}

/* LONG1, LONG4: bytes of a two's complement number. */
static bf_status op_long(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const unsigned char *p;
    uint32_t n;
    uint64_t bits = 0;
    value *v;
    BF_TRY(take_counted(m, op == 0x8a ? 1 : 4, &p, &n, err));
    BF_TRY(push_new(m, n > 8 ? BF_PICKLE_BIG : BF_PICKLE_INT, &v, err));
    if (n > 8) {
        v->text = (const char *)p;
        v->count = n;
        goto out;
    }
    if (n > 0 && p[n - 1] & 0x80) bits = UINT64_MAX;
    for (uint32_t i = n; i-- > 0;) bits = bits << 8 | p[i];
    memcpy(&v->integer, &bits, sizeof bits);
out:
    return st;
}

/* Eight bytes, the first one the highest. */
static bf_status op_float(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const unsigned char *p;
    uint64_t bits = 0;
    value *v;
    (void)op;
    BF_TRY(take(m, 8, &p, err));
    BF_TRY(push_new(m, BF_PICKLE_FLOAT, &v, err));
    for (int i = 0; i < 8; i++) bits = bits << 8 | p[i];
    memcpy(&v->real, &bits, sizeof bits);
out:
    return st;
}

/* Texts and bytes; the strings of Python 2 ('U', 'T') count as texts. */
static bf_status op_text(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const bool bytes = op == 'C' || op == 'B' || op == 0x8e || op == 0x96;
    const bool small = op == 'U' || op == 'C' || op == 0x8c, large = op == 0x8d || op == 0x8e || op == 0x96;
    const unsigned char *p;
    uint32_t n;
    value *v;
    BF_TRY(take_counted(m, small ? 1 : large ? 8 : 4, &p, &n, err));
    BF_TRY(push_new(m, bytes ? BF_PICKLE_BYTES : BF_PICKLE_TEXT, &v, err));
    v->text = (const char *)p;
    v->count = n;
out:
    return st;
}

static bf_status op_stack(machine *m, unsigned char op, bf_err *err)
{
    const value *v;
    size_t n;
    if (op == '(') {
        if (m->n_marks == BF_PICKLE_MAX_MARKS) return BAD("nested deeper than %d", BF_PICKLE_MAX_MARKS);
        m->marks[m->n_marks++] = m->depth;
        return BF_OK;
    }
    if (op == '1' || (op == '0' && above_mark(m) == 0)) return pop_mark(m, &n, err);
    bf_status st = pop(m, &v, err);
    if (st != BF_OK || op == '0') return st;
    m->depth++; /* '2': the same value once more */
    return push(m, v, err);
}

/* An index is at most the number of bytes so far: writers count up from 0, and every entry takes a byte. */
static bf_status memo_put(machine *m, uint64_t index, bf_err *err)
{
    bf_status st = BF_OK;
    if (above_mark(m) == 0) return BAD("nothing is on the stack");
    if (index > m->at) return BAD("memo index %" PRIu64 " is out of range", index);
    while (m->n_memo <= index) {
        BF_TRY(grow(&m->memo, m->n_memo, &m->room_memo, err));
        m->memo[m->n_memo++] = NULL;
    }
    m->memo[index] = m->stack[m->depth - 1];
out:
    return st;
}

static bf_status op_put(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    uint64_t index = m->n_memo; /* MEMOIZE: the next one */
    if (op != 0x94) BF_TRY(take_number(m, op == 'q' ? 1 : 4, &index, err));
    BF_TRY(memo_put(m, index, err));
out:
    return st;
}

static bf_status op_get(machine *m, unsigned char op, bf_err *err)
{
    uint64_t index;
    bf_status st = take_number(m, op == 'h' ? 1 : 4, &index, err);
    if (st != BF_OK) return st;
    if (index >= m->n_memo || m->memo[index] == NULL) return BAD("memo entry %" PRIu64 " was never set", index);
    return push(m, m->memo[index], err);
}

static bf_status op_empty(machine *m, unsigned char op, bf_err *err)
{
    value *v;
    return push_new(m, op == '}' ? BF_PICKLE_DICT : op == ']' ? BF_PICKLE_LIST : BF_PICKLE_SET, &v, err);
}

/* TUPLE, TUPLE1..3, FROZENSET, and LIST and DICT of older protocols. */
static bf_status op_container(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    size_t n = op >= 0x85 && op <= 0x87 ? op - 0x84u : 0;
    if (n == 0) {
        BF_TRY(pop_mark(m, &n, err));
    } else {
        if (above_mark(m) < n) return BAD("%zu values are needed, but %zu are on the stack", n, above_mark(m));
        m->depth -= n;
    }
    if (op == 'd' && n % 2 != 0) return BAD("a key without a value");
    BF_TRY(push_container(m,
                          op == 'd'    ? BF_PICKLE_DICT
                          : op == 'l'  ? BF_PICKLE_LIST
                          : op == 0x91 ? BF_PICKLE_SET
                                       : BF_PICKLE_TUPLE,
                          n, err));
out:
    return st;
}

/* APPEND, APPENDS, ADDITEMS, SETITEM, SETITEMS. The n values are stack[depth .. depth + n) while the target is on top.
 */
static bf_status op_add(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const bool pairs = op == 's' || op == 'u';
    size_t n = op == 's' ? 2 : 1;
    value *to;
    if (op == 'u' || op == 'e' || op == 0x90) {
        BF_TRY(pop_mark(m, &n, err));
    } else {
        if (above_mark(m) < n) return BAD("nothing is on the stack");
        m->depth -= n;
    }
    BF_TRY(top(m, &to, err));
    if (pairs && n % 2 != 0) return BAD("a key without a value");
    if (to->type == BF_PICKLE_OBJECT && n > 0) {
        if (to->count > 0 && to->pairs != pairs) return BAD("an object is both a list and a dictionary");
        to->pairs = pairs;
    } else if (to->type != BF_PICKLE_OBJECT) {
        const bf_pickle_type wanted = pairs ? BF_PICKLE_DICT : op == 0x90 ? BF_PICKLE_SET : BF_PICKLE_LIST;
        if (to->type != wanted) return BAD("items are added to something that holds none");
    }
    for (size_t i = 0; i < n; i++) BF_TRY(add_item(to, m->stack[m->depth + i], err));
out:
    return st;
}

static bf_status push_global(machine *m, const value *module, const value *name, bf_err *err)
{
    value *v;
    if (module->type != BF_PICKLE_TEXT || name->type != BF_PICKLE_TEXT) return BAD("the name of a global is no text");
    if (module->count > BF_PICKLE_MAX_NAME || name->count > BF_PICKLE_MAX_NAME)
        return BAD("the name of a global is longer than %d bytes", BF_PICKLE_MAX_NAME);
    bf_status st = push_new(m, BF_PICKLE_GLOBAL, &v, err);
    if (st != BF_OK) return st;
    v->what = module;
    v->args = name;
    return BF_OK;
}

/* A line as a text that is not on the stack. */
static bf_status line_text(machine *m, value **out, bf_err *err)
{
    bf_status st = BF_OK;
    const unsigned char *p;
    uint32_t n;
    BF_TRY(take_line(m, &p, &n, err));
    BF_TRY(new_value(m, BF_PICKLE_TEXT, out, err));
    (*out)->text = (const char *)p;
    (*out)->count = n;
out:
    return st;
}

/* GLOBAL: two lines; STACK_GLOBAL: two texts. */
static bf_status op_global(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const value *module, *name;
    if (op == 'c') {
        value *a, *b;
        BF_TRY(line_text(m, &a, err));
        BF_TRY(line_text(m, &b, err));
        module = a;
        name = b;
    } else {
        BF_TRY(pop(m, &name, err));
        BF_TRY(pop(m, &module, err));
    }
    BF_TRY(push_global(m, module, name, err));
out:
    return st;
}

/* The class of a module that PyTorch saved with its source stands behind an identifier: ("module", class, ...). */
static const value *behind_identifier(const value *v)
{
    const value *id = v->what;
    if (v->type != BF_PICKLE_PERSISTENT || id->type != BF_PICKLE_TUPLE || id->count < 2) return v;
    return bf_pickle_is_text(id->items[0], "module") ? id->items[1] : v;
}

/* An OBJECT of what `callee` would have returned. `calls`: not only an instance of a class. */
static bf_status push_object(machine *m, const value *callee, const value *args, bool calls, bf_err *err)
{
    char name[BF_PICKLE_DOTTED];
    value *v;
    callee = behind_identifier(callee);
    if (callee->type != BF_PICKLE_GLOBAL) return BAD("it calls something that is not named");
    bf_pickle_dotted(callee, name);
    if (calls && !m->allow(callee)) {
        bad(m, err, "it calls %s, which is not on the list of what a model file may use", name);
        bf_hint(err, "nothing was executed; only data are read from such files");
        return BF_FILE;
    }
    if (args->type != BF_PICKLE_TUPLE) return BAD("the arguments of %s are no tuple", name);
    bf_status st = push_new(m, BF_PICKLE_OBJECT, &v, err);
    if (st != BF_OK) return st;
    v->what = callee;
    v->args = args;
    return BF_OK;
}

/* REDUCE, NEWOBJ: callee and arguments; NEWOBJ_EX: also a dictionary of named ones, which is dropped. */
static bf_status op_object(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const value *callee, *args;
    if (op == 0x92) BF_TRY(pop(m, &args, err));
    BF_TRY(pop(m, &args, err));
    BF_TRY(pop(m, &callee, err));
    BF_TRY(push_object(m, callee, args, op == 'R', err));
out:
    return st;
}

/* INST: the callee as two lines, arguments above a mark; OBJ: all of it above a mark. */
static bf_status op_instance(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const value *callee, *args;
    size_t n;
    if (op == 'i') BF_TRY(op_global(m, 'c', err)); /* on top of the arguments */
    BF_TRY(pop_mark(m, &n, err));
    if (n == 0) return BAD("it calls something that is not named");
    const size_t first = m->depth;
    callee = m->stack[op == 'i' ? first + n - 1 : first];
    if (op != 'i') memmove(m->stack + first, m->stack + first + 1, (n - 1) * sizeof *m->stack);
    BF_TRY(push_container(m, BF_PICKLE_TUPLE, n - 1, err));
    BF_TRY(pop(m, &args, err));
    BF_TRY(push_object(m, callee, args, true, err));
out:
    return st;
}

/* The state of an object; that of a dictionary is an attribute nobody needs ("_metadata" of a state dictionary). */
static bf_status op_build(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const value *state;
    value *to;
    (void)op;
    BF_TRY(pop(m, &state, err));
    BF_TRY(top(m, &to, err));
    if (to->type == BF_PICKLE_DICT) goto out;
    if (to->type != BF_PICKLE_OBJECT) return BAD("a state is given to something that is no object");
    to->state = state;
out:
    return st;
}

static bf_status op_persistent(machine *m, unsigned char op, bf_err *err)
{
    bf_status st = BF_OK;
    const value *id;
    value *v;
    (void)op;
    BF_TRY(pop(m, &id, err));
    BF_TRY(push_new(m, BF_PICKLE_PERSISTENT, &v, err));
    v->what = id;
out:
    return st;
}

typedef bf_status (*operation)(machine *m, unsigned char op, bf_err *err);

static const operation operations[256] = {
    [0x80] = op_protocol,  [0x95] = op_frame,     ['.'] = op_stop,       ['N'] = op_constant,   [0x88] = op_constant,
    [0x89] = op_constant,  [')'] = op_constant,   ['J'] = op_int,        ['K'] = op_int,        ['M'] = op_int,
    [0x8a] = op_long,      [0x8b] = op_long,      ['G'] = op_float,      ['X'] = op_text,       [0x8c] = op_text,
    [0x8d] = op_text,      ['U'] = op_text,       ['T'] = op_text,       ['B'] = op_text,       ['C'] = op_text,
    [0x8e] = op_text,      [0x96] = op_text,      ['('] = op_stack,      ['0'] = op_stack,      ['1'] = op_stack,
    ['2'] = op_stack,      ['q'] = op_put,        ['r'] = op_put,        [0x94] = op_put,       ['h'] = op_get,
    ['j'] = op_get,        ['}'] = op_empty,      [']'] = op_empty,      [0x8f] = op_empty,     ['t'] = op_container,
    [0x85] = op_container, [0x86] = op_container, [0x87] = op_container, [0x91] = op_container, ['l'] = op_container,
    ['d'] = op_container,  ['a'] = op_add,        ['e'] = op_add,        [0x90] = op_add,       ['s'] = op_add,
    ['u'] = op_add,        ['c'] = op_global,     [0x93] = op_global,    ['R'] = op_object,     [0x81] = op_object,
    [0x92] = op_object,    ['i'] = op_instance,   ['o'] = op_instance,   ['b'] = op_build,      ['Q'] = op_persistent,
};

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bf_status run(machine *m, bf_err *err)
{
    bf_status st = BF_OK;
    if (m->size > 0 && m->data[0] != 0x80) return BAD("it does not begin with a protocol; protocols 2 to 5 are read");
    while (!m->stopped) {
        const unsigned char *op;
        m->op_at = m->at;
        BF_TRY(take(m, 1, &op, err));
        if (operations[*op] == NULL) return BAD("operation 0x%02x is not one of those that protocols 2 to 5 need", *op);
        BF_TRY(operations[*op](m, *op, err));
    }
out:
    return st;
}

bf_status bf_pickle_parse(const char *name, const void *data, size_t size, bf_pickle_allow allow, bf_pickle **out,
                          size_t *used, bf_err *err)
{
    bf_status st = BF_OK;
    machine *m = NULL;
    BF_NEW(m, 1);
    BF_NEW(m->p, 1);
    m->name = name;
    m->data = data;
    m->size = BF_MIN(size, BF_PICKLE_MAX_BYTES);
    m->allow = allow;
    BF_TRY(run(m, err));
    *used = m->at;
    *out = m->p;
    m->p = NULL;
out:
    if (m != NULL) {
        bf_pickle_free(m->p);
        free(m->stack);
        free(m->memo);
    }
    free(m);
    return st;
}

void bf_pickle_free(bf_pickle *p)
{
    if (p == NULL) return;
    for (size_t i = 0; i < p->count; i++) {
        const value *v = bf_pickle_at(p, i);
        if (v->room > 0) free(v->items);
    }
    for (size_t i = 0; i < p->n_blocks; i++) free(p->blocks[i]);
    free(p->blocks);
    free(p);
}

/* ---- access ------------------------------------------------------------------------------------------------------ */

const bf_pickle_value *bf_pickle_root(const bf_pickle *p)
{
    return p->root;
}

int bf_pickle_protocol(const bf_pickle *p)
{
    return p->protocol;
}

size_t bf_pickle_count(const bf_pickle *p)
{
    return p->count;
}

const bf_pickle_value *bf_pickle_at(const bf_pickle *p, size_t i)
{
    return i < p->count ? &p->blocks[i / CHUNK][i % CHUNK] : NULL;
}

bool bf_pickle_is_text(const bf_pickle_value *v, const char *text)
{
    return v->type == BF_PICKLE_TEXT && v->count == strlen(text) && memcmp(v->text, text, v->count) == 0;
}

bool bf_pickle_is_global(const bf_pickle_value *v, const char *dotted)
{
    const char *dot = strrchr(dotted, '.');
    if (v->type != BF_PICKLE_GLOBAL) return false;
    return v->what->count == (size_t)(dot - dotted) && memcmp(v->what->text, dotted, v->what->count) == 0 &&
           bf_pickle_is_text(v->args, dot + 1);
}

void bf_pickle_dotted(const bf_pickle_value *global, char out[BF_PICKLE_DOTTED])
{
    snprintf(out, BF_PICKLE_DOTTED, "%.*s.%.*s", (int)global->what->count, global->what->text, (int)global->args->count,
             global->args->text);
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < 32 || (unsigned char)*c > 126) *c = '?';
}

/* collections.OrderedDict([[key, value], ...]), as Python 2 writes it; returns the list, or NULL. */
static const value *python2_pairs(const value *v)
{
    const value *list;
    if (v->type != BF_PICKLE_OBJECT || v->count > 0 || v->args->count != 1 ||
        !bf_pickle_is_global(v->what, "collections.OrderedDict"))
        return NULL;
    list = v->args->items[0];
    if (list->type != BF_PICKLE_LIST) return NULL;
    for (uint32_t i = 0; i < list->count; i++) {
        const value *pair = list->items[i];
        if ((pair->type != BF_PICKLE_LIST && pair->type != BF_PICKLE_TUPLE) || pair->count != 2) return NULL;
    }
    return list;
}

bool bf_pickle_is_dict(const bf_pickle_value *v)
{
    return v->type == BF_PICKLE_DICT || (v->type == BF_PICKLE_OBJECT && v->pairs) ||
           (v->type == BF_PICKLE_OBJECT && bf_pickle_is_global(v->what, "collections.OrderedDict"));
}

size_t bf_pickle_pairs(const bf_pickle_value *v)
{
    if (v->type == BF_PICKLE_DICT || (v->type == BF_PICKLE_OBJECT && v->pairs)) return v->count / 2;
    const value *list = python2_pairs(v);
    return list != NULL ? list->count : 0;
}

void bf_pickle_pair(const bf_pickle_value *v, size_t i, const bf_pickle_value **key, const bf_pickle_value **val)
{
    const bool python2 = v->type == BF_PICKLE_OBJECT && !v->pairs;
    const value *const *at = python2 ? v->args->items[0]->items[i]->items : v->items + 2 * i;
    *key = at[0];
    *val = at[1];
}

const bf_pickle_value *bf_pickle_get(const bf_pickle_value *v, const char *key)
{
    const value *k, *found;
    for (size_t i = bf_pickle_pairs(v); i-- > 0;) {
        bf_pickle_pair(v, i, &k, &found);
        if (bf_pickle_is_text(k, key)) return found;
    }
    return NULL;
}
