/*
 * poll_set - many descriptors behind one source of the loop: what is ready at once is told in one
 * turn of it, and the loop need not keep count of thousands.
 */
#ifndef KUBETOKEN_POLL_SET_H
#define KUBETOKEN_POLL_SET_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct poll_set;

/* ready() is called for each descriptor that something is there for: EPOLLIN, EPOLLOUT as asked
 * for, EPOLLHUP and EPOLLERR in any case, again and again until it is dealt with. It may add and
 * remove any. NULL: no memory, or no descriptor. */
struct poll_set *poll_set_new(sd_event *event, void (*ready)(void *who, uint32_t events));
struct poll_set *poll_set_free(struct poll_set *set);

/* For who: who is told. Both return 0, or a negative errno. */
int poll_set_add(struct poll_set *set, int fd, uint32_t events, void *who);
int poll_set_change(struct poll_set *set, int fd, uint32_t events, void *who);

/* Nobody is told of it any more, also not of what was seen already. Before the descriptor is
 * closed: a child that was forked and is not another program yet has it as well. */
void poll_set_remove(struct poll_set *set, int fd, const void *who);

#endif
