/*
 * service - what systemd says of kubetoken.service, where a daemon that it starts says nothing.
 */
#ifndef KUBETOKEN_CLIENT_SERVICE_H
#define KUBETOKEN_CLIENT_SERVICE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum service_state {
    SERVICE_FAILS,    /* the last start failed before it was ready: *why has the cause */
    SERVICE_STARTS,   /* it is being started just now: it may be about to fail */
    SERVICE_NO_CAUSE, /* it runs, or comes back after a crash, or systemd cannot be asked */
};

/* Asks the user manager by `systemctl show`, for at most that time (usec). */
enum service_state service_ask(uint64_t time, struct error *why);

/* What such an answer means: lines NAME=VALUE, NUL-terminated. */
enum service_state service_judge(const char *text, struct error *why);

#endif
