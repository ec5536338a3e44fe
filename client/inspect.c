/* kubetoken inspect: a token in words, that of a profile or one on stdin. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/conversation.h"
#include "client/locked.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/time.h"

/* Reads stdin to its end, without blanks around it and a leading "Bearer ". Returns the length,
 * or -1 after having complained. */
static ssize_t read_token(char *out, size_t size, const char **ret_start)
{
    static const char bearer[] = "Bearer ", blanks[] = " \t\r\n";
    size_t have = 0;
    ssize_t n;

    while (have < size && (n = read(STDIN_FILENO, out + have, size - have)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        have += (size_t)n;
    }
    while (have > 0 && strchr(blanks, out[have - 1]))
        have--;
    const char *start = out, *end = out + have;
    while (start < end && strchr(blanks, *start))
        start++;
    if (end - start > (long)sizeof bearer && memcmp(start, bearer, sizeof bearer - 1) == 0)
        start += sizeof bearer - 1;
    *ret_start = start;
    if (end > start && end - start <= PROTOCOL_TOKEN_MAX)
        return end - start;
    output_fail(ERROR_USAGE,
                end > start ? "stdin holds more than 128 KiB" : "stdin holds no token");
    return -1;
}

int command_inspect(int argc, char **argv)
{
    enum { ROOM = PROTOCOL_TOKEN_MAX + 256 };
    char *token = NULL;
    struct options o = {
        .command = "inspect", .timeout = PROTOCOL_TIMEOUT, .may_json = true, .may_stdin = true
    };
    struct line line = { .may_start = true };

    int r = options_parse(argc, argv, &o);
    if (r)
        return r;
    if (o.standard_input) {
        token = locked_memory(ROOM);
        ssize_t length = read_token(token, ROOM, &line.block);
        if (length < 0)
            return error_exit_code(ERROR_USAGE);
        line.block_length = (size_t)length;
        line.may_own = true; /* all that it takes is here */
    }
    line_add(&line, "inspect ");
    line_add(&line, o.json ? "json " : "text ");
    line_add(&line, o.profile ? o.profile : "*");
    if (line.block_length > 0)
        line_add_number(&line, "secret", line.block_length);
    r = conversation_run(&line, o.timeout);
    if (token)
        explicit_bzero(token, ROOM);
    return r;
}
