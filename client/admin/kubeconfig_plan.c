#define _GNU_SOURCE
#include "client/admin/kubeconfig_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/doctor.h"
#include "client/admin/kubeconfig_edit.h"
#include "client/admin/kubeconfig_user.h"

static const char by_hand[] = "kubetoken kubeconfig prints what to put into it by hand";

static int no_memory(struct kubeconfig_problem *p)
{
    return kubeconfig_problem(p, ERROR_INTERNAL, "try again", "no memory");
}

/* ---- all files, as client-go merges them ----------------------------------------------------- */

static int read_files(struct kubeconfig_plan *plan, struct kubeconfig_problem *p)
{
    char why[KUBECONFIG_EDIT_WORDS_MAX];

    int r = kubeconfig_paths_find(plan->wish->file, &plan->paths);
    if (r < 0 || plan->paths.n == 0)
        return kubeconfig_problem(p, ERROR_KUBECONFIG, "name one by --kubeconfig", "%s",
                                  r < 0 ? "KUBECONFIG is too long" : "there is no HOME");
    plan->file = calloc(plan->paths.n, sizeof *plan->file);
    plan->tree = calloc(plan->paths.n, sizeof *plan->tree);
    if (!plan->file || !plan->tree)
        return no_memory(p);
    for (; plan->n < plan->paths.n; plan->n++) {
        struct kubeconfig_file *f = &plan->file[plan->n];
        if (kubeconfig_file_read(plan->paths.path[plan->n], f, p) < 0) {
            plan->n++;
            return -1;
        }
        if (kubeconfig_edit_read(f->text, f->length, &plan->tree[plan->n], why) < 0) {
            kubeconfig_problem(p, ERROR_KUBECONFIG, "correct it; kubectl config view shows it",
                               "%s: %s", f->path, why);
            plan->n++;
            return -1;
        }
    }
    return 0;
}

/* The first file that has the entry counts. */
static const cJSON *find(const struct kubeconfig_plan *plan, const char *list, const char *name,
                         unsigned *ret_at)
{
    const cJSON *entry = NULL;

    for (unsigned i = 0; i < plan->n && !entry; i++) {
        entry = kubeconfig_edit_entry(plan->tree[i].root, list, name);
        if (entry)
            *ret_at = i;
    }
    return entry;
}

/* Where kubectl puts what is new: the first that is there, else the last. */
static unsigned default_at(const struct kubeconfig_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++)
        if (plan->file[i].is_there)
            return i;
    return plan->n - 1;
}

static const char *current_context(const struct kubeconfig_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++) {
        const char *name = kubeconfig_edit_text(plan->tree[i].root, "current-context");
        if (*name)
            return name;
    }
    return "";
}

static const cJSON *part(const cJSON *entry, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(entry, key);
}

static const cJSON *find_context(const struct kubeconfig_plan *plan, const char *name,
                                 unsigned *ret_at)
{
    const cJSON *entry = find(plan, "contexts", name, ret_at);
    return part(entry, "context");
}

/* ---- the user -------------------------------------------------------------------------------- */

/* That of the context, where kubetoken stands for what it has; else named as the profile. */
static const char *choose_user(const struct kubeconfig_plan *plan)
{
    const struct kubeconfig_wish *wish = plan->wish;
    char losses[200];
    unsigned at;

    if (wish->user)
        return wish->user;
    const char *name = wish->context
                           ? kubeconfig_edit_text(find_context(plan, wish->context, &at), "user")
                           : "";
    const cJSON *entry = *name ? find(plan, "users", name, &at) : NULL;
    kubeconfig_user_losses(part(entry, "user"), losses, sizeof losses);
    return entry && !*losses ? name : wish->profile;
}

/* By its name where kubectl finds it so, else by its path. What it was stays, if it was a path that
 * is good. */
static int choose_command(struct kubeconfig_plan *plan, const cJSON *was,
                          struct kubeconfig_problem *p)
{
    const struct kubeconfig_wish *wish = plan->wish;
    const char *old = kubeconfig_user_command(was);
    char found[PATH_MAX];
    int n;

    bool there = doctor_find_program("kubetoken", found) && found[0] == '/';
    if (wish->command)
        n = snprintf(plan->command, PATH_MAX, "%s", wish->command);
    else if (!wish->absolute && old && old[0] == '/' && access(old, X_OK) == 0)
        n = snprintf(plan->command, PATH_MAX, "%s", old);
    else if (there)
        n = snprintf(plan->command, PATH_MAX, "%s", wish->absolute ? found : "kubetoken");
    else
        n = snprintf(plan->command, PATH_MAX, "%s/kubetoken", wish->folder ? wish->folder : "");
    return n < PATH_MAX ? 0
                        : kubeconfig_problem(p, ERROR_NOT_WRITTEN, by_hand,
                                             "the path of kubetoken is too long");
}

static int plan_user(struct kubeconfig_plan *plan, struct kubeconfig_problem *p)
{
    char losses[200];

    plan->user = choose_user(plan);
    plan->user_at = default_at(plan);
    const cJSON *was = part(find(plan, "users", plan->user, &plan->user_at), "user");
    if (was && !cJSON_IsObject(was) && !cJSON_IsNull(was))
        return kubeconfig_problem(p, ERROR_KUBECONFIG, "correct it; kubectl config view shows it",
                                  "user %s is no map", plan->user);
    kubeconfig_user_losses(was, losses, sizeof losses);
    if (*losses && !plan->wish->force)
        return kubeconfig_problem(p, ERROR_NOT_WRITTEN,
                                  "name another user by --user NAME, or replace it with --force",
                                  "user %s has %s, which would be lost", plan->user, losses);
    return choose_command(plan, was, p);
}

/* ---- the context ----------------------------------------------------------------------------- */

/* "a, b" */
static void list_names(const struct kubeconfig_plan *plan, const char *list, char *out, size_t size)
{
    const cJSON *entry;
    size_t used = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < plan->n; i++)
        cJSON_ArrayForEach (entry, part(plan->tree[i].root, list)) {
            const char *name = kubeconfig_edit_text(entry, "name");
            if (*name && used < size)
                used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", name);
        }
}

/* The only cluster, or NULL. */
static const char *only_cluster(const struct kubeconfig_plan *plan)
{
    const char *name = NULL;
    const cJSON *entry;
    int n = 0;

    for (unsigned i = 0; i < plan->n; i++)
        cJSON_ArrayForEach (entry, part(plan->tree[i].root, "clusters")) {
            name = kubeconfig_edit_text(entry, "name");
            n++;
        }
    return n == 1 ? name : NULL;
}

/* For a context that is not there. */
static int choose_cluster(struct kubeconfig_plan *plan, struct kubeconfig_problem *p)
{
    const struct kubeconfig_wish *wish = plan->wish;
    char contexts[160], clusters[160];
    unsigned at;

    plan->cluster = wish->cluster;
    if (!plan->cluster)
        plan->cluster = kubeconfig_edit_text(find_context(plan, plan->current, &at), "cluster");
    if (!*plan->cluster)
        plan->cluster = only_cluster(plan);
    if (plan->cluster && *plan->cluster && find(plan, "clusters", plan->cluster, &at))
        return 0;
    list_names(plan, "contexts", contexts, sizeof contexts);
    list_names(plan, "clusters", clusters, sizeof clusters);
    if (wish->cluster)
        return kubeconfig_problem(p, ERROR_NOT_WRITTEN, "name one of those",
                                  "there is no cluster %s; %s%s", wish->cluster,
                                  *clusters ? "there are " : "there is none", clusters);
    return kubeconfig_problem(
        p, ERROR_NOT_WRITTEN,
        *clusters ? "name one of the contexts, or for a new one its cluster by --cluster NAME"
                  : "the cluster's part comes from who runs the cluster",
        "there is no context %s%s%s%s%s", wish->context, *contexts ? "; there are " : "", contexts,
        *clusters ? "; clusters: " : ", and no cluster for one", clusters);
}

/* ---- the changes ----------------------------------------------------------------------------- */

/* The text of a file as it is planned by now. */
static struct kubeconfig_change *change_of(struct kubeconfig_plan *plan, unsigned at)
{
    for (unsigned i = 0; i < plan->n_changes; i++)
        if (plan->change[i].at == at)
            return &plan->change[i];
    return NULL;
}

static int set(struct kubeconfig_plan *plan, unsigned at, const struct kubeconfig_place *place,
               const cJSON *value, struct kubeconfig_problem *p)
{
    struct kubeconfig_change *c = change_of(plan, at);
    const struct kubeconfig_file *f = &plan->file[at];
    char why[KUBECONFIG_EDIT_WORDS_MAX], *text;
    size_t length;

    int r = kubeconfig_edit_set(c ? c->text : f->text, c ? c->length : f->length, place, value,
                                &text, &length, why);
    if (r == -EALREADY)
        return 0;
    if (r == -EINVAL)
        return kubeconfig_problem(p, ERROR_NOT_WRITTEN, by_hand, "%s: %s", f->path, why);
    if (r < 0)
        return no_memory(p);
    if (c)
        free(c->text);
    else
        c = &plan->change[plan->n_changes++];
    c->at = at;
    c->text = text;
    c->length = length;
    return 0;
}

cJSON *kubeconfig_plan_user(const struct kubeconfig_plan *plan)
{
    unsigned at;
    const cJSON *was = part(find(plan, "users", plan->user, &at), "user");
    return kubeconfig_user_new(plan->wish->profile, plan->version, plan->command, was);
}

static int change_user(struct kubeconfig_plan *plan, struct kubeconfig_problem *p)
{
    const struct kubeconfig_place place = { "users", "user", plan->user, NULL };
    cJSON *user = kubeconfig_plan_user(plan);

    int r = set(plan, plan->user_at, &place, user, p);
    cJSON_Delete(user);
    return r;
}

static int change_context(struct kubeconfig_plan *plan, struct kubeconfig_problem *p)
{
    struct kubeconfig_place place = { "contexts", "context", plan->wish->context, "user" };
    unsigned at = default_at(plan);
    cJSON *value;

    if (find(plan, "contexts", plan->wish->context, &at)) {
        value = cJSON_CreateString(plan->user);
    } else {
        if (choose_cluster(plan, p) < 0)
            return -1;
        place.member = NULL;
        value = cJSON_CreateObject();
        cJSON_AddStringToObject(value, "cluster", plan->cluster);
        cJSON_AddStringToObject(value, "user", plan->user);
    }
    int r = set(plan, at, &place, value, p);
    cJSON_Delete(value);
    return r;
}

int kubeconfig_plan_make(const struct kubeconfig_wish *wish, struct kubeconfig_plan *ret,
                         struct kubeconfig_problem *p)
{
    *ret = (struct kubeconfig_plan){ .wish = wish };
    ret->version = wish->api_version ? wish->api_version : kubeconfig_api_version();
    int r = read_files(ret, p);
    if (r == 0)
        ret->current = current_context(ret);
    if (r == 0)
        r = plan_user(ret, p);
    if (r == 0)
        r = change_user(ret, p);
    if (r == 0 && wish->context)
        r = change_context(ret, p);
    for (unsigned i = 0; i < ret->n_changes && r == 0; i++)
        r = kubeconfig_file_check(&ret->file[ret->change[i].at], wish->force, p);
    return r;
}

void kubeconfig_plan_free(struct kubeconfig_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++) {
        kubeconfig_file_free(&plan->file[i]);
        yaml_tree_free(&plan->tree[i]);
    }
    for (unsigned i = 0; i < plan->n_changes; i++)
        free(plan->change[i].text);
    free(plan->file);
    free(plan->tree);
    plan->file = NULL;
    plan->tree = NULL;
    plan->n = plan->n_changes = 0;
}

void kubeconfig_plan_contexts(const struct kubeconfig_plan *plan, char *out, size_t size)
{
    const cJSON *entry;
    size_t used = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < plan->n; i++)
        cJSON_ArrayForEach (entry, part(plan->tree[i].root, "contexts")) {
            const char *name = kubeconfig_edit_text(entry, "name");
            const char *user = kubeconfig_edit_text(part(entry, "context"), "user");
            bool wished = plan->wish->context && strcmp(plan->wish->context, name) == 0;
            if (!wished && strcmp(user, plan->user) == 0 && used < size)
                used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", name);
        }
}
