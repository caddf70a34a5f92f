/*
 * The three forms of `bfncl --device list`. They take the plain table so that a test can show them any device; `choice`
 * is the line of bfncl_device_list_choice. Driver texts are printed as valid UTF-8 without control characters.
 */
#ifndef BF_CLI_DEVICE_LIST_H
#define BF_CLI_DEVICE_LIST_H

#include <bfncl.h>
#include <stdio.h>

/* A table of one line per device and a line of what is chosen and how to choose. */
void device_list_short(FILE *f, const bfncl_device_info *devices, size_t count, const char *choice);

/* Everything known about each device; what a problem report needs. */
void device_list_verbose(FILE *f, const bfncl_device_info *devices, size_t count, const char *choice);

/* {"schema_version":1,"devices":[...]}, a valid document also for no devices. False when it could not be written. */
bool device_list_json(FILE *f, const bfncl_device_info *devices, size_t count);

#endif
