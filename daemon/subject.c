#include "daemon/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/container.h"
#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/profile.h"

/* With less left it may be dead when it is looked at. */
static const uint64_t enough = 60 * USEC_PER_SEC;
/* Behind the other profile's next try: what comes of that wakes who comes from it sooner. */
static const uint64_t behind = 1 * USEC_PER_SEC;
/* Where that one has none in mind. */
static const uint64_t look_again = 60 * USEC_PER_SEC;

struct subject {
    struct context *shared;
    void (*ready)(void *context);
    void *context;
    char from[PROTOCOL_NAME_MAX + 1];
    bool access_token; /* which of its tokens */
    bool answered;     /* since it was asked */
    bool fresh;        /* the one that is there came for this */
    uint64_t spent;    /* when the one that was refused had been asked for; 0 = none was */
    struct error why;  /* what the answer was */
    struct waiter waiter;
};

static void on_ready(struct waiter *w, struct profile *source, const struct error *why)
{
    struct subject *s = container_of(w, struct subject, waiter);

    (void)source;
    s->answered = true;
    s->why = why ? *why : (struct error){ ERROR_NONE, "" };
    s->ready(s->context);
}

struct subject *subject_new(struct context *shared, const struct profile_config *config,
                            uint64_t spent, void (*ready)(void *context), void *context)
{
    struct subject *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->shared = shared;
    s->spent = spent;
    s->ready = ready;
    s->context = context;
    snprintf(s->from, sizeof s->from, "%s", config->from);
    s->access_token = strcmp(config_keys_subject_type(config), "access_token") == 0;
    return s;
}

struct subject *subject_free(struct subject *s)
{
    if (s)
        profile_forget(&s->waiter);
    free(s);
    return NULL;
}

static struct profile *source_of(const struct subject *s)
{
    return profile_named(s->shared, s->from);
}

/* Its token, if that is another than the one that was refused. */
static const struct secret *token_of(const struct subject *s, const struct profile *source)
{
    uint64_t now = time_boottime();

    if (!source || !profile_token(source, now) || profile_facts(source)->sent == s->spent)
        return NULL;
    return s->access_token ? profile_access_token(source, now) : profile_token(source, now);
}

const struct secret *subject_token(const struct subject *s)
{
    return token_of(s, source_of(s));
}

uint64_t subject_renew(struct subject *s)
{
    const struct profile *source = source_of(s);

    if (!token_of(s, source) || s->fresh)
        return 0;
    s->spent = profile_facts(source)->sent;
    return s->spent;
}

void subject_join(const struct subject *s, struct permit *permit)
{
    const struct profile *source = source_of(s);

    if (source)
        permit_join(permit, profile_config(source));
}

/* ---- why there is none ----------------------------------------------------------------------- */

static void need_login(const struct profile *source, struct attempt_end *ret)
{
    const char *name = profile_config(source)->name, *said = profile_error(source)->detail;

    ret->kind = LIFECYCLE_NO_LOGIN;
    error_set(&ret->error, ERROR_SOURCE_LOGIN, "kubetoken login %s%s%.*s%s", name,
              *said ? " (" : "", (int)error_stem(said), said, *said ? ")" : "");
}

static void refused(const struct profile *source, struct attempt_end *ret)
{
    const struct error *why = profile_error(source);

    ret->kind = LIFECYCLE_REFUSED;
    error_set(&ret->error, ERROR_SOURCE_REFUSED, "%s: %s%s%s", profile_config(source)->name,
              error_sentence(why->code), *why->detail ? ": " : "", why->detail);
}

/* It is tried again there, and after that here. */
static void put_off(const struct subject *s, const struct profile *source, const struct error *why,
                    struct attempt_end *ret)
{
    uint64_t now = time_boottime(), next = profile_look(source, now).next;
    bool none = why->code == ERROR_NONE;

    ret->kind = LIFECYCLE_DEFERRED;
    ret->retry_after = next > now ? next - now + behind : look_again;
    if (none && profile_token(source, now) && s->access_token)
        error_set(&ret->error, ERROR_EXCHANGE_TYPE, "%s brought no access_token to be exchanged",
                  s->from);
    else
        error_set(&ret->error, none ? ERROR_TIMEOUT : why->code,
                  "%s, from which its tokens come%s%s", s->from, *why->detail ? ": " : "",
                  why->detail);
}

/* Who was served with what there was before was not told what that one has met. */
static void explain(const struct subject *s, const struct profile *source, const struct error *why,
                    struct attempt_end *ret)
{
    why = why->code == ERROR_NONE ? profile_error(source) : why;
    switch (profile_trouble(source)) {
    case PROFILE_LOGIN_NEEDED:
        need_login(source, ret);
        return;
    case PROFILE_REFUSED:
        refused(source, ret);
        return;
    case PROFILE_WAITS:
    case PROFILE_WELL:
        put_off(s, source, why, ret);
        return;
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* A token in hand that is none for us is asked for anew. */
static enum profile_verdict want(struct subject *s, struct profile *source, uint64_t deadline)
{
    uint64_t now = time_boottime(), quarter = profile_facts(source)->lifetime / 4;

    s->waiter = (struct waiter){
        .request = { .verb = VERB_GET, .min_validity = quarter < enough ? quarter : enough },
        .inside = true,
        .renew = profile_token(source, now) && !token_of(s, source),
        .deadline = deadline,
        .ready = on_ready,
    };
    s->why = (struct error){ ERROR_NONE, "" };
    return profile_want(source, &s->waiter, now, &s->why);
}

enum subject_verdict subject_ask(struct subject *s, uint64_t deadline, struct attempt_end *ret)
{
    struct profile *source = source_of(s);

    if (s->waiter.profile)
        return SUBJECT_AWAITED;
    if (!source) {
        ret->kind = LIFECYCLE_LOCAL;
        error_set(&ret->error, ERROR_CONFIG, "from = %s: there is no such profile", s->from);
        return SUBJECT_LACKING;
    }
    if (!s->answered && want(s, source, deadline) == PROFILE_QUEUED)
        return SUBJECT_AWAITED;
    s->fresh = s->answered;
    s->answered = false;
    if (token_of(s, source))
        return SUBJECT_HERE;
    explain(s, source, &s->why, ret);
    return SUBJECT_LACKING;
}

void subject_words(const struct subject *s, char *out, size_t size)
{
    const struct profile *source = source_of(s);
    char words[320] = "gone";

    if (source)
        profile_words(source, time_boottime(), words, sizeof words);
    snprintf(out, size, "waiting for a token of %s, from which its own come, which is %s", s->from,
             words);
}
