/* Writes a draft: its files and its section, all or nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/draft.h"
#include "client/admin/file_changes.h"
#include "client/conversation.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

static int plan_file(const struct draft_place *place, const struct draft_file *file, bool force,
                     struct error *why)
{
    char path[PATH_MAX];

    if (!text_join(path, sizeof path, place->folder, "/", file->name))
        return error_set(why, ERROR_CONFIG, "%s: %s", file->name, strerror(ENAMETOOLONG)), -1;
    return file_changes_plan_secret(path, file->content.bytes, file->content.length, force, why);
}

/* The configuration comes last: with it the profile is there. */
static int plan_all(const struct profile_draft *draft, const struct draft_place *place, bool force,
                    struct error *why)
{
    size_t length;

    for (unsigned i = 0; i < draft->n_files; i++)
        if (plan_file(place, &draft->files[i], force, why) < 0)
            return -1;
    char *text = config_text_put(place->text, place->length, draft->section, &draft->settings,
                                 &length);
    if (!text)
        return error_set(why, ERROR_INTERNAL, "no memory"), -1;
    int r = file_changes_plan(place->path, text, length, why);
    explicit_bzero(text, length);
    free(text);
    return r;
}

/* With the signals blocked. */
static int write_all(const struct profile_draft *draft, bool force, struct error *why)
{
    struct draft_place place;
    int locked = -1;

    if (draft_place_read(&place, why) < 0)
        return -1;
    char *folder = strdup(place.folder);
    int r = folder ? draft_place_judge(&place, why) : -1;
    if (!folder)
        error_set(why, ERROR_INTERNAL, "no memory");
    if (r == 0)
        r = file_changes_make_folders(folder, why);
    if (r == 0 && (locked = file_changes_lock(folder, why)) < 0)
        r = -1;
    draft_place_clear(&place); /* as it is now that nobody else writes */
    if (r == 0)
        r = draft_place_read(&place, why);
    if (r == 0)
        r = plan_all(draft, &place, force, why);
    if (r == 0)
        r = file_changes_carry_out(why);
    if (r == 0)
        file_changes_sync(folder);
    draft_place_clear(&place);
    if (locked >= 0)
        close(locked);
    free(folder);
    return r;
}

/* ---- the daemon ------------------------------------------------------------------------------ */

int draft_reload(bool none_left)
{
    struct line reload = { .may_be_absent = true };
    char answer[1024];
    struct error why;

    line_add(&reload, "reload * *");
    enum error_code code = conversation_ask_why(&reload, PROTOCOL_TIMEOUT, answer, sizeof answer,
                                                &why);
    if (code == ERROR_NONE || code == ERROR_NO_DAEMON || (none_left && code == ERROR_NO_CONFIG))
        return 0;
    if (strncmp(why.detail, "kubetoken: ", sizeof "kubetoken: " - 1) != 0)
        return output_fail(code, why.detail);
    fprintf(stderr, "%s\n", why.detail); /* as the daemon says it */
    return error_exit_code(code);
}

int profile_draft_hand_over(const struct profile_draft *draft)
{
    struct line login = { .may_start = true,
                          .block = draft->password.bytes,
                          .block_length = draft->password.length };
    char answer[1024];

    int r = draft_reload(false);
    if (r)
        return r;
    for (size_t i = 0; i < draft->settings.n; i++)
        if (draft_is_password(draft->settings.list[i].key))
            return 0;
    if (!draft->password.bytes)
        return 0;
    line_add(&login, "login * ");
    line_add(&login, draft->name);
    line_add_number(&login, "secret", login.block_length);
    return conversation_query(&login, PROTOCOL_TIMEOUT, answer, sizeof answer);
}

int profile_draft_write_files(const struct profile_draft *draft, bool force)
{
    struct error why;
    enum profile_draft_state state = profile_draft_look(draft);
    char text[200];

    file_changes_forget();
    if (state == PROFILE_DRAFT_ANOTHER && !force) {
        snprintf(text, sizeof text, "there is another [profile %s]; --force replaces it",
                 draft->name);
        return output_fail(ERROR_USAGE, text);
    }
    sigset_t before = file_changes_block_signals();
    int r = state == PROFILE_DRAFT_SAME ? 0 : write_all(draft, force, &why);
    if (r < 0)
        file_changes_take_back();
    sigprocmask(SIG_SETMASK, &before, NULL); /* where it was interrupted it ends here */
    if (r < 0)                               /* by a signal: who put it off ends of it */
        return file_changes_is_interrupted() ? 1 : output_fail(why.code, why.detail);
    return 0;
}

int profile_draft_write(const struct profile_draft *draft, bool force)
{
    int r = profile_draft_write_files(draft, force);

    return r ? r : profile_draft_hand_over(draft);
}

void profile_draft_take_back(const struct profile_draft *draft)
{
    sigset_t before = file_changes_block_signals();
    struct line reload = { .may_be_absent = true };
    char answer[1024];

    (void)draft;
    file_changes_take_back();
    sigprocmask(SIG_SETMASK, &before, NULL);
    line_add(&reload, "reload * *");
    conversation_ask(&reload, PROTOCOL_TIMEOUT, answer, sizeof answer);
}
