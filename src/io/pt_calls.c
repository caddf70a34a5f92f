#include "io/pt_calls.h"

#include <stdio.h>

#include "base/size.h"
#include "io/dtype.h"

typedef bf_pickle_value value;

enum { MAX_WRAPPERS = 8 }; /* parameter around tensor around ... */

/* ---- element types ----------------------------------------------------------------------------------------------- */

static const bf_pt_element elements[] = {
    {"Float", "float32", 4, BF_F32},
    {"Double", "float64", 8, BF_F64},
    {"Half", "float16", 2, BF_F16},
    {"BFloat16", "bfloat16", 2, BF_BF16},
    {"Long", "int64", 8, BF_I64},
    {"Int", "int32", 4, BF_I32},
    {"Short", "int16", 2, BF_I16},
    {"Char", "int8", 1, BF_I8},
    {"Byte", "uint8", 1, BF_U8},
    {"Bool", "bool", 1, BF_BOOL},
    {"Untyped", "uint8", 1, BF_U8},
    {"", "uint16", 2, BF_U16},
    {"", "uint32", 4, BF_U32},
    {"", "uint64", 8, BF_U64},
    {"ComplexFloat", "complex64", 8, -1},
    {"ComplexDouble", "complex128", 16, -1},
    {"QInt8", "qint8", 1, -1},
    {"QUInt8", "quint8", 1, -1},
    {"QInt32", "qint32", 4, -1},
    {"QUInt4x2", "quint4x2", 1, -1},
    {"QUInt2x4", "quint2x4", 1, -1},
    {"", "complex32", 4, -1},
    {"", "float8_e4m3fn", 1, -1},
    {"", "float8_e5m2", 1, -1},
    {"", "float8_e4m3fnuz", 1, -1},
    {"", "float8_e5m2fnuz", 1, -1},
};

const bf_pt_element *bf_pt_storage_element(const value *global)
{
    char name[64];
    if (global->type != BF_PICKLE_GLOBAL) return NULL;
    for (size_t i = 0; i < BF_COUNT(elements); i++) {
        if (elements[i].storage[0] == '\0') continue;
        snprintf(name, sizeof name, "torch.%sStorage", elements[i].storage);
        if (bf_pickle_is_global(global, name)) return &elements[i];
        snprintf(name, sizeof name, "torch.storage.%sStorage", elements[i].storage);
        if (bf_pickle_is_global(global, name)) return &elements[i];
    }
    return NULL;
}

const bf_pt_element *bf_pt_dtype_element(const value *global)
{
    char name[64];
    for (size_t i = 0; i < BF_COUNT(elements); i++) {
        snprintf(name, sizeof name, "torch.%s", elements[i].dtype);
        if (bf_pickle_is_global(global, name)) return &elements[i];
    }
    return NULL;
}

/* ---- what a pickle may call -------------------------------------------------------------------------------------- */

/* Functions that make tensors; the first arguments tell how. */
static const char *const tensor_makers[] = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2",
                                            "torch._utils._rebuild_tensor_v3"};
/* The tensor is the first argument. */
static const char *const parameter_makers[] = {"torch._utils._rebuild_parameter",
                                               "torch._utils._rebuild_parameter_with_state"};
/* Function and its arguments are the first and the third argument. */
static const char *const subclass_makers[] = {"torch._tensor._rebuild_from_type",
                                              "torch._tensor._rebuild_from_type_v2"};
/* Makers of data that are kept as they are written, for `bfncl info`. */
static const char *const data_makers[] = {
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "collections.deque",
    "builtins.set",
    "builtins.frozenset",
    "builtins.list",
    "builtins.tuple",
    "builtins.dict",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.slice",
    "builtins.range",
    "__builtin__.set",
    "__builtin__.frozenset",
    "__builtin__.complex",
    "__builtin__.slice",
    "__builtin__.bytearray",
    "copy_reg._reconstructor",
    "copyreg._reconstructor",
    "_codecs.encode",
    "torch.Size",
    "torch.device",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch.serialization._get_layout",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "datetime.datetime",
    "datetime.date",
    "datetime.timedelta",
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
};

static bool listed(const value *global, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bf_pickle_is_global(global, names[i])) return true;
    return false;
}
#define LISTED(global, names) listed(global, names, BF_COUNT(names))

bool bf_pt_allow(const value *global)
{
    return LISTED(global, tensor_makers) || LISTED(global, parameter_makers) || LISTED(global, subclass_makers) ||
           LISTED(global, data_makers);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

bool bf_pt_tensor_call(const value *v, const value **callee, const value **args)
{
    for (int depth = 0; depth < MAX_WRAPPERS && v->type == BF_PICKLE_OBJECT; depth++) {
        *callee = v->what;
        *args = v->args;
        if (LISTED(*callee, subclass_makers)) {
            if ((*args)->count < 3 || (*args)->items[2]->type != BF_PICKLE_TUPLE) return false;
            *callee = (*args)->items[0];
            *args = (*args)->items[2];
        }
        if (LISTED(*callee, tensor_makers)) return true;
        if (!LISTED(*callee, parameter_makers) || (*args)->count < 1) return false;
        v = (*args)->items[0];
    }
    return false;
}

bool bf_pt_names_dtype(const bf_pickle_value *callee)
{
    return bf_pickle_is_global(callee, "torch._utils._rebuild_tensor_v3");
}
