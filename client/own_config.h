/*
 * own_config - an answer that says that the configuration is wrong or missing. Nothing of our
 * environment is sent, so a daemon that was started with another HOME reads another file, and the
 * line that it answers with, which names that one, is completed with ours.
 */
#ifndef KUBETOKEN_CLIENT_OWN_CONFIG_H
#define KUBETOKEN_CLIENT_OWN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

struct own_config {
    bool held;  /* the newline of what was looked at */
    bool named; /* it speaks of the file that we would have read, or of everybody's */
};

/* Looks at a part of the line. Returns how much of it is to be written now. */
size_t own_config_look(struct own_config *own, const char *bytes, size_t length);

/* Writes what is missing, if there was a line at all. */
void own_config_end(const struct own_config *own);

#endif
