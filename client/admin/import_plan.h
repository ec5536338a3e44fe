/*
 * import_plan - what a user of a kubeconfig says of how it logs in, in the words of
 * kubetoken.conf(5). Pure: no I/O, but for the end of the program when there is no memory.
 */
#ifndef KUBETOKEN_ADMIN_IMPORT_PLAN_H
#define KUBETOKEN_ADMIN_IMPORT_PLAN_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum import_kind {
    IMPORT_NOTHING,       /* no login that kubetoken can take over: why says what there is */
    IMPORT_DONE,          /* it runs kubetoken */
    IMPORT_AUTH_PROVIDER, /* auth-provider: oidc, which kubectl 1.26 has taken out */
    IMPORT_KUBELOGIN,     /* the program of int128 */
    IMPORT_RENEW,         /* it runs kubetoken by v1alpha1, which kubectl 1.24 has taken out: the
                           * profile is there */
};

enum import_part {
    IMPORT_ISSUER,
    IMPORT_CLIENT_ID,
    IMPORT_CLIENT_SECRET,
    IMPORT_SCOPE, /* NULL: kubetoken's own */
    IMPORT_USERNAME,
    IMPORT_PASSWORD,
    IMPORT_PROXY,
    IMPORT_REFRESH_TOKEN,
    IMPORT_PROFILE, /* of IMPORT_RENEW: that the stanza names; NULL: none */
    IMPORT_PARTS,
};

enum { IMPORT_FILES_MAX = 8, IMPORT_NOTES_MAX = 16, IMPORT_WORDS_MAX = 240 };

struct import_plan {
    enum import_kind kind;
    char *part[IMPORT_PARTS]; /* NULL: it says nothing of that */
    char *ca_file[IMPORT_FILES_MAX];
    unsigned n_ca_files;
    char *ca_data[IMPORT_FILES_MAX]; /* a PEM in base64 */
    unsigned n_ca_data;
    bool by_browser;            /* somebody logs in with a browser: the password grant is another */
    bool by_device;             /* somebody confirms it elsewhere, as with grant = device */
    bool guessed_name;          /* IMPORT_USERNAME is from an old id_token: to be confirmed */
    int64_t ended_at;           /* that of the id_token in it, seconds of 1970; 0: there is none */
    char why[IMPORT_WORDS_MAX]; /* why it cannot be imported, and what to do; "": it can */
    unsigned n_notes;           /* what is left out, and what a person should know */
    char notes[IMPORT_NOTES_MAX][IMPORT_WORDS_MAX];
};

/* Reads the `user` of an entry of users. home: for ~, NULL: there is none. import_plan_clear() in
 * any case. */
void import_plan_read(const cJSON *user, const char *home, struct import_plan *ret);

/* Wipes and frees what is in it. */
void import_plan_clear(struct import_plan *plan);

/* A name that a profile can have (protocol_name_valid()), by that of the user: out has
 * PROTOCOL_NAME_MAX + 1 bytes. */
void import_plan_name(const char *user, char *out);

/* ---- for who fills it in --------------------------------------------------------------------- */

/* Sets a part, what it had before goes; blanks at its ends and an empty value count as none, but of
 * a secret. What has a control character is why it cannot be imported. */
void import_plan_set(struct import_plan *plan, enum import_part part, const char *value);

/* Adds a file, or data, of certificates. */
void import_plan_add_ca_file(struct import_plan *plan, const char *path);
void import_plan_add_ca_data(struct import_plan *plan, const char *base64);

/* openid and the scopes, parted by commas, that are not there yet. */
void import_plan_add_scopes(struct import_plan *plan, const char *scopes);

/* Remarks, one too many is left out; the first word of why it cannot be imported counts. */
void import_plan_note(struct import_plan *plan, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void import_plan_refuse(struct import_plan *plan, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The member of that name as a text, NULL if it is none. */
const char *import_plan_text(const cJSON *object, const char *name);

#endif
