#define _GNU_SOURCE
#include "client/admin/profile_draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/admin/draft.h"
#include "client/locked.h"
#include "common/config_files.h"
#include "common/heap.h"
#include "common/paths.h"
#include "common/specifiers.h"
#include "common/text.h"
#include "common/trusted_path.h"

/* ---- bytes ----------------------------------------------------------------------------------- */

struct draft_bytes draft_bytes_copy(const char *bytes, size_t length)
{
    struct draft_bytes copy = { locked_memory_if_any(length + 1), length, length + 1 };

    if (!copy.bytes) {
        heap_note_lack();
        return (struct draft_bytes){ 0 };
    }
    if (length > 0)
        memcpy(copy.bytes, bytes, length);
    return copy;
}

void draft_bytes_clear(struct draft_bytes *bytes)
{
    if (bytes->bytes) {
        explicit_bzero(bytes->bytes, bytes->room);
        munmap(bytes->bytes, bytes->room);
    }
    *bytes = (struct draft_bytes){ 0 };
}

int draft_read_file(const char *path, size_t most, char **ret, size_t *ret_length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    size_t have = 0;
    ssize_t n = 0;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)most) {
        int r = fd < 0 ? -errno : S_ISREG(st.st_mode) ? -EFBIG : -EINVAL;
        if (fd >= 0)
            close(fd);
        return r;
    }
    size_t size = (size_t)st.st_size;
    char *bytes = malloc(size + 1);
    while (bytes && have < size && (n = read(fd, bytes + have, size - have)) > 0)
        have += (size_t)n;
    int r = !bytes ? -ENOMEM : n < 0 ? -errno : 0;
    close(fd);
    if (r < 0) {
        free(bytes);
        return r;
    }
    bytes[have] = '\0';
    *ret = bytes;
    *ret_length = have;
    return 0;
}

/* ---- the draft ------------------------------------------------------------------------------- */

struct profile_draft *profile_draft_new(const char *name)
{
    struct profile_draft *draft = calloc(1, sizeof *draft);

    if (draft)
        profile_draft_rename(draft, name);
    return draft;
}

void profile_draft_rename(struct profile_draft *draft, const char *name)
{
    snprintf(draft->name, sizeof draft->name, "%s", name);
    snprintf(draft->section, sizeof draft->section, "profile %s", draft->name);
}

void profile_draft_free(struct profile_draft *draft)
{
    if (!draft)
        return;
    config_settings_clear(&draft->settings);
    for (unsigned i = 0; i < draft->n_files; i++)
        draft_bytes_clear(&draft->files[i].content);
    draft_bytes_clear(&draft->password);
    free(draft);
}

/* As a person would write them; the others come behind. */
static size_t rank(const char *key)
{
    static const char *const order[] = {
        "issuer",    "token-endpoint", "jwks-uri",         "ca-file",
        "client-id", "client-auth",    "client-secret",    "client-secret-file",
        "grant",     "from",           "token-command",    "username",
        "realm",     "password-file",  "password-command", "scope",
        "audience"
    };
    size_t i = 0;

    while (i < sizeof order / sizeof *order && !text_equal(order[i], key))
        i++;
    return i;
}

void profile_draft_set(struct profile_draft *draft, const char *key, const char *value)
{
    struct config_settings *s = &draft->settings;

    if (!value || !text_equal(key, "token-parameter"))
        config_settings_drop(s, key);
    if (!value)
        return;
    config_settings_add(s, key, value);
    for (size_t i = s->n ? s->n - 1 : 0; i > 0 && rank(s->list[i].key) < rank(s->list[i - 1].key);
         i--) {
        const struct config_setting later = s->list[i];
        s->list[i] = s->list[i - 1];
        s->list[i - 1] = later;
    }
}

void profile_draft_set_literal(struct profile_draft *draft, const char *key, const char *value)
{
    char *escaped = specifiers_escape(value);

    if (escaped)
        profile_draft_set(draft, key, escaped);
    else
        heap_note_lack();
    free(escaped);
}

const char *profile_draft_get(const struct profile_draft *draft, const char *key)
{
    return config_settings_get(&draft->settings, key);
}

void profile_draft_add_file(struct profile_draft *draft, const char *key, const char *suffix,
                            const char *bytes, size_t length)
{
    char name[DRAFT_NAME_MAX];
    unsigned i = 0;

    snprintf(name, sizeof name, "%s.%s", draft->name, suffix);
    while (i < draft->n_files && !text_equal(draft->files[i].name, name))
        i++;
    if (i == DRAFT_FILES_MAX) /* there are no more keys that name one */
        return;
    struct draft_file *file = &draft->files[i];
    if (i == draft->n_files)
        draft->n_files++;
    draft_bytes_clear(&file->content);
    memcpy(file->name, name, sizeof name);
    file->content = draft_bytes_copy(bytes, length);
    profile_draft_set(draft, key, name);
}

void profile_draft_set_password(struct profile_draft *draft, const char *password, size_t length)
{
    draft_bytes_clear(&draft->password);
    draft->password = draft_bytes_copy(password, length);
}

bool draft_is_password(const char *key)
{
    return text_equal(key, "password") || text_equal(key, "password-file") ||
           text_equal(key, "password-command") || text_equal(key, "password-credential");
}

/* ---- against what is there ------------------------------------------------------------------- */

int draft_place_read(struct draft_place *ret, struct error *why)
{
    *ret = (struct draft_place){ .exists = true };
    if (paths_user_config(ret->path) < 0) {
        error_set(why, ERROR_USAGE, "HOME is not set: where is the configuration to be?");
        return -1;
    }
    snprintf(ret->folder, sizeof ret->folder, "%s", ret->path);
    *strrchr(ret->folder, '/') = '\0';
    int r = draft_read_file(ret->path, CONFIG_TEXT_MAX, &ret->text, &ret->length);
    if (r == -ENOENT || r == -ENOTDIR) {
        ret->exists = false;
        ret->text = strdup("");
        r = ret->text ? 0 : -ENOMEM;
    }
    if (r < 0)
        error_set(why, ERROR_CONFIG, "%s: %s", ret->path, strerror(-r));
    return r < 0 ? -1 : 0;
}

const char *draft_home_short(const char *path, char out[PATH_MAX])
{
    const char *home = getenv("HOME");
    size_t length = home ? strlen(home) : 0;

    if (length > 1 && strncmp(path, home, length) == 0 && path[length] == '/')
        snprintf(out, PATH_MAX, "~%s", path + length);
    else
        snprintf(out, PATH_MAX, "%s", path);
    return out;
}

const char *draft_config_name(char out[PATH_MAX])
{
    char path[PATHS_MAX];

    return draft_home_short(paths_user_config(path) < 0 ? "kubetoken.conf" : path, out);
}

void draft_place_clear(struct draft_place *place)
{
    if (place->text)
        explicit_bzero(place->text, place->length);
    free(place->text);
    place->text = NULL;
}

int draft_place_judge(const struct draft_place *place, struct error *why)
{
    char words[ERROR_DETAIL_MAX + 1];
    struct trusted_fault fault;

    /* what is not there yet will be ours: the folders count in which it is to be */
    if (trusted_path_check(place->path, TRUSTED_PRIVATE, &fault) == 0 || fault.number != 0)
        return 0;
    trusted_path_tell(&fault, words, sizeof words);
    error_set(why, ERROR_CONFIG, "%s", words);
    return -1;
}

static bool file_is_same(const struct draft_place *place, const struct draft_file *file)
{
    char path[PATH_MAX], *bytes;
    size_t length;

    if (!text_join(path, sizeof path, place->folder, "/", file->name) ||
        draft_read_file(path, CONFIG_TEXT_MAX, &bytes, &length) < 0)
        return false;
    bool same = file->content.bytes && length == file->content.length &&
                memcmp(bytes, file->content.bytes, length) == 0;
    explicit_bzero(bytes, length);
    free(bytes);
    return same;
}

static enum profile_draft_state compare(const struct profile_draft *draft,
                                        const struct draft_place *place, bool files)
{
    struct config_settings there;
    bool found = config_text_read(place->text, place->length, draft->section, &there, NULL);
    bool same = found && config_settings_equal(&there, &draft->settings);

    config_settings_clear(&there);
    for (unsigned i = 0; files && same && i < draft->n_files; i++)
        same = file_is_same(place, &draft->files[i]);
    return !found ? PROFILE_DRAFT_NEW : same ? PROFILE_DRAFT_SAME : PROFILE_DRAFT_ANOTHER;
}

void draft_system_files(void (*tell)(void *context, const char *path, const char *text,
                                     size_t length),
                        void *context)
{
    struct config_files files = { 0 };
    size_t length;
    char *text;

    config_files_add_system(&files);
    for (size_t i = 0; i < files.n; i++) {
        if (draft_read_file(files.list[i], CONFIG_TEXT_MAX, &text, &length) < 0)
            continue;
        tell(context, files.list[i], text, length);
        explicit_bzero(text, length);
        free(text);
    }
    config_files_clear(&files);
}

struct search {
    const char *section;
    bool found;
};

static void search_in(void *context, const char *path, const char *text, size_t length)
{
    struct search *s = context;
    struct config_settings there;

    (void)path;
    s->found |= config_text_read(text, length, s->section, &there, NULL);
    config_settings_clear(&there);
}

/* Whether the administrator has a profile of that name: the user's would be laid over it. */
static bool is_administrators(const struct profile_draft *draft)
{
    struct search search = { .section = draft->section };

    draft_system_files(search_in, &search);
    return search.found;
}

static enum profile_draft_state look(const struct profile_draft *draft, bool files)
{
    struct draft_place place;
    struct error ignored;

    if (draft_place_read(&place, &ignored) < 0)
        return PROFILE_DRAFT_ANOTHER; /* writing says why */
    enum profile_draft_state state = compare(draft, &place, files);
    draft_place_clear(&place);
    return state == PROFILE_DRAFT_NEW && is_administrators(draft) ? PROFILE_DRAFT_ANOTHER : state;
}

enum profile_draft_state profile_draft_look(const struct profile_draft *draft)
{
    return look(draft, true);
}

enum profile_draft_state profile_draft_look_keys(const struct profile_draft *draft)
{
    return look(draft, false);
}

bool profile_draft_before(const struct profile_draft *draft, struct config_settings *ret_profile,
                          struct config_settings *ret_defaults)
{
    struct draft_place place;
    struct error ignored;

    *ret_profile = *ret_defaults = (struct config_settings){ 0 };
    if (draft_place_read(&place, &ignored) < 0)
        return false;
    draft_defaults(&place, ret_defaults);
    bool there = config_text_read(place.text, place.length, draft->section, ret_profile, NULL);
    draft_place_clear(&place);
    return there || is_administrators(draft);
}
