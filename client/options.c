#include "client/options.h"

#include <string.h>

#include "client/help.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

const char *options_value(char **argv, int *i, const char *name, char letter, bool *missing)
{
    const char *arg = argv[*i], *value = NULL;
    size_t length;

    if (arg[0] != '-')
        return NULL;
    length = strlen(name);
    if (arg[1] == '-' && strncmp(arg + 2, name, length) == 0) {
        if (arg[2 + length] == '=')
            return arg + 2 + length + 1;
        if (arg[2 + length] != '\0')
            return NULL;
    } else if (letter && arg[1] == letter) {
        if (arg[2] != '\0')
            return arg + 2;
    } else {
        return NULL;
    }
    value = argv[*i + 1];
    if (value)
        ++*i;
    else
        *missing = true;
    return value;
}

int options_take_profile(const char *name, const char **profile)
{
    if (*profile)
        return output_fail(ERROR_USAGE, "more than one profile is named");
    *profile = name;
    return 0;
}

int options_take_format(const char *value, struct options *o)
{
    bool is_text = text_equal(value, "text"), is_json = text_equal(value, "json");
    bool is_name = o->may_name && text_equal(value, "name");

    if (!is_text && !is_json && !is_name)
        return output_fail(ERROR_USAGE, o->may_name ? "--output takes json, name or text"
                                                    : "--output takes json or text");
    o->text = is_text;
    o->json = is_json;
    o->names = is_name;
    return 0;
}

static int one_option(char **argv, int *i, struct options *o)
{
    const char *value;
    bool missing = false;

    if (o->only_names)
        return options_take_profile(argv[*i], &o->profile);
    if ((value = options_value(argv, i, "timeout", 0, &missing)))
        return options_duration("--timeout", value, &o->timeout);
    if (missing)
        return help_value_missing("--timeout");
    if (o->may_json && (value = options_value(argv, i, "output", 'o', &missing)))
        return options_take_format(value, o);
    if (missing)
        return help_value_missing(argv[*i]);
    if (o->may_uid && (value = options_value(argv, i, "uid", 0, &missing)))
        o->uid = value;
    if (missing)
        return help_value_missing("--uid");
    if (value)
        return 0;
    if (o->may_refresh && (value = options_value(argv, i, "username", 0, &missing))) {
        o->username = value;
        return 0;
    }
    if (missing)
        return help_value_missing("--username");
    if (text_equal(argv[*i], "--"))
        o->only_names = true;
    else if (o->may_json && text_equal(argv[*i], "--json"))
        o->json = true;
    else if (o->may_quiet && (text_equal(argv[*i], "-q") || text_equal(argv[*i], "--quiet")))
        o->quiet = true;
    else if (o->may_metrics && text_equal(argv[*i], "--metrics"))
        o->metrics = true;
    else if (o->may_metrics && text_equal(argv[*i], "--metrics-user"))
        o->metrics = o->with_user = true;
    else if (o->may_watch && text_equal(argv[*i], "--watch"))
        o->watch = true;
    else if (o->may_follow && text_equal(argv[*i], "--follow"))
        o->follow = true;
    else if (o->may_all && text_equal(argv[*i], "--all"))
        o->all = true;
    else if (o->may_refresh && text_equal(argv[*i], "--refresh-token"))
        o->refresh_token = true;
    else if (o->may_refresh && text_equal(argv[*i], "--otp"))
        o->otp = true;
    else if (o->may_stdin && text_equal(argv[*i], "-"))
        o->standard_input = true;
    else if (argv[*i][0] == '-')
        return help_unknown_option(o->command, argv[*i]);
    else
        return options_take_profile(argv[*i], &o->profile);
    return 0;
}

int options_parse(int argc, char **argv, struct options *ret)
{
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++)
        r = one_option(argv, &i, ret);
    if (r == 0)
        r = options_check_profile(ret->profile);
    if (r == 0 && ret->timeout == 0)
        r = output_fail(ERROR_USAGE, "--timeout 0 leaves no time");
    return r;
}

int options_duration(const char *name, const char *value, uint64_t *ret)
{
    char detail[128];

    if (time_parse_duration(value, strlen(value), ret) == 0)
        return 0;
    struct error why;
    error_set(&why, ERROR_USAGE, "%s %s is no duration; write 30s, 5m or 1h30m", name, value);
    memcpy(detail, why.detail, sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    return output_fail(ERROR_USAGE, detail);
}

int options_check_profile(const char *profile)
{
    return !profile || protocol_name_valid(profile, strlen(profile))
               ? 0
               : output_fail(ERROR_NO_PROFILE, profile);
}
