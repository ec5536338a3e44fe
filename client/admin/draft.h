/*
 * draft - what a profile_draft is made of, for the files that look at it, try it and write it.
 */
#ifndef KUBETOKEN_ADMIN_DRAFT_H
#define KUBETOKEN_ADMIN_DRAFT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/admin/config_text.h"
#include "client/admin/profile_draft.h"
#include "common/error.h"
#include "common/protocol.h"

enum { DRAFT_FILES_MAX = 5, DRAFT_NAME_MAX = PROTOCOL_NAME_MAX + 40 };

/* Bytes in locked memory; NULL: none. */
struct draft_bytes {
    char *bytes;
    size_t length, room;
};

struct draft_file {
    char name[DRAFT_NAME_MAX]; /* in the folder of the configuration */
    struct draft_bytes content;
};

struct profile_draft {
    char name[PROTOCOL_NAME_MAX + 1];
    char section[PROTOCOL_NAME_MAX + sizeof "profile "];
    struct config_settings settings;
    struct draft_file files[DRAFT_FILES_MAX];
    unsigned n_files;
    struct draft_bytes password; /* typed */
};

/* The configuration of this user as it stands. */
struct draft_place {
    char path[PATH_MAX];   /* as the daemon names it */
    char folder[PATH_MAX]; /* where it is, by that name */
    char *text;            /* "" for none; on the heap */
    size_t length;
    bool exists;
};

/* Reads it. Returns 0, or -1 with *why. */
int draft_place_read(struct draft_place *ret, struct error *why);
void draft_place_clear(struct draft_place *place);

/* Whether nobody but this user and root can change it, or what is written beside it
 * (trusted_path.h). Returns 0, or -1 with *why. */
int draft_place_judge(const struct draft_place *place, struct error *why);

/* That path for people, below their home as ~/...; the user's configuration so. Both return out. */
const char *draft_home_short(const char *path, char out[PATH_MAX]);
const char *draft_config_name(char out[PATH_MAX]);

/* Has a daemon that runs read its configuration again, of which nothing may be left. Returns the
 * exit code; what it does not take is said on stderr. */
int draft_reload(bool none_left);

/* A whole file of at most that many bytes, on the heap, NUL-terminated. Returns 0, or a negative
 * errno. */
int draft_read_file(const char *path, size_t most, char **ret, size_t *ret_length);

/* Locked memory with a copy. */
struct draft_bytes draft_bytes_copy(const char *bytes, size_t length);
void draft_bytes_clear(struct draft_bytes *bytes);

/* What the files say below [defaults], the user's over the administrator's. */
void draft_defaults(const struct draft_place *place, struct config_settings *ret);

/* Tells each of the administrator's files that can be read, in their order. */
void draft_system_files(void (*tell)(void *context, const char *path, const char *text,
                                     size_t length),
                        void *context);

/* Whether that key says where a password comes from. */
bool draft_is_password(const char *key);

#endif
