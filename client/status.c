/* kubetoken status, refresh, reload, logout, version: one request each, the daemon renders. */
#define _GNU_SOURCE
#include <stdio.h>

#include "client/client.h"
#include "common/time.h"

static int ask(const char *verb, int argc, char **argv, int has_json)
{
    struct client_options s = { .timeout = 30 * USEC_PER_SEC, .may_json = has_json };
    /* what a daemon that is not there can not have is not worth starting one */
    struct line line = { .may_start = !client_equal(verb, "logout") &&
                                      !client_equal(verb, "reload") };

    int r = client_options(argc, argv, &s);
    if (r)
        return r;
    if (s.profile && client_equal(verb, "reload"))
        return client_fail(ERROR_USAGE, "reload takes no profile: it reads all of them");
    line_add(&line, verb);
    line_add(&line, " ");
    line_add(&line, s.json ? "json" : "text");
    line_add(&line, " ");
    line_add(&line, s.profile ? s.profile : "*");
    line_add_seconds(&line, "timeout", s.timeout);
    return client_run(&line, s.timeout);
}

int client_status(int argc, char **argv)
{
    return ask("status", argc, argv, 1);
}

int client_simple(int argc, char **argv)
{
    return ask(argv[0], argc, argv, 0);
}

int client_version(int argc, char **argv)
{
    static const char mine[] = "kubetoken " KUBETOKEN_VERSION " protocol 1\n";
    struct line line = { .length = 0 };
    char text[128];

    (void)argv;
    if (argc > 1)
        return client_fail(ERROR_USAGE, "version takes no arguments");
    fputs(mine, stdout);
    line_add(&line, "version * *");
    if (client_ask(&line, 2 * USEC_PER_SEC, text, sizeof text) == ERROR_NONE)
        fputs(text, stdout);
    return client_printed(0);
}
