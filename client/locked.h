/*
 * locked - memory for a secret that the client holds for a moment.
 */
#ifndef KUBETOKEN_CLIENT_LOCKED_H
#define KUBETOKEN_CLIENT_LOCKED_H

#include <stddef.h>

/* Locked if the limit allows, left out of core dumps, and not of this program's data, whose few
 * pages every `get` touches. Ends the program when there is none. */
char *locked_memory(size_t size);

/* The same for who has begun something that must not be left half done: NULL where there is none.
 */
char *locked_memory_if_any(size_t size);

#endif
