#define _GNU_SOURCE
#include "daemon/why.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/json_print.h"
#include "common/json_tree.h"
#include "common/time.h"
#include "common/wrap.h"
#include "daemon/history_view.h"
#include "daemon/memory.h"

/* A token that has no more left may have been dead by the API server's clock. */
static const uint64_t nearly_dead = 30 * USEC_PER_SEC;
/* A clock that differs by no more is no matter. */
enum { CLOCK_OFF = 30 };

enum cause {
    CAUSE_EXPIRY,
    CAUSE_FINDING,
    CAUSE_KEY_REPLACED, /* since the token was made */
    CAUSE_KEY_NEW,      /* with the token */
    CAUSE_CLAIMS,
    CAUSE_CLOCK,
    CAUSE_AGAIN,
    CAUSES
};

static const char *const cause_names[CAUSES] = {
    [CAUSE_EXPIRY] = "expiry",   [CAUSE_FINDING] = "finding", [CAUSE_KEY_REPLACED] = "key-replaced",
    [CAUSE_KEY_NEW] = "key-new", [CAUSE_CLAIMS] = "claims",   [CAUSE_CLOCK] = "clock",
    [CAUSE_AGAIN] = "again",
};

/* What belongs to the last rejection; NULL: there is none. */
struct story {
    const struct history_entry *rejection;
    const struct history_entry *token;    /* how the rejected one came */
    const struct history_entry *earlier;  /* the rejection of the token before it */
    const struct history_entry *key;      /* with that token */
    const struct history_entry *next;     /* the token that came then */
    const struct history_entry *next_key; /* with that one */
    const struct history_entry *failure;  /* why there is none */
    unsigned handed_out;                  /* later ones, how often */
    const struct history_entry *begin;    /* what is remembered first, and what of */
    bool whole;                           /* that is the start of the daemon */
};

/* ---- what was seen --------------------------------------------------------------------------- */

static bool concerns(const struct history_entry *e, const char *profile)
{
    return e->profile && (!profile || strcmp(e->profile, profile) == 0);
}

static const struct history_entry *last_rejection(const struct history *h, const char *profile)
{
    for (const struct history_entry *e = history_last(h); e; e = history_before(e))
        if (e->kind == HISTORY_REJECTION && concerns(e, profile))
            return e;
    return NULL;
}

static void take_token(struct story *s, const struct history_entry *e)
{
    if (e->token == s->rejection->token)
        s->token = e;
    else if (e->token > s->rejection->token && !s->next)
        s->next = e;
}

static void take_key(struct story *s, const struct history_entry *e)
{
    if (e->token == s->rejection->token)
        s->key = e;
    else if (e->token > s->rejection->token && !s->next_key)
        s->next_key = e;
}

static void take(struct story *s, const struct history_entry *e)
{
    switch (e->kind) {
    case HISTORY_TOKEN:
        take_token(s, e);
        return;
    case HISTORY_KEY:
        take_key(s, e);
        return;
    case HISTORY_REJECTION:
        if (e != s->rejection && e->token < s->rejection->token)
            s->earlier = e;
        return;
    case HISTORY_HAND_OUT:
        if (e->token > s->rejection->token)
            s->handed_out += e->count;
        return;
    case HISTORY_FAILURE:
        if (e->at >= s->rejection->at)
            s->failure = e;
        return;
    case HISTORY_STARTED:
    case HISTORY_RELOAD:
    case HISTORY_LOGOUT:
    case HISTORY_IDENTITY:
    case HISTORY_SHARE:
    case HISTORY_UNSHARE:
        return;
    }
}

static struct story look(const struct history *h, const char *profile)
{
    struct story s = { .rejection = last_rejection(h, profile),
                       .begin = history_after(h, 0),
                       .whole = history_lost(h, profile) == 0 };

    for (const struct history_entry *e = s.begin; s.rejection && e; e = history_next(e))
        if (concerns(e, s.rejection->profile))
            take(&s, e);
    if (s.next)
        s.failure = NULL;
    /* not the token before, but one of some time ago */
    if (s.earlier && (!s.token || s.token->reason != HISTORY_REJECTED))
        s.earlier = NULL;
    return s;
}

/* ---- what it suggests ------------------------------------------------------------------------ */

static uint64_t left_of(const struct history_entry *rejection)
{
    return rejection->expires_at > rejection->at ? rejection->expires_at - rejection->at : 0;
}

/* What an API server is known to mind, or NULL. */
static const char *words_of(enum error_code finding)
{
    switch ((int)finding) {
    case ERROR_EMAIL_NOT_VERIFIED:
        return "its e-mail address is not verified, and an API server that names users by e-mail "
               "refuses every token of such a user";
    case ERROR_EMAIL_CLAIM:
        return "its e-mail address is of no use to an API server that names users by e-mail";
    case ERROR_USERNAME_CLAIM:
        return "it has no usable username claim, without which the API server refuses it";
    case ERROR_KEYS_UNREADABLE:
        return "the API server cannot use the provider's keys as they are published";
    case ERROR_DISCOVERY_UNREADABLE:
        return "the API server cannot read the provider's discovery document";
    case ERROR_NOT_VERIFIED:
        return "its signature could not be checked here either";
    case ERROR_CLAIM_TWICE:
        return "a claim of it is given twice, and the API server may have read the other one";
    case ERROR_GROUPS_CLAIM:
        return "its groups claim is no list of texts, which the API server may not read";
    default:
        return NULL;
    }
}

static void print_finding(FILE *f, const struct history_entry *r)
{
    bool any = false;

    for (unsigned i = 0; i < r->n_findings; i++) {
        const char *words = words_of(r->findings[i]);
        if (words)
            fprintf(f, "%s%s", any ? "; " : "", words);
        any |= words != NULL;
    }
}

static bool any_finding(const struct history_entry *rejection)
{
    for (unsigned i = 0; i < rejection->n_findings; i++)
        if (words_of(rejection->findings[i]))
            return true;
    return false;
}

/* What was seen that speaks for that cause, or NULL: nothing does. */
static const struct history_entry *ground(const struct story *s, enum cause cause)
{
    const struct history_entry *r = s->rejection;

    switch (cause) {
    case CAUSE_EXPIRY:
        return r->expires_at > 0 && left_of(r) < nearly_dead ? r : NULL;
    case CAUSE_FINDING:
        return any_finding(r) ? r : NULL;
    case CAUSE_KEY_REPLACED:
        return s->next && s->next_key && s->next_key->token == s->next->token ? s->next_key : NULL;
    case CAUSE_KEY_NEW:
        return s->key;
    case CAUSE_CLAIMS:
        return s->token && s->token->text ? s->token : NULL;
    case CAUSE_CLOCK:
        return llabs((long long)r->clock_offset) > CLOCK_OFF ? r : NULL;
    case CAUSE_AGAIN:
        return s->earlier;
    case CAUSES:
        break;
    }
    return NULL;
}

static void print_keys(FILE *f, const struct history_entry *e)
{
    if (e->key && e->previous_key)
        fprintf(f, " (%s, before it %s)", e->key, e->previous_key);
}

static void print_replaced(FILE *f, const struct history_entry *key)
{
    fprintf(f, "the token after it is signed with another key");
    print_keys(f, key);
    fprintf(f, ", %s, which may be why",
            key->key_gone ? "and the provider publishes the old one no more"
                          : "so the provider has changed it");
}

/* e: ground() of it. */
static void print_cause(FILE *f, enum cause cause, const struct history_entry *e, uint64_t now)
{
    char clock[HISTORY_CLOCK_SIZE];

    switch (cause) {
    case CAUSE_EXPIRY:
        fprintf(f, "so short before its end it may have been dead by the API server's clock");
        return;
    case CAUSE_FINDING:
        print_finding(f, e);
        return;
    case CAUSE_KEY_REPLACED:
        print_replaced(f, e);
        return;
    case CAUSE_KEY_NEW:
        fprintf(f, "the provider's signing key changed at %s", history_clock(clock, e->at, now));
        print_keys(f, e);
        fprintf(f, ", and the API server may not have fetched it yet");
        return;
    case CAUSE_CLAIMS:
        fprintf(f, "its claims differ from those of the one before: %s", e->text);
        return;
    case CAUSE_CLOCK:
        fprintf(f, "the provider's clock is %+" PRId64 " s from that of this machine",
                e->clock_offset);
        return;
    case CAUSE_AGAIN:
        fprintf(f,
                "the token before it was rejected at %s, so another one alone does not help; "
                "kubetoken doctor %s asks the API server",
                history_clock(clock, e->at, now), e->profile);
        return;
    case CAUSES:
        return;
    }
}

/* ---- the sentence ---------------------------------------------------------------------------- */

static void print_seen(FILE *f, const struct history_entry *r, uint64_t now)
{
    char token[HISTORY_CLOCK_SIZE], handed[HISTORY_CLOCK_SIZE], at[HISTORY_CLOCK_SIZE], left[24];

    time_format_duration(left, sizeof left, left_of(r));
    history_print_process(f, r);
    if (!r->told) {
        fprintf(f,
                " got the token of %s at %s and came back at %s for another while it was good for "
                "%s, so the API server probably rejected it",
                history_clock(token, r->token, now), history_clock(handed, r->handed_at, now),
                history_clock(at, r->at, now), left);
        return;
    }
    fprintf(f, " said at %s by get --rejected that the API server rejected the token of %s",
            history_clock(at, r->at, now), history_clock(token, r->token, now));
    if (r->expires_at > 0)
        fprintf(f, ", which was good for %s", left);
}

static void print_after(FILE *f, const struct story *s, uint64_t now)
{
    char at[HISTORY_CLOCK_SIZE];

    if (s->next && s->handed_out > 0)
        fprintf(f, "; the token of %s was handed out since, %u time%s, and nobody came back",
                history_clock(at, s->next->token, now), s->handed_out,
                s->handed_out == 1 ? "" : "s");
    else if (s->next)
        fprintf(f, "; another one was fetched at %s, and nobody has asked for it yet",
                history_clock(at, s->next->token, now));
    else if (s->failure)
        fprintf(f, "; another one could not be had: %s", error_sentence(s->failure->code));
}

static void print_none(FILE *f, const struct story *s, const char *profile, uint64_t now)
{
    char clock[HISTORY_CLOCK_SIZE];

    if (profile)
        fprintf(f, "%s: ", profile);
    fprintf(f, "no rejection was seen");
    if (s->begin && s->whole)
        fprintf(f, " since %s, when kubetokend started", history_clock(clock, s->begin->at, now));
    else
        fprintf(f, " among what is remembered");
    fprintf(f, "; one shows when kubectl comes back before its token's time is up, or somebody "
               "says get --rejected");
}

static void print_sentence(FILE *f, const struct story *s, const char *profile, uint64_t now)
{
    bool any = false;

    if (!s->rejection) {
        print_none(f, s, profile, now);
        return;
    }
    fprintf(f, "%s: ", s->rejection->profile);
    print_seen(f, s->rejection, now);
    for (int c = 0; c < CAUSES; c++) {
        const struct history_entry *e = ground(s, (enum cause)c);
        if (!e)
            continue;
        fprintf(f, "%s", any ? "; " : ": ");
        print_cause(f, (enum cause)c, e, now);
        any = true;
    }
    if (!any)
        fprintf(f, "; nothing that was seen here says why, the API server's log may");
    print_after(f, s, now);
}

static char *sentence(const struct story *s, const char *profile, uint64_t now)
{
    char *text;
    size_t size;
    FILE *f = memory_stream(&text, &size);

    if (!f)
        return NULL;
    print_sentence(f, s, profile, now);
    memory_close(f, &text);
    return text;
}

void why_print(FILE *f, const struct history *h, const char *profile, size_t columns, uint64_t now)
{
    const struct story s = look(h, profile);
    char *text = sentence(&s, profile, now);

    if (text)
        wrap_remedy(f, text, 0, 0, columns);
    free(text);
}

static void add_causes(cJSON *json, const struct story *s, uint64_t now)
{
    cJSON *list = cJSON_AddArrayToObject(json, "causes");

    for (int c = 0; c < CAUSES; c++) {
        char *text = NULL;
        size_t size;
        const struct history_entry *e = ground(s, (enum cause)c);
        FILE *f = e ? memory_stream(&text, &size) : NULL;
        if (!f)
            continue;
        print_cause(f, (enum cause)c, e, now);
        memory_close(f, &text);
        cJSON *cause = cJSON_CreateObject();
        cJSON_AddStringToObject(cause, "cause", cause_names[c]);
        cJSON_AddStringToObject(cause, "text", text ? text : "");
        json_tree_append(list, cause);
        free(text);
    }
}

static void add_entry(cJSON *json, const char *name, const struct history_entry *e, uint64_t now)
{
    if (e)
        json_tree_put(json, name, history_json(e, now));
}

void why_print_json(FILE *f, const struct history *h, const char *profile, uint64_t now)
{
    const struct story s = look(h, profile);
    cJSON *json = cJSON_CreateObject();
    char *text = sentence(&s, profile, now), *printed;

    cJSON_AddNumberToObject(json, "schemaVersion", 1);
    if (s.rejection || profile)
        cJSON_AddStringToObject(json, "profile", s.rejection ? s.rejection->profile : profile);
    cJSON_AddBoolToObject(json, "rejected", s.rejection != NULL);
    cJSON_AddStringToObject(json, "sentence", text ? text : "");
    if (s.rejection) {
        add_causes(json, &s, now);
        add_entry(json, "rejection", s.rejection, now);
        add_entry(json, "token", s.token, now);
        add_entry(json, "next", s.next, now);
        add_entry(json, "failure", s.failure, now);
    }
    printed = json_print(json);
    if (printed)
        fprintf(f, "%s\n", printed);
    else
        memory_note_lack();
    free(printed);
    cJSON_Delete(json);
    free(text);
}
