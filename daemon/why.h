/*
 * why - the last 401 in one sentence: what was seen, and what that suggests. Nothing that is only
 * likely is told as certain.
 */
#ifndef KUBETOKEN_WHY_H
#define KUBETOKEN_WHY_H

#include <stdio.h>

#include "daemon/history.h"

/* Of that profile, NULL: of all. Lines of so many columns, or docs/why.schema.json. */
void why_print(FILE *f, const struct history *history, const char *profile, size_t columns,
               uint64_t now);
void why_print_json(FILE *f, const struct history *history, const char *profile, uint64_t now);

#endif
