/*
 * protocol - framing of requests and answers on the socket, kubetoken-protocol(7).
 *
 *   request = verb [format [profile]] option* "\n"      words parted by blanks, <= 4 KiB
 *   option  = name | name "=" value                     unknown ones are ignored
 *             "secret=" N: N bytes follow the line, for `login` and `inspect`
 *             "username=" N: N bytes before those are the user's name
 *             "otp=" N: N bytes behind those are a one-time password
 *   wait    = "wait" TEXT "\n"        before an answer, any number, to who asked for it: "tell"
 *   answer  = "ok" OUT ERR "\n" | "error" CODE OUT ERR "\n", then OUT bytes for stdout and
 *             ERR bytes for stderr
 *   part    = "part" OUT ERR "\n" and those bytes: before an answer, which goes on behind them, any
 *             number, to who takes it in "parts"
 *
 * "*" stands for the default format or profile (no profile can have that name).
 */
#ifndef KUBETOKEN_PROTOCOL_H
#define KUBETOKEN_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum {
    PROTOCOL_REQUEST_MAX = 4096,
    PROTOCOL_HEADER_MAX = 64,
    PROTOCOL_WAIT_MAX = 256, /* a wait line, with its newline */
    PROTOCOL_BLOCK_MAX = 16 * 1024 * 1024,
    PROTOCOL_NAME_MAX = 64,
    PROTOCOL_SHARE_MAX = 64,
    PROTOCOL_PASSWORD_MAX = 16 * 1024, /* that follows `login` */
    PROTOCOL_USER_MAX = 512,           /* a user's name, that goes before it */
    PROTOCOL_OTP_MAX = 128,            /* a one-time password, that goes behind it */
    PROTOCOL_TOKEN_MAX = 128 * 1024,   /* that follows `inspect`; the longest that is served */
};

#define PROTOCOL_VERSION "1"

/* How long a client waits where nobody says, usec; kubectl says nothing. */
#define PROTOCOL_TIMEOUT (30 * USEC_PER_SEC)

/* How long a share is open where nobody says, and at most, usec. */
#define PROTOCOL_SHARE_TIME (8 * 3600 * USEC_PER_SEC)
#define PROTOCOL_SHARE_TIME_MAX (7 * 24 * 3600 * USEC_PER_SEC)

enum protocol_verb {
    VERB_GET,
    VERB_STATUS,
    VERB_PROFILE, /* the name of the profile that would be used */
    VERB_REFRESH, /* ask the provider now, also after a refusal */
    VERB_INSPECT, /* a token in words: the profile's, or one that follows */
    VERB_LOGIN,   /* a password follows, or a refresh token */
    VERB_LOGOUT,  /* forget token, refresh token and typed password */
    VERB_RELOAD,
    VERB_VERSION,
    VERB_STOP,   /* end, unless it is systemd that keeps the daemon */
    VERB_WATCH,  /* status, and again whenever it is another: many answers to one request */
    VERB_LOG,    /* what happened lately */
    VERB_FOLLOW, /* the same, and then what happens: an answer each time, until the client goes */
    VERB_WHY,    /* the last 401 in a sentence */
    VERB_HOLD,   /* keep the token fresh as long as the process that asks runs */
    VERB_REFRESH_ALL,
    VERB_LOGOUT_ALL,
    VERB_SHARE,   /* open a socket at which the profile's token is all there is to get */
    VERB_UNSHARE, /* end it */
};

enum protocol_format {
    FORMAT_TEXT,
    FORMAT_JSON,
    FORMAT_TOKEN,
    FORMAT_HEADER,
    FORMAT_EXEC_V1,
    FORMAT_EXEC_V1BETA1,
    FORMAT_QUIET,         /* of status: the code alone */
    FORMAT_METRICS,       /* of status: for Prometheus */
    FORMAT_NAME,          /* of status: a name a line */
    FORMAT_REFRESH_TOKEN, /* of login: what follows is one. Not an option, which a daemon that does
                           * not know it would ignore, and send the token as a password. */
    FORMAT_DEVICE,        /* of login: nothing follows; a person confirms it elsewhere. Likewise. */
    FORMAT_USERNAME, /* of login: before the password is the user's name. No option, likewise. */
    FORMAT_OTP,      /* of login: behind it is a one-time password; before it may be a name */
};

/* What time left is drawn with, beside its words. */
enum protocol_bar { BAR_NONE, BAR_ASCII, BAR_BLOCKS };

struct request {
    enum protocol_verb verb;
    enum protocol_format format;
    char profile[PROTOCOL_NAME_MAX + 1]; /* "" = the default one */
    uint64_t timeout;                    /* usec the client is going to wait */
    uint64_t min_validity;               /* usec the token has to live */
    uint64_t rehearse;                   /* usec it is said to live at most; 0: as it is */
    size_t secret;                       /* bytes of the block that follows the line; */
    size_t username;                     /* so many of them, the first, are the user's name */
    size_t otp;                          /* and so many, the last, a one-time password */
    size_t columns;                      /* a line may have, for people; 0: nobody said */
    enum protocol_bar bar;
    bool colour;       /* escape sequences are understood */
    int32_t client_go; /* pid of the client-go that asks, or 0 */
    bool rejected;     /* the API server refused the token handed out last */
    bool tell;         /* say what it waits for */
    bool parts;        /* a long answer may come in parts */
    bool with_user;    /* metrics may name the user; of a profile: what `login` is to ask for */
    bool no_otp;       /* of login: a person says that the password goes alone */
    bool with_otp;     /* of a profile: also whether for a password, and a one-time password */
    bool once;         /* close after the answer */

    char share[PROTOCOL_SHARE_MAX + 1]; /* its name */
    uint64_t open_for;                  /* usec it is to be open; 0: nobody said */
    bool renew;                         /* one that is open: it gets another end */
};

/* Parses a request without its newline. Returns 0, or -1 with *why set. */
int request_parse(const char *line, size_t length, struct request *ret, struct error *why);

/* Whether a profile may have that name: [A-Za-z0-9._@-], 1 to 64 characters. */
bool protocol_name_valid(const char *name, size_t length);

/* The same of a share, whose folder has it: neither a point nor a hyphen is its first. */
bool protocol_share_valid(const char *name, size_t length);

/* The word of a request. */
const char *protocol_verb(enum protocol_verb verb);

struct answer {
    enum error_code code; /* ERROR_NONE for "ok" */
    size_t out;
    size_t err;
    bool part; /* with ERROR_NONE: what it is a part of goes on behind it */
};

/* Writes the header line. Returns its length (< PROTOCOL_HEADER_MAX). */
size_t answer_header(char out[PROTOCOL_HEADER_MAX], const struct answer *answer);

/* Writes the line that says what is waited for; a text that is too long is cut, what cannot be
 * printed is left out. Returns its length (<= PROTOCOL_WAIT_MAX). */
size_t wait_line(char out[PROTOCOL_WAIT_MAX], const char *text);

/* Parses such a line at the head of the bytes. Returns its length, with the text (printable, at
 * least a character, without NUL); 0 when there is none, but perhaps an answer; -EAGAIN when more
 * bytes are needed, -EBADMSG when it is not valid. */
long wait_parse(const char *bytes, size_t length, const char **ret_text, size_t *ret_length);

/* Parses the header at the head of the bytes. Returns the length of the line, 0 when more
 * bytes are needed, -EBADMSG when this is no answer. */
long answer_parse(const char *bytes, size_t length, struct answer *ret);

#endif
