/* Any bytes as a configuration file, and as one override of --set. What is accepted, and passes the checks, is written
 * and read back to the same values. */
#include <string.h>

#include "fuzz.h"
#include "run/config.h"

static void check_round_trip(const bf_config *c)
{
    bf_err err;
    bf_config again;
    char *text = NULL, *same = NULL, *commented = NULL;
    json_t *json = NULL;
    FUZZ_CHECK(bf_config_text(c, false, &text, &err) == BF_OK);
    FUZZ_CHECK(bf_config_parse(text, strlen(text), "text", &again, &err) == BF_OK);
    FUZZ_CHECK(bf_config_text(&again, false, &same, &err) == BF_OK && strcmp(text, same) == 0);
    FUZZ_CHECK(bf_config_hash(c) == bf_config_hash(&again));
    FUZZ_CHECK(bf_config_text(c, true, &commented, &err) == BF_OK);
    FUZZ_CHECK(bf_config_parse(commented, strlen(commented), "commented", &again, &err) == BF_OK);
    FUZZ_CHECK(bf_config_json(c, &json, &err) == BF_OK);
    json_decref(json);
    free(commented);
    free(same);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bf_err err = {0};
    bf_config c;
    char *assignment = malloc(size + 1);
    FUZZ_CHECK(assignment != NULL);
    memcpy(assignment, data, size);
    assignment[size] = '\0';
    bf_status st = bf_config_parse((const char *)data, size, "input", &c, &err);
    FUZZ_CHECK(st == BF_OK || (st == BF_USAGE && err.message[0] != '\0'));
    if (st == BF_OK) {
        check_round_trip(&c);
        (void)bf_config_check(&c, &err);
    }
    bf_config_defaults(&c);
    if (bf_config_set(&c, assignment, &err) == BF_OK) {
        check_round_trip(&c);
        (void)bf_config_check(&c, &err);
    }
    free(assignment);
    return 0;
}
