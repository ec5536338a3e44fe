#define _GNU_SOURCE
#include "daemon/render_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/lifecycle.h"
#include "daemon/memory.h"
#include "daemon/metrics.h"

enum { STATES = LIFECYCLE_NEED_LOGIN + 1 };

/* A time of CLOCK_BOOTTIME on the wall clock; 0 stays 0. */
static int64_t wall(uint64_t at, uint64_t now)
{
    return at == 0 ? 0 : (time_realtime() + (int64_t)(at - now)) / (int64_t)USEC_PER_SEC;
}

/* Whose user the caller frees. */
static void describe(const struct profile *p, bool with_user, uint64_t now,
                     struct metrics_profile *ret)
{
    struct profile_look look = profile_look(p, now);
    const struct facts *facts = profile_facts(p);
    enum error_code code = profile_error(p)->code;
    struct profile_counts counts = profile_counts(p);
    char user[PROFILE_USER_MAX];
    struct error odd;

    profile_oddities(p, &odd);
    profile_user(p, user, sizeof user);
    char *copy = with_user ? strdup(user) : NULL;
    if (with_user && !copy)
        memory_note_lack();
    *ret = (struct metrics_profile){
        .name = profile_config(p)->name,
        .issuer = profile_config(p)->issuer,
        .user = copy,
        .state = look.state,
        .error = code == ERROR_NONE ? NULL : error_name(code),
        .since = wall(look.since, now),
        .has_token = look.expires_at > 0,
        .verified = facts->verified,
        .expiration = wall(look.expires_at, now),
        .renewal = look.next_is == PROFILE_RENEWAL ? wall(look.next, now) : 0,
        .retry = look.next_is == PROFILE_RETRY ? wall(look.next, now) : 0,
        .has_clock_offset = facts->has_clock_offset,
        .clock_offset = facts->clock_offset,
        .warnings = facts->n_warnings + (odd.code != ERROR_NONE),
        .handouts = counts.handouts,
        .renewals = counts.renewals,
        .failures = counts.failures,
    };
}

static void write_all(FILE *f, const struct profiles *all, const struct metrics_profile *rows,
                      size_t n)
{
    const struct config_report *report = profiles_report(all);
    const struct metrics_daemon daemon = {
        .version = KUBETOKEN_VERSION,
        .in_force = !report && !config_change_any(profiles_change(all)),
        .configuration_errors = !report             ? 0
                                : report->count > 0 ? report->count
                                                    : 1,
    };
    const char *states[STATES + 1] = { NULL };

    for (int i = 0; i < STATES; i++)
        states[i] = lifecycle_state_name((enum lifecycle_state)i);
    metrics_write(f, &daemon, rows, n, states);
}

char *render_metrics(const struct profiles *all, struct profile *const *profiles, size_t n,
                     bool with_user, uint64_t now)
{
    struct metrics_profile *rows = calloc(n + 1, sizeof *rows);
    char *text = NULL;
    size_t size;
    FILE *f = rows ? memory_stream(&text, &size) : NULL;

    if (!rows)
        memory_note_lack();

    for (size_t i = 0; f && i < n; i++)
        describe(profiles[i], with_user, now, &rows[i]);
    if (f) {
        write_all(f, all, rows, n);
        memory_close(f, &text);
    }
    for (size_t i = 0; f && i < n; i++)
        free((char *)(uintptr_t)rows[i].user);
    free(rows);
    return text;
}
