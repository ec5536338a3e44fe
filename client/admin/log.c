/* kubetoken log, why: what the daemon remembers, which renders it. */
#define _GNU_SOURCE
#include <poll.h>

#include "client/admin/commands.h"
#include "client/conversation.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/time.h"

/* Between two looks for the next daemon, ms: doubled each time. */
enum { PAUSE_FIRST = 100, PAUSE_MOST = 2000 };

/* None is started for it: it would remember nothing. */
static struct line request_of(const char *verb, const struct options *o)
{
    struct line line = { .may_start = false };

    line_add(&line, verb);
    line_add(&line, o->json ? " json " : " text ");
    line_add(&line, o->profile ? o->profile : "*");
    if (!o->json)
        line_add_number(&line, "columns", output_columns());
    return line;
}

/* It has ended, and another may come: whoever needs one starts it. */
static void await_another(unsigned *pause)
{
    poll(NULL, 0, (int)*pause);
    *pause = 2 * *pause < PAUSE_MOST ? 2 * *pause : PAUSE_MOST;
}

static bool is_absent(const struct error *why)
{
    return error_exit_code(why->code) == error_exit_code(ERROR_NO_DAEMON);
}

static int follow(const struct options *o)
{
    static const char ended[] = "kubetoken: kubetokend has ended, and forgets its log; waiting for "
                                "the next one\n";
    struct line line = request_of("follow", o);
    unsigned answered, pause = PAUSE_FIRST;
    bool any = false, told = false;
    struct error why;

    line_add(&line, "\n");
    for (;;) {
        enum error_code code = conversation_follow(&line, o->timeout, &answered, &why);
        if (code == ERROR_OUTPUT || (why.code != ERROR_NONE && (!any || !is_absent(&why))))
            return output_fail(code, why.detail);
        if (code != ERROR_NONE && why.code == ERROR_NONE)
            return error_exit_code(code);
        if (answered > 0) {
            any = true;
            told = false;
            pause = PAUSE_FIRST;
        }
        if (!told)
            output_write(2, ended, sizeof ended - 1);
        told = true;
        await_another(&pause);
    }
}

int log_run(int argc, char **argv, const char *folder)
{
    struct options o = {
        .command = "log", .timeout = PROTOCOL_TIMEOUT, .may_json = true, .may_follow = true
    };

    (void)folder;
    int r = options_parse(argc, argv, &o);
    if (r)
        return r;
    if (o.follow)
        return follow(&o);
    struct line line = request_of("log", &o);
    return conversation_run(&line, o.timeout);
}

int why_run(int argc, char **argv, const char *folder)
{
    struct options o = { .command = "why", .timeout = PROTOCOL_TIMEOUT, .may_json = true };

    (void)folder;
    int r = options_parse(argc, argv, &o);
    if (r)
        return r;
    struct line line = request_of("why", &o);
    return conversation_run(&line, o.timeout);
}
