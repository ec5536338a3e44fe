#define _GNU_SOURCE
#include "daemon/permit.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/digest.h"

/* ---- whose credentials they are -------------------------------------------------------------- */

enum { URL_ROOM = 4096 }; /* no line of a configuration is as long */

/* Host and port of the proxy; false: there is no proxy, or it is told no user. *ret_user is a
 * digest of user and password. */
static bool proxy_user(const char *url, char at_host[URL_ROOM], account_digest *ret_user)
{
    char user[URL_ROOM];

    const char *start = url ? strstr(url, "://") : NULL;

    start = start ? start + 3 : url;
    size_t length = start ? strcspn(start, "/?#") : 0;
    const char *at = start ? memrchr(start, '@', length) : NULL;
    if (!at)
        return false;
    snprintf(user, sizeof user, "%.*s", (int)(at - start), start);
    snprintf(at_host, URL_ROOM, "%.*s", (int)(start + length - at - 1), at + 1);
    *ret_user = digest_text(user);
    explicit_bzero(user, sizeof user);
    return true;
}

static void open_proxy(struct permit *p, const struct profile_config *config)
{
    char at[URL_ROOM];

    if (!proxy_user(config_keys_proxy(config), at, &p->parts[PERMIT_PROXY].what.password))
        return;
    p->parts[PERMIT_PROXY].id = account_table_id(
        &(struct account_name){ .kind = ACCOUNT_PROXY, .at = at, .name = "" });
}

/* With its secret, and how that is sent. */
static account_digest client_digest(const struct profile_config *config,
                                    const struct secret *client_secret)
{
    return digest_pair(digest_pair(digest_text(config->client_id), digest_secret(client_secret)),
                       digest_text(config->client_auth));
}

/* What the client may do with one grant says nothing of another. */
static account_digest grant_digest(const struct profile_config *config, bool by_password)
{
    if (config->grant == GRANT_EXCHANGE)
        return digest_text("token-exchange");
    return digest_text(!by_password ? "refresh_token" : config->realm ? "realm" : "password");
}

void permit_open(struct permit *ret, struct account_table *accounts,
                 const struct profile_config *config, const struct secret *client_secret,
                 const struct secret *password)
{
    account_digest client = client_digest(config, client_secret);
    const struct account_name client_name = { ACCOUNT_CLIENT, config->issuer, NULL,
                                              config->client_id };
    const struct account_name user_name = { ACCOUNT_USER, config->issuer, config->realm,
                                            config->username };

    *ret = (struct permit){ .accounts = accounts };
    open_proxy(ret, config);
    if (config->grant == GRANT_COMMAND) /* no credential is sent to the provider */
        return;
    ret->parts[PERMIT_CLIENT].id = account_table_id(&client_name);
    ret->parts[PERMIT_CLIENT].what = (struct account_credential){
        .password = client, .client = grant_digest(config, password != NULL)
    };
    if (!password)
        return;
    ret->parts[PERMIT_USER].id = account_table_id(&user_name);
    ret->parts[PERMIT_USER].what = (struct account_credential){
        .password = digest_secret(password),
        .client = client,
        .client_id = digest_text(config->client_id),
        .profile = digest_text(config->name)
    };
}

void permit_join(struct permit *p, const struct profile_config *source)
{
    const char *name = source->username ? source->username : source->name;

    p->bucket = account_table_id(
        &(struct account_name){ ACCOUNT_USER, source->issuer, source->realm, name });
}

/* Looked for each time: another request may have had it made meanwhile. */
struct account *permit_account(const struct permit *p, enum permit_part part)
{
    return p->parts[part].id ? account_table_find(p->accounts, p->parts[part].id) : NULL;
}

/* The same, made if need be. NULL: no memory. */
static struct account *make_account(const struct permit *p, enum permit_part part)
{
    return account_table_get(p->accounts, p->parts[part].id);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static uint32_t some_random(void)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint32_t)time_boottime();
    return random;
}

static enum account_verdict ask_part(struct permit *p, enum permit_part part, const void *who,
                                     bool urgent, bool by_route, uint64_t forced_at,
                                     uint64_t *ret_when)
{
    const struct account_credential *what = &p->parts[part].what;
    struct account *a = part == PERMIT_CLIENT ? permit_account(p, part) : make_account(p, part);

    if (!a && part == PERMIT_CLIENT && !account_table_kept(p->accounts, p->parts[part].id))
        return ACCOUNT_GO; /* most clients are never refused */
    if (!a)
        return ACCOUNT_NO_ROOM;
    bool forced = forced_at > 0 && (p->with_otp || account_is_forced(a, what->password, forced_at));
    enum account_leave leave = forced     ? ACCOUNT_BY_PERSON
                               : by_route ? ACCOUNT_BY_ROUTE
                               : urgent   ? ACCOUNT_BY_RULE
                                          : ACCOUNT_FOR_NOBODY;
    if (part == PERMIT_USER)
        return account_ask(a, what, leave, who, some_random(), time_boottime(), ret_when);
    return account_admit(a, what, leave, part == PERMIT_PROXY, who, time_boottime(), ret_when);
}

static void release(struct permit *p, const void *who)
{
    struct account *proxy = permit_account(p, PERMIT_PROXY);

    if (proxy)
        account_release(proxy, who);
}

/* Of its bucket alone. */
static enum account_verdict take_login(struct permit *p, const void *who, bool urgent,
                                       uint64_t *ret_when)
{
    struct account *a = account_table_get(p->accounts, p->bucket);
    enum account_leave leave = urgent ? ACCOUNT_BY_RULE : ACCOUNT_FOR_NOBODY;

    if (!a)
        return ACCOUNT_NO_ROOM;
    enum account_verdict verdict = account_take(a, leave, who, time_boottime(), ret_when);
    if (verdict == ACCOUNT_GO)
        account_table_save(p->accounts, a);
    return verdict;
}

enum account_verdict permit_ask(struct permit *p, const void *who, bool urgent, bool by_route,
                                uint64_t forced_at, enum permit_part *ret_part, uint64_t *ret_when)
{
    for (unsigned i = 0; i < PERMIT_PARTS; i++) {
        enum account_verdict verdict = ACCOUNT_GO;
        if (p->parts[i].id)
            verdict = ask_part(p, i, who, urgent, by_route, forced_at, ret_when);
        if (verdict != ACCOUNT_GO) {
            release(p, who);
            *ret_part = i;
            return verdict;
        }
    }
    if (p->bucket) {
        enum account_verdict verdict = take_login(p, who, urgent || forced_at > 0, ret_when);
        if (verdict != ACCOUNT_GO) {
            release(p, who);
            *ret_part = PERMIT_USER;
            return verdict;
        }
    }
    if (p->parts[PERMIT_USER].id)
        account_table_save(p->accounts, permit_account(p, PERMIT_USER));
    p->held = true;
    return ACCOUNT_GO;
}

bool permit_refuses(const struct permit *p)
{
    for (unsigned i = 0; i < PERMIT_PARTS; i++) {
        const struct account *a = permit_account(p, i);
        if (a && account_refuses(a, &p->parts[i].what))
            return true;
    }
    return false;
}

uint64_t permit_next(const struct permit *p)
{
    const struct account *a = permit_account(p, PERMIT_USER);

    return a ? account_next(a, &p->parts[PERMIT_USER].what) : 0;
}

/* ---- what came of it ------------------------------------------------------------------------- */

static bool is_denial(unsigned http_status)
{
    return http_status == 400 || http_status == 401 || http_status == 403;
}

/* Whether an answer speaks of what the user sent. With a one-time password beside it nobody knows
 * of which of the two; and a password that was taken with one is none that is taken alone. */
static bool says_something(const struct permit_outcome *o)
{
    switch (o->why ? error_class(o->why->code) : ERROR_CLASS_ACCEPTED) {
    case ERROR_CLASS_REFUSED_USER:
    case ERROR_CLASS_REFUSED_EITHER:
    case ERROR_CLASS_ACCEPTED:
    case ERROR_CLASS_SOFT:
        return true;
    case ERROR_CLASS_NONE:
    case ERROR_CLASS_LOCAL:
    case ERROR_CLASS_UNSENT:
    case ERROR_CLASS_TRANSIENT:
    case ERROR_CLASS_LOST:
    case ERROR_CLASS_THROTTLED:
    case ERROR_CLASS_REFUSED_CLIENT:
    case ERROR_CLASS_PROXY:
        break;
    }
    return false;
}

/* What the user's account is to think of it. Whether the grant was sent is the step's to say, the
 * rest the code's. */
static enum account_end user_end(const struct permit_outcome *o)
{
    if (o->with_otp && o->sent_grant && says_something(o))
        return ACCOUNT_UNKNOWN;
    if (!o->why)
        return ACCOUNT_TOOK;
    if (!o->sent_grant)
        return ACCOUNT_NOT_SENT;
    if (o->why->code == ERROR_OTP_REQUIRED)
        return ACCOUNT_ALONE;
    switch (error_class(o->why->code)) {
    case ERROR_CLASS_REFUSED_USER:
        return ACCOUNT_REJECTED;
    case ERROR_CLASS_REFUSED_EITHER:
        return ACCOUNT_EITHER;
    case ERROR_CLASS_ACCEPTED:
        return ACCOUNT_TOOK;
    case ERROR_CLASS_SOFT:
        return is_denial(o->http_status) ? ACCOUNT_DENIED : ACCOUNT_ODD;
    case ERROR_CLASS_TRANSIENT:
    case ERROR_CLASS_REFUSED_CLIENT:
        return ACCOUNT_UNKNOWN;
    /* Whatever else ends a grant under way (a fetcher that is killed, a second connection that
     * fails) leaves open what came of it. */
    case ERROR_CLASS_LOST:
    case ERROR_CLASS_LOCAL:
    case ERROR_CLASS_UNSENT:
    case ERROR_CLASS_PROXY:
    case ERROR_CLASS_THROTTLED:
    case ERROR_CLASS_NONE:
        break;
    }
    return ACCOUNT_SILENCE;
}

static enum account_end proxy_end(const struct permit_outcome *o)
{
    if (o->why && error_class(o->why->code) == ERROR_CLASS_PROXY)
        return ACCOUNT_REJECTED;
    return o->passed_proxy ? ACCOUNT_TOOK : ACCOUNT_NOT_SENT;
}

/* A grant that it may not use is no refusal of the client; by a refresh token it means that token,
 * and with a one-time password the grant that takes those (Auth0's), which is not asked for again
 * without one. Of an exchange Keycloak says invalid_client where the client may not: its logins say
 * whether it is known. */
static enum account_end client_end(const struct permit_outcome *o)
{
    enum error_class class = o->why ? error_class(o->why->code) : ERROR_CLASS_ACCEPTED;

    if (class == ERROR_CLASS_ACCEPTED)
        return ACCOUNT_TOOK;
    if (class != ERROR_CLASS_REFUSED_CLIENT)
        return ACCOUNT_NOT_SENT;
    if (o->by_exchange)
        return ACCOUNT_EITHER;
    if (o->why->code != ERROR_GRANT_REFUSED)
        return ACCOUNT_REJECTED;
    return o->by_password && !o->with_otp ? ACCOUNT_EITHER : ACCOUNT_NOT_SENT;
}

static void tell(struct permit *p, enum permit_part part, const void *who, enum account_end end,
                 const struct error *why)
{
    struct account *a;

    if (!p->parts[part].id)
        return;
    a = make_account(p, part);
    if (!a)
        return; /* it is the client's first refusal: its profile has stopped, and knows */
    account_ended(a, &p->parts[part].what, who, end, why, some_random(), time_boottime());
    if (part == PERMIT_USER || end != ACCOUNT_NOT_SENT)
        account_table_save(p->accounts, a);
}

/* A client's secret that was taken gets no probe when it is refused: nobody refuses it for the
 * moment. So it is not said to have been taken. */
static void tell_client(struct permit *p, const void *who, const struct permit_outcome *o)
{
    enum account_end end = client_end(o);
    struct account *a = permit_account(p, PERMIT_CLIENT);

    if (end == ACCOUNT_REJECTED || end == ACCOUNT_EITHER) {
        tell(p, PERMIT_CLIENT, who, end, o->why);
    } else if (end == ACCOUNT_TOOK && a) {
        account_lift(a, &p->parts[PERMIT_CLIENT].what);
        account_table_save(p->accounts, a);
    }
}

static void tell_bucket(const struct permit *p, const void *who, bool sent)
{
    struct account *a = p->bucket ? account_table_find(p->accounts, p->bucket) : NULL;

    if (!a)
        return;
    account_taken(a, who, sent);
    if (!sent)
        account_table_save(p->accounts, a);
}

enum account_end permit_end(struct permit *p, const void *who, const struct permit_outcome *o)
{
    enum account_end end = user_end(o);

    if (!p->held)
        return ACCOUNT_NOT_SENT;
    p->held = false;
    tell(p, PERMIT_PROXY, who, proxy_end(o), o->why);
    tell_client(p, who, o);
    tell(p, PERMIT_USER, who, end, o->why);
    tell_bucket(p, who, o->sent_grant);
    return p->parts[PERMIT_USER].id ? end : ACCOUNT_NOT_SENT;
}
