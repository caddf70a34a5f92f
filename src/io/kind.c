#include "io/kind.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/size.h"

const char *bf_kind_text(bf_kind kind)
{
    static const char *const text[] = {
        [BF_KIND_UNKNOWN] = "a file of unknown kind",
        [BF_KIND_FOLDER] = "a folder",
        [BF_KIND_SAFETENSORS] = "a safetensors file",
        [BF_KIND_TORCH] = "a PyTorch file",
        [BF_KIND_NPY] = "an NPY array",
        [BF_KIND_PNG] = "a PNG picture",
        [BF_KIND_GIF] = "a GIF picture",
        [BF_KIND_IDX] = "an IDX file",
        [BF_KIND_GZIP] = "a gzip file",
    };
    return text[kind];
}

bf_kind bf_kind_of_bytes(const void *data, size_t size)
{
    static const struct {
        const char *bytes;
        size_t size;
        bf_kind kind;
    } magic[] = {
        {"PK\3\4", 4, BF_KIND_TORCH}, /* zip; of all zip files only PyTorch's concern us */
        {"\x80\2", 2, BF_KIND_TORCH},          {"\x80\3", 2, BF_KIND_TORCH}, /* pickles of protocols 2 to 5 */
        {"\x80\4", 2, BF_KIND_TORCH},          {"\x80\5", 2, BF_KIND_TORCH}, {"\x93NUMPY", 6, BF_KIND_NPY},
        {"\x89PNG\r\n\x1a\n", 8, BF_KIND_PNG}, {"GIF8", 4, BF_KIND_GIF},     {"\x1f\x8b", 2, BF_KIND_GZIP},
    };
    const unsigned char *p = data;
    /* Before the others: a header length may begin like one of them. Lengths that make sense have zeros at the top. */
    if (size >= 9 && p[8] == '{' && (p[4] | p[5] | p[6] | p[7]) == 0) return BF_KIND_SAFETENSORS;
    for (size_t i = 0; i < BF_COUNT(magic); i++) {
        if (size >= magic[i].size && memcmp(p, magic[i].bytes, magic[i].size) == 0) return magic[i].kind;
    }
    /* IDX: two zero bytes, an element type, a number of dimensions. */
    if (size >= 4 && p[0] == 0 && p[1] == 0 && p[2] >= 8 && p[2] <= 14 && p[3] >= 1 && p[3] <= 4) return BF_KIND_IDX;
    if (size >= 9 && p[8] == '{') return BF_KIND_SAFETENSORS;
    return BF_KIND_UNKNOWN;
}

bf_status bf_file_kind(const char *path, bf_kind *out, bf_err *err)
{
    struct stat info;
    unsigned char head[16];
    bf_source *s = NULL;
    if (stat(path, &info) != 0) return bf_fail(err, BF_FILE, "%s: cannot open: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) {
        *out = BF_KIND_FOLDER;
        return BF_OK;
    }
    bf_status st = bf_source_open(path, &s, err);
    if (st != BF_OK) return st;
    size_t n = (size_t)BF_MIN(bf_source_size(s), sizeof head);
    st = bf_source_read(s, 0, head, n, err);
    if (st == BF_OK) *out = bf_kind_of_bytes(head, n);
    bf_source_close(s);
    return st;
}
