/* kubetoken status, list, refresh, reload, logout, version: one request each, the daemon renders.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "client/commands.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/metrics.h"
#include "client/options.h"
#include "client/other_user.h"
#include "client/output.h"
#include "client/screen.h"
#include "client/watch.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* Has the daemon of another user be asked, if one was named. Returns as other_user_connect(). */
static enum error_code choose(const struct options *o, struct line *line, struct error *why)
{
    if (!o->uid)
        return ERROR_NONE;
    line->connection = other_user_connect(o->uid, o->timeout, why);
    line->may_start = false;
    line->may_be_absent = line->only_once = true;
    return line->connection < 0 ? why->code : ERROR_NONE;
}

static void make_line(struct line *line, const char *verb, const char *format, const char *profile)
{
    line_add(line, verb);
    line_add(line, " ");
    line_add(line, format);
    line_add(line, " ");
    line_add(line, profile ? profile : "*");
}

/* Prints nothing: the exit code says it all. */
static int ask_quietly(const struct options *o)
{
    struct line line = { .may_start = true };
    char nothing[1];
    struct error why;

    if (choose(o, &line, &why) != ERROR_NONE)
        return output_fail(why.code, why.detail);
    make_line(&line, "status", "quiet", o->profile);
    enum error_code code = conversation_ask(&line, o->timeout, nothing, sizeof nothing);
    if (code == ERROR_BAD_REQUEST) /* of a daemon that does not know the word: an older one */
        return output_fail(ERROR_BAD_ANSWER, "it does not know status -q");
    return error_exit_code(code);
}

/* For a shell that completes a word: one connection, and no daemon is started for it. */
static int ask_names(const struct options *o)
{
    struct line line = { .may_be_absent = true };
    struct error why;

    if (choose(o, &line, &why) != ERROR_NONE)
        return output_fail(why.code, why.detail);
    make_line(&line, "status", "name", o->profile);
    line_add(&line, " parts");
    return conversation_run(&line, o->timeout);
}

static int ask_metrics(const struct options *o)
{
    struct line line = { 0 };
    struct error why;
    enum error_code code = choose(o, &line, &why);

    if (code != ERROR_NONE)
        return error_exit_code(code) == 3 ? metrics_absent() : output_fail(code, why.detail);
    make_line(&line, "status", "metrics", o->profile);
    if (o->with_user)
        line_add(&line, " with-user");
    return metrics_run(&line, o->timeout);
}

/* Of what is printed there is one thing. */
static int check_status(const struct options *o)
{
    if (o->quiet && o->json)
        return output_fail(ERROR_USAGE, "-q prints nothing, --json does");
    if (o->quiet && o->names)
        return output_fail(ERROR_USAGE, "-q prints nothing, -o name does");
    if (o->metrics && (o->quiet || o->json || o->names))
        return output_fail(ERROR_USAGE, "--metrics is a format of its own");
    if (o->watch && (o->quiet || o->names || o->metrics))
        return output_fail(ERROR_USAGE, "--watch shows a table, or lines of JSON");
    if (o->watch && o->uid)
        return output_fail(ERROR_USAGE, "--watch is of a daemon of one's own, --uid of another's");
    return 0;
}

int command_status(int argc, char **argv)
{
    struct options o = { .command = "status",
                         .timeout = PROTOCOL_TIMEOUT,
                         .may_json = true,
                         .may_name = true,
                         .may_quiet = true,
                         .may_metrics = true,
                         .may_watch = true,
                         .may_uid = true };
    struct line line = { .may_start = true };
    struct error why;

    int r = options_parse(argc, argv, &o);
    if (r == 0)
        r = check_status(&o);
    if (r)
        return r;
    if (o.quiet)
        return ask_quietly(&o);
    if (o.names)
        return ask_names(&o);
    if (o.metrics)
        return ask_metrics(&o);
    if (o.watch)
        return watch_run(&o);
    if (choose(&o, &line, &why) != ERROR_NONE)
        return output_fail(why.code, why.detail);
    make_line(&line, "status", o.json ? "json" : "text", o.profile);
    line_add(&line, " parts");
    if (!o.json && !o.uid) /* colours are control characters, too */
        screen_add_look(&line);
    return conversation_run(&line, o.timeout);
}

int command_list(int argc, char **argv)
{
    struct options o = { .command = "list", .timeout = PROTOCOL_TIMEOUT };
    struct line line = { .may_start = true };

    int r = options_parse(argc, argv, &o);
    if (r)
        return r;
    if (o.profile)
        return output_fail(ERROR_USAGE, "it takes no profile: it names all of them");
    make_line(&line, "status", "name", NULL);
    line_add(&line, " parts");
    return conversation_run(&line, o.timeout);
}

int command_simple(int argc, char **argv)
{
    struct options o = { .command = argv[0],
                         .timeout = PROTOCOL_TIMEOUT,
                         .may_all = !text_equal(argv[0], "reload") };
    /* what a daemon that is not there can not have is not worth starting one */
    struct line line = { .may_start = text_equal(argv[0], "refresh") };

    int r = options_parse(argc, argv, &o);
    if (r)
        return r;
    if (o.profile && text_equal(argv[0], "reload"))
        return output_fail(ERROR_USAGE, "it takes no profile: it reads all of them");
    if (o.profile && o.all)
        return output_fail(ERROR_USAGE, "--all means every profile, and one is named");
    line_add(&line, argv[0]);
    make_line(&line, o.all ? "-all" : "", "text", o.profile);
    return conversation_run(&line, o.timeout);
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
