#include "common/protocol.h"

#include <errno.h>
#include <string.h>

#include "common/text.h"
#include "common/time.h"

/* A client that names no time waits as long as the client program does by default. */

struct word {
    const char *at;
    size_t length;
};

static const char *const verbs[] = {
    [VERB_GET] = "get",
    [VERB_STATUS] = "status",
    [VERB_PROFILE] = "profile",
    [VERB_REFRESH] = "refresh",
    [VERB_INSPECT] = "inspect",
    [VERB_LOGIN] = "login",
    [VERB_LOGOUT] = "logout",
    [VERB_RELOAD] = "reload",
    [VERB_VERSION] = "version",
    [VERB_STOP] = "stop",
    [VERB_WATCH] = "watch",
    [VERB_LOG] = "log",
    [VERB_FOLLOW] = "follow",
    [VERB_WHY] = "why",
    [VERB_HOLD] = "hold",
    [VERB_REFRESH_ALL] = "refresh-all",
    [VERB_LOGOUT_ALL] = "logout-all",
    [VERB_SHARE] = "share",
    [VERB_UNSHARE] = "unshare",
};

static const char *const formats[] = {
    [FORMAT_TEXT] = "text",         [FORMAT_JSON] = "json",
    [FORMAT_TOKEN] = "token",       [FORMAT_HEADER] = "header",
    [FORMAT_EXEC_V1] = "exec/v1",   [FORMAT_EXEC_V1BETA1] = "exec/v1beta1",
    [FORMAT_QUIET] = "quiet",       [FORMAT_METRICS] = "metrics",
    [FORMAT_NAME] = "name",         [FORMAT_REFRESH_TOKEN] = "refresh-token",
    [FORMAT_USERNAME] = "username", [FORMAT_OTP] = "otp",
    [FORMAT_DEVICE] = "device",
};

static bool word_is(struct word w, const char *text)
{
    return w.length == strlen(text) && memcmp(w.at, text, w.length) == 0;
}

static int lookup(struct word w, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (word_is(w, names[i]))
            return (int)i;
    return -1;
}

/* The next word of the line, empty at its end. */
static struct word next_word(const char **at, const char *end)
{
    while (*at < end && **at == ' ')
        ++*at;
    struct word w = { *at, 0 };
    while (*at < end && **at != ' ')
        ++*at;
    w.length = (size_t)(*at - w.at);
    return w;
}

bool protocol_name_valid(const char *name, size_t length)
{
    if (length == 0 || length > PROTOCOL_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '@' || c == '-'))
            return false;
    }
    return true;
}

bool protocol_share_valid(const char *name, size_t length)
{
    _Static_assert((int)PROTOCOL_SHARE_MAX == (int)PROTOCOL_NAME_MAX, "as long as a profile's");

    return protocol_name_valid(name, length) && name[0] != '.' && name[0] != '-';
}

const char *protocol_verb(enum protocol_verb verb)
{
    return verbs[verb];
}

/* A whole number of 1 to most. */
static int parse_number(struct word w, int64_t most, int64_t *ret)
{
    int64_t n = 0;

    for (size_t i = 0; i < w.length; i++)
        if (w.at[i] < '0' || w.at[i] > '9' || (n = n * 10 + (w.at[i] - '0')) > most)
            return -EINVAL;
    *ret = n;
    return n > 0 ? 0 : -EINVAL;
}

static int parse_share(struct word value, struct request *r)
{
    if (!protocol_share_valid(value.at, value.length))
        return -EINVAL;
    memcpy(r->share, value.at, value.length);
    r->share[value.length] = '\0';
    return 0;
}

static int parse_open_for(struct word value, uint64_t *ret)
{
    int r = time_parse_duration(value.at, value.length, ret);

    return r == 0 && (*ret == 0 || *ret > PROTOCOL_SHARE_TIME_MAX) ? -EINVAL : r;
}

/* What belongs to a share alone. */
static int parse_share_option(struct word name, struct word value, struct request *r)
{
    if (word_is(name, "share"))
        return parse_share(value, r);
    if (word_is(name, "for"))
        return parse_open_for(value, &r->open_for);
    r->renew |= word_is(name, "renew");
    return 0;
}

/* What stands before and behind the secret of a login. */
static int parse_block_option(struct word name, struct word value, struct request *r)
{
    bool is_name = word_is(name, "username");
    int64_t number = 0;

    if (!is_name && r->format != FORMAT_OTP) /* a word that is not known there */
        return 0;
    int bad = parse_number(value, is_name ? PROTOCOL_USER_MAX : PROTOCOL_OTP_MAX, &number);
    *(is_name ? &r->username : &r->otp) = (size_t)number;
    return bad;
}

static int parse_option(struct word w, struct request *r, struct error *why)
{
    const char *equals = memchr(w.at, '=', w.length);
    struct word name = { w.at, equals ? (size_t)(equals - w.at) : w.length };
    struct word value = { equals ? equals + 1 : w.at + w.length,
                          equals ? w.length - name.length - 1 : 0 };
    int64_t number = 0;
    int bad = 0;

    if (word_is(name, "once"))
        r->once = true;
    else if (word_is(name, "tell"))
        r->tell = true;
    else if (word_is(name, "parts"))
        r->parts = true;
    else if (word_is(name, "rejected"))
        r->rejected = true;
    else if (word_is(name, "with-user"))
        r->with_user = true;
    else if (word_is(name, "with-otp"))
        r->with_otp = true;
    else if (word_is(name, "no-otp"))
        r->no_otp = true;
    else if (word_is(name, "timeout"))
        bad = time_parse_duration(value.at, value.length, &r->timeout);
    else if (word_is(name, "min-validity"))
        bad = time_parse_duration(value.at, value.length, &r->min_validity);
    else if (word_is(name, "rehearse"))
        bad = time_parse_duration(value.at, value.length, &r->rehearse);
    else if (word_is(name, "client-go")) {
        bad = parse_number(value, INT32_MAX, &number);
        r->client_go = (int32_t)number;
    } else if (word_is(name, "columns")) {
        bad = parse_number(value, INT32_MAX, &number);
        r->columns = (size_t)number;
    } else if (word_is(name, "colour")) {
        r->colour = true;
    } else if (word_is(name, "bar")) { /* another one of a later version has words for us too */
        r->bar = word_is(value, "blocks") ? BAR_BLOCKS : BAR_ASCII;
    } else if (word_is(name, "secret")) { /* what follows another line would be read as requests */
        bad = r->verb == VERB_LOGIN     ? parse_number(value, PROTOCOL_PASSWORD_MAX, &number)
              : r->verb == VERB_INSPECT ? parse_number(value, PROTOCOL_TOKEN_MAX, &number)
                                        : -EINVAL;
        r->secret = (size_t)number;
    } else if (r->verb == VERB_SHARE || r->verb == VERB_UNSHARE) {
        bad = parse_share_option(name, value, r);
    } else if ((r->format == FORMAT_USERNAME || r->format == FORMAT_OTP) &&
               (word_is(name, "username") || word_is(name, "otp"))) {
        bad = parse_block_option(name, value, r);
    }
    if (bad < 0) {
        error_set(why, ERROR_BAD_REQUEST, "%.*s is not valid", (int)w.length, w.at);
        return -1;
    }
    return 0;
}

/* get has formats of its own: "text" would not tell a token from a table. */
static bool format_fits(enum protocol_verb verb, enum protocol_format format)
{
    bool of_login = format == FORMAT_REFRESH_TOKEN || format == FORMAT_USERNAME ||
                    format == FORMAT_OTP || format == FORMAT_DEVICE;
    bool of_status = format == FORMAT_QUIET || format == FORMAT_METRICS || format == FORMAT_NAME;

    if (verb == VERB_GET)
        return format != FORMAT_TEXT && !of_login && !of_status;
    return format == FORMAT_TEXT || (of_status && verb == VERB_STATUS) ||
           (of_login && verb == VERB_LOGIN) || (format == FORMAT_TOKEN && verb == VERB_HOLD) ||
           (format == FORMAT_JSON &&
            (verb == VERB_STATUS || verb == VERB_WATCH || verb == VERB_INSPECT ||
             verb == VERB_LOG || verb == VERB_FOLLOW || verb == VERB_WHY));
}

/* A one-time password may come without the password, where that is in hand. */
static int check_login(const struct request *r, struct error *why)
{
    const char *lacks = NULL;

    if (r->verb != VERB_LOGIN)
        return 0;
    if (r->format == FORMAT_OTP && r->otp == 0)
        lacks = "login otp needs otp=N, and N bytes behind the password";
    else if (r->format != FORMAT_OTP && (r->secret == 0) != (r->format == FORMAT_DEVICE))
        lacks = "login needs secret=N, and N bytes after its line";
    else if (r->format == FORMAT_USERNAME && r->username == 0)
        lacks = "login username needs username=N, and N bytes before the password";
    if (lacks)
        error_set(why, ERROR_BAD_REQUEST, "%s", lacks);
    return lacks ? -1 : 0;
}

static int parse_words(const char *line, const char *end, struct request *r, struct error *why)
{
    struct word w = next_word(&line, end);
    int verb = lookup(w, verbs, sizeof verbs / sizeof *verbs);
    if (verb < 0) {
        error_set(why, ERROR_BAD_REQUEST, "%.*s is not a request", (int)w.length, w.at);
        return -1;
    }
    r->verb = (enum protocol_verb)verb;
    r->format = verb == VERB_GET ? FORMAT_TOKEN : FORMAT_TEXT;

    w = next_word(&line, end);
    if (w.length > 0 && !word_is(w, "*")) {
        int format = lookup(w, formats, sizeof formats / sizeof *formats);
        if (format < 0 || !format_fits(r->verb, (enum protocol_format)format)) {
            error_set(why, ERROR_BAD_REQUEST, "%.*s is not a format of %s", (int)w.length, w.at,
                      verbs[verb]);
            return -1;
        }
        r->format = (enum protocol_format)format;
    }

    w = next_word(&line, end);
    if (w.length > 0 && !word_is(w, "*")) {
        if (!protocol_name_valid(w.at, w.length)) {
            error_set(why, ERROR_BAD_REQUEST, "%.*s cannot be a profile's name", (int)w.length,
                      w.at);
            return -1;
        }
        memcpy(r->profile, w.at, w.length);
    }

    while ((w = next_word(&line, end)).length > 0)
        if (parse_option(w, r, why) < 0)
            return -1;
    if (check_login(r, why) < 0)
        return -1;
    if ((r->verb == VERB_SHARE || r->verb == VERB_UNSHARE) && !*r->share) {
        error_set(why, ERROR_BAD_REQUEST, "%s needs share=NAME", verbs[verb]);
        return -1;
    }
    r->secret += r->username + r->otp;
    return 0;
}

int request_parse(const char *line, size_t length, struct request *ret, struct error *why)
{
    struct request r = { .timeout = PROTOCOL_TIMEOUT };

    if (length >= PROTOCOL_REQUEST_MAX) {
        error_set(why, ERROR_BAD_REQUEST, "it is longer than %d bytes", PROTOCOL_REQUEST_MAX);
        return -1;
    }
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            error_set(why, ERROR_BAD_REQUEST, "it holds a control character");
            return -1;
        }
    if (parse_words(line, line + length, &r, why) < 0)
        return -1;
    *ret = r;
    return 0;
}

static char *put_text(char *p, const char *text)
{
    while (*text)
        *p++ = *text++;
    return p;
}

static char *put_count(char *p, size_t n)
{
    char digits[TEXT_DECIMAL_SIZE];

    *p++ = ' ';
    return put_text(p, text_decimal(digits, n));
}

size_t answer_header(char out[PROTOCOL_HEADER_MAX], const struct answer *answer)
{
    char *p = out;

    if (answer->code == ERROR_NONE)
        p = put_text(p, answer->part ? "part" : "ok");
    else
        p = put_text(put_text(p, "error "), error_name(answer->code));
    p = put_count(put_count(p, answer->out), answer->err);
    *p++ = '\n';
    return (size_t)(p - out);
}

static const char wait_word[] = "wait ";
enum { WAIT_WORD = sizeof wait_word - 1 };

size_t wait_line(char out[PROTOCOL_WAIT_MAX], const char *text)
{
    memcpy(out, wait_word, WAIT_WORD);
    size_t length = error_clean(out + WAIT_WORD, PROTOCOL_WAIT_MAX - WAIT_WORD, text, strlen(text));

    if (length == 0)
        out[WAIT_WORD + length++] = '?';
    out[WAIT_WORD + length++] = '\n'; /* in the place of the NUL */
    return WAIT_WORD + length;
}

static bool is_printable(const char *text, size_t length)
{
    for (size_t i = 0, n; i < length; i += n) {
        n = text[i] == ' ' ? 1 : error_character(text + i, length - i);
        if (n == 0)
            return false;
    }
    return length > 0;
}

long wait_parse(const char *bytes, size_t length, const char **ret_text, size_t *ret_length)
{
    size_t scan = length < PROTOCOL_WAIT_MAX ? length : PROTOCOL_WAIT_MAX;

    if (length < WAIT_WORD || memcmp(bytes, wait_word, WAIT_WORD) != 0)
        return 0; /* its first bytes alone are no answer either */
    const char *text = bytes + WAIT_WORD, *end = memchr(bytes, '\n', scan);
    if (!end)
        return scan < PROTOCOL_WAIT_MAX ? -EAGAIN : -EBADMSG;
    if (!is_printable(text, (size_t)(end - text)))
        return -EBADMSG;
    *ret_text = text;
    *ret_length = (size_t)(end - text);
    return end + 1 - bytes;
}

static int parse_count(struct word w, size_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < w.length; i++) {
        if (w.at[i] < '0' || w.at[i] > '9' ||
            (n = n * 10 + (size_t)(w.at[i] - '0')) > PROTOCOL_BLOCK_MAX)
            return -EBADMSG;
    }
    *ret = n;
    return w.length > 0 ? 0 : -EBADMSG;
}

long answer_parse(const char *bytes, size_t length, struct answer *ret)
{
    size_t scan = length < PROTOCOL_HEADER_MAX ? length : PROTOCOL_HEADER_MAX;
    const char *end = memchr(bytes, '\n', scan), *at = bytes;
    struct answer a = { .code = ERROR_NONE };

    if (!end)
        return length < PROTOCOL_HEADER_MAX ? 0 : -EBADMSG;
    struct word w = next_word(&at, end);
    if (word_is(w, "error")) {
        w = next_word(&at, end);
        a.code = error_from_name(w.at, w.length);
    } else if (!word_is(w, "ok")) {
        a.part = word_is(w, "part");
        if (!a.part)
            return -EBADMSG;
    }
    if (parse_count(next_word(&at, end), &a.out) < 0 ||
        parse_count(next_word(&at, end), &a.err) < 0)
        return -EBADMSG;
    *ret = a;
    return end + 1 - bytes;
}
