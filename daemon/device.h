/*
 * device - one login that a person confirms elsewhere (RFC 8628): a code is asked for, shown by
 * whoever started it, and what became of it is asked again and again until the code's end.
 *
 *   start -> ASKS -> (code) WAITS <-> POLLS -> done
 *
 * Each request is an attempt (attempt.h) of its own, and holds a slot only while it runs. Polls are
 * as far apart as the provider says, 5 s where it says nothing; 5 s more for good after each
 * slow_down, and twice as much for good after an answer that is lost (§3.5). What may pass is no
 * end. Times are usec of CLOCK_BOOTTIME.
 */
#ifndef KUBETOKEN_DEVICE_H
#define KUBETOKEN_DEVICE_H

#include "daemon/attempt.h"

struct device;

/* What a person needs to confirm it. For them alone: it is in no log and no status. */
struct device_code {
    char user_code[RESULT_USER_CODE_MAX + 1];
    char page[RESULT_URI_MAX + 1];
    char whole_page[RESULT_URI_MAX + 1]; /* with the code in it; "": none */
    uint64_t ends_at;
};

struct device_calls {
    void (*shown)(void *context); /* the code is there */
    /* Whether another request for a token is under way: a poll that is due waits for its end, until
     * device_go_on(). */
    bool (*is_busy)(void *context);
    void (*polled)(void *context); /* a poll has ended, and the login goes on */
    /* It is over: with a token (attempt_token()), or with the error. The result, where there is
     * one, has the cache. */
    void (*done)(void *context, struct attempt_end *end);
};

/* May be used for one login after the other. NULL: no memory. */
struct device *device_new(struct context *shared, const struct device_calls *calls, void *context);
struct device *device_free(struct device *device);

/* Begins; one that is under way is given up. The configuration is the caller's, and has to live as
 * long as the login does or until device_configure(); the cache is copied. deadline: by then there
 * is a code. Nothing is told from within. */
void device_start(struct device *device, const struct profile_config *config, const void *cache,
                  size_t cache_length, uint64_t deadline);

/* It is given up: no more polls, and nobody is told. All of these but device_words() take NULL:
 * there has been none. */
void device_cancel(struct device *device);

/* The configuration is elsewhere now, of the same identity. */
void device_configure(struct device *device, const struct profile_config *config);

/* No other request is under way any more. */
void device_go_on(struct device *device);

/* Whether a login is. */
bool device_is_under_way(const struct device *device);
/* Whether a poll is: a token may come. */
bool device_is_polling(const struct device *device);
/* NULL: there is none (yet). */
const struct device_code *device_code(const struct device *device);
/* What it waits for, in words. */
void device_words(const struct device *device, uint64_t now, char *out, size_t size);

#endif
