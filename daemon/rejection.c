#include "daemon/rejection.h"

#include <stddef.h>

#define SECOND 1000000ULL

/* Between two suspicions, doubled as long as nothing comes of them. */
static const uint64_t floor_least = 10 * SECOND, floor_most = 3600 * SECOND;

/* Who was told a time may come in the second before: what is told is whole seconds. */
static const uint64_t slack = 1 * SECOND;

const struct rejection_client *rejection_note(struct rejection *s, pid_t pid, uint64_t token,
                                              uint64_t until, uint64_t now)
{
    struct rejection_client *c, *oldest = s->clients;

    if (!s->clients)
        return NULL;
    for (c = s->clients; c < s->clients + REJECTION_CLIENTS && c->pid != pid; c++)
        if (c->handed_out < oldest->handed_out)
            oldest = c;
    if (c == s->clients + REJECTION_CLIENTS) {
        c = oldest;
    } else if (c->token == token && now < c->until - slack) {
        c->times++;
        c->until = until;
        return c;
    }
    *c = (struct rejection_client){
        .pid = pid, .times = 1, .token = token, .handed_out = now, .until = until
    };
    return NULL;
}

bool rejection_knows(const struct rejection *s, pid_t pid, uint64_t token)
{
    const struct rejection_client *end = s->clients ? s->clients + REJECTION_CLIENTS : NULL;

    for (const struct rejection_client *c = s->clients; c < end; c++)
        if (c->pid == pid && c->token == token)
            return true;
    return false;
}

bool rejection_confirm(struct rejection *s, const struct rejection_client *client, unsigned calls,
                       uint64_t now)
{
    if (client->times <= calls || client->token == s->suspected)
        return false;
    if (s->suspected > 0 && now - s->at < (s->floor > 0 ? s->floor : floor_least)) {
        s->unheard = client->token;
        return false;
    }
    s->floor = s->floor == 0 ? floor_least : s->floor > floor_most / 2 ? floor_most : 2 * s->floor;
    s->suspected = client->token;
    s->at = now;
    return true;
}

void rejection_calm(struct rejection *s, uint64_t token)
{
    if (s->suspected != token && s->unheard != token)
        s->floor = 0;
}
