/* The links up to the token: configuration, daemon, provider, clock. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/child.h"
#include "client/admin/doctor.h"
#include "client/conversation.h"
#include "client/autostart.h"
#include "common/time.h"

enum { CLOCK_WARNING = 30, CLOCK_ERROR = 300, LINES_MAX = 20 };

const char *doctor_text(const cJSON *json, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(member) ? member->valuestring : "";
}

/* Of the one line of an error only what is neither in the table nor known anyhow. */
static void strip_line(struct error *why, enum error_code code)
{
    const char *sentence = error_sentence(code), *remedy = error_remedy(code);
    char *start = strstr(why->detail, sentence);

    if (!start)
        return;
    start += strlen(sentence);
    start += strncmp(start, ": ", 2) == 0 ? 2 : 0;
    size_t length = strlen(start), tail = strlen(remedy);
    if (tail > 0 && length >= tail && strcmp(start + length - tail, remedy) == 0)
        length -= tail;
    while (length > 0 && (start[length - 1] == ' ' || start[length - 1] == ';'))
        length--;
    memmove(why->detail, start, length);
    why->detail[length] = '\0';
}

enum error_code doctor_ask(struct doctor *d, const char *request, const char *profile,
                           struct error *why)
{
    struct line line = { .may_start = true };

    line_add(&line, request);
    line_add(&line, " ");
    line_add(&line, profile && *profile ? profile : "*");
    line_add_seconds(&line, "timeout", d->timeout);
    enum error_code code = conversation_ask_why(&line, d->timeout, d->answer, DOCTOR_ANSWER_MAX,
                                                why);
    if (code != ERROR_NONE)
        strip_line(why, code);
    return code;
}

/* ---- configuration -------------------------------------------------------------------------- */

static void add_lines(struct report *r, enum error_code code, const char *text)
{
    int n = 0;

    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (n++ < LINES_MAX)
            report_add(r, LEVEL_ERROR, "configuration", code, "%.*s", (int)strcspn(line, "\n"),
                       line);
    if (n == 0)
        report_add(r, LEVEL_ERROR, "configuration", code, "kubetokend --check-config says no more");
}

void doctor_configuration(struct doctor *d)
{
    char path[PATH_MAX];
    struct child child;

    snprintf(path, sizeof path, "%s%skubetokend", d->folder, *d->folder ? "/" : "");
    const char *argv[] = { access(path, X_OK) == 0 ? path : "kubetokend", "--check-config", NULL };
    if (child_run(argv, d->timeout, &child) == 0)
        report_add(&d->report, LEVEL_OK, "configuration", ERROR_NONE, "%s", child.out);
    else if (child.failed)
        report_add(&d->report, LEVEL_ERROR, "configuration", ERROR_INCOMPLETE, "%s: %s", argv[0],
                   strerror(child.failed));
    else if (strstr(child.err, error_sentence(ERROR_NO_CONFIG)))
        report_add(&d->report, LEVEL_ERROR, "configuration", ERROR_NO_CONFIG, "%.*s",
                   (int)strcspn(child.err, ":"), child.err);
    else
        add_lines(&d->report, ERROR_CONFIG, child.err);
    child_free(&child);
}

/* ---- the daemon ----------------------------------------------------------------------------- */

static void check_version(struct doctor *d)
{
    static const char mine[] = "kubetokend " KUBETOKEN_VERSION " ";
    struct error why;

    if (doctor_ask(d, "version *", NULL, &why) != ERROR_NONE)
        return;
    d->answer[strcspn(d->answer, "\n")] = '\0';
    if (strncmp(d->answer, mine, sizeof mine - 1) == 0) {
        report_add(&d->report, LEVEL_OK, "daemon", ERROR_NONE, "%s", d->answer);
    } else {
        d->answer[200] = '\0';
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_OUTDATED,
                   "%s runs, kubetoken is " KUBETOKEN_VERSION, d->answer);
    }
}

/* What it says of itself: an older one says less. */
static void check_health(struct doctor *d)
{
    const cJSON *current = cJSON_GetObjectItemCaseSensitive(d->status, "fetcherCurrent");
    const cJSON *locked = cJSON_GetObjectItemCaseSensitive(d->status, "memoryLocked");
    const cJSON *force = cJSON_GetObjectItemCaseSensitive(d->status, "configurationInForce");

    if (cJSON_IsFalse(current))
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_OUTDATED, "%s on disk is another",
                   doctor_text(d->status, "fetcher"));
    if (cJSON_IsFalse(locked))
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_NOT_LOCKED, "%s", "");
    if (cJSON_IsFalse(force))
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_CONFIG,
                   "an earlier one is in force: %s", doctor_text(d->status, "configurationErrors"));
}

/* One that nobody is to start for good still shows the links behind it. */
static void use_own_daemon(struct doctor *d, const struct error *missing)
{
    struct error why;

    report_add(&d->report, LEVEL_ERROR, "daemon", ERROR_NO_DAEMON, "%s", missing->detail);
    error_set(&why, ERROR_NO_DAEMON, "no memory");
    if (autostart_own(d->timeout, &why) < 0) {
        report_add(&d->report, LEVEL_ERROR, "daemon", why.code, "%s", why.detail);
        return;
    }
    report_add(&d->report, LEVEL_OK, "daemon", ERROR_NONE,
               "doctor started one for itself, to look at the links below");
    d->daemon_answers = true;
}

void doctor_daemon(struct doctor *d)
{
    struct error why;
    enum error_code code = doctor_ask(d, "status json", NULL, &why);

    switch (code) {
    case ERROR_NO_DAEMON:
        use_own_daemon(d, &why);
        return;
    case ERROR_DAEMON_SILENT:
    case ERROR_BAD_ANSWER:
    case ERROR_FOREIGN_SOCKET:
    case ERROR_OPEN_FOLDER:
    case ERROR_USAGE:
    case ERROR_INTERNAL:
        report_add(&d->report, LEVEL_ERROR, "daemon", code, "%s", why.detail);
        return;
    default:
        break;
    }
    d->daemon_answers = true;
    if (code == ERROR_NONE)
        d->status = cJSON_Parse(d->answer);
    check_version(d);
    check_health(d);
}

/* ---- the way to the provider ------------------------------------------------------------------
 */

enum link {
    PROFILE,
    FETCHER,
    CREDENTIALS,
    DNS,
    CONNECT,
    TLS,
    DISCOVERY,
    KEYS,
    GRANT,
    TOKEN,
    LINKS
};

static const char *const links[LINKS] = { "profile", "fetcher",   "credentials", "dns",   "connect",
                                          "tls",     "discovery", "keys",        "grant", "token" };

static const struct {
    enum error_code code;
    enum link link;
} places[] = {
    { ERROR_NO_PROFILE, PROFILE },
    { ERROR_NO_DEFAULT, PROFILE },
    { ERROR_CONFIG, PROFILE },
    { ERROR_NO_CONFIG, PROFILE },
    { ERROR_CREDENTIAL, CREDENTIALS },
    { ERROR_LOGIN_NEEDED, CREDENTIALS },
    { ERROR_TLS_FILE, CREDENTIALS },
    { ERROR_DNS, DNS },
    { ERROR_CONNECT, CONNECT },
    { ERROR_TLS, TLS },
    { ERROR_DISCOVERY_INVALID, DISCOVERY },
    { ERROR_KEYS_INVALID, KEYS },
    { ERROR_REFUSED, GRANT },
    { ERROR_REFUSED_SILENTLY, GRANT },
    { ERROR_ACCOUNT, GRANT },
    { ERROR_CLIENT_REFUSED, GRANT },
    { ERROR_GRANT_REFUSED, GRANT },
    { ERROR_NO_ID_TOKEN, GRANT },
    { ERROR_TOKEN_STALE, GRANT },
    { ERROR_THROTTLED, GRANT },
    { ERROR_PROVIDER_ERROR, GRANT },
    { ERROR_TOKEN_INVALID, TOKEN },
    { ERROR_TOKEN_ALGORITHM, TOKEN },
    { ERROR_TOKEN_SIGNATURE, TOKEN },
    { ERROR_TOKEN_AUDIENCE, TOKEN },
    { ERROR_TOKEN_EXPIRED, TOKEN },
    { ERROR_TOO_SHORT_LIVED, TOKEN },
};

/* Which link an error belongs to. Faults of HTTP may come at three of them: the details tell. */
static enum link place_of(enum error_code code, const char *detail)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i].code == code)
            return places[i].link;
    switch (code) {
    case ERROR_ISSUER_MISMATCH:
        return strstr(detail, "the id_token says") ? TOKEN : DISCOVERY;
    case ERROR_TIMEOUT:
    case ERROR_TRANSFER:
    case ERROR_PROVIDER_FAULT:
    case ERROR_RATE_LIMITED:
    case ERROR_ANSWER_INVALID:
        if (strstr(detail, "discovery") || strstr(detail, "openid-configuration"))
            return DISCOVERY;
        return strstr(detail, "keys") || strstr(detail, "jwks") ? KEYS : GRANT;
    default:
        return FETCHER;
    }
}

/* What is known of a link that holds. */
static const char *praise(const struct doctor *d, enum link link)
{
    switch (link) {
    case PROFILE:
        return d->name;
    case DNS:
    case DISCOVERY:
        return doctor_text(d->state, "issuer");
    case TLS:
        return strncmp(doctor_text(d->state, "issuer"), "http:", 5) == 0 ? "plain http: none" : "";
    case GRANT:
        return doctor_text(d->state, "user");
    case TOKEN:
        return doctor_text(d->state, "expires");
    default:
        return "";
    }
}

/* All links, with one that fails or (level) is worth a warning. */
static void add_links(struct doctor *d, enum link bad, enum level level, enum error_code code,
                      const char *detail)
{
    for (enum link l = PROFILE; l < LINKS; l++) {
        if (l == bad)
            report_add(&d->report, level, links[l], code, "%s", detail);
        else if (level == LEVEL_ERROR && l > bad)
            report_add(&d->report, LEVEL_SKIPPED, links[l], ERROR_NONE, "after %s", links[bad]);
        else
            report_add(&d->report, LEVEL_OK, links[l], ERROR_NONE, "%s", praise(d, l));
    }
}

/* The profile's own part of the status, asked anew: the request for a token changed it. */
static void read_state(struct doctor *d)
{
    struct error why;

    d->state = NULL;
    if (!*d->name || doctor_ask(d, "status json", d->name, &why) != ERROR_NONE)
        return;
    cJSON_Delete(d->status);
    d->status = cJSON_Parse(d->answer);
    d->state = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(d->status, "profiles"), 0);
}

static bool has_error(const struct report *r, const char *link)
{
    for (unsigned i = 0; i < r->n; i++)
        if (r->findings[i].level == LEVEL_ERROR && strcmp(r->findings[i].link, link) == 0)
            return true;
    return false;
}

static void skip_links(struct doctor *d, const char *cause)
{
    for (enum link l = PROFILE; l < LINKS; l++)
        report_add(&d->report, LEVEL_SKIPPED, links[l], ERROR_NONE, "after %s", cause);
}

void doctor_provider(struct doctor *d)
{
    struct error why;

    if (!d->daemon_answers) {
        skip_links(d, "daemon");
        return;
    }
    enum error_code code = doctor_ask(d, "profile *", d->profile, &why);
    if ((code == ERROR_CONFIG || code == ERROR_NO_CONFIG) &&
        has_error(&d->report, "configuration")) { /* which has said it */
        skip_links(d, "configuration");
        return;
    }
    if (code != ERROR_NONE) {
        add_links(d, PROFILE, LEVEL_ERROR, code, why.detail);
        return;
    }
    snprintf(d->name, sizeof d->name, "%.*s", (int)strcspn(d->answer, "\n"), d->answer);
    /* A refused password is not sent again by this, unless told to: the daemon sees to it. */
    code = d->refresh ? doctor_ask(d, "refresh *", d->name, &why) : ERROR_NONE;
    if (code == ERROR_NONE)
        code = doctor_ask(d, "get token", d->name, &why);
    d->has_token = code == ERROR_NONE;
    explicit_bzero(d->answer, strlen(d->answer));
    read_state(d);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(d->state, "error");
    const char *name = doctor_text(error, "code");
    if (d->has_token && error) { /* the token lives, its renewal fails */
        code = error_from_name(name, strlen(name));
        add_links(d, place_of(code, doctor_text(error, "detail")), LEVEL_WARNING, code,
                  doctor_text(error, "detail"));
    } else {
        add_links(d, d->has_token ? LINKS : place_of(code, why.detail), LEVEL_ERROR, code,
                  why.detail);
    }
}

void doctor_clock(struct doctor *d)
{
    const cJSON *offset = cJSON_GetObjectItemCaseSensitive(d->state, "clockOffsetSeconds");
    double seconds = cJSON_IsNumber(offset) ? offset->valuedouble : 0;
    double size = seconds < 0 ? -seconds : seconds;

    if (!cJSON_IsNumber(offset))
        report_add(&d->report, LEVEL_SKIPPED, "clock", ERROR_NONE, "the provider's is not known");
    else if (size < CLOCK_WARNING)
        report_add(&d->report, LEVEL_OK, "clock", ERROR_NONE, "%+.0f s from the provider's",
                   -seconds);
    else
        report_add(&d->report, size < CLOCK_ERROR ? LEVEL_WARNING : LEVEL_ERROR, "clock",
                   ERROR_CLOCK, "the provider's is %.0f s %s", size,
                   seconds < 0 ? "behind" : "ahead");
}
