/* Between the files that make schemas: schema.c from a table, schema_json.c from a model file. */
#ifndef BF_IO_SCHEMA_PARTS_H
#define BF_IO_SCHEMA_PARTS_H

#include "io/schema.h"

/* Places and groups, once the columns have their types and levels. */
bf_status bf_schema_arrange(bf_schema *s, bf_err *err);

#endif
