/*
 * config_print - the configuration as the files say it together, with the origin of each line and
 * what counts where none says anything, as JSON.
 */
#ifndef KUBETOKEN_CONFIG_PRINT_H
#define KUBETOKEN_CONFIG_PRINT_H

#include <stddef.h>

#include "daemon/config.h"

/* What is built in, a setting for each key that has a value without being set. */
struct config_builtin {
    const char *key, *value;
};
extern const struct config_builtin config_builtins[];
extern const size_t config_builtins_count;

/* The text, on the heap, with its newline; NULL with the report filled, which the caller frees. */
char *config_print(const char *const *paths, size_t n_paths, struct config_report *report);

#endif
