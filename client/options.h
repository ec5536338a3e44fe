/*
 * options - the options of the command line.
 */
#ifndef KUBETOKEN_CLIENT_OPTIONS_H
#define KUBETOKEN_CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* What most commands take: [--timeout D] [--json] [-o FORMAT] [-] [--] [PROFILE]. command is set
 * before. -o json is --json. */
struct options {
    const char *command;
    const char *profile; /* NULL: none named */
    uint64_t timeout;
    bool may_json, json;
    bool may_name, names; /* -o name */
    bool text;            /* -o text, by name */
    bool may_watch, watch;
    bool may_quiet, quiet;
    bool may_metrics, metrics, with_user; /* --metrics, --metrics-user */
    bool may_all, all;                    /* --all */
    bool may_follow, follow;              /* --follow */
    bool may_stdin, standard_input;       /* "-" */
    bool may_refresh, refresh_token, otp; /* --refresh-token, --otp, */
    const char *username;                 /* and --username; NULL: not named */
    bool may_uid;                         /* --uid N */
    const char *uid;
    bool only_names; /* behind "--" */
};

/* Parses them. Returns 0, or the exit code after having complained. */
int options_parse(int argc, char **argv, struct options *ret);

/* The value of an option: "--name VALUE", "--name=VALUE", "-n VALUE". Moves *i past what it
 * takes. Returns NULL when argv[*i] is not that option; *missing is set when the value is. */
const char *options_value(char **argv, int *i, const char *name, char letter, bool *missing);

/* Takes a duration for an option. Returns 0, or the exit code after having complained. */
int options_duration(const char *name, const char *value, uint64_t *ret);

/* Takes json, name where it may be, or text, which is how it is without. Returns 0, or the exit
 * code after having complained. */
int options_take_format(const char *value, struct options *o);

/* Takes the name of the profile. Returns 0, or the exit code after having complained of a second.
 */
int options_take_profile(const char *name, const char **profile);

/* Whether a profile can have that name, if one is given. Returns 0, or the exit code after having
 * complained. */
int options_check_profile(const char *profile);

#endif
