/*
 * error - THE table of what can go wrong: code, sentence, remedy, exit code, what it means for the
 * request and where it belongs.
 *
 * Whatever prints an error to a person takes it from here, so that one kind of
 * failure reads the same in a terminal, under kubectl, in `status` and in the log.
 * The codes are part of the interface (kubetoken-protocol(7)): never reuse one.
 */
#ifndef KUBETOKEN_ERROR_H
#define KUBETOKEN_ERROR_H

#include <stddef.h>

enum error_code {
    ERROR_NONE,
    /* the command line and the socket */
    ERROR_USAGE,
    ERROR_BAD_REQUEST,
    ERROR_BUSY,
    ERROR_RUNNING,
    ERROR_NO_DAEMON,
    ERROR_DAEMON_SILENT,
    ERROR_START_FAILED,
    ERROR_BAD_ANSWER,
    ERROR_FOREIGN_SOCKET,
    ERROR_OPEN_FOLDER,
    ERROR_SQUATTED,
    ERROR_OTHER_UID,
    ERROR_OTHER_DAEMON,
    ERROR_NOT_A_SOCKET,
    ERROR_DEAD_SOCKET,
    ERROR_READ_ONLY,
    ERROR_NO_ROOM,
    ERROR_NO_FOLDER,
    ERROR_LONG_PATH,
    ERROR_LOGGED_OUT,
    ERROR_NO_PROGRAM,
    ERROR_NO_PROCESS,
    ERROR_BY_SYSTEMD,
    ERROR_FORGOTTEN,
    ERROR_NO_PROFILE,
    ERROR_NO_DEFAULT,
    ERROR_NOT_SHARED,
    ERROR_SHARE_EMPTY,
    ERROR_SHARE_TAKEN,
    ERROR_SHARE_FAILED,
    ERROR_NO_SHARE,
    ERROR_INTERRUPTED,
    ERROR_OUTPUT,
    ERROR_NOT_STARTED,
    /* configuration and credentials */
    ERROR_CONFIG,
    ERROR_NO_CONFIG,
    ERROR_CREDENTIAL,
    ERROR_NO_COMMAND,
    ERROR_COMMAND_TOKEN,
    ERROR_LOGIN_NEEDED,
    ERROR_NOT_LOGGED_IN,
    ERROR_NO_TOKEN,
    /* what the provider said of the credentials */
    ERROR_REFUSED,
    ERROR_DOUBTED,
    ERROR_REFUSED_SILENTLY,
    ERROR_DENIED,
    ERROR_ACCESS_DENIED,
    ERROR_ACCOUNT,
    ERROR_OTP_REQUIRED,
    ERROR_OTP_REFUSED,
    ERROR_SECOND_FACTOR,
    ERROR_NEW_PASSWORD,
    ERROR_ACCOUNT_SETUP,
    ERROR_CLIENT_REFUSED,
    ERROR_GRANT_REFUSED,
    ERROR_NO_ID_TOKEN,
    /* of an exchange, and of the profile whose token is exchanged */
    ERROR_SOURCE_LOGIN,
    ERROR_SOURCE_REFUSED,
    ERROR_SUBJECT_REFUSED,
    ERROR_EXCHANGE_REFUSED,
    ERROR_EXCHANGE_TYPE,
    /* of a login that a person confirms elsewhere */
    ERROR_LOGIN_DENIED,
    ERROR_CODE_EXPIRED,
    /* the way to the provider */
    ERROR_DNS,
    ERROR_CONNECT,
    ERROR_TLS,
    ERROR_TLS_FILE,
    ERROR_TIMEOUT,
    ERROR_TRANSFER,
    ERROR_PROVIDER_FAULT,
    ERROR_RATE_LIMITED,
    ERROR_THROTTLED,
    ERROR_SILENCE,
    ERROR_PROXY_LOGIN,
    ERROR_PROXY_REFUSED,
    /* what came back */
    ERROR_GATEWAY,
    ERROR_PROVIDER_ERROR,
    ERROR_REALM,
    ERROR_ANSWER_INVALID,
    ERROR_DISCOVERY_INVALID,
    ERROR_NO_DEVICE_LOGIN,
    ERROR_ISSUER_MISMATCH,
    ERROR_ISSUER_TEMPLATE,
    ERROR_KEYS_INVALID,
    ERROR_TOKEN_INVALID,
    ERROR_TOKEN_TOO_LONG,
    ERROR_TOKEN_ENCRYPTED,
    ERROR_TOKEN_UNVERIFIABLE,
    ERROR_TOKEN_ALGORITHM,
    ERROR_TOKEN_SIGNATURE,
    ERROR_KEY_UNSAFE,
    ERROR_TOKEN_AUDIENCE,
    ERROR_TOKEN_EXPIRED,
    ERROR_TOKEN_STALE,
    ERROR_COMMAND_STALE,
    ERROR_TOO_SHORT_LIVED,
    /* findings: the token is handed out, but somebody should know */
    ERROR_NOT_VERIFIED,
    ERROR_EMAIL_NOT_VERIFIED,
    ERROR_EMAIL_CLAIM,
    ERROR_USERNAME_CLAIM,
    ERROR_GROUPS_CLAIM,
    ERROR_GROUPS_ELSEWHERE,
    ERROR_REQUIRED_CLAIM,
    ERROR_CLAIM_RULE,
    ERROR_CLAIM_TWICE,
    ERROR_KEYS_UNREADABLE,
    ERROR_DISCOVERY_UNREADABLE,
    ERROR_ABOUT_TO_EXPIRE,
    ERROR_CLOCK,
    ERROR_TOKEN_LONG,
    ERROR_OUTDATED,
    ERROR_CONFIG_CHANGED,
    ERROR_NOT_LOCKED,
    ERROR_UNPROTECTED,
    ERROR_NOT_REVOKED,
    ERROR_OTHER_USER,
    ERROR_ODD_CREDENTIAL,
    /* kubectl and the cluster */
    ERROR_KUBECTL,
    ERROR_KUBECTL_FAILS,
    ERROR_KUBECONFIG,
    ERROR_NOT_WRITTEN,
    ERROR_NOT_USED,
    ERROR_BYPASSED,
    ERROR_PLUGIN_COMMAND,
    ERROR_PLUGIN_VERSION,
    ERROR_PLUGIN_STANZA,
    ERROR_PLUGIN_POLICY,
    ERROR_NOT_IMPORTED,
    ERROR_CLUSTER_DNS,
    ERROR_CLUSTER_CONNECT,
    ERROR_CLUSTER_PROXY,
    ERROR_CLUSTER_TIMEOUT,
    ERROR_CLUSTER_HTTP,
    ERROR_CLUSTER_TLS,
    ERROR_SERVER_CONFIG,
    ERROR_CLUSTER_OTHER,
    ERROR_CLUSTER_FAULT,
    ERROR_CLUSTER_UNKNOWN,
    ERROR_UNAUTHORIZED,
    ERROR_FORBIDDEN,
    ERROR_NO_RIGHTS,
    /* our own house */
    ERROR_FETCHER,
    ERROR_STUCK,
    ERROR_DESCRIPTORS,
    ERROR_INCOMPLETE,
    ERROR_INTERNAL,
    ERROR_MAX
};

/* What a failure says of the request for a token: of what was sent, and of whether the account
 * learnt anything, since providers count failed logins. The code knows only its part of that:
 * timeout, transfer, fetcher, issuer-mismatch and others come before the grant is sent as well as
 * after it. Whether it was, the step decides (fetcher_sent_grant), which daemon/attempt.c asks
 * before it asks for the class: before the grant nobody learnt anything, whatever the code.
 *
 * A switch over it has no default:, so that the compiler names each place which a new class
 * concerns. 0 is none, so that a row without a class is found (by a test). */
enum error_class {
    ERROR_CLASS_NONE = 1,       /* no failure of a request: of a command, the socket, the cluster;
                                   or a finding */
    ERROR_CLASS_LOCAL,          /* something on this machine: nothing was sent */
    ERROR_CLASS_UNSENT,         /* the provider was not reached, or no endpoint of it is known:
                                   nothing secret left, the account learnt nothing */
    ERROR_CLASS_TRANSIENT,      /* the provider answered that it cannot now (408, 425, 429, 5xx):
                                   it said nothing of the password */
    ERROR_CLASS_LOST,           /* sent, and no whole answer in time: the account may have counted
                                   a refusal that did not arrive */
    ERROR_CLASS_THROTTLED,      /* the account has it wait (daemon/account.h): nothing was sent */
    ERROR_CLASS_SOFT,           /* rejected, but not in OAuth's words: said nothing of the password,
                                   and may pass */
    ERROR_CLASS_REFUSED_USER,   /* refused, for what the user is or sent: the account counted it */
    ERROR_CLASS_REFUSED_CLIENT, /* refused, for what the client is, sent or may do: the password
                                   was not looked at */
    ERROR_CLASS_REFUSED_EITHER, /* refused, without a word for which: taken as the user's, until
                                   user or client changes */
    ERROR_CLASS_PROXY,          /* the proxy refused its user: the provider saw nothing */
    ERROR_CLASS_ACCEPTED,       /* the provider took what was sent, but its answer is of no use */
};

/* The link of doctor's chain that a code belongs to, in the order of the chain; as above 0 is
 * none. */
enum error_link {
    ERROR_LINK_NONE = 1, /* none on the way to the token */
    ERROR_LINK_DAEMON,
    ERROR_LINK_PROFILE,
    ERROR_LINK_FETCHER,
    ERROR_LINK_SOURCE, /* of the profile from which its tokens come */
    ERROR_LINK_CREDENTIALS,
    ERROR_LINK_DNS,
    ERROR_LINK_CONNECT,
    ERROR_LINK_TLS,
    ERROR_LINK_DISCOVERY,
    ERROR_LINK_KEYS,
    ERROR_LINK_GRANT,
    ERROR_LINK_TOKEN,
    ERROR_LINK_STEP, /* that of the step at which the fetcher failed (struct step) */
};

enum { ERROR_DETAIL_MAX = 500 }; /* two paths fit */

/* Who looks after the daemon: remedies name systemctl and journalctl only where those know it. */
enum error_keeper {
    ERROR_KEEPER_SYSTEMD,
    ERROR_KEEPER_NONE, /* a client started it, or a person */
};

/* One failure: its kind, and what was seen this time (printable UTF-8, no secret). */
struct error {
    enum error_code code;
    char detail[ERROR_DETAIL_MAX + 1];
};

/* Says for the whole program who keeps the daemon; until then it is systemd. log: where the
 * daemon's log is, for remedies, or why there is none; NULL or too long to be shown: not known. */
void error_set_keeper(enum error_keeper keeper, const char *log);

/* The code's name ("refused"), what happened in words, what to do, and the exit code of
 * the client. Total: any value outside the enum reads as ERROR_INTERNAL. The remedy is that for the
 * keeper, and good until the next call. */
const char *error_name(enum error_code code);
const char *error_sentence(enum error_code code);

/* The same of a request by refresh token, where what was refused is no password. */
const char *error_sentence_of_refresh(enum error_code code);
const char *error_remedy(enum error_code code);
/* As it stands in the table for that keeper, without the name of the log. */
const char *error_remedy_for(enum error_code code, enum error_keeper keeper);
int error_exit_code(enum error_code code);

/* What the code means for the request, and its link. Total, too. */
enum error_class error_class(enum error_code code);
enum error_link error_link(enum error_code code);

/* The code with that name, or ERROR_INTERNAL. */
enum error_code error_from_name(const char *name, size_t length);

/* Fills *e. The detail is made printable (error_clean) and cut at ERROR_DETAIL_MAX.
 * Never pass a secret: there is no type to stop you, but there is a test. */
void error_set(struct error *e, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Copies foreign text into out (size bytes, NUL-terminated): control characters and
 * broken UTF-8 become one blank each, runs of blanks are folded, a format character becomes a
 * question mark (printable.h), the cut falls between characters. Never longer than the text.
 * Returns the length. */
size_t error_clean(char *out, size_t size, const void *text, size_t length);

/* The length in bytes of the well-formed, printable UTF-8 character at text (RFC 3629, section 4;
 * no blank, no control or format character), or 0 if there is none. */
size_t error_character(const void *text, size_t length);

/* The length of a text that something is to follow, as in "text; what to do": without the period at
 * its end. */
size_t error_stem(const char *text);

/* Renders "sentence: detail; remedy". The detail may be NULL or empty, and longer than that of a
 * struct error. Returns the length, at most size - 1. */
size_t error_text(char *out, size_t size, enum error_code code, const char *detail);

/* Renders the one line a person reads, with its newline:
 *   kubetoken: PROFILE: sentence: detail; remedy
 * profile and the detail may be NULL or empty. The detail may be longer than that of a
 * struct error. Returns the length, at most size - 1. */
size_t error_line(char *out, size_t size, const char *profile, enum error_code code,
                  const char *detail);

#endif
