#define _GNU_SOURCE
#include "client/admin/kubeconfig_write.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/child.h"
#include "client/admin/doctor.h"
#include "client/admin/kubeconfig_mask.h"
#include "client/admin/kubeconfig_plan.h"
#include "client/admin/kuberc.h"
#include "client/admin/text_diff.h"
#include "client/output.h"
#include "common/time.h"
#include "common/wrap.h"

enum { TRIES = 3 };

const char *kubeconfig_api_version(void)
{
    /* Without the user's configuration: a kubectl that chooses another one by the cluster's version
     * asks the cluster for it, and has an auth-provider spend its refresh token. */
    static const char *const argv[] = { "kubectl",  "--kubeconfig=/dev/null", "version",
                                        "--client", "--output=json",          NULL };
    struct child child;

    child_run(argv, 10 * USEC_PER_SEC, &child);
    cJSON *json = cJSON_Parse(child.out);
    const cJSON *client = cJSON_GetObjectItemCaseSensitive(json, "clientVersion");
    const char *minor = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(client, "minor"));
    /* kubectl knows v1 since 1.22; none found counts as a new one. */
    bool old = minor && *minor && strtol(minor, NULL, 10) < 22;
    cJSON_Delete(json);
    child_clear(&child);
    return old ? "v1beta1" : "v1";
}

/* ---- what a person reads --------------------------------------------------------------------- */

static int complain(const struct kubeconfig_problem *p)
{
    if (output_lacks_memory())
        return output_fail(p->why.code, "");
    fprintf(stderr, "kubetoken: %s: %.*s; %s\n", error_sentence(p->why.code),
            (int)error_stem(p->why.detail), p->why.detail, p->remedy);
    return error_exit_code(p->why.code);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char text[2 * PATH_MAX + 200], clean[sizeof text];
    va_list ap;

    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    error_clean(clean, sizeof clean, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
    wrap_remedy(stdout, clean, 0, 0, output_columns());
}

/* What becomes of a file, without the secrets in it. */
static void show(FILE *out, const char *path, const char *was, size_t was_length, const char *is,
                 size_t is_length)
{
    char *before = kubeconfig_mask(was, was_length), *after = kubeconfig_mask(is, is_length);

    if (before && after)
        text_diff_print(out, path, path, before, after);
    free(before);
    free(after);
}

static void show_changes(const struct kubeconfig_plan *plan)
{
    for (unsigned i = 0; i < plan->n_changes; i++) {
        const struct kubeconfig_change *c = &plan->change[i];
        const struct kubeconfig_file *f = &plan->file[c->at];
        show(stdout, f->path, f->text, f->length, c->text, c->length);
    }
}

__attribute__((format(printf, 1, 2))) static void warn(const char *format, ...)
{
    char text[2 * PATH_MAX + 200], clean[sizeof text];
    va_list ap;

    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    error_clean(clean, sizeof clean, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
    fprintf(stderr, "kubetoken: warning: %s\n", clean);
}

/* Who may write to it decides what kubectl runs. */
static void warn_of_others(const struct kubeconfig_plan *plan)
{
    for (unsigned i = 0; i < plan->n_changes; i++) {
        const struct kubeconfig_file *f = &plan->file[plan->change[i].at];
        if (f->is_there && (f->st.st_mode & 022))
            warn("others may write to %s (mode %04o), and so choose what kubectl runs; chmod go-w "
                 "%s",
                 f->real, f->st.st_mode & 07777, f->real);
    }
}

static void warn_of_policy(const struct kubeconfig_plan *plan)
{
    static struct doctor d;
    struct kuberc rc = { .n = 0 };
    char file[PATH_MAX];
    unsigned line;
    bool named;

    d.kubeconfig = plan->file[plan->user_at].path;
    if (!kuberc_path(file, sizeof file, &named) || kuberc_read(file, &rc, &line) < 0)
        return;
    cJSON *user = kubeconfig_plan_user(plan);
    const char *wrong = doctor_judge_policy(&d, cJSON_GetObjectItemCaseSensitive(user, "exec"),
                                            &rc);
    if (wrong)
        warn("%s: %s: %s (kubectl 1.35 and later obey it); kubetoken doctor says what to do",
             error_sentence(ERROR_PLUGIN_POLICY), file, wrong);
    cJSON_Delete(user);
}

/* Without a context nobody is that user. */
static void say_contexts(const struct kubeconfig_plan *plan)
{
    const struct kubeconfig_wish *wish = plan->wish;
    char others[400];

    kubeconfig_plan_contexts(plan, others, sizeof others);
    if (wish->context)
        say("Context %s uses it%s%s.", wish->context, *others ? ", and so does " : "", others);
    else if (*others)
        say("Contexts that use it: %s.", others);
    else if (*plan->current)
        say("No context uses it yet: kubetoken kubeconfig --write --context %s %s has the current "
            "one do that.",
            plan->current, wish->profile);
    else
        say("No context uses it yet: kubetoken kubeconfig --write --context NAME %s has one do "
            "that.",
            wish->profile);
    if (wish->context && strcmp(wish->context, plan->current) != 0)
        say("It is not the current one: kubectl config use-context %s makes it that.",
            wish->context);
}

static void say_written(const struct kubeconfig_plan *plan)
{
    const struct kubeconfig_wish *wish = plan->wish;

    say("User %s of %s runs kubetoken for the profile %s.", plan->user,
        plan->file[plan->user_at].path, wish->profile);
    say_contexts(plan);
    for (unsigned i = 0; i < plan->n_changes; i++)
        if (*plan->change[i].backup)
            say("What was is in %s.", plan->change[i].backup);
    say("kubetoken kubeconfig --undo%s%s takes it back.", wish->file ? " --kubeconfig " : "",
        wish->file ? wish->file : "");
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Whether the files still are what was planned for. */
static bool is_as_planned(const struct kubeconfig_plan *plan)
{
    struct kubeconfig_problem p;
    struct kubeconfig_file now;
    bool same = true;

    for (unsigned i = 0; i < plan->n_changes && same; i++) {
        const struct kubeconfig_file *was = &plan->file[plan->change[i].at];
        same = kubeconfig_file_read(was->path, &now, &p) == 0 && now.is_there == was->is_there &&
               now.length == was->length && memcmp(now.text, was->text, now.length) == 0;
        kubeconfig_file_free(&now);
    }
    return same;
}

/* Of two files the first is taken back where the second cannot be written. */
static void take_back(const struct kubeconfig_plan *plan)
{
    const char *path = plan->file[plan->change[0].at].path;
    struct kubeconfig_record record;
    struct kubeconfig_problem p;
    struct kubeconfig_file now;

    if (kubeconfig_file_read(path, &now, &p) == 0 && kubeconfig_file_last(&now, &record))
        kubeconfig_file_restore(&now, &record, &p);
    kubeconfig_file_free(&now);
}

static int lock(const struct kubeconfig_plan *plan, struct kubeconfig_problem *p)
{
    const char *paths[KUBECONFIG_LOCKS_MAX];

    for (unsigned i = 0; i < plan->n_changes; i++)
        paths[i] = plan->file[plan->change[i].at].path;
    return kubeconfig_file_lock(paths, plan->n_changes, p);
}

/* Under the locks. */
static int write_changes(struct kubeconfig_plan *plan, struct kubeconfig_problem *p)
{
    uint64_t stamp = (uint64_t)time_realtime();
    int r = 0;

    for (unsigned i = 0; i < plan->n_changes && r == 0; i++) {
        struct kubeconfig_change *c = &plan->change[i];
        r = kubeconfig_file_write(&plan->file[c->at], c->text, c->length, stamp, c->backup, p);
        if (r < 0 && i > 0)
            take_back(plan);
    }
    return r;
}

/* Returns 0; -1 with *p; or 1: another program was faster. */
static int carry_out(struct kubeconfig_plan *plan, struct kubeconfig_problem *p)
{
    int r = lock(plan, p);

    if (r < 0)
        return r;
    r = is_as_planned(plan) ? write_changes(plan, p) : 1;
    kubeconfig_file_unlock();
    return r;
}

static int finish(const struct kubeconfig_plan *plan)
{
    warn_of_others(plan);
    warn_of_policy(plan);
    if (plan->n_changes == 0 && output_lacks_memory()) /* nothing may have been found */
        return output_done(1);
    if (plan->n_changes == 0) {
        say("Nothing to change: user %s of %s runs kubetoken for the profile %s.", plan->user,
            plan->file[plan->user_at].path, plan->wish->profile);
        say_contexts(plan);
        return output_done(0);
    }
    show_changes(plan);
    if (plan->wish->dry_run)
        say("Nothing has been written: --dry-run.");
    else
        say_written(plan);
    return output_done(0);
}

int kubeconfig_write(const struct kubeconfig_wish *wish)
{
    static struct kubeconfig_plan plan;
    struct kubeconfig_problem p;
    int r = 1, code = 0;

    for (int i = 0; i < TRIES && r > 0; i++) {
        kubeconfig_plan_free(&plan);
        r = kubeconfig_plan_make(wish, &plan, &p);
        if (r == 0 && plan.n_changes > 0 && !wish->dry_run)
            r = carry_out(&plan, &p);
    }
    if (r > 0)
        r = kubeconfig_problem(&p, ERROR_NOT_WRITTEN, "try again",
                               "another program goes on changing it");
    code = r < 0 ? complain(&p) : finish(&plan);
    kubeconfig_plan_free(&plan);
    return code;
}

/* ---- the way back ---------------------------------------------------------------------------- */

struct undo {
    struct kubeconfig_paths paths;
    unsigned n; /* files that the last command wrote */
    struct kubeconfig_file file[KUBECONFIG_LOCKS_MAX];
    struct kubeconfig_record record[KUBECONFIG_LOCKS_MAX];
};

/* Finds them: those with the newest stamp. */
static int find_last(struct undo *u, struct kubeconfig_problem *p)
{
    struct kubeconfig_record record;
    struct kubeconfig_file file;

    for (unsigned i = 0; i < u->paths.n; i++) {
        if (kubeconfig_file_read(u->paths.path[i], &file, p) < 0) {
            kubeconfig_file_free(&file);
            return -1;
        }
        bool there = kubeconfig_file_last(&file, &record);
        while (there && u->n > 0 && record.stamp > u->record[0].stamp)
            kubeconfig_file_free(&u->file[--u->n]);
        if (there && u->n < KUBECONFIG_LOCKS_MAX &&
            (u->n == 0 || record.stamp == u->record[0].stamp)) {
            u->file[u->n] = file;
            u->record[u->n++] = record;
        } else {
            kubeconfig_file_free(&file);
        }
    }
    return u->n > 0 ? 0
                    : kubeconfig_problem(p, ERROR_NOT_WRITTEN,
                                         "kubetoken kubeconfig --write is what can be taken back",
                                         "there is nothing to undo in %s", u->paths.path[0]);
}

static int check_undo(const struct undo *u, struct kubeconfig_problem *p)
{
    for (unsigned i = 0; i < u->n; i++)
        if (!kubeconfig_file_is_written(&u->file[i], &u->record[i]))
            return kubeconfig_problem(p, ERROR_NOT_WRITTEN,
                                      u->record[i].was_there
                                          ? "see what you want of it, and take that over by hand"
                                          : "take the user out by hand",
                                      "%s has been changed since%s%s", u->file[i].path,
                                      u->record[i].was_there ? "; what was before is in " : "",
                                      u->record[i].was_there ? u->record[i].backup : "");
    return 0;
}

/* What the undo changes, while the backups are there; to be freed. */
static char *undo_text(const struct undo *u)
{
    struct kubeconfig_problem p;
    struct kubeconfig_file was;
    char *text = NULL;
    size_t size;

    FILE *f = open_memstream(&text, &size);
    for (unsigned i = 0; i < u->n && f; i++) {
        const struct kubeconfig_file *is = &u->file[i];
        if (!u->record[i].was_there) {
            show(f, is->path, is->text, is->length, "", 0);
            continue;
        }
        if (kubeconfig_file_read(u->record[i].backup, &was, &p) == 0)
            show(f, is->path, is->text, is->length, was.text, was.length);
        kubeconfig_file_free(&was);
    }
    if (f)
        fclose(f);
    return text;
}

static int restore(const struct undo *u, struct kubeconfig_problem *p)
{
    const char *paths[KUBECONFIG_LOCKS_MAX];
    int r;

    for (unsigned i = 0; i < u->n; i++)
        paths[i] = u->file[i].path;
    r = kubeconfig_file_lock(paths, u->n, p);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < u->n && r == 0; i++)
        r = kubeconfig_file_restore(&u->file[i], &u->record[i], p);
    kubeconfig_file_unlock();
    return r;
}

static void say_undone(const struct undo *u, const char *diff, bool dry_run)
{
    fputs(diff ? diff : "", stdout);
    for (unsigned i = 0; i < u->n && !dry_run; i++)
        say("%s is %s.", u->file[i].path,
            u->record[i].was_there ? "as it was before" : "gone, as before");
    if (dry_run)
        say("Nothing has been written: --dry-run.");
}

int kubeconfig_undo(const char *file, bool dry_run)
{
    static struct undo u;
    struct kubeconfig_problem p;
    char *diff = NULL;

    u.n = 0;
    int r = kubeconfig_paths_find(file, &u.paths);
    if (r < 0 || u.paths.n == 0)
        r = kubeconfig_problem(&p, ERROR_KUBECONFIG, "name one by --kubeconfig", "%s",
                               r < 0 ? "KUBECONFIG is too long" : "there is no HOME");
    else
        r = find_last(&u, &p);
    if (r == 0)
        r = check_undo(&u, &p);
    if (r == 0)
        diff = undo_text(&u);
    if (r == 0 && !dry_run)
        r = restore(&u, &p);
    if (r == 0)
        say_undone(&u, diff, dry_run);
    for (unsigned i = 0; i < u.n; i++)
        kubeconfig_file_free(&u.file[i]);
    free(diff);
    return r < 0 ? complain(&p) : output_done(0);
}
