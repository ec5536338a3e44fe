/*
 * metrics - `status --metrics`: what a collector is to read, also where no daemon answers.
 */
#ifndef KUBETOKEN_CLIENT_METRICS_H
#define KUBETOKEN_CLIENT_METRICS_H

#include "client/conversation.h"

/* Asks, and prints the answer whole or not at all. That no daemon answers is one, too. Returns the
 * exit code. */
int metrics_run(struct line *request, uint64_t timeout);

/* Prints that no daemon answers. Returns the exit code. */
int metrics_absent(void);

#endif
