/*
 * client - what the commands of kubetoken share: asking the daemon, and saying what is wrong.
 * libc only; `get` reaches none of stdio on its way.
 */
#ifndef KUBETOKEN_CLIENT_H
#define KUBETOKEN_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/protocol.h"

/* A request line in the making. */
struct line {
    char text[512];
    size_t length;
    int overflow;
    int may_start;     /* a daemon, where none answers */
    int may_own;       /* one for this request alone, where none is to be started */
    const char *block; /* sent behind the line: a password */
    size_t block_length;
};

/* Appends text; a word too many for a request makes the line void. */
void line_add(struct line *line, const char *text);
/* Appends " name=NUMBER", and " name=SECONDS". */
void line_add_number(struct line *line, const char *name, uint64_t number);
void line_add_seconds(struct line *line, const char *name, uint64_t usec);

/* Sends the request (its newline is added), waits at most timeout (usec) for the answer and
 * writes it out: stdout and stderr as the daemon rendered them. Tries once more when the
 * connection ends before an answer. Returns the exit code. */
int client_run(struct line *request, uint64_t timeout);

/* As client_run(), but the answer for stdout goes into out (size bytes, NUL-terminated) and
 * nothing is printed. Returns the answer's code; ERROR_NO_DAEMON and others of our own too. */
enum error_code client_ask(struct line *request, uint64_t timeout, char *out, size_t size);

/* As client_ask(); *why gets the code, and what was said of an error, as one line. */
enum error_code client_ask_why(struct line *request, uint64_t timeout, char *out, size_t size,
                               struct error *why);

/* As client_ask(), but an error is printed, as client_run() does. Returns the exit code. */
int client_query(struct line *request, uint64_t timeout, char *out, size_t size);

/* Starts a daemon and waits until it is ready, at most timeout (usec). Returns 0 when it, or
 * one that was quicker, serves; -1 when none is to be started (*why as it was) or it failed
 * (*why says how). */
int client_autostart(uint64_t timeout, struct error *why);

/* Starts a daemon that serves this process alone and ends with it, whatever systemd and
 * KUBETOKEN_AUTOSTART say; from now on it is the one that is asked. Once only. Returns as
 * client_autostart(). */
int client_own_daemon(uint64_t timeout, struct error *why);

/* Where kubetokend is looked for first; by default beside this program. */
void client_autostart_from(const char *folder);

/* Prints the one line of an error of our own to stderr. Returns its exit code. */
int client_fail(enum error_code code, const char *detail);

/* For the end of a command that printed to stdout: returns the exit code given, or 1 after having
 * complained that not all of it could be written. */
int client_printed(int code);

/* The value of an option: "--name VALUE", "--name=VALUE", "-n VALUE". Moves *i past what it
 * takes. Returns NULL when argv[*i] is not that option; *missing is set when the value is. */
const char *client_option(char **argv, int *i, const char *name, char letter, int *missing);

/* What most commands take: [--timeout D] [--json] [-] [PROFILE]. */
struct client_options {
    const char *profile; /* NULL: none named */
    uint64_t timeout;
    int may_json, json;
    int may_stdin, standard_input; /* "-" */
};

/* Parses them. Returns 0, or the exit code after having complained. */
int client_options(int argc, char **argv, struct client_options *ret);

/* Memory for a secret: locked if the limit allows, left out of core dumps, and not of this
 * program's data, whose few pages every `get` touches. Ends the program when there is none. */
char *client_secret_memory(size_t size);

/* Takes a duration for an option. Returns 0, or the exit code after having complained. */
int client_duration(const char *name, const char *value, uint64_t *ret);

/* Compares, and copies, without pulling in more of libc. */
int client_equal(const char *a, const char *b);

/* The commands: argv[0] is the command's name. Each returns the exit code. */
int client_get(int argc, char **argv);
int client_status(int argc, char **argv);
int client_simple(int argc, char **argv); /* refresh, reload, logout */
int client_inspect(int argc, char **argv);
int client_login(int argc, char **argv);
int client_version(int argc, char **argv);
int client_kubeconfig(int argc, char **argv);
int client_explain(int argc, char **argv);
int client_admin(int argc, char **argv); /* what kubetoken-admin does: doctor */

#endif
