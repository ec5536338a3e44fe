/* kubetoken share, unshare: a socket for guests is opened, and ended. */
#include <string.h>

#include "client/commands.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

struct order {
    const char *command;
    const char *name;
    const char *profile;
    uint64_t timeout;
    uint64_t open_for; /* 0: nobody said */
    bool may_open, renew, only_names;
};

static int take_time(const char *value, uint64_t *ret)
{
    int r = options_duration("--for", value, ret);

    if (r == 0 && (*ret == 0 || *ret > PROTOCOL_SHARE_TIME_MAX))
        return output_fail(ERROR_USAGE, "--for takes 1s to 7d");
    return r;
}

static int take_name(const char *name, struct order *o)
{
    if (o->name)
        return output_fail(ERROR_USAGE, "it takes one name, the share's");
    o->name = name;
    return 0;
}

/* One argument. Returns 0, or an exit code after having complained. */
static int take_argument(char **argv, int *i, struct order *o)
{
    const char *value;
    bool missing = false;

    if (o->only_names)
        return take_name(argv[*i], o);
    if ((value = options_value(argv, i, "timeout", 0, &missing)))
        return options_duration("--timeout", value, &o->timeout);
    if (!missing && o->may_open && (value = options_value(argv, i, "profile", 0, &missing)))
        return options_take_profile(value, &o->profile);
    if (!missing && o->may_open && (value = options_value(argv, i, "for", 0, &missing)))
        return take_time(value, &o->open_for);
    if (missing)
        return help_value_missing(argv[*i]);
    if (text_equal(argv[*i], "--"))
        o->only_names = true;
    else if (o->may_open && text_equal(argv[*i], "--renew"))
        o->renew = true;
    else if (argv[*i][0] == '-')
        return help_unknown_option(o->command, argv[*i]);
    else
        return take_name(argv[*i], o);
    return 0;
}

static int check(const struct order *o)
{
    if (!o->name)
        return output_fail(ERROR_USAGE, "name the share");
    if (!protocol_share_valid(o->name, strlen(o->name)))
        return output_fail(ERROR_USAGE, "a share's name has up to 64 of A-Z a-z 0-9 . _ @ -, and "
                                        "begins with none of . and -");
    if (o->timeout == 0)
        return output_fail(ERROR_USAGE, "--timeout 0 leaves no time");
    return options_check_profile(o->profile);
}

static int parse(int argc, char **argv, struct order *o)
{
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++)
        r = take_argument(argv, &i, o);
    return r ? r : check(o);
}

/* A connection that is lost is no reason to say it again: by then it may be open, or ended. */
static int send_order(const struct order *o)
{
    struct line line = { .may_start = o->may_open, .sent_once = true };

    line_add(&line, o->command);
    line_add(&line, " * ");
    line_add(&line, o->profile ? o->profile : "*");
    line_add(&line, " share=");
    line_add(&line, o->name);
    if (o->open_for > 0)
        line_add_seconds(&line, "for", o->open_for);
    if (o->renew)
        line_add(&line, " renew");
    return conversation_run(&line, o->timeout);
}

int command_share(int argc, char **argv)
{
    struct order o = { .command = argv[0],
                       .timeout = PROTOCOL_TIMEOUT,
                       .may_open = text_equal(argv[0], "share") };
    int r = parse(argc, argv, &o);

    return r ? r : send_order(&o);
}
