/* Folders of runs. run/folder.h */
#include "run/folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bf_status bf_folder_make(const char *path, bf_err *err)
{
    bf_status st = BF_OK;
    struct stat info;
    char part[1024];
    const size_t n = strlen(path);
    BF_CHECK(n > 0 && n < sizeof part, BF_USAGE, "\"%.80s\" is no usable folder name", path);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        BF_CHECK(mkdir(part, 0777) == 0 || errno == EEXIST, BF_RUNTIME, "cannot make the folder %s: %s", part,
                 strerror(errno));
    }
    BF_CHECK(stat(path, &info) == 0 && S_ISDIR(info.st_mode), BF_USAGE, "%s exists and is not a folder", path);
out:
    return st;
}

bf_status bf_folder_path(const char *folder, const char *name, char out[1024], bf_err *err)
{
    bf_status st = BF_OK;
    const int n = snprintf(out, 1024, "%s/%s", folder, name);
    BF_CHECK(n > 0 && n < 1024, BF_USAGE, "the path %.80s... is too long", folder);
out:
    return st;
}

bool bf_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}
