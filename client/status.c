/* kubetoken status, refresh, reload, version: one request each, the daemon renders. */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "common/time.h"

struct simple {
    const char *profile;
    const char *format;
    uint64_t timeout;
};

static int parse(int argc, char **argv, int has_json, struct simple *s)
{
    const char *value;
    int missing = 0, r = 0;

    for (int i = 1; i < argc && r == 0; i++) {
        if ((value = client_option(argv, &i, "timeout", 0, &missing)))
            r = client_duration("--timeout", value, &s->timeout);
        else if (missing)
            r = client_fail(ERROR_USAGE, "--timeout wants a value");
        else if (has_json && client_equal(argv[i], "--json"))
            s->format = "json";
        else if (argv[i][0] == '-')
            r = client_fail(ERROR_USAGE, argv[i]);
        else if (s->profile)
            r = client_fail(ERROR_USAGE, "more than one profile is named");
        else
            s->profile = argv[i];
    }
    if (r == 0 && s->profile && !protocol_name_valid(s->profile, strlen(s->profile)))
        r = client_fail(ERROR_NO_PROFILE, s->profile);
    if (r == 0 && s->timeout == 0)
        r = client_fail(ERROR_USAGE, "--timeout 0 leaves no time");
    return r;
}

static int ask(const char *verb, int argc, char **argv, int has_json)
{
    struct simple s = { NULL, "text", 30 * USEC_PER_SEC };
    struct line line = { .length = 0 };

    int r = parse(argc, argv, has_json, &s);
    if (r)
        return r;
    if (s.profile && client_equal(verb, "reload"))
        return client_fail(ERROR_USAGE, "reload takes no profile: it reads all of them");
    line_add(&line, verb);
    line_add(&line, " ");
    line_add(&line, s.format);
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
    if (write(STDOUT_FILENO, mine, sizeof mine - 1) < 0)
        return 1;
    line_add(&line, "version * *");
    if (client_ask(&line, 2 * USEC_PER_SEC, text, sizeof text) == ERROR_NONE &&
        write(STDOUT_FILENO, text, strlen(text)) < 0)
        return 1;
    return 0;
}
