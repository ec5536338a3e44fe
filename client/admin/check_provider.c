/* The links up to the token: configuration, daemon, provider, clock. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/admin/child.h"
#include "client/admin/doctor.h"
#include "client/autostart.h"
#include "client/conversation.h"
#include "common/config_files.h"
#include "common/paths.h"
#include "common/time.h"

enum { CLOCK_WARNING = 30, CLOCK_ERROR = 300, LINES_MAX = 20 };

const char *doctor_text(const cJSON *json, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(member) ? member->valuestring : "";
}

/* Of the one line of an error only what is neither in the table nor known anyhow: for people alone,
 * nothing here is decided by it. */
static void strip_line(struct error *why, enum error_code code)
{
    const char *sentence = error_sentence(code);
    char *start = strstr(why->detail, sentence);

    if (!start)
        return;
    start += strlen(sentence);
    start += strncmp(start, ": ", 2) == 0 ? 2 : 0;
    size_t length = strlen(start);
    for (int keeper = ERROR_KEEPER_SYSTEMD; keeper <= ERROR_KEEPER_NONE; keeper++) {
        const char *remedy = error_remedy_for(code, (enum error_keeper)keeper);
        const char *tail = *remedy ? strstr(start, remedy) : NULL;
        if (tail) /* with the name of the log, where that follows */
            length = (size_t)(tail - start);
    }
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
    enum error_code code = conversation_ask_why(&line, d->timeout, d->answer, DOCTOR_ANSWER_MAX,
                                                why);
    if (code != ERROR_NONE)
        strip_line(why, code);
    return code;
}

/* ---- configuration --------------------------------------------------------------------------- */

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

static bool is_missing(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Whether it is for want of any file that the daemon finds no configuration. */
static bool has_none(const struct child *child, char user_config[PATHS_MAX])
{
    return child->exit_code == error_exit_code(ERROR_NO_CONFIG) &&
           paths_user_config(user_config) == 0 && is_missing(user_config) &&
           !config_files_has_system();
}

/* What is locked, and does not count where the user says it. */
static void add_config_notes(struct report *r, const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        report_add(r, LEVEL_WARNING, "configuration", ERROR_NONE, "%.*s", (int)strcspn(line, "\n"),
                   line);
        report_remedy(r, "take that line out");
    }
    report_settle(r, "configuration");
}

void doctor_configuration(struct doctor *d)
{
    char path[PATH_MAX], user_config[PATHS_MAX];
    struct child child;

    snprintf(path, sizeof path, "%s%skubetokend", d->folder, *d->folder ? "/" : "");
    const char *argv[] = { access(path, X_OK) == 0 ? path : "kubetokend", "--check-config", NULL };
    if (child_run(argv, d->timeout, &child) == 0) {
        report_add(&d->report, LEVEL_OK, "configuration", ERROR_NONE, "%s", child.out);
        add_config_notes(&d->report, child.err);
    } else if (child.failed)
        report_add(&d->report, LEVEL_ERROR, "configuration", ERROR_INCOMPLETE, "%s: %s", argv[0],
                   strerror(child.failed));
    else if (has_none(&child, user_config))
        report_add(&d->report, LEVEL_ERROR, "configuration", ERROR_NO_CONFIG, "%s", user_config);
    else
        add_lines(&d->report, ERROR_CONFIG, child.err);
    child_clear(&child);
}

/* ---- the daemon ------------------------------------------------------------------------------ */

static void check_version(struct doctor *d)
{
    static const char mine[] = "kubetokend " KUBETOKEN_VERSION " ";
    struct error why;

    enum error_code code = doctor_ask(d, "version *", NULL, &why);
    if (code == ERROR_NO_CONFIG) /* of a daemon that does not stay: another one answers this */
        report_add(&d->report, LEVEL_SKIPPED, "daemon", ERROR_NONE,
                   "one is started once there is a configuration");
    if (code != ERROR_NONE)
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

/* What of the file is not in force, as the daemon says it: "p changed, q gone". */
static void add_changed(struct doctor *d)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(d->status, "configurationChanged");
    bool other = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d->status, "defaultProfileChanged"));
    const cJSON *entry;
    char what[ERROR_DETAIL_MAX] = "";
    size_t used = 0;

    cJSON_ArrayForEach (entry, list)
        if (used < sizeof what)
            used += (size_t)snprintf(what + used, sizeof what - used, "%s%s %s", used ? ", " : "",
                                     doctor_text(entry, "profile"), doctor_text(entry, "change"));
    if (other && used < sizeof what)
        snprintf(what + used, sizeof what - used, "%sdefault-profile", used ? ", " : "");
    report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_CONFIG_CHANGED,
               "kubetoken reload (not in force: %s)", what);
}

/* What is wrong in the file. */
static void add_errors(struct doctor *d, const cJSON *errors)
{
    const cJSON *error;
    char what[ERROR_DETAIL_MAX] = "";
    size_t used = 0;

    cJSON_ArrayForEach (error, errors) {
        if (used < sizeof what)
            used += (size_t)snprintf(what + used, sizeof what - used, "%s%s", used ? " " : "",
                                     doctor_text(error, "detail"));
    }
    report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_CONFIG, "an earlier one is in force: %s",
               what);
}

static void add_stuck(struct doctor *d, const cJSON *list)
{
    const cJSON *one, *pid;

    cJSON_ArrayForEach (one, list) {
        pid = cJSON_GetObjectItemCaseSensitive(one, "pid");
        const char *profile = doctor_text(one, "profile");
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_STUCK,
                   "process %.0f (%s%s%s), since %s", cJSON_IsNumber(pid) ? pid->valuedouble : 0,
                   doctor_text(one, "program"), *profile ? " of " : "", profile,
                   doctor_text(one, "killedTimestamp"));
    }
}

/* What it says of itself: an older one says less. */
static void check_health(struct doctor *d)
{
    const cJSON *daemon = cJSON_GetObjectItemCaseSensitive(d->status, "daemonCurrent");
    const cJSON *current = cJSON_GetObjectItemCaseSensitive(d->status, "fetcherCurrent");
    const cJSON *locked = cJSON_GetObjectItemCaseSensitive(d->status, "memoryLocked");
    const cJSON *force = cJSON_GetObjectItemCaseSensitive(d->status, "configurationInForce");
    const cJSON *errors = cJSON_GetObjectItemCaseSensitive(d->status, "configurationErrors");

    if (cJSON_IsFalse(daemon))
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_OUTDATED, "%s on disk is another",
                   doctor_text(d->status, "daemon"));
    if (cJSON_HasObjectItem(d->status, "fetcherError"))
        report_add(
            &d->report, LEVEL_ERROR, "daemon", ERROR_FETCHER, "%s",
            doctor_text(cJSON_GetObjectItemCaseSensitive(d->status, "fetcherError"), "detail"));
    else if (cJSON_IsFalse(current) && !cJSON_IsFalse(daemon))
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_OUTDATED, "%s on disk is another",
                   doctor_text(d->status, "fetcher"));
    add_stuck(d, cJSON_GetObjectItemCaseSensitive(d->status, "stuckProcesses"));
    if (cJSON_IsFalse(locked))
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_NOT_LOCKED, "%s", "");
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d->status, "loggedOut")))
        report_add(&d->report, LEVEL_WARNING, "daemon", ERROR_LOGGED_OUT, "%s", "");
    if (cJSON_GetArraySize(errors) > 0)
        add_errors(d, errors);
    else if (cJSON_IsFalse(force))
        add_changed(d);
}

/* What hardened.conf takes away, by what the daemon sees of itself. */
static void check_sandbox(struct doctor *d)
{
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d->status, "userNamespace")))
        report_add(&d->report, LEVEL_OK, "sandbox", ERROR_NONE,
                   "kubetokend is in a user namespace, where root and every other user are uid "
                   "65534: their files are not taken, root's requests are not served, groups do "
                   "not count");
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d->status, "homeReadOnly")))
        report_add(&d->report, LEVEL_OK, "sandbox", ERROR_NONE,
                   "home is read-only to kubetokend and to a command that it runs itself; by "
                   "hardened.conf they also have a /tmp and a /dev of their own");
}

/* One that nobody is to start for good still shows the links behind it. */
static void use_own_daemon(struct doctor *d, const struct error *missing)
{
    struct error why;

    error_set(&why, ERROR_NO_DAEMON, "no memory");
    d->daemon_answers = autostart_own(d->timeout, &why) == 0;
    report_add(&d->report, LEVEL_ERROR, "daemon", missing->code, "%s%s%s", missing->detail,
               d->daemon_answers && *missing->detail ? "; " : "",
               d->daemon_answers ? "doctor started one for itself, to look at the links below"
                                 : "");
    if (!d->daemon_answers)
        report_add(&d->report, LEVEL_ERROR, "daemon", why.code, "%s", why.detail);
}

void doctor_daemon(struct doctor *d)
{
    struct error why;
    enum error_code code = doctor_ask(d, "status json", NULL, &why);

    if (code == ERROR_NO_DAEMON || code == ERROR_LOGGED_OUT || code == ERROR_START_FAILED) {
        use_own_daemon(d, &why);
        return;
    }
    if (error_link(code) == ERROR_LINK_DAEMON) {
        report_add(&d->report, LEVEL_ERROR, "daemon", code, "%s", why.detail);
        return;
    }
    d->daemon_answers = true;
    if (code == ERROR_NONE)
        d->status = cJSON_Parse(d->answer);
    check_version(d);
    check_health(d);
    report_settle(&d->report, "daemon");
    check_sandbox(d);
}

/* ---- the way to the provider ----------------------------------------------------------------- */

static const enum error_link first = ERROR_LINK_PROFILE, last = ERROR_LINK_TOKEN;
static const enum error_link behind = ERROR_LINK_STEP; /* all of them */

static const char *const links[ERROR_LINK_TOKEN + 1] = {
    [ERROR_LINK_PROFILE] = "profile", [ERROR_LINK_FETCHER] = "fetcher",
    [ERROR_LINK_SOURCE] = "source",   [ERROR_LINK_CREDENTIALS] = "credentials",
    [ERROR_LINK_DNS] = "dns",         [ERROR_LINK_CONNECT] = "connect",
    [ERROR_LINK_TLS] = "tls",         [ERROR_LINK_DISCOVERY] = "discovery",
    [ERROR_LINK_KEYS] = "keys",       [ERROR_LINK_GRANT] = "grant",
    [ERROR_LINK_TOKEN] = "token",
};

/* Where a fetcher was. Its steps have the names of the links, but for the last one; without any, or
 * with one of a newer daemon, it is the request as a whole that failed. */
static enum error_link link_of_step(const char *step)
{
    for (enum error_link l = ERROR_LINK_DNS; l < ERROR_LINK_TOKEN; l++)
        if (strcmp(step, links[l]) == 0)
            return l;
    return strcmp(step, "verify") == 0 ? ERROR_LINK_TOKEN : ERROR_LINK_GRANT;
}

/* Which link an error belongs to: the table says it, or leaves it to the step. What has no place
 * among these comes between the profile, which was found, and its credentials. */
static enum error_link place_of(enum error_code code, const char *step)
{
    enum error_link link = error_link(code);

    if (link == ERROR_LINK_STEP)
        return link_of_step(step);
    return link < first ? ERROR_LINK_FETCHER : link;
}

/* Where the fetcher was at the last failure; without one, where it is: who asks may be answered
 * that it takes too long while it goes on. */
static const char *step_of(const struct doctor *d)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(d->state, "error");
    const cJSON *request = cJSON_GetObjectItemCaseSensitive(d->state, "request");

    return doctor_text(error ? error : request, "step");
}

/* What is known of a link that holds. */
static const char *praise(const struct doctor *d, enum error_link link)
{
    switch (link) {
    case ERROR_LINK_PROFILE:
        return d->name;
    case ERROR_LINK_SOURCE:
        return doctor_text(d->state, "from");
    case ERROR_LINK_DNS:
    case ERROR_LINK_DISCOVERY:
        return doctor_text(d->state, "issuer");
    case ERROR_LINK_TLS:
        return strncmp(doctor_text(d->state, "issuer"), "http:", 5) == 0 ? "plain http: none" : "";
    case ERROR_LINK_GRANT:
        return doctor_text(d->state, "user");
    case ERROR_LINK_TOKEN:
        return doctor_text(d->state, "expirationTimestamp");
    default:
        return "";
    }
}

/* A form of a secret that is seldom meant: what of it, or "". */
static const char *oddity(const struct doctor *d)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(d->state, "warnings"), *warning;

    cJSON_ArrayForEach (warning, list)
        if (strcmp(doctor_text(warning, "code"), error_name(ERROR_ODD_CREDENTIAL)) == 0)
            return doctor_text(warning, "detail");
    return "";
}

/* Most profiles have a login of their own. */
static bool is_left_out(const struct doctor *d, enum error_link link)
{
    return link == ERROR_LINK_SOURCE && !*doctor_text(d->state, "from");
}

/* All links, with one (behind: none) that fails or (level) is worth a warning. */
static void add_links(struct doctor *d, enum error_link bad, enum level level, enum error_code code,
                      const char *detail)
{
    for (enum error_link l = first; l <= last; l++) {
        if (is_left_out(d, l))
            continue;
        if (l == bad) {
            report_add(&d->report, level, links[l], code, "%s", detail);
            if (code == ERROR_TOKEN_AUDIENCE)
                doctor_audience_remedy(d);
        } else if (level == LEVEL_ERROR && l > bad)
            report_add(&d->report, LEVEL_SKIPPED, links[l], ERROR_NONE, "after %s", links[bad]);
        else if (l == ERROR_LINK_CREDENTIALS && *oddity(d))
            report_add(&d->report, LEVEL_WARNING, links[l], ERROR_ODD_CREDENTIAL, "%s", oddity(d));
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
    for (enum error_link l = first; l <= last; l++)
        if (!is_left_out(d, l))
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
        add_links(d, ERROR_LINK_PROFILE, LEVEL_ERROR, code, why.detail);
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
        add_links(d, place_of(code, step_of(d)), LEVEL_WARNING, code, doctor_text(error, "detail"));
    } else {
        add_links(d, d->has_token ? behind : place_of(code, step_of(d)), LEVEL_ERROR, code,
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
                   0 - seconds);
    else
        report_add(&d->report, size < CLOCK_ERROR ? LEVEL_WARNING : LEVEL_ERROR, "clock",
                   ERROR_CLOCK, "the provider's is %.0f s %s", size,
                   seconds < 0 ? "behind" : "ahead");
}
