/* What lies outside OpenCL: folders, host memory, driver files. */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/size.h"
#include "device/cl.h"

#define STANDARD_VENDORS "/etc/OpenCL/vendors"
#define MIN_CACHE_BYTES (UINT64_C(64) << 20) /* POCL ends the process when its cache meets a full disk */

/* ---- folders --------------------------------------------------------------------------------------------------- */

static char cache_dir[512]; /* "" = none */
static char program_dir[560];
static pthread_once_t prepare_once = PTHREAD_ONCE_INIT;

static bool make_dirs(const char *path)
{
    char part[600];
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p != '/') continue;
        *p = '\0';
        mkdir(part, 0700); /* whether it worked shows below */
        *p = '/';
    }
    mkdir(part, 0700);
    return access(part, W_OK | X_OK) == 0;
}

/* Programs are run from there: nobody else may be able to put one in (/tmp is everybody's). */
static bool is_private(const char *dir)
{
    struct stat s;
    return lstat(dir, &s) == 0 && S_ISDIR(s.st_mode) && s.st_uid == geteuid() && (s.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Really writes a file: permission bits and mount options lie. */
static bool can_write(const char *dir)
{
    char path[700];
    struct statvfs fs;
    int fd;
    bool ok;
    if (!make_dirs(dir)) return false;
    if (statvfs(dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < MIN_CACHE_BYTES) return false;
    snprintf(path, sizeof path, "%s/.probe-XXXXXX", dir);
    fd = mkstemp(path);
    if (fd < 0) return false;
    ok = write(fd, "x", 1) == 1;
    ok = close(fd) == 0 && ok;
    unlink(path);
    return ok;
}

static bool is_folder(const char *path)
{
    struct stat s;
    return path != NULL && path[0] == '/' && stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* $XDG_CACHE_HOME is made when it is not there, as its specification asks; a home folder is not. */
static void choose_cache_dir(const char *set)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *tmp = getenv("TMPDIR");
    char path[5][512] = {"", "", "", "", ""};
    if (set[0] == '/') snprintf(path[0], sizeof path[0], "%.450s", set);
    if (xdg != NULL && xdg[0] == '/') snprintf(path[1], sizeof path[1], "%.450s/bfncl", xdg);
    if (is_folder(home)) snprintf(path[2], sizeof path[2], "%.450s/.cache/bfncl", home);
    if (is_folder(tmp)) snprintf(path[3], sizeof path[3], "%.450s/bfncl-%ld", tmp, (long)geteuid());
    snprintf(path[4], sizeof path[4], "/tmp/bfncl-%ld", (long)geteuid());
    for (size_t i = 0; i < BF_COUNT(path); i++) {
        if (path[i][0] == '\0') continue;
        if (can_write(path[i])) {
            memcpy(cache_dir, path[i], sizeof cache_dir);
            return;
        }
        if (i == 0) bf_log(BFNCL_LOG_WARN, "BFNCL_CACHE=%s cannot be written or its disk is full", set);
    }
}

static void choose_pocl_dir(void)
{
    const char *set = getenv("POCL_CACHE_DIR");
    char pocl[600];
    if (set != NULL) {
        if (!can_write(set)) {
            bf_log(BFNCL_LOG_WARN, "POCL_CACHE_DIR=%s cannot be written or its disk is full: POCL may not work", set);
        }
    } else if (cache_dir[0] != '\0') {
        snprintf(pocl, sizeof pocl, "%s/pocl", cache_dir);
        if (can_write(pocl)) setenv("POCL_CACHE_DIR", pocl, 0);
    }
}

static void prepare(void)
{
    const char *set = getenv("BFNCL_CACHE");
    const bool off = set != NULL && strcmp(set, "off") == 0;
    choose_cache_dir(set != NULL ? set : "");
    choose_pocl_dir();
    if (off || cache_dir[0] == '\0') return;
    snprintf(program_dir, sizeof program_dir, "%s/programs", cache_dir);
    if (!can_write(program_dir) || !is_private(cache_dir) || !is_private(program_dir)) program_dir[0] = '\0';
}

void bf_cl_prepare(void)
{
    pthread_once(&prepare_once, prepare);
}

const char *bf_cache_dir(void)
{
    bf_cl_prepare();
    return cache_dir[0] != '\0' ? cache_dir : NULL;
}

const char *bf_program_dir(void)
{
    bf_cl_prepare();
    return program_dir[0] != '\0' ? program_dir : NULL;
}

/* ---- host memory ----------------------------------------------------------------------------------------------- */

/* The number behind `key` in a file of "key value" lines, in bytes when the line ends in kB. */
static bool read_number(const char *path, const char *key, uint64_t *out)
{
    FILE *f = fopen(path, "r");
    char line[256];
    bool found = false;
    if (f == NULL) return false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        const size_t n = strlen(key);
        unsigned long long v;
        if (strncmp(line, key, n) != 0 || sscanf(line + n, " %llu", &v) != 1) continue;
        *out = strstr(line, " kB") != NULL ? (uint64_t)v << 10 : (uint64_t)v;
        found = true;
    }
    fclose(f);
    return found;
}

/* What a limit leaves over what is used. */
static uint64_t left(uint64_t limit, uint64_t used)
{
    return limit > used ? limit - used : 0;
}

/* What a control group still allows; UINT64_MAX when `dir` is none or sets no limit. Cached file pages count as free.
 */
static uint64_t group_left(const char *dir, const char *limit_file, const char *used_file, const char *cached_key)
{
    uint64_t limit, used, cached = 0;
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", dir, limit_file);
    if (!read_number(path, "", &limit)) return UINT64_MAX; /* also for the word "max" */
    snprintf(path, sizeof path, "%s/%s", dir, used_file);
    if (!read_number(path, "", &used)) return UINT64_MAX;
    snprintf(path, sizeof path, "%s/memory.stat", dir);
    read_number(path, cached_key, &cached);
    return left(limit, left(used, cached));
}

static uint64_t group_available(void)
{
    uint64_t least = BF_MIN(
        group_left("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "),
        group_left("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "));
    char line[900], dir[1000];
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (f == NULL) return least;
    while (fgets(line, sizeof line, f) != NULL) { /* "0::/user.slice/..." is the group of version 2 */
        if (strncmp(line, "0::/", 4) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(dir, sizeof dir, "/sys/fs/cgroup%s", line + 3);
        least = BF_MIN(least, group_left(dir, "memory.max", "memory.current", "inactive_file "));
    }
    fclose(f);
    return least;
}

uint64_t bf_host_available(void)
{
    uint64_t least = group_available(), value;
    struct rlimit r;
    if (read_number("/proc/meminfo", "MemAvailable:", &value)) least = BF_MIN(least, value);
    if (getrlimit(RLIMIT_AS, &r) == 0 && r.rlim_cur != RLIM_INFINITY &&
        read_number("/proc/self/status", "VmSize:", &value)) {
        least = BF_MIN(least, left((uint64_t)r.rlim_cur, value));
    }
    if (getrlimit(RLIMIT_DATA, &r) == 0 && r.rlim_cur != RLIM_INFINITY &&
        read_number("/proc/self/status", "VmData:", &value)) {
        least = BF_MIN(least, left((uint64_t)r.rlim_cur, value));
    }
    return least;
}

/* ---- driver files ---------------------------------------------------------------------------------------------- */

static void try_library(const char *label, const char *library, char *text, size_t size)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        bf_append(text, size, "  %s: %s\n", label, dlerror());
        return;
    }
    if (dlsym(handle, "clIcdGetPlatformIDsKHR") == NULL && dlsym(handle, "clGetExtensionFunctionAddress") == NULL) {
        bf_append(text, size, "  %s: %s loads but is not an OpenCL driver\n", label, library);
    } else {
        bf_append(text, size, "  %s: %s loads\n", label, library);
    }
    dlclose(handle);
}

static void try_icd(const char *path, char *text, size_t size)
{
    char line[512] = "";
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        bf_append(text, size, "  %s: cannot be read\n", path);
        return;
    }
    if (fgets(line, sizeof line, f) == NULL) line[0] = '\0';
    fclose(f);
    line[strcspn(line, "\r\n")] = '\0';
    for (char *p = line; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e) line[0] = '\0';
    }
    if (line[0] == '\0') {
        bf_append(text, size, "  %s: does not name a library\n", path);
    } else {
        try_library(path, line, text, size);
    }
}

static bool is_icd(const char *name)
{
    const size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".icd") == 0;
}

static void try_folder(const char *dir, char *text, size_t size)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    char path[1024];
    size_t n = 0;
    if (d == NULL) {
        bf_append(text, size, "  %s: no such folder\n", dir);
        return;
    }
    while ((e = readdir(d)) != NULL) {
        if (!is_icd(e->d_name)) continue;
        snprintf(path, sizeof path, "%.600s/%.300s", dir, e->d_name);
        try_icd(path, text, size);
        n++;
    }
    closedir(d);
    if (n == 0) bf_append(text, size, "  %s: no .icd file in this folder\n", dir);
}

/* Where the loader (ocl-icd) looks: a folder, an .icd file with or without folder, or a library. *from: the variable
 * that says so, NULL for the standard folder. */
static const char *vendors(const char **from)
{
    static const char *const variables[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"};
    for (size_t i = 0; i < BF_COUNT(variables); i++) {
        const char *value = getenv(variables[i]);
        *from = variables[i];
        if (value != NULL && value[0] != '\0') return value;
    }
    *from = NULL;
    return STANDARD_VENDORS;
}

void bf_driver_files(char *text, size_t size)
{
    const char *from, *dir = vendors(&from);
    DIR *d = opendir(dir);
    const struct dirent *e;
    bf_append(text, size, "%s%s", dir, d != NULL ? ":" : "");
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (is_icd(e->d_name)) bf_append(text, size, " %s", e->d_name);
    }
    if (d != NULL) closedir(d);
}

void bf_explain_drivers(char *text, size_t size)
{
    const char *from, *place = vendors(&from);
    char path[700];
    struct stat s;
    bf_append(text, size,
              "install: a driver for your GPU from its maker, or for the processor: apt-get install pocl-opencl-icd "
              "(Fedora: pocl, Arch: pocl)\n"
              "in a container both the .icd file and the device nodes (/dev/dri, /dev/kfd, /dev/nvidia*) must be "
              "visible inside\n");
    bf_append(text, size, "searched: %s%s%s\n", from ? from : "", from ? "=" : "", place);
    if (is_icd(place) && strchr(place, '/') == NULL) {
        snprintf(path, sizeof path, "%s/%.500s", STANDARD_VENDORS, place);
        try_icd(path, text, size);
    } else if (is_icd(place)) {
        try_icd(place, text, size);
    } else if (stat(place, &s) == 0 && S_ISREG(s.st_mode)) {
        try_library("driver", place, text, size);
    } else {
        try_folder(place, text, size);
    }
}
