/*
 * conversation - asking the daemon: a request in the making, and what came of it. libc only; `get`
 * reaches none of stdio on its way.
 */
#ifndef KUBETOKEN_CLIENT_CONVERSATION_H
#define KUBETOKEN_CLIENT_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* A request line in the making, of zeros, or by line_init(). */
struct line {
    size_t length;
    bool overflow;
    bool may_start;     /* a daemon, where none answers */
    bool may_own;       /* one for this request alone, where none is to be started */
    bool may_be_absent; /* no daemon is an answer, too: none is waited for */
    bool sent_once;     /* where it may have been taken, it is not sent again */
    bool only_once;     /* a connection that ends before an answer is one, too */
    bool is_last;       /* the program ends with the answer, and its connection with it */
    int connection;     /* 0: one is to be made; else it is used once, is closed, and leads to the
                         * daemon of another user, who is not believed: what he says is cleaned */
    const char *block;  /* sent behind the line: a password */
    size_t block_length;
    char text[512];
};

/* An empty one, without a write to each byte of it. */
void line_init(struct line *line);

/* Appends text; a word too many for a request makes the line void. */
void line_add(struct line *line, const char *text);
/* Appends " name=NUMBER", and " name=SECONDS" (a part of a second counts as one). */
void line_add_number(struct line *line, const char *name, uint64_t number);
void line_add_seconds(struct line *line, const char *name, uint64_t usec);

/* Sends the request (timeout, tell, once and its newline are added), waits at most timeout (usec)
 * for the answer and writes it out: stdout and stderr as the daemon rendered them. Where the
 * connection ends before an answer it tries again, until that time is up; where nobody listens, for
 * 2 s. On a terminal it shows meanwhile what is waited for. Returns the exit code. */
int conversation_run(struct line *request, uint64_t timeout);

/* The same with the answer's code, and where that is `hushed` nothing is said: it is no end yet. */
int conversation_run_hushed(struct line *request, uint64_t timeout, enum error_code hushed,
                            enum error_code *ret);

/* As conversation_run(), but the answer for stdout goes into out (size bytes, NUL-terminated) and
 * nothing is printed. Returns the answer's code; ERROR_NO_DAEMON and others of our own too. */
enum error_code conversation_ask(struct line *request, uint64_t timeout, char *out, size_t size);

/* As conversation_ask(); *why gets the code, and what was said of an error, as one line. */
enum error_code conversation_ask_why(struct line *request, uint64_t timeout, char *out, size_t size,
                                     struct error *why);

/* Sends the request, which is not to end with its answer, and writes out one answer after the other
 * until the connection ends. The first one has to come within timeout (usec), then there is no end.
 * Never tries again. Returns ERROR_NONE with *ret_answered where the connection has ended, after
 * how many answers; the code of an answer that is an error, which was written out; or a code of our
 * own with *why, else why->code is ERROR_NONE. */
enum error_code conversation_follow(const struct line *request, uint64_t timeout,
                                    unsigned *ret_answered, struct error *why);

/* As conversation_ask(), but an error is printed, as conversation_run() does. Returns the exit
 * code. */
int conversation_query(struct line *request, uint64_t timeout, char *out, size_t size);

/* Connects, once, and sends the request with a newline and nothing else. The answers are the
 * caller's to read. Returns a descriptor, or -1 with *why; *ret_absent: for want of a daemon. */
int conversation_open(const struct line *request, uint64_t timeout, bool *ret_absent,
                      struct error *why);

#endif
