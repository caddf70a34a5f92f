/* bfncl --device list [-v | --json] */
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/device_list.h"
#include "cli/term.h"

static void print(const cli_args *a, const bfncl_device_info *devices, size_t count, const char *choice)
{
    if (cli_given(a, OPT_JSON))
        device_list_json(stdout, devices, count); /* a failed write shows in cli_finish() */
    else if (cli_given(a, OPT_VERBOSE))
        device_list_verbose(stdout, devices, count, choice);
    else
        device_list_short(stdout, devices, count, choice);
}

int cli_devices(const cli_args *a)
{
    bfncl_device_list *list = NULL;
    bfncl_error err;
    bool usable = false;
    if (bfncl_device_list_new(NULL, &list, &err) != BFNCL_OK) return cli_fail(&err);
    size_t count = bfncl_device_list_count(list);
    bfncl_device_info *devices = calloc(count + 1, sizeof *devices);
    if (!devices) {
        bfncl_device_list_free(list);
        cli_error("out of memory");
        return BFNCL_ERR_RUNTIME;
    }
    for (size_t i = 0; i < count; i++) {
        devices[i] = *bfncl_device_list_get(list, i);
        usable = usable || devices[i].usable;
    }
    print(a, devices, count, bfncl_device_list_choice(list));
    if (!usable) {
        cli_error("no usable OpenCL device");
        fputs(bfncl_device_list_explain(list), stderr);
    }
    free(devices);
    bfncl_device_list_free(list);
    return usable ? 0 : BFNCL_ERR_DEVICE;
}
