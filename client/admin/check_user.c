/* Whom Kubernetes sees: by what the profile says of the API server's flags, or by each of the
 * usual ones, and in the end by the API server's own word. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "client/admin/doctor.h"
#include "common/json_tree.h"
#include "common/kube_user.h"

enum { NAME_MAX_BYTES = 512 };

/* What API servers take the name from, the default first. */
static const char *const usual[] = { KUBE_USER_DEFAULT, "email", "preferred_username", "upn",
                                     "name" };

enum { N_USUAL = sizeof usual / sizeof *usual, ALWAYS_TOLD = 2 };

/* The last one of that name counts, as for Go. */
static const cJSON *claim_of(const cJSON *claims, const char *name)
{
    const cJSON *member, *found = NULL;

    cJSON_ArrayForEach (member, claims)
        if (member->string && strcmp(member->string, name) == 0)
            found = member;
    return found;
}

/* As a text, "" where it is null; NULL: it is none, and the API server rejects the token. */
static const char *text_of(const cJSON *claim)
{
    return cJSON_IsNull(claim) ? "" : cJSON_IsString(claim) ? claim->valuestring : NULL;
}

static const char *state_text(const struct doctor *d, const char *name)
{
    const char *text = doctor_text(d->state, name);

    return *text ? text : NULL;
}

/* With the username claim email that rejects the token. */
static bool is_unverified(const cJSON *claims)
{
    const cJSON *verified = claim_of(claims, "email_verified");

    return verified && !cJSON_IsTrue(verified);
}

/* Puts the name into out. Returns false where that claim gives none. */
static bool name_by(const struct doctor *d, const cJSON *claims, const char *claim,
                    const char *prefix, char out[NAME_MAX_BYTES])
{
    const char *text = text_of(claim_of(claims, claim));

    out[0] = '\0';
    if (strcmp(claim, "email") == 0 && is_unverified(claims))
        text = NULL;
    if (text)
        kube_user_name(out, NAME_MAX_BYTES, claim, prefix, doctor_text(d->state, "issuer"), text);
    return text != NULL;
}

/* By the claim that the profile names. */
static void add_named(struct doctor *d, const cJSON *claims, const char *claim)
{
    char name[NAME_MAX_BYTES];

    if (name_by(d, claims, claim, state_text(d, "usernamePrefix"), name))
        report_add(&d->report, LEVEL_OK, "user", ERROR_NONE,
                   "%s, by username-claim = %s; Forbidden with that name means: the token is "
                   "good, and no role binding names the user",
                   name, claim);
    else
        report_add(&d->report, LEVEL_SKIPPED, "user", ERROR_NONE,
                   "username-claim = %s gives no name, see the link claims", claim);
}

/* By each of the usual claims that the token has: which one counts the API server alone knows. */
static void add_possible(struct doctor *d, const cJSON *claims)
{
    char text[ERROR_DETAIL_MAX] = "", name[NAME_MAX_BYTES];
    size_t used = 0;

    for (size_t i = 0; i < N_USUAL && used < sizeof text; i++)
        if (name_by(d, claims, usual[i], NULL, name) || i < ALWAYS_TOLD)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%s: %.80s",
                                     used ? "; by " : "by --oidc-username-claim=", usual[i],
                                     i == 0 ? " (the default)" : "", *name ? name : "none");
    report_add(&d->report, LEVEL_OK, "user", ERROR_NONE,
               "%s; username-claim in the profile says "
               "which one counts",
               text);
}

/* As Go reads a text or a list of texts, with the prefix before each. Returns NULL where it is
 * something else. */
static cJSON *groups_by(const struct doctor *d, const cJSON *claim)
{
    const char *prefix = doctor_text(d->state, "groupsPrefix"), *text;
    cJSON *groups = cJSON_CreateArray();
    const cJSON *one = cJSON_IsArray(claim) ? claim->child : claim;
    char group[NAME_MAX_BYTES];

    if (cJSON_IsNull(claim))
        return groups;
    for (; one; one = one == claim ? NULL : one->next) {
        if (!(text = text_of(one))) {
            cJSON_Delete(groups);
            return NULL;
        }
        snprintf(group, sizeof group, "%s%s", prefix, text);
        json_tree_append(groups, cJSON_CreateString(group));
    }
    return groups;
}

static void add_groups(struct doctor *d, const cJSON *claims)
{
    const cJSON *claim = claim_of(claims, doctor_text(d->state, "groupsClaim"));
    cJSON *groups = groups_by(d, claim);
    char *text = cJSON_PrintUnformatted(groups ? groups : claim);

    if (*doctor_text(d->state, "groupsClaim"))
        report_add(&d->report, LEVEL_OK, "groups", ERROR_NONE, "%s",
                   claim ? text : "none: the claim is not there");
    cJSON_free(text);
    cJSON_Delete(groups);
}

void doctor_user(struct doctor *d, const cJSON *claims)
{
    const char *claim = state_text(d, "usernameClaim");

    if (claim)
        add_named(d, claims, claim);
    else
        add_possible(d, claims);
    add_groups(d, claims);
}

/* ---- the API server's own word --------------------------------------------------------------- */

/* Whether the claim gives that name by the flags' default prefix. */
static bool gives(const struct doctor *d, const cJSON *claims, const char *claim, const char *name)
{
    char by_default[NAME_MAX_BYTES];

    return name_by(d, claims, claim, NULL, by_default) && strcmp(by_default, name) == 0;
}

/* How much of the name the claim's value is, at its end: all before it would be the prefix. */
static size_t end_length(const cJSON *claims, const char *claim, const char *name)
{
    const char *text = text_of(claim_of(claims, claim));
    size_t length = text ? strlen(text) : 0, whole = strlen(name);

    return length <= whole && length > 0 && strcmp(name + whole - length, text) == 0 ? length : 0;
}

/* Which flags give that name. Returns false: none of the token's claims does. */
static bool find_flags(const struct doctor *d, const cJSON *claims, const char *name, char *out,
                       size_t size)
{
    const cJSON *member;
    const char *best = NULL;
    size_t longest = 0, length;

    for (size_t i = 0; i < N_USUAL && !best; i++)
        best = gives(d, claims, usual[i], name) ? usual[i] : NULL;
    for (member = claims ? claims->child : NULL; member && !best; member = member->next)
        best = gives(d, claims, member->string, name) ? member->string : NULL;
    if (best) {
        snprintf(out, size, "; --oidc-username-claim=%s gives that name", best);
        return true;
    }
    for (size_t i = 0; i < N_USUAL; i++)
        if ((length = end_length(claims, usual[i], name)) > longest) {
            longest = length;
            best = usual[i];
        }
    int before = (int)(strlen(name) - longest);
    if (best)
        snprintf(out, size,
                 "; --oidc-username-claim=%s with --oidc-username-prefix=%.*s gives that name",
                 best, before ? before : 1, before ? name : "-");
    return best != NULL;
}

static bool is_among(const cJSON *list, const char *text)
{
    const cJSON *one;

    cJSON_ArrayForEach (one, list)
        if (cJSON_IsString(one) && strcmp(one->valuestring, text) == 0)
            return true;
    return false;
}

/* Of those that the profile's words give the first one that the API server does not see. */
static bool other_groups(const struct doctor *d, const cJSON *claims, const cJSON *seen, char *note,
                         size_t size)
{
    const char *claim = state_text(d, "groupsClaim");
    cJSON *groups = claim ? groups_by(d, claim_of(claims, claim)) : NULL;
    char *text = cJSON_PrintUnformatted(seen);
    const cJSON *one;
    bool other = false;

    cJSON_ArrayForEach (one, groups)
        if (!other && !is_among(seen, one->valuestring)) {
            snprintf(note, size, "groups-claim = %s gives \"%s\", the API server sees %s", claim,
                     one->valuestring, text ? text : "none");
            other = true;
        }
    cJSON_free(text);
    cJSON_Delete(groups);
    return other;
}

/* The token's name by the profile's words against the API server's. */
static bool other_name(const struct doctor *d, const cJSON *claims, const char *name, char *note,
                       size_t size)
{
    const char *claim = state_text(d, "usernameClaim");
    char ours[NAME_MAX_BYTES];

    if (!claim) {
        if (find_flags(d, claims, name, note, size))
            return false;
        snprintf(note, size, "the API server sees \"%s\", which none of the usual claims gives",
                 name);
        return true;
    }
    bool named = name_by(d, claims, claim, state_text(d, "usernamePrefix"), ours);
    if (named && strcmp(ours, name) == 0)
        return false;
    snprintf(note, size, "the API server sees \"%s\", username-claim = %s gives %s%s%s", name,
             claim, named ? "\"" : "", named ? ours : "none", named ? "\"" : "");
    return true;
}

static struct finding *find_link(struct doctor *d, const char *link)
{
    for (unsigned i = 0; i < d->report.n; i++)
        if (strcmp(d->report.findings[i].link, link) == 0)
            return &d->report.findings[i];
    return NULL;
}

/* What was foreseen gives way to what is so, where it is this token that kubectl sends. */
static void correct(struct doctor *d, const cJSON *info, const char *note)
{
    const struct finding *sent = find_link(d, "kubectl-profile");
    struct finding *user = find_link(d, "user"), *groups = find_link(d, "groups");
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(info, "groups"));

    if (sent && sent->level == LEVEL_OK && user) {
        user->level = LEVEL_OK;
        error_set(&user->what, ERROR_NONE, "%s, as the API server itself says (auth whoami)%s",
                  doctor_text(info, "username"), note);
    }
    if (sent && sent->level == LEVEL_OK && groups)
        error_set(&groups->what, ERROR_NONE, "%s, as the API server itself says (auth whoami)",
                  text ? text : "none");
    cJSON_free(text);
}

bool doctor_other_user(struct doctor *d, const cJSON *info, char *note, size_t size)
{
    const cJSON *claims = cJSON_GetObjectItemCaseSensitive(d->inspection, "claims");
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(info, "groups");
    bool other;

    note[0] = '\0';
    if (!claims)
        return false;
    other = other_name(d, claims, doctor_text(info, "username"), note, size);
    correct(d, info, other ? "" : note);
    return other || other_groups(d, claims, groups, note, size);
}
