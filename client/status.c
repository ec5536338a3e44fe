/* kubetoken status, refresh, reload, logout, version: one request each, the daemon renders. */
#define _GNU_SOURCE
#include <stdio.h>

#include "client/commands.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/metrics.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* Prints nothing: the exit code says it all. */
static int ask_quietly(struct line *line, uint64_t timeout)
{
    char nothing[1];

    enum error_code code = conversation_ask(line, timeout, nothing, sizeof nothing);
    if (code == ERROR_BAD_REQUEST) /* of a daemon that does not know the word: an older one */
        return output_fail(ERROR_BAD_ANSWER, "it does not know status -q");
    return error_exit_code(code);
}

static int ask(const char *verb, int argc, char **argv, bool is_status)
{
    struct options s = { .command = verb,
                         .timeout = PROTOCOL_TIMEOUT,
                         .may_json = is_status,
                         .may_quiet = is_status,
                         .may_metrics = is_status };
    /* what a daemon that is not there can not have is not worth starting one */
    struct line line = { .may_start = !text_equal(verb, "logout") && !text_equal(verb, "reload") };

    int r = options_parse(argc, argv, &s);
    if (r)
        return r;
    if (s.quiet && s.json)
        return output_fail(ERROR_USAGE, "-q prints nothing, --json does");
    if (s.metrics && (s.quiet || s.json))
        return output_fail(ERROR_USAGE, "--metrics is a format of its own");
    if (s.profile && text_equal(verb, "reload"))
        return output_fail(ERROR_USAGE, "it takes no profile: it reads all of them");
    line_add(&line, verb);
    line_add(&line, " ");
    line_add(&line, s.quiet ? "quiet" : s.metrics ? "metrics" : s.json ? "json" : "text");
    line_add(&line, " ");
    line_add(&line, s.profile ? s.profile : "*");
    if (s.with_user)
        line_add(&line, " with-user");
    if (s.metrics) {
        line.may_start = false;
        return metrics_run(&line, s.timeout);
    }
    if (s.quiet)
        return ask_quietly(&line, s.timeout);
    if (is_status && !s.json)
        line_add_number(&line, "columns", output_columns());
    return conversation_run(&line, s.timeout);
}

int command_status(int argc, char **argv)
{
    return ask("status", argc, argv, true);
}

int command_simple(int argc, char **argv)
{
    return ask(argv[0], argc, argv, false);
}

int command_version(int argc, char **argv)
{
    static const char mine[] = "kubetoken " KUBETOKEN_VERSION " protocol " PROTOCOL_VERSION "\n";
    struct line line = { .may_be_absent = true };
    char text[128];

    if (argc > 1 && argv[1][0] == '-')
        return help_unknown_option("version", argv[1]);
    if (argc > 1)
        return output_fail(ERROR_USAGE, "it takes no arguments");
    line_add(&line, "version * *");
    enum error_code code = conversation_ask(&line, 2 * USEC_PER_SEC, text, sizeof text);
    fputs(mine, stdout); /* all at once, so that errno is that of a write when one fails */
    if (code == ERROR_NONE)
        fputs(text, stdout);
    return output_done(0);
}
