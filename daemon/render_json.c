#define _GNU_SOURCE
#include "daemon/render_json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/owner.h"
#include "common/json_print.h"
#include "common/json_tree.h"
#include "common/kube_user.h"
#include "common/protections.h"
#include "common/time.h"
#include "daemon/fetcher.h"
#include "daemon/memory.h"
#include "daemon/programs.h"
#include "daemon/share.h"

static cJSON *error_json(const struct error *error)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "code", error_name(error->code));
    cJSON_AddStringToObject(json, "sentence", error_sentence(error->code));
    cJSON_AddStringToObject(json, "detail", error->detail);
    if (*error_remedy(error->code))
        cJSON_AddStringToObject(json, "remedy", error_remedy(error->code));
    return json;
}

static void add_step(cJSON *json, const struct step *step)
{
    if (*step->name)
        cJSON_AddStringToObject(json, "step", step->name);
    if (*step->host)
        cJSON_AddStringToObject(json, "host", step->host);
}

/* The last failure, and what is under way: where each is, or was. */
static void add_requests(cJSON *json, const struct profile *p)
{
    const struct step *now = profile_step(p);
    cJSON *member;

    if (now && *now->name) {
        member = cJSON_AddObjectToObject(json, "request");
        add_step(member, now);
    }
    if (profile_error(p)->code != ERROR_NONE) {
        member = error_json(profile_error(p));
        add_step(member, profile_failed_step(p));
        json_tree_put(json, "error", member);
    }
}

static void add_time(cJSON *json, const char *name, uint64_t at, uint64_t now)
{
    char when[TIME_UTC_SIZE];

    if (at == 0)
        return;
    time_format_utc(when, (time_realtime() + (int64_t)(at - now)) / (int64_t)USEC_PER_SEC);
    cJSON_AddStringToObject(json, name, when);
}

static void add_text(cJSON *json, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(json, name, text);
}

/* "user" is never a guess; where nobody says by which claim Kubernetes names him, userByClaim has
 * what each would give. */
static void add_user(cJSON *json, const struct profile *p, bool has_token)
{
    const struct profile_config *config = profile_config(p);
    const struct facts *facts = profile_facts(p);
    char user[PROFILE_USER_MAX];

    profile_user(p, user, sizeof user);
    add_text(json, "user", *user ? user : NULL);
    add_text(json, "username", config->username);
    add_text(json, "usernameClaim", config->username_claim);
    add_text(json, "usernamePrefix", config->username_prefix);
    add_text(json, "groupsClaim", config->groups_claim);
    add_text(json, "groupsPrefix", config->groups_prefix);
    if (config->username_claim || !has_token)
        return;
    cJSON *possible = cJSON_AddObjectToObject(json, "userByClaim");
    kube_user_name(user, sizeof user, KUBE_USER_DEFAULT, NULL, config->issuer, facts->sub);
    add_text(possible, "sub", *facts->sub ? user : NULL);
    add_text(possible, "email", *facts->email ? facts->email : NULL);
}

/* By what it gets its tokens, where that is no password. */
static void add_grant(cJSON *json, const struct profile *p, uint64_t now)
{
    const struct profile_config *config = profile_config(p);
    uint64_t since;
    bool held = profile_holds_refresh_token(p, &since);

    add_text(json, "grant", config_grant_word(config->grant));
    if (config->grant == GRANT_EXCHANGE)
        add_text(json, "from", config->from);
    if (held)
        cJSON_AddBoolToObject(json, "refreshTokenHeld", true);
    add_time(json, "refreshTokenTimestamp", since, now);
}

/* When it comes to its state, the token's end, and what the daemon does next by itself. */
static void add_times(cJSON *json, const struct profile *p, uint64_t now)
{
    struct profile_look look = profile_look(p, now);
    bool retry = look.next_is == PROFILE_RETRY;

    cJSON_AddStringToObject(json, "state", look.state);
    add_time(json, "sinceTimestamp", look.since, now);
    if (look.expires_at > 0) {
        add_time(json, "expirationTimestamp", look.expires_at, now);
        cJSON_AddNumberToObject(json, "expiresInSeconds",
                                (double)((look.expires_at - now) / USEC_PER_SEC));
        cJSON_AddBoolToObject(json, "verified", profile_facts(p)->verified);
    }
    add_time(json, retry ? "retryTimestamp" : "renewalTimestamp", look.next, now);
    add_time(json, "loginExpirationTimestamp", look.login_ends, now);
}

static void add_warnings(cJSON *json, const struct profile *p)
{
    cJSON *warnings = cJSON_AddArrayToObject(json, "warnings");
    const struct facts *facts = profile_facts(p);
    struct error one;

    for (unsigned i = 0; i < facts->n_warnings; i++) {
        facts_warning(facts, i, &one);
        json_tree_append(warnings, error_json(&one));
    }
    profile_oddities(p, &one);
    if (one.code != ERROR_NONE)
        json_tree_append(warnings, error_json(&one));
}

/* Those that are open. */
static cJSON *shares_json(const struct shares *all, uint64_t now)
{
    cJSON *list = cJSON_CreateArray();

    for (const struct share *s = share_next(all, NULL); s; s = share_next(all, s)) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "share", share_name(s));
        cJSON_AddStringToObject(entry, "profile", share_profile(s));
        cJSON_AddStringToObject(entry, "socket", share_path(s));
        add_time(entry, "expirationTimestamp", share_ends(s), now);
        cJSON_AddNumberToObject(entry, "handOuts", (double)share_handouts(s));
        json_tree_append(list, entry);
    }
    return list;
}

/* Adds a profile's row. Returns the object. */
static cJSON *fill_profile(cJSON *json, const struct profile *p, uint64_t now)
{
    const struct facts *facts = profile_facts(p);
    uint64_t when;
    const char *changed = profile_changed(p, &when);

    cJSON_AddStringToObject(json, "profile", profile_config(p)->name);
    cJSON_AddStringToObject(json, "issuer", profile_config(p)->issuer);
    add_user(json, p, profile_look(p, now).expires_at > 0);
    add_grant(json, p, now);
    add_times(json, p, now);
    if (facts->has_clock_offset)
        cJSON_AddNumberToObject(json, "clockOffsetSeconds", (double)facts->clock_offset);
    add_requests(json, p);
    add_warnings(json, p);
    if (*changed) {
        cJSON_AddStringToObject(json, "changedClaims", changed);
        add_time(json, "changedTimestamp", when, now);
    }
    return json;
}

static bool home_is_read_only(void)
{
    const char *home = getenv("HOME");
    struct statvfs st;

    return home && statvfs(home, &st) == 0 && (st.f_flag & ST_RDONLY) != 0;
}

/* What of the files waits for reload. */
static void add_change(cJSON *json, const struct config_change *change)
{
    cJSON *list = cJSON_AddArrayToObject(json, "configurationChanged");

    for (size_t i = 0; i < change->n; i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "profile", change->list[i].profile);
        cJSON_AddStringToObject(entry, "change", config_change_word(change->list[i].kind));
        json_tree_append(list, entry);
    }
    cJSON_AddBoolToObject(json, "defaultProfileChanged", change->default_profile);
}

/* What is wrong in the files, line by line. */
static void add_errors(cJSON *json, const struct config_report *report, const char *path)
{
    cJSON *list = cJSON_AddArrayToObject(json, "configurationErrors");
    struct error one;

    if (report && !report->text) {
        error_set(&one, report->code, "%s is missing", path);
        json_tree_append(list, error_json(&one));
    }
    for (const char *line = report && report->text ? report->text : ""; *line;) {
        size_t length = strcspn(line, "\n");
        error_set(&one, report->code, "%.*s", (int)length, line);
        json_tree_append(list, error_json(&one));
        line += length + (line[length] == '\n');
    }
}

/* What does not count of them, in words. */
static void add_config_notes(cJSON *json, const char *notes)
{
    cJSON *list = cJSON_AddArrayToObject(json, "configurationNotes");
    char text[ERROR_DETAIL_MAX + 1];

    for (const char *line = notes; *line; line += strcspn(line, "\n") + 1) {
        snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\n"), line);
        json_tree_append(list, cJSON_CreateString(text));
    }
}

static cJSON *protections_json(const struct protections *p)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddBoolToObject(json, "memoryLocked", p->locked);
    cJSON_AddBoolToObject(json, "notDumpable", p->undumpable);
    cJSON_AddBoolToObject(json, "noCoreDump", p->no_core);
    cJSON_AddBoolToObject(json, "noNewPrivileges", p->no_new_privs);
    cJSON_AddBoolToObject(json, "seccomp", p->seccomp);
    cJSON_AddNumberToObject(json, "landlockAbi", p->landlock);
    return json;
}

/* Which hold, here and around the last fetcher. */
static void add_protections(cJSON *json)
{
    cJSON *both = cJSON_AddObjectToObject(json, "protections");
    struct protections own;

    protections_look(&own);
    json_tree_put(both, "daemon", protections_json(&own));
    if (fetcher_protections()->known)
        json_tree_put(both, "fetcher", protections_json(fetcher_protections()));
}

/* What was killed and does not end. */
static void add_stuck(cJSON *json, const struct children *children, uint64_t now)
{
    cJSON *list = cJSON_AddArrayToObject(json, "stuckProcesses");
    struct child_look look;

    for (size_t i = 0; children_stuck(children, i, &look); i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddNumberToObject(entry, "pid", look.pid);
        cJSON_AddStringToObject(entry, "program", look.program);
        if (*look.profile)
            cJSON_AddStringToObject(entry, "profile", look.profile);
        add_time(entry, "killedTimestamp", look.killed_at, now);
        json_tree_append(list, entry);
    }
}

/* What is not a profile's. */
static void add_health(cJSON *json, const struct profiles *all, uint64_t now)
{
    const struct config_report *report = profiles_report(all);
    struct context *shared = profiles_context(all);
    struct error why;

    cJSON_AddStringToObject(json, "version", KUBETOKEN_VERSION);
    cJSON_AddBoolToObject(json, "configurationInForce",
                          report == NULL && !config_change_any(profiles_change(all)));
    add_errors(json, report, profiles_path(all));
    add_change(json, profiles_change(all));
    add_config_notes(json, profiles_notes(all));
    cJSON_AddStringToObject(json, "daemon", shared->program_path);
    cJSON_AddBoolToObject(json, "daemonCurrent", programs_daemon_current(shared));
    if (!programs_find_fetcher(shared, &why))
        json_tree_put(json, "fetcherError", error_json(&why));
    cJSON_AddStringToObject(json, "fetcher", shared->fetcher.path);
    cJSON_AddBoolToObject(json, "fetcherCurrent", programs_fetcher_current(shared));
    add_stuck(json, shared->children, now);
    json_tree_put(json, "shares", shares_json(shared->shares, now));
    cJSON_AddBoolToObject(json, "memoryLocked", secret_locked());
    add_protections(json);
    cJSON_AddBoolToObject(json, "loggedOut", shared->logged_out);
    if (*shared->log)
        cJSON_AddStringToObject(json, "log", shared->log);
    cJSON_AddBoolToObject(json, "userNamespace", owner_some_unknown());
    cJSON_AddBoolToObject(json, "homeReadOnly", home_is_read_only());
}

/* But for so many characters at its head. And without the document then. */
static void print_with(FILE *f, const char *before, size_t skip, cJSON *json, const char *behind)
{
    char *text = json_print(json);

    if (text)
        fprintf(f, "%s%s%s", before, text + skip, behind);
    else
        memory_note_lack();
    free(text);
    cJSON_Delete(json);
}

static void print_line(FILE *f, cJSON *json)
{
    print_with(f, "", 0, json, "\n");
}

static cJSON *change_json(void)
{
    cJSON *json = cJSON_CreateObject();
    char when[TIME_UTC_SIZE];

    time_format_utc(when, time_realtime() / (int64_t)USEC_PER_SEC);
    cJSON_AddStringToObject(json, "timestamp", when);
    return json;
}

void render_json_change(FILE *f, const struct profile *profile, uint64_t now)
{
    cJSON *json = change_json();

    fill_profile(json, profile, now);
    print_line(f, json);
}

void render_json_gone(FILE *f, const char *profile)
{
    cJSON *json = change_json();

    cJSON_AddStringToObject(json, "profile", profile);
    cJSON_AddStringToObject(json, "state", "gone");
    print_line(f, json);
}

void render_json_head(FILE *f)
{
    fprintf(f, "{\"schemaVersion\":%d,\"profiles\":[", RENDER_JSON_SCHEMA_VERSION);
}

void render_json_profile(FILE *f, const struct profile *profile, bool first, uint64_t now)
{
    cJSON *json = cJSON_CreateObject();

    fill_profile(json, profile, now);
    print_with(f, first ? "" : ",", 0, json, "");
}

/* The rest of the document is an object of its own but for where it begins. */
void render_json_tail(FILE *f, const struct profiles *all, uint64_t now)
{
    cJSON *json = cJSON_CreateObject();

    add_health(json, all, now);
    print_with(f, "],", 1, json, "\n");
}
