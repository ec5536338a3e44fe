/*
 * secret_form - the form of a password or client secret, looked at before it is sent anywhere: of
 * one that cannot be meant each attempt would count.
 *
 * Pure: no I/O, no allocation. What it says of a secret shows no character of it.
 */
#ifndef KUBETOKEN_SECRET_FORM_H
#define KUBETOKEN_SECRET_FORM_H

#include <stdbool.h>
#include <stddef.h>

enum {
    SECRET_FORM_MAX = 16 * 1024,
    SECRET_FORM_ROOM = SECRET_FORM_MAX + 4, /* with CR LF and a NUL behind it, and one byte more */
    SECRET_FORM_WORDS = 128,
};

enum secret_form_fault {
    SECRET_FORM_GOOD,
    SECRET_FORM_EMPTY, /* or its first line is */
    SECRET_FORM_TOO_LONG,
    SECRET_FORM_UTF16, /* by its byte order mark */
    SECRET_FORM_BOM,   /* that of UTF-8 */
    SECRET_FORM_SECOND_LINE,
    SECRET_FORM_NUL,     /* and something behind it */
    SECRET_FORM_CONTROL, /* U+0000 to U+001F and U+007F to U+009F, but a tab */
};

struct secret_form {
    enum secret_form_fault fault;
    size_t length; /* of the secret, which begins where the bytes do */
    bool more;     /* something stands behind it that is no part of any */
    /* of SECRET_FORM_CONTROL and SECRET_FORM_NUL: which, and the how manieth character, from 1; of
     * SECRET_FORM_UTF16 the mark */
    unsigned character;
    size_t place;
};

/* Judges what a file, a command or a person gave. One end of a line (LF or CR LF) and NULs at the
 * end (pam_exec(8) sends one) are no part of the secret. A tab is: RFC 6749, appendix A.16, has it
 * in passwords, and none of the others up to U+007F; those from U+0080 on come of a wrong encoding.
 */
struct secret_form secret_form_judge(const void *bytes, size_t length);

/* The fault in words, to stand behind what it is: "has a second line". */
void secret_form_words(const struct secret_form *form, char out[SECRET_FORM_WORDS]);

/* What is seldom meant in a secret, in words of the same kind: "ends with a blank and stands in
 * quotes", or "". */
void secret_form_oddities(const void *bytes, size_t length, char out[SECRET_FORM_WORDS]);

#endif
