/* Folders of runs. */
#ifndef BF_RUN_FOLDER_H
#define BF_RUN_FOLDER_H

#include "base/err.h"

/* Makes a folder and the ones above it; an existing one is fine. */
bf_status bf_folder_make(const char *path, bf_err *err);

/* out = "FOLDER/NAME"; BF_USAGE when that is too long. */
bf_status bf_folder_path(const char *folder, const char *name, char out[1024], bf_err *err);

bool bf_file_exists(const char *path);

#endif
