/*
 * container - from a member to the struct that it is a part of.
 */
#ifndef KUBETOKEN_CONTAINER_H
#define KUBETOKEN_CONTAINER_H

#include <stddef.h>

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)&((char *)(pointer))[-(ptrdiff_t)offsetof(type, member)])

#endif
