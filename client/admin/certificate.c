#define _GNU_SOURCE
#include "client/admin/certificate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    INTEGER = 2,
    OID = 6,
    UTC_TIME = 23,
    GENERALIZED_TIME = 24,
    SEQUENCE = 0x30,
    SET = 0x31,
    VERSION = 0xa0
};

/* What is left to read of a piece of DER. */
struct der {
    const unsigned char *at;
    size_t left;
};

/* Takes the next value, whatever it is. Returns its tag, or -1 at the end or where it is broken. */
static int take(struct der *in, struct der *ret)
{
    size_t length, more = 0;

    if (in->left < 2)
        return -1;
    int tag = in->at[0];
    length = in->at[1];
    if (length > 0x80 && length <= 0x84) {
        more = length - 0x80;
        if (in->left < 2 + more)
            return -1;
        length = 0;
        for (size_t i = 0; i < more; i++)
            length = length << 8 | in->at[2 + i];
    } else if (length >= 0x80) {
        return -1;
    }
    if (in->left - 2 - more < length)
        return -1;
    *ret = (struct der){ in->at + 2 + more, length };
    in->at += 2 + more + length;
    in->left -= 2 + more + length;
    return tag;
}

static bool take_a(struct der *in, int tag, struct der *ret)
{
    return take(in, ret) == tag;
}

/* "251231235959Z", or with the century. */
static int read_time(int tag, const struct der *in, int64_t *ret)
{
    char text[16] = "";
    struct tm tm = { .tm_year = 0 };
    size_t wanted = tag == UTC_TIME ? 13 : 15;

    if ((tag != UTC_TIME && tag != GENERALIZED_TIME) || in->left != wanted)
        return -EBADMSG;
    memcpy(text, in->at, wanted);
    /* of UTCTime: 50 to 99 is of the last century */
    char whole[20];
    snprintf(whole, sizeof whole, "%s%s", tag == UTC_TIME ? (text[0] < '5' ? "20" : "19") : "",
             text);
    char *end = strptime(whole, "%Y%m%d%H%M%SZ", &tm);
    if (!end || *end)
        return -EBADMSG;
    *ret = timegm(&tm);
    return 0;
}

static void add_text(char out[CERTIFICATE_NAME_MAX], const struct der *value)
{
    size_t used = strlen(out);

    snprintf(out + used, CERTIFICATE_NAME_MAX - used, "%s%.*s", used > 0 ? ", " : "",
             (int)(value->left < CERTIFICATE_NAME_MAX ? value->left : CERTIFICATE_NAME_MAX),
             (const char *)value->at);
}

static bool equals(const struct der *value, const char *text)
{
    return value->left == strlen(text) && memcmp(value->at, text, value->left) == 0;
}

/* A name: a sequence of sets of (kind, value). */
static void read_subject(struct der name, struct certificate *ret)
{
    struct der set, pair, kind, value;

    while (take_a(&name, SET, &set))
        while (take_a(&set, SEQUENCE, &pair)) {
            if (!take_a(&pair, OID, &kind) || take(&pair, &value) < 0)
                continue;
            if (equals(&kind, "\x55\x04\x03"))
                add_text(ret->common_name, &value);
            if (!equals(&kind, "\x55\x04\x0a"))
                continue;
            add_text(ret->organizations, &value);
            ret->is_admin |= equals(&value, "system:masters") ||
                             equals(&value, "kubeadm:cluster-admins");
        }
}

/* RFC 5280 4.1: version, serial, algorithm, issuer, validity, subject. */
static int read_der(struct der in, struct certificate *ret)
{
    struct der whole, body, part, validity, subject, moment;

    *ret = (struct certificate){ .not_after = 0 };
    if (!take_a(&in, SEQUENCE, &whole) || !take_a(&whole, SEQUENCE, &body))
        return -EBADMSG;
    int tag = take(&body, &part);
    if (tag == VERSION)
        tag = take(&body, &part);
    if (tag != INTEGER || !take_a(&body, SEQUENCE, &part) || !take_a(&body, SEQUENCE, &part) ||
        !take_a(&body, SEQUENCE, &validity) || !take_a(&body, SEQUENCE, &subject))
        return -EBADMSG;
    if (take(&validity, &moment) < 0)
        return -EBADMSG;
    tag = take(&validity, &moment);
    read_subject(subject, ret);
    return read_time(tag, &moment, &ret->not_after);
}

/* ---- base64 and PEM -------------------------------------------------------------------------- */

static int value_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Up to the first character that is none, blanks aside. NULL without memory. */
static unsigned char *decode(const char *text, size_t *ret_length)
{
    unsigned char *out = malloc(strlen(text) + 1);
    unsigned bits = 0, held = 0;
    size_t n = 0;

    for (; out && *text; text++) {
        int value = value_of(*text);
        if (value < 0 && !strchr(" \t\r\n", *text))
            break;
        if (value < 0)
            continue;
        held = held << 6 | (unsigned)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (unsigned char)(held >> bits);
        }
    }
    if (out)
        out[n] = '\0';
    *ret_length = n;
    return out;
}

int certificate_read(const char *pem, struct certificate *ret)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    const char *at = strstr(pem, begin);
    size_t length;

    if (!at)
        return -EBADMSG;
    unsigned char *der = decode(at + sizeof begin - 1, &length);
    int r = der ? read_der((struct der){ der, length }, ret) : -ENOMEM;
    free(der);
    return r;
}

int certificate_read_data(const char *base64, struct certificate *ret)
{
    size_t length;
    char *pem = (char *)decode(base64, &length);
    int r = pem ? certificate_read(pem, ret) : -ENOMEM;

    free(pem);
    return r;
}
