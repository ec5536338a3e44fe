#define _GNU_SOURCE
#include "daemon/config.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config_files.h"
#include "common/job.h"
#include "common/owner.h"
#include "common/paths.h"
#include "common/printable.h"
#include "common/protocol.h"
#include "common/specifiers.h"
#include "common/text.h"
#include "common/time.h"
#include "common/url.h"
#include "daemon/config_keys.h"
#include "daemon/private_file.h"

enum {
    LINE_MAX_BYTES = 4096,
    FILE_MAX_BYTES = 1024 * 1024,
    PROFILES_MAX = 10000,
    PARAMETER_NAME_MAX = 200,
    ERRORS_MAX = 50, /* a binary file has thousands */
    NOTES_MAX = 20,
    FORMAT_VERSION = 1, /* config-version: what a file is written for */
};

/* ---- what the files say, before it is understood --------------------------------------------- */

struct setting {
    const struct config_key *key;
    char *value; /* in the text of its file, which is locked memory */
    const char *file;
    unsigned line;
    bool bad; /* reported once already */
};

struct section {
    char *profile; /* NULL: [defaults] */
    struct setting *settings;
    size_t n, allocated;
    const char *file;
    unsigned line;
};

/* A section's name and where it is: there may be thousands, and each line that opens one looks. */
struct heading {
    const char *profile; /* the section's; "": [defaults] */
    size_t at;
};

/* A key that a user's file cannot override. */
struct lock {
    const struct config_key *key;
    const char *file;
    unsigned line;
};

/* In the place of an open section's index. */
static const size_t head_of_file = SIZE_MAX; /* none yet */
static const size_t in_bad_section = SIZE_MAX - 1;
static const size_t in_locked = SIZE_MAX - 2;

struct loader {
    struct config_report *report;
    struct config_files files;
    struct section *sections;
    size_t n_sections, allocated;
    void *headings; /* tsearch(3), of struct heading */
    struct secret **texts;
    size_t n_texts, texts_allocated;
    struct lock *locks;
    size_t n_locks, locks_allocated;
    /* of the file that is read */
    size_t section_at; /* index of the open section, or one of those above */
    bool of_user;
    bool foreign;                   /* of a version that is not known here: it is read no further */
    unsigned version_at, locked_at; /* lines; 0: it says none */
    unsigned notes;
};

/* While files are read: memory was lacking, and what came of them is thrown away as a whole. */
static bool lacking;

/* NULL: no memory, the array is as it was. */
static void *grow(void *array, size_t n, size_t *allocated, size_t size)
{
    size_t more = *allocated ? *allocated * 2 : 16;

    if (n < *allocated)
        return array;
    void *grown = reallocarray(array, more, size);
    if (grown)
        *allocated = more;
    else
        lacking = true;
    return grown;
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);

    lacking |= !copy;
    return copy;
}

static void add_line(char **text, const char *file, unsigned line, const char *message)
{
    char number[16] = "", *more;

    if (line > 0)
        snprintf(number, sizeof number, "%u: ", line);
    if (asprintf(&more, "%s%s:%s%s%s\n", *text ? *text : "", file, line ? "" : " ", number,
                 message) < 0) {
        lacking = true;
        return;
    }
    printable_hide(more, "\n"); /* the name of the file may be any */
    free(*text);
    *text = more;
}

__attribute__((format(printf, 4, 5))) static void
complain(struct config_report *report, const char *file, unsigned line, const char *format, ...)
{
    char message[1024], clean[1024];
    va_list ap;

    report->code = ERROR_CONFIG;
    if (++report->count > ERRORS_MAX)
        return;
    va_start(ap, format);
    int n = vsnprintf(message, sizeof message, format, ap);
    va_end(ap);
    error_clean(clean, sizeof clean, message,
                n < (int)sizeof message ? (size_t)(n > 0 ? n : 0) : sizeof message - 1);

    add_line(&report->text, file, line, clean);
    report->length = report->text ? strlen(report->text) : 0;
}

/* What does not count though nothing is wrong. */
__attribute__((format(printf, 4, 5))) static void remark(struct loader *l, const char *file,
                                                         unsigned line, const char *format, ...)
{
    char message[512];
    va_list ap;

    if (++l->notes > NOTES_MAX)
        return;
    va_start(ap, format);
    vsnprintf(message, sizeof message, format, ap);
    va_end(ap);
    add_line(&l->report->notes, file, line, message);
}

/* ---- the reader ------------------------------------------------------------------------------ */

static const struct config_key *find_key(const char *name, const char **ret_nearest)
{
    struct text_nearest nearest = text_nearest_to(name);

    for (size_t i = 0; i < config_keys_count; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    for (size_t i = 0; i < config_keys_count; i++)
        if (text_nearest_try(&nearest, config_keys[i].name))
            *ret_nearest = config_keys[i].name;
    return NULL;
}

static int by_heading(const void *a, const void *b)
{
    return strcmp(((const struct heading *)a)->profile, ((const struct heading *)b)->profile);
}

/* Has the last section found by its name. */
static void index_section(struct loader *l)
{
    const char *profile = l->sections[l->n_sections - 1].profile;
    struct heading *heading = malloc(sizeof *heading), *const *found = NULL;

    if (heading) {
        *heading = (struct heading){ profile ? profile : "", l->n_sections - 1 };
        found = tsearch(heading, &l->headings, by_heading);
    }
    if (found && *found == heading)
        return;
    free(heading); /* there is another one where there was no memory for a name */
    lacking = true;
}

static struct section *find_section(const struct loader *l, const char *profile)
{
    const struct heading key = { .profile = profile ? profile : "" };
    struct heading *const *found = tfind(&key, &l->headings, by_heading);

    return found ? &l->sections[(*found)->at] : NULL;
}

static void open_section(struct loader *l, const char *profile, const char *file, unsigned line)
{
    struct section *s = find_section(l, profile);

    if (s) {
        l->section_at = (size_t)(s - l->sections);
        if (s->file == file)
            complain(l->report, file, line, "the section is there already, at line %u", s->line);
        s->file = file;
        s->line = line;
        return;
    }
    if (l->n_sections >= PROFILES_MAX) {
        complain(l->report, file, line, "more than %d sections", PROFILES_MAX);
        return;
    }
    struct section *grown = grow(l->sections, l->n_sections, &l->allocated, sizeof *l->sections);
    if (!grown)
        return;
    l->sections = grown;
    l->section_at = l->n_sections++;
    grown[l->section_at] = (struct section){ .profile = profile ? copy_text(profile) : NULL,
                                             .file = file,
                                             .line = line };
    index_section(l);
}

/* What may be a secret that stands in the wrong place is not quoted: only words are. */
static bool is_words(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_ ")] == '\0';
}

static void complain_of_section(struct loader *l, const char *text, const char *file, unsigned line)
{
    static const char accepted[] = "accepted: [defaults], [profile NAME], [locked]";

    if (is_words(text))
        complain(l->report, file, line, "unknown section [%s]; %s", text, accepted);
    else
        complain(l->report, file, line, "unknown section; %s", accepted);
}

/* Who could lock keys against himself would take it for more than it is. */
static void open_locked(struct loader *l, const char *file, unsigned line)
{
    if (l->of_user) {
        complain(l->report, file, line,
                 "[locked] counts in the files below " PATHS_SYSTEM_FOLDER " alone");
        return;
    }
    if (l->locked_at > 0)
        complain(l->report, file, line, "the section is there already, at line %u", l->locked_at);
    l->locked_at = line;
    l->section_at = in_locked;
}

static void read_section(struct loader *l, char *text, const char *file, unsigned line)
{
    size_t length = strlen(text);

    l->section_at = in_bad_section; /* keys below a broken header are not reported as well */
    if (text[length - 1] != ']') {
        complain(l->report, file, line, "a section ends with \"]\"");
        return;
    }
    text[length - 1] = '\0';
    text++;
    if (strcmp(text, "defaults") == 0) {
        open_section(l, NULL, file, line);
        return;
    }
    if (strcmp(text, "locked") == 0) {
        open_locked(l, file, line);
        return;
    }
    if (strncmp(text, "profile ", 8) != 0) {
        complain_of_section(l, text, file, line);
        return;
    }
    const char *name = text + 8 + strspn(text + 8, " \t");
    if (!protocol_name_valid(name, strlen(name))) {
        complain(l->report, file, line,
                 "\"%s\" cannot be a profile's name; accepted: 1 to %d of A-Z a-z 0-9 . _ @ -",
                 name, PROTOCOL_NAME_MAX);
        return;
    }
    open_section(l, name, file, line);
}

static bool is_source(const struct config_key *key)
{
    return config_keys_form(key->type) == FORM_SOURCE;
}

/* Of the sources of one secret the last one named counts, so that all are locked by one. */
static bool locks(const struct config_key *locked, const struct config_key *key)
{
    return locked == key || (is_source(locked) && is_source(key) && locked->place == key->place);
}

/* Whether what the user's file says of that key does not count, which is noted then. */
static bool is_locked(struct loader *l, const struct config_key *key, const char *file,
                      unsigned line)
{
    for (size_t i = 0; l->of_user && i < l->n_locks; i++) {
        const struct lock *lock = &l->locks[i];
        if (!locks(lock->key, key))
            continue;
        remark(l, file, line, "%s does not count: it is locked, by %s:%u", key->name, lock->file,
               lock->line);
        return true;
    }
    return false;
}

/* Adds a setting to the section; a later file replaces what an earlier one said. */
static void add_setting(struct loader *l, const struct config_key *key, char *value,
                        const char *file, unsigned line)
{
    struct section *s = &l->sections[l->section_at];
    struct setting setting = { key, value, file, line, false };

    if (is_locked(l, key, file, line))
        return;

    for (size_t i = 0; key->type != TYPE_PARAMETER && i < s->n; i++) {
        struct setting *old = &s->settings[i];
        if (old->key != key)
            continue;
        if (old->file == file)
            complain(l->report, file, line, "%s: set already, at line %u", key->name, old->line);
        /* What comes last wins, also over another source of the same secret. */
        memmove(old, old + 1, (s->n - i - 1) * sizeof *old);
        s->n--;
        break;
    }
    struct setting *grown = grow(s->settings, s->n, &s->allocated, sizeof *s->settings);
    if (!grown)
        return;
    s->settings = grown;
    s->settings[s->n++] = setting;
}

/* "password aGVsbG8=" is a password, and the equals sign a part of it: only what may be a key with
 * a slip is quoted. */
static void complain_of_key(struct loader *l, const char *text, const char *nearest,
                            const char *file, unsigned line)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    char guess[64];

    snprintf(guess, sizeof guess, nearest ? "did you mean \"%s\"?" : "see kubetoken.conf(5)",
             nearest);
    if (text[strspn(text, letters)] == '\0')
        complain(l->report, file, line, "unknown key \"%s\"; %s", text, guess);
    else
        complain(l->report, file, line,
                 "what stands before \"=\" is no key: those have letters and hyphens; %s", guess);
}

/* config-version: a file of a version that is not known here is read no further, since what it
 * says might mean something else. */
static void read_version(struct loader *l, const char *value, const char *file, unsigned line)
{
    char *end;
    unsigned long version = strtoul(value, &end, 10);

    if (l->section_at != head_of_file) {
        complain(l->report, file, line,
                 "config-version: stands before the first section of its file");
    } else if (l->version_at > 0) {
        complain(l->report, file, line, "config-version: set already, at line %u", l->version_at);
    } else if (*value < '1' || *value > '9' || *end) {
        complain(l->report, file, line, "config-version: \"%s\" is not accepted; accepted: %d",
                 value, FORMAT_VERSION);
    } else if (version > FORMAT_VERSION) {
        l->foreign = true;
        complain(l->report, file, line,
                 "config-version: %s is for a later kubetoken; this one, " KUBETOKEN_VERSION
                 ", reads up to %d: upgrade it, or write the file for %d",
                 value, FORMAT_VERSION, FORMAT_VERSION);
    }
    l->version_at = line;
}

static void complain_of_lock(struct loader *l, const char *word, const char *nearest,
                             const char *file, unsigned line)
{
    if (!is_words(word))
        complain(l->report, file, line, "keys: has words that are no keys");
    else if (nearest)
        complain(l->report, file, line, "keys: unknown key \"%s\"; did you mean \"%s\"?", word,
                 nearest);
    else
        complain(l->report, file, line, "keys: unknown key \"%s\"; see kubetoken.conf(5)", word);
}

/* Below [locked]. */
static void read_locks(struct loader *l, char *words, const char *file, unsigned line)
{
    for (char *word; (word = strsep(&words, " \t,"));) {
        const char *nearest = NULL;
        const struct config_key *key = *word ? find_key(word, &nearest) : NULL;
        if (!*word)
            continue;
        if (!key) {
            complain_of_lock(l, word, nearest, file, line);
            continue;
        }
        struct lock *grown = grow(l->locks, l->n_locks, &l->locks_allocated, sizeof *grown);
        if (!grown)
            return;
        l->locks = grown;
        grown[l->n_locks++] = (struct lock){ key, file, line };
    }
}

/* What is no key of a profile. Returns whether it was one of these. */
static bool read_other(struct loader *l, const char *name, char *value, const char *file,
                       unsigned line)
{
    if (strcmp(name, "config-version") == 0) {
        read_version(l, value, file, line);
        return true;
    }
    if (l->section_at != in_locked)
        return false;
    if (strcmp(name, "keys") != 0)
        complain(l->report, file, line,
                 "[locked] has no such key; accepted: keys = names of keys, parted by blanks");
    else
        read_locks(l, value, file, line);
    return true;
}

static void read_assignment(struct loader *l, char *text, const char *file, unsigned line)
{
    char *equals = strchr(text, '=');
    const char *nearest = NULL;

    if (!equals) {
        complain(l->report, file, line, "neither \"key = value\" nor \"[section]\" nor a comment");
        return;
    }
    char *end = equals;
    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    char *value = equals + 1 + strspn(equals + 1, " \t");

    if (read_other(l, text, value, file, line))
        return;
    const struct config_key *key = find_key(text, &nearest);
    if (!key) {
        complain_of_key(l, text, nearest, file, line);
        return;
    }
    if (l->section_at == head_of_file) {
        complain(l->report, file, line,
                 "%s: stands before the first section; accepted: below "
                 "[defaults] or [profile NAME]",
                 key->name);
        return;
    }
    if (l->section_at >= l->n_sections)
        return;
    if (key->type == TYPE_PROFILE_NAME && l->sections[l->section_at].profile) {
        complain(l->report, file, line, "%s: belongs into [defaults]", key->name);
        return;
    }
    if (*value == '\0') {
        complain(l->report, file, line, "%s: has no value; accepted: %s", key->name, key->accepts);
        return;
    }
    add_setting(l, key, value, file, line);
}

/* What is wrong with a line that is to be text without control characters but tab, or NULL. */
static const char *text_fault(const char *text, size_t length)
{
    for (size_t i = 0, n; i < length; i += n) {
        unsigned char c = (unsigned char)text[i];
        n = printable_utf8(text + i, length - i);
        if (c == '\r' && i == length - 1)
            return "the line ends with CR; save the file with Unix line ends";
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return "a control character is not allowed";
        if (n == 0)
            return "not valid UTF-8";
        if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0) /* C1 */
            return "a control character is not allowed";
    }
    return NULL;
}

static void read_line(struct loader *l, char *text, size_t length, const char *file, unsigned line)
{
    if (length >= LINE_MAX_BYTES) {
        complain(l->report, file, line, "longer than %d bytes", LINE_MAX_BYTES - 1);
        return;
    }
    const char *fault = text_fault(text, length);
    if (fault) {
        complain(l->report, file, line, "%s", fault);
        return;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        text[--length] = '\0';
    text += strspn(text, " \t");
    if (*text == '\0' || *text == '#' || *text == ';')
        return;
    if (*text == '[')
        read_section(l, text, file, line);
    else
        read_assignment(l, text, file, line);
}

static void read_text(struct loader *l, struct secret *content, const char *file)
{
    char *at = secret_bytes(content), *end = at + secret_length(content);
    unsigned line = 0;

    l->section_at = head_of_file;
    l->foreign = false;
    l->version_at = l->locked_at = 0;
    if (secret_length(content) >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3; /* editors of other systems put a byte order mark there */
    if (secret_length(content) >= 2 &&
        (memcmp(at, "\xff\xfe", 2) == 0 || memcmp(at, "\xfe\xff", 2) == 0)) {
        complain(l->report, file, 1, "it is UTF-16; save the file as UTF-8");
        return;
    }
    while (at < end && !l->foreign) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        char *stop = newline ? newline : end;
        *stop = '\0';
        read_line(l, at, (size_t)(stop - at), file, ++line);
        at = stop + 1;
    }
}

/* Before its host a URL may hold a user and a password. */
static bool holds_user(const struct setting *s)
{
    return strchr(s->value, '@') && (s->key->type == TYPE_PROXY || s->key->type == TYPE_URL);
}

/* What may be over the next time that the file is read, with nobody doing anything to it. */
static void note_cause(struct config_report *report, int error)
{
    report->passing |= error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO ||
                       error == EINTR;
}

/* Whether the file may be trusted with what stands in it. Who can write it can have a password sent
 * to an issuer of their own, or run a command as us, whatever it says now. */
static void check_permissions(struct loader *l, int fd, const char *file)
{
    struct private_file_use use = { .secret = false };
    struct error why;

    for (size_t i = 0; i < l->n_sections; i++)
        for (size_t k = 0; k < l->sections[i].n; k++) {
            const struct setting *s = &l->sections[i].settings[k];
            if (s->file == file)
                use.secret |= s->key->type == TYPE_SOURCE_INLINE ||
                              (s->key->type == TYPE_PROXY && holds_user(s));
        }
    errno = 0;
    if (private_file_check(fd, file, use, &why) < 0) {
        note_cause(l->report, errno);
        complain(l->report, file, 0, "%s%s", use.secret ? "it holds a secret and " : "",
                 why.detail);
    }
}

/* Returns the descriptor, or -1: it is not there, or cannot be opened, which is then reported. */
static int open_file(struct loader *l, const char *file, bool *ret_there)
{
    const struct private_file_use use = { .secret = false };
    struct error why;
    struct stat st;
    int fd = private_file_open(file, use, &why);

    int found = fd >= 0 || stat(file, &st) == 0 ? 0 : errno;
    if (fd < 0)
        note_cause(l->report, -fd);
    note_cause(l->report, found);
    *ret_there = found != ENOENT && found != ENOTDIR;
    if (fd < 0 && *ret_there)
        complain(l->report, file, 0, "%s%s", fd == -EPERM ? "" : "cannot be read: ", why.detail);
    return fd;
}

/* Of a file that is not there: whether a link of its name is. */
static bool is_lost_link(const struct loader *l, const char *file)
{
    struct stat st;

    if (lstat(file, &st) < 0 || !S_ISLNK(st.st_mode))
        return false;
    complain(l->report, file, 0, "is a link to what is not there");
    return true;
}

/* Keeps what a file holds: settings point into it. False: no memory. */
static bool keep_text(struct loader *l, struct secret *content)
{
    struct secret **grown = content ? grow(l->texts, l->n_texts, &l->texts_allocated, sizeof *grown)
                                    : NULL;

    lacking |= !content;
    if (!grown) {
        secret_free(content);
        return false;
    }
    l->texts = grown;
    grown[l->n_texts++] = content;
    return true;
}

static bool read_file(struct loader *l, const char *file)
{
    bool there;
    struct stat st;
    int fd = open_file(l, file, &there);

    if (fd < 0)
        return there || is_lost_link(l, file);
    if (fstat(fd, &st) < 0) {
        note_cause(l->report, errno);
        complain(l->report, file, 0, "cannot be read: %s", strerror(errno));
        goto out;
    }
    if (!owner_is_ours(st.st_uid)) {
        check_permissions(l, fd, file); /* which says so, without a look into it */
        goto out;
    }
    if (st.st_size > FILE_MAX_BYTES) {
        complain(l->report, file, 0, "is larger than 1 MiB");
        goto out;
    }
    struct secret *content = secret_new((size_t)st.st_size);
    if (!keep_text(l, content))
        goto out;
    ssize_t n;
    do
        n = read(fd, secret_bytes(content), (size_t)st.st_size);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        note_cause(l->report, errno);
        complain(l->report, file, 0, "cannot be read: %s", strerror(errno));
        goto out;
    }
    secret_set_length(content, (size_t)n);
    read_text(l, content, file);
    check_permissions(l, fd, file);
out:
    close(fd);
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool parse_bool(const char *v, bool *ret)
{
    static const char *const yes[] = { "yes", "true", "on", "1" };
    static const char *const no[] = { "no", "false", "off", "0" };

    for (size_t i = 0; i < 4; i++)
        if (strcasecmp(v, yes[i]) == 0 || strcasecmp(v, no[i]) == 0) {
            *ret = strcasecmp(v, yes[i]) == 0;
            return true;
        }
    return false;
}

/* A word of a list: it is one of those, each parted by one blank. */
static bool word_among(const char *word, size_t length, const char *list)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");
        if (n == length && memcmp(p, word, n) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static bool all_among(const char *words, const char *list)
{
    size_t count = 0;

    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " \t,");
        if (n > 0 && !word_among(p, n, list))
            return false;
        count += n > 0;
        p += n + (p[n] != '\0');
    }
    return count > 0;
}

/* Whether http:// is allowed for it depends on another key and is seen later. */
static bool url_valid(const char *v)
{
    return url_is_plain(v) && (strncmp(v, "https://", 8) == 0 || strncmp(v, "http://", 7) == 0);
}

static bool proxy_valid(const char *v)
{
    static const char *const schemes[] = { "http://",    "https://",  "socks4://",
                                           "socks4a://", "socks5://", "socks5h://" };

    if (word_among(v, strlen(v), "auto none"))
        return true;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(v, schemes[i], strlen(schemes[i])) == 0)
            return strpbrk(v, " \t#?") == NULL && v[strlen(schemes[i])] != '\0';
    return false;
}

static bool set_text(char **slot, const char *value)
{
    free(*slot); // NOLINT(clang-analyzer-unix.Malloc): clear_source() left NULL there
    *slot = copy_text(value);
    return true;
}

static void clear_proxy(struct profile_config *p)
{
    if (!p->proxy_held)
        free(p->proxy);
    p->proxy_held = secret_free(p->proxy_held);
    p->proxy = NULL;
}

/* A user in it comes with a password. */
static bool set_proxy(struct profile_config *p, const char *value)
{
    clear_proxy(p);
    if (!strchr(value, '@'))
        return set_text(&p->proxy, value);
    p->proxy_held = secret_copy(value, strlen(value));
    if (!p->proxy_held)
        abort();
    p->proxy = secret_bytes(p->proxy_held);
    return true;
}

/* The value for the user at hand, which the caller frees. NULL: no memory, or it has a fault, which
 * check_specifiers() tells. */
static char *expand(const char *value)
{
    char letter;
    int error;
    char *text = specifiers_expand(value, &error, &letter);

    lacking |= !text && error == -ENOMEM;
    return text;
}

static bool set_expanded(char **slot, const char *value)
{
    char *text = expand(value);

    free(*slot);
    *slot = text;
    return text || lacking;
}

static bool set_path(char **slot, const struct setting *s)
{
    char folder[PATHS_MAX], path[PATHS_MAX];

    snprintf(folder, sizeof folder, "%s", s->file);
    char *slash = strrchr(folder, '/');
    snprintf(slash ? slash : folder, 2, "%s", slash == folder ? "/" : slash ? "" : ".");
    char *value = expand(s->value);
    bool good = value ? paths_expand(value, folder, path) == 0 && set_text(slot, path) : lacking;
    free(value);
    return good;
}

static void clear_source(struct source *source)
{
    free(source->text);
    secret_free(source->value);
    *source = (struct source){ 0 };
}

static bool set_source(struct source *source, const struct setting *s)
{
    clear_source(source);
    switch (s->key->type) {
    case TYPE_SOURCE_INLINE:
        source->kind = SOURCE_INLINE;
        source->value = secret_copy(s->value, strlen(s->value));
        lacking |= !source->value;
        return true;
    case TYPE_SOURCE_FILE:
        source->kind = SOURCE_FILE;
        return set_path(&source->text, s);
    case TYPE_SOURCE_COMMAND:
        source->kind = SOURCE_COMMAND;
        return set_text(&source->text, s->value);
    default: /* a name, not a path: it is looked up in one folder only */
        source->kind = SOURCE_CREDENTIAL;
        return !strchr(s->value, '/') && s->value[0] != '.' && set_text(&source->text, s->value);
    }
}

/* What kubetoken sends by itself may not be sent a second time (RFC 6749 §3.2). */
static bool parameter_valid(const char *value)
{
    size_t length = strcspn(value, "=");

    return length > 0 && length <= PARAMETER_NAME_MAX && value[length] == '=' &&
           !word_among(value, length,
                       "grant_type username password scope client_id client_secret refresh_token "
                       "audience realm subject_token subject_token_type");
}

static bool add_parameter(char ***list, const char *value)
{
    size_t n = 0;

    while (*list && (*list)[n])
        n++;
    if (!parameter_valid(value) || n >= JOB_LIST_MAX)
        return false;
    char **grown = reallocarray(*list, n + 2, sizeof *grown);
    lacking |= !grown;
    if (!grown)
        return true; /* there is nothing wrong with it */
    grown[n] = copy_text(value);
    grown[n + 1] = NULL;
    *list = grown;
    return true;
}

/* Takes out the parameters with that name: those of [defaults], before a profile's own. */
static void drop_parameter(char **list, const char *value)
{
    size_t length = strcspn(value, "=") + 1, kept = 0;

    for (size_t i = 0; list && list[i]; i++)
        if (strncmp(list[i], value, length) == 0)
            free(list[i]);
        else
            list[kept++] = list[i];
    if (list)
        list[kept] = NULL;
}

static bool set_duration(uint64_t *slot, const char *v, uint64_t least, uint64_t most)
{
    uint64_t usec;

    if (time_parse_duration(v, strlen(v), &usec) < 0 || usec < least || usec > most)
        return false;
    *slot = usec;
    return true;
}

static bool set_refresh_before(struct profile_config *p, const char *v)
{
    char *end;

    if (v[strlen(v) - 1] != '%') {
        p->refresh_before_percent = 0;
        return set_duration(&p->refresh_before, v, USEC_PER_SEC, 86400 * USEC_PER_SEC);
    }
    unsigned long percent = strtoul(v, &end, 10);
    if (*v < '0' || *v > '9' || strcmp(end, "%") != 0 || percent < 1 || percent > 90)
        return false;
    p->refresh_before = 0;
    p->refresh_before_percent = (unsigned)percent;
    return true;
}

static bool set_keep(enum keep_over_restart *slot, const char *v)
{
    static const char *const words[] = {
        [KEEP_TOKENS] = "tokens", [KEEP_ALL] = "all", [KEEP_NOTHING] = "nothing"
    };

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(v, words[i]) == 0) {
            *slot = (enum keep_over_restart)i;
            return true;
        }
    return false;
}

/* The other two have keys of their own. */
static bool set_grant(enum grant *slot, const char *v)
{
    static const char *const words[] = { [GRANT_PASSWORD] = "password",
                                         [GRANT_DEVICE] = "device",
                                         [GRANT_REFRESH_TOKEN] = "refresh-token" };

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(v, words[i]) == 0) {
            *slot = (enum grant)i;
            return true;
        }
    return false;
}

const char *config_grant_word(enum grant grant)
{
    static const char *const words[] = { [GRANT_DEVICE] = "device",
                                         [GRANT_REFRESH_TOKEN] = "refresh-token",
                                         [GRANT_EXCHANGE] = "exchange",
                                         [GRANT_COMMAND] = "token-command" };

    return words[grant];
}

static const char *grant_key(enum grant grant)
{
    return grant == GRANT_EXCHANGE ? "from" : grant == GRANT_COMMAND ? "token-command" : "grant";
}

/* Puts the setting into the profile. False: the value is not acceptable. */
static bool apply(struct profile_config *p, const struct setting *s)
{
    void *slot = (char *)p + s->key->place;
    const char *v = s->value;

    switch (s->key->type) {
    case TYPE_TEXT:
    case TYPE_COMMAND: /* its specifiers count once it is split */
        return set_text(slot, v);
    case TYPE_USERNAME:
        return set_expanded(slot, v);
    case TYPE_URL:
        return url_valid(v) && set_text(slot, v);
    case TYPE_PATH:
        return set_path(slot, s);
    case TYPE_BOOL:
        return parse_bool(v, slot);
    case TYPE_START:
        *(bool *)slot = strcmp(v, "with-daemon") == 0;
        return word_among(v, strlen(v), "on-demand with-daemon");
    case TYPE_KEEP_OVER_RESTART:
        return set_keep(slot, v);
    case TYPE_TIMEOUT:
        return set_duration(slot, v, USEC_PER_SEC, 300 * USEC_PER_SEC);
    case TYPE_CLIENT_AUTH:
        return word_among(v, strlen(v), "auto basic basic-raw post none") && set_text(slot, v);
    case TYPE_PROXY:
        return proxy_valid(v) && set_proxy(p, v);
    case TYPE_SOURCE_INLINE:
    case TYPE_SOURCE_FILE:
    case TYPE_SOURCE_COMMAND:
    case TYPE_SOURCE_CREDENTIAL:
        return set_source(slot, s);
    case TYPE_PARAMETER:
        return add_parameter(slot, v);
    case TYPE_REFRESH_BEFORE:
        return set_refresh_before(p, v);
    case TYPE_KEEP_FRESH:
        if (strcmp(v, "always") == 0) {
            p->keep_fresh = USEC_INFINITY;
            return true;
        }
        return set_duration(slot, v, 0, 366 * 86400 * USEC_PER_SEC);
    case TYPE_LIFETIME:
        return set_duration(slot, v, USEC_PER_SEC, 366 * 86400 * USEC_PER_SEC);
    case TYPE_ALGS:
        return all_among(v, CONFIG_KEYS_ALGORITHMS) && set_text(slot, v);
    case TYPE_GRANT:
        return set_grant(slot, v);
    case TYPE_FROM:
        return protocol_name_valid(v, strlen(v)) && set_text(slot, v);
    case TYPE_SUBJECT_TOKEN:
        return word_among(v, strlen(v), "id_token access_token") && set_text(slot, v);
    case TYPE_PROFILE_NAME:
        return protocol_name_valid(v, strlen(v));
    }
    return false;
}

static void clear_list(char ***list)
{
    for (size_t i = 0; *list && (*list)[i]; i++)
        free((*list)[i]);
    free(*list);
    *list = NULL;
}

static void clear_profile(struct profile_config *p)
{
    clear_proxy(p);
    for (size_t i = 0; i < config_keys_count; i++) {
        void *slot = (char *)p + config_keys[i].place;
        switch (config_keys_form(config_keys[i].type)) {
        case FORM_TEXT:
            free(*(char **)slot);
            *(char **)slot = NULL;
            break;
        case FORM_SOURCE: /* which several keys share */
            clear_source(slot);
            break;
        case FORM_LIST:
            clear_list(slot);
            break;
        case FORM_NONE:
        case FORM_BOOL:
        case FORM_KEEP:
        case FORM_GRANT:
        case FORM_USEC:
            break;
        }
    }
    free(p->name);
    *p = (struct profile_config){ 0 };
}

/* ---- from sections to profiles --------------------------------------------------------------- */

static bool has_specifiers(const struct config_key *key)
{
    return key->type == TYPE_USERNAME || key->type == TYPE_PATH || key->type == TYPE_SOURCE_FILE ||
           key->type == TYPE_SOURCE_COMMAND || key->type == TYPE_COMMAND;
}

/* Whether they have a value here. */
static bool check_specifiers(struct loader *l, const struct setting *s)
{
    char letter = '\0';
    int error = 0;

    free(specifiers_expand(s->value, &error, &letter));
    lacking |= error == -ENOMEM;
    if (error == -ENOENT && letter == 'h')
        complain(l->report, s->file, s->line, "%s: %%h: HOME is not set", s->key->name);
    else if (error == -ENOENT)
        complain(l->report, s->file, s->line,
                 "%s: %%u: uid %u has no name in /etc/passwd, and USER is not set", s->key->name,
                 (unsigned)geteuid());
    return error != -ENOENT;
}

static void check_value(struct loader *l, struct setting *s)
{
    struct profile_config scratch = { 0 };

    if (has_specifiers(s->key) && !check_specifiers(l, s)) {
        s->bad = true;
        return;
    }
    s->bad = !apply(&scratch, s);
    clear_profile(&scratch);
    if (!s->bad)
        return;
    if (s->key->type == TYPE_SOURCE_INLINE)
        complain(l->report, s->file, s->line, "%s: not acceptable", s->key->name);
    else if (holds_user(s))
        complain(l->report, s->file, s->line, "%s: not accepted; accepted: %s", s->key->name,
                 s->key->accepts);
    else
        complain(l->report, s->file, s->line, "%s: \"%s\" is not accepted; accepted: %s",
                 s->key->name, s->value, s->key->accepts);
}

/* Each setting is tried once by itself, so that an error in [defaults] is reported once, and
 * also when no profile uses it. */
static void check_values(struct loader *l)
{
    for (size_t i = 0; i < l->n_sections; i++)
        for (size_t k = 0; k < l->sections[i].n; k++)
            check_value(l, &l->sections[i].settings[k]);
}

/* Two sources of one secret in one section: which one is meant? */
static void check_sources(struct loader *l)
{
    for (size_t i = 0; i < l->n_sections; i++) {
        const struct section *s = &l->sections[i];
        for (size_t a = 0; a < s->n; a++)
            for (size_t b = a + 1; b < s->n; b++) {
                const struct setting *x = &s->settings[a], *y = &s->settings[b];
                if (is_source(x->key) && is_source(y->key) && x->key->place == y->key->place &&
                    x->file == y->file)
                    complain(l->report, y->file, y->line,
                             "%s: %s is set already, at line %u; accepted: one of them",
                             y->key->name, x->key->name, x->line);
            }
    }
}

static void check_url(struct loader *l, const struct section *s, const struct profile_config *p,
                      const char *key, const char *url)
{
    if (!url || strncmp(url, "http://", 7) != 0)
        return;
    if (!url_is_loopback_http(url))
        complain(l->report, s->file, s->line,
                 "profile %s: %s: http:// would send the password in "
                 "clear; accepted: " CONFIG_KEYS_URL,
                 p->name, key);
    else if (!p->allow_http_loopback)
        complain(l->report, s->file, s->line,
                 "profile %s: %s: http:// needs "
                 "allow-http-loopback = yes; accepted: " CONFIG_KEYS_URL,
                 p->name, key);
}

static void check_profile(struct loader *l, const struct section *s, const struct profile_config *p)
{
    bool secret = p->client_secret.kind != SOURCE_NONE;

    check_url(l, s, p, "issuer", p->issuer);
    check_url(l, s, p, "token-endpoint", p->token_endpoint);
    check_url(l, s, p, "jwks-uri", p->jwks_uri);
    check_url(l, s, p, "device-authorization-endpoint", p->device_endpoint);
    if (p->issuer && strpbrk(p->issuer, "?"))
        complain(l->report, s->file, s->line,
                 "profile %s: issuer: has a query; OpenID Connect allows none", p->name);
    if (p->issuer && strchr(p->issuer, '{'))
        complain(l->report, s->file, s->line,
                 "profile %s: issuer: is a template; accepted: one with the tenant's ID in it",
                 p->name);
    if (strcmp(p->client_auth, "none") == 0 && secret)
        complain(l->report, s->file, s->line,
                 "profile %s: client-auth = none does not go with a client secret", p->name);
    if (strcmp(p->client_auth, "none") != 0 && strcmp(p->client_auth, "auto") != 0 && !secret)
        complain(
            l->report, s->file, s->line,
            "profile %s: client-auth = %s needs a client secret; accepted: client-secret-file, "
            "-command, -credential or client-secret",
            p->name, p->client_auth);
    if (!p->tls_client_cert && p->tls_client_key)
        complain(l->report, s->file, s->line, "profile %s: tls-client-key needs tls-client-cert",
                 p->name);
}

/* The line that counts, where the profile says it over [defaults]. */
static const struct setting *find_setting(const struct section *defaults, const struct section *s,
                                          const char *key)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (strcmp(s->settings[i].key->name, key) == 0)
            return &s->settings[i];
    return defaults ? find_setting(NULL, defaults, key) : NULL;
}

/* A prefix goes before a claim that is named: which one it would be else is a guess. */
static void check_prefixes(struct loader *l, const struct section *defaults,
                           const struct section *s, const struct profile_config *p)
{
    const struct setting *username = find_setting(defaults, s, "username-prefix");
    const struct setting *groups = find_setting(defaults, s, "groups-prefix");

    if (username && !p->username_claim)
        complain(l->report, username->file, username->line,
                 "profile %s: username-prefix needs username-claim; write username-claim = sub, "
                 "or what --oidc-username-claim of the API server names",
                 p->name);
    if (groups && !p->groups_claim)
        complain(l->report, groups->file, groups->line,
                 "profile %s: groups-prefix needs groups-claim; write groups-claim = what "
                 "--oidc-groups-claim of the API server names",
                 p->name);
}

/* Each value is acceptable by itself; only the parameters can be too many together. */
static void apply_section(struct loader *l, struct profile_config *p, const struct section *s)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (!s->settings[i].bad && s->settings[i].key->type == TYPE_PARAMETER)
            drop_parameter(p->parameters, s->settings[i].value);
    for (size_t i = 0; s && i < s->n; i++) {
        struct setting *setting = &s->settings[i];
        if (setting->bad || setting->key->type == TYPE_PROFILE_NAME || apply(p, setting))
            continue;
        setting->bad = true;
        complain(l->report, setting->file, setting->line,
                 "profile %s: %s: more than %d; accepted: %d, those of [defaults] included",
                 p->name, setting->key->name, JOB_LIST_MAX, JOB_LIST_MAX);
    }
}

/* Whether a setting (of that key; NULL: of any) was found bad and reported where it stands. */
static bool has_bad(const struct section *s, const char *key)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (s->settings[i].bad && (!key || strcmp(s->settings[i].key->name, key) == 0))
            return true;
    return false;
}

static void check_missing(struct loader *l, const struct section *defaults, const struct section *s,
                          const struct profile_config *p)
{
    const struct {
        const char *key, *value;
    } needed[] = { { "issuer", p->issuer },
                   { "client-id", p->client_id },
                   { "username", p->username } };

    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        bool is_name = strcmp(needed[i].key, "username") == 0;
        if (needed[i].value || has_bad(s, needed[i].key) || has_bad(defaults, needed[i].key) ||
            (is_name && p->password.kind == SOURCE_NONE)) /* who types it types the name, too */
            continue;
        complain(l->report, s->file, s->line, "profile %s: %s is missing%s", p->name, needed[i].key,
                 is_name ? "; kubetoken login asks for it where it asks for the password too" : "");
    }
}

static bool sets(const struct section *s, const char *key)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (strcmp(s->settings[i].key->name, key) == 0)
            return true;
    return false;
}

/* What the profile itself says beside what gets its tokens otherwise. Of [defaults] it is for the
 * other profiles. */
static void check_beside_grant(struct loader *l, const struct section *s,
                               const struct profile_config *p)
{
    static const char *const of_password[] = {
        "username",          "password", "password-file", "password-command", "password-credential",
        "password-lifetime", "realm",    "otp-parameter"
    };

    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < sizeof of_password / sizeof *of_password; k++)
            if (strcmp(s->settings[i].key->name, of_password[k]) == 0)
                complain(l->report, s->settings[i].file, s->settings[i].line,
                         "profile %s: %s: belongs to the password grant, which %s takes the place "
                         "of; accepted: one of them",
                         p->name, of_password[k], grant_key(p->grant));
}

/* By what it gets its tokens: the profile's own key goes before those of [defaults]. */
static void settle_grant(struct loader *l, const struct section *defaults, const struct section *s,
                         struct profile_config *p)
{
    static const struct {
        const char *key;
        enum grant grant;
    } others[] = { { "from", GRANT_EXCHANGE }, { "token-command", GRANT_COMMAND } };
    bool own = sets(s, "grant");
    const char *first = own ? "grant" : NULL;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (sets(s, others[i].key) && first)
            complain(l->report, s->file, s->line,
                     "profile %s: %s does not go with %s; accepted: one of them", p->name,
                     others[i].key, first);
        if (sets(s, others[i].key) || (!own && sets(defaults, others[i].key)))
            p->grant = others[i].grant;
        own |= sets(s, others[i].key);
        first = sets(s, others[i].key) ? others[i].key : first;
    }
    if (p->grant == GRANT_PASSWORD)
        return;
    if (p->grant == GRANT_REFRESH_TOKEN && !p->use_refresh_token)
        complain(l->report, s->file, s->line,
                 "profile %s: use-refresh-token = no leaves nothing of grant = refresh-token",
                 p->name);
    check_beside_grant(l, s, p);
    clear_source(&p->password);
    free(p->username);
    p->username = NULL;
}

/* A provider that has more to do than it can answers late: who hangs up and asks again has it do
 * more. */
static const uint64_t patience_unless_timed = 120 * USEC_PER_SEC;

static void build_profile(struct loader *l, const struct section *defaults, const struct section *s,
                          struct profile_config *p)
{
    *p = (struct profile_config){
        .name = copy_text(s->profile),
        .timeout = 15 * USEC_PER_SEC,
        .use_refresh_token = true,
        .keep_fresh = 12 * 3600 * USEC_PER_SEC,
        .password_lifetime = USEC_INFINITY,
    };
    set_text(&p->client_auth, "auto");
    set_text(&p->proxy, "auto");
    set_text(&p->scope, "openid email profile");
    set_text(&p->signing_algs, "RS256");
    if (lacking)
        return;
    apply_section(l, p, defaults);
    apply_section(l, p, s);
    if (lacking)
        return;
    settle_grant(l, defaults, s, p);
    bool timed = sets(defaults, "timeout") || sets(s, "timeout"); /* that is the most, then */
    p->patience = timed ? p->timeout : patience_unless_timed;
    check_missing(l, defaults, s, p);
    if (has_bad(defaults, NULL) || has_bad(s, NULL))
        return;
    check_profile(l, s, p);
    check_prefixes(l, defaults, s, p);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct profile_config *)a)->name,
                  ((const struct profile_config *)b)->name);
}

static void find_default(struct loader *l, const struct section *defaults, struct config *config)
{
    for (size_t i = 0; defaults && i < defaults->n; i++) {
        const struct setting *s = &defaults->settings[i];
        if (s->key->type != TYPE_PROFILE_NAME || s->bad)
            continue;
        set_text(&config->default_profile, s->value);
        if (!config_find(config, s->value))
            complain(l->report, s->file, s->line, "%s: there is no [profile %s]", s->key->name,
                     s->value);
    }
}

/* Whose token is taken for another: one that is got otherwise, and by the same provider. */
static void check_from(struct loader *l, const struct config *config)
{
    for (size_t i = 0; i < config->n_profiles; i++) {
        const struct profile_config *p = &config->profiles[i], *of;
        if (p->grant != GRANT_EXCHANGE)
            continue;
        const char *wrong = NULL;
        if (!(of = config_find(config, p->from)))
            wrong = "there is no such profile";
        else if (of == p)
            wrong = "is this profile; accepted: the name of another";
        else if (of->grant == GRANT_EXCHANGE)
            wrong = "that has from itself; accepted: a profile that somebody logs in to";
        else
            config->profiles[i].from_identity = config_keys_identity(of);
        if (wrong)
            complain(l->report, l->sections[0].file, 0, "profile %s: from = %s: %s", p->name,
                     p->from, wrong);
    }
}

/* NULL, or less than all: memory was lacking. */
static struct config *build(struct loader *l)
{
    struct config *config = calloc(1, sizeof *config);
    const struct section *defaults = NULL;

    if (config)
        config->profiles = calloc(l->n_sections + 1, sizeof *config->profiles);
    lacking |= !config || !config->profiles;
    if (lacking)
        return config;
    check_values(l);
    check_sources(l);
    for (size_t i = 0; i < l->n_sections; i++)
        if (!l->sections[i].profile)
            defaults = &l->sections[i];
    for (size_t i = 0; i < l->n_sections && !lacking; i++)
        if (l->sections[i].profile)
            build_profile(l, defaults, &l->sections[i], &config->profiles[config->n_profiles++]);
    if (lacking)
        return config;
    qsort(config->profiles, config->n_profiles, sizeof *config->profiles, by_name);
    find_default(l, defaults, config);
    check_from(l, config);
    return config;
}

static void finish_report(struct config_report *report)
{
    char *text;

    if (report->count <= ERRORS_MAX)
        return;
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): after note_lack() the count is 0
    int n = asprintf(&text, "%s... and %u more\n", report->text, report->count - ERRORS_MAX);
    if (n < 0)
        return;
    free(report->text);
    report->text = text;
    report->length = (size_t)n;
}

/* Nothing is said of files that could not be read for want of memory: half of what they say might
 * be another thing. They are read again at the next request. */
static void note_lack(struct loader *l, struct config **config)
{
    static const char text[] = "there was no memory to read the configuration\n";

    free(l->report->text);
    free(l->report->notes);
    *l->report = (struct config_report){ .code = ERROR_INTERNAL, .text = strdup(text) };
    l->report->length = l->report->text ? sizeof text - 1 : 0;
    *config = config_free(*config);
}

/* The files that there may be. A folder that cannot be read is an error, or half of what an
 * administrator says would count. */
static void find_files(struct loader *l, const char *const *paths, size_t n_paths)
{
    for (size_t i = 0; i < n_paths; i++) {
        int e = -config_files_add(&l->files, paths[i]);
        if (e == ENOMEM)
            lacking = true;
        else if (e == E2BIG)
            complain(l->report, paths[i], 0, "more than %d files", CONFIG_FILES_MAX);
        else if (e != 0) {
            note_cause(l->report, e);
            complain(l->report, paths[i], 0, "cannot be read: %s%s", strerror(e),
                     e == EACCES ? "; have its owner let everybody read it (chmod a+rx)" : "");
        }
    }
}

/* Reads the files. Returns whether there was one, with what they say together. */
static bool load(struct loader *l, const char *const *paths, size_t n_paths, struct config **ret)
{
    bool users = n_paths > 1 && !config_files_is_folder(paths[n_paths - 1]);

    *l->report = (struct config_report){ 0 };
    lacking = false;
    find_files(l, paths, n_paths);
    bool found = l->report->count > 0;
    for (size_t i = 0; i < l->files.n; i++) {
        l->of_user = users && i == l->files.n - 1;
        found |= read_file(l, l->files.list[i]);
    }
    *ret = found ? build(l) : NULL;
    if (!found)
        l->report->code = ERROR_NO_CONFIG;
    if (lacking)
        note_lack(l, ret);
    return found && !lacking;
}

static void unload(struct loader *l)
{
    tdestroy(l->headings, free);
    for (size_t i = 0; i < l->n_sections; i++) {
        free(l->sections[i].profile);
        free(l->sections[i].settings);
    }
    free(l->sections);
    for (size_t i = 0; i < l->n_texts; i++)
        secret_free(l->texts[i]);
    free(l->texts);
    free(l->locks);
    config_files_clear(&l->files);
}

struct config *config_load(const char *const *paths, size_t n_paths, struct config_report *report)
{
    struct loader l = { .report = report };
    const char *last = paths[n_paths - 1];
    struct config *config;

    /* everybody's alone may be what users add theirs to */
    if (load(&l, paths, n_paths, &config) && config->n_profiles == 0 && report->count == 0 &&
        !config_files_is_folder(last))
        complain(report, last, 0, "there is no [profile NAME] in the configuration");
    finish_report(report);
    if (report->code != ERROR_NONE)
        config = config_free(config);
    unload(&l);
    return config;
}

/* ---- what counts, line by line --------------------------------------------------------------- */

/* Whether the setting takes the other one's place: of a secret there is one source. */
static bool replaces(const struct setting *s, const struct setting *old)
{
    size_t length = strcspn(s->value, "=") + 1;

    if (s->key->type == TYPE_PARAMETER)
        return old->key == s->key && strncmp(s->value, old->value, length) == 0;
    return old->key == s->key ||
           (is_source(s->key) && is_source(old->key) && s->key->place == old->key->place);
}

static void show_setting(const struct setting *s, bool of_defaults,
                         void (*tell)(void *context, const struct config_line *line), void *context)
{
    char url[PATHS_MAX], *path = NULL, *escaped = NULL;
    struct config_line line = { s->key->name, s->value, s->file, s->line, of_defaults };

    if (s->key->type == TYPE_SOURCE_INLINE) {
        line.value = NULL;
    } else if (holds_user(s)) { /* before its host */
        const char *host = strrchr(s->value, '@'), *user = strstr(s->value, "://");
        snprintf(url, sizeof url, "%.*s***%s", user ? (int)(user + 3 - s->value) : 0, s->value,
                 host);
        line.value = url;
    } else if (has_specifiers(s->key) && s->key->type != TYPE_SOURCE_COMMAND) {
        bool good = s->key->type == TYPE_USERNAME ? set_expanded(&path, s->value)
                                                  : set_path(&path, s);
        escaped = good && path ? specifiers_escape(path) : NULL;
        line.value = escaped ? escaped : s->value;
    }
    tell(context, &line);
    free(escaped);
    free(path);
}

/* Those of [defaults] that the profile leaves in force, then its own. */
static void show_section(const struct section *defaults, const struct section *s,
                         const struct config_visitor *visitor)
{
    for (size_t i = 0; defaults && i < defaults->n; i++) {
        const struct setting *d = &defaults->settings[i];
        bool counts = d->key->type != TYPE_PROFILE_NAME;
        for (size_t k = i + 1; k < defaults->n; k++) /* of another file */
            counts &= d->key->type == TYPE_PARAMETER || !replaces(&defaults->settings[k], d);
        for (size_t k = 0; k < s->n; k++)
            counts &= !replaces(&s->settings[k], d);
        if (counts)
            show_setting(d, true, visitor->line, visitor->context);
    }
    for (size_t i = 0; i < s->n; i++) {
        bool counts = true;
        for (size_t k = i + 1; k < s->n; k++)
            counts &= s->settings[i].key->type == TYPE_PARAMETER ||
                      !replaces(&s->settings[k], &s->settings[i]);
        if (counts)
            show_setting(&s->settings[i], false, visitor->line, visitor->context);
    }
}

int config_show(const char *const *paths, size_t n_paths, const struct config_visitor *visitor,
                struct config_report *report)
{
    struct loader l = { .report = report };
    const struct section *defaults = NULL;
    struct config *config;

    load(&l, paths, n_paths, &config);
    finish_report(report);
    for (size_t i = 0; i < l.n_sections; i++)
        if (!l.sections[i].profile)
            defaults = &l.sections[i];
    for (size_t i = 0; report->code == ERROR_NONE && i < l.n_sections; i++) {
        if (!l.sections[i].profile)
            continue;
        visitor->profile(visitor->context, l.sections[i].profile);
        show_section(defaults, &l.sections[i], visitor);
    }
    for (size_t i = 0; report->code == ERROR_NONE && defaults && i < defaults->n; i++)
        if (defaults->settings[i].key->type == TYPE_PROFILE_NAME)
            show_setting(&defaults->settings[i], true, visitor->default_profile, visitor->context);
    for (size_t i = 0; report->code == ERROR_NONE && i < l.n_locks; i++) {
        const char *key = l.locks[i].key->name;
        const struct config_line line = { "keys", key, l.locks[i].file, l.locks[i].line, false };
        visitor->locked(visitor->context, &line);
    }
    config_free(config);
    unload(&l);
    return report->code == ERROR_NONE ? 0 : -1;
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    for (size_t i = 0; i < config->n_profiles; i++)
        clear_profile(&config->profiles[i]);
    free(config->profiles);
    free(config->default_profile);
    free(config);
    return NULL;
}

int config_split(struct config *config,
                 bool (*wanted)(const struct profile_config *config, void *context), void *context,
                 struct config **ret)
{
    struct config *split = calloc(1, sizeof *split);
    struct profile_config *profiles = calloc(config->n_profiles, sizeof *profiles);
    size_t kept = 0;

    if (!split || !profiles) {
        free(split);
        free(profiles);
        return -ENOMEM;
    }
    split->profiles = profiles;
    for (size_t i = 0; i < config->n_profiles; i++)
        if (wanted(&config->profiles[i], context))
            split->profiles[split->n_profiles++] = config->profiles[i];
        else
            config->profiles[kept++] = config->profiles[i];
    config->n_profiles = kept;
    *ret = split->n_profiles > 0 ? split : config_free(split);
    return 0;
}

void config_report_clear(struct config_report *report)
{
    free(report->text);
    free(report->notes);
    *report = (struct config_report){ 0 };
}

const struct profile_config *config_find(const struct config *config, const char *name)
{
    const struct profile_config key = { .name = (char *)(uintptr_t)name };

    return bsearch(&key, config->profiles, config->n_profiles, sizeof key, by_name);
}
