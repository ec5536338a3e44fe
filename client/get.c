/* kubetoken get: kubectl's exec credential plugin, and the token on a shell. */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/conversation.h"
#include "client/exec_info.h"
#include "client/help.h"
#include "client/options.h"
#include "client/output.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

struct get {
    const char *profile;
    const char *format; /* the word of -o, NULL: none given */
    uint64_t timeout;
    uint64_t min_validity;
    uint64_t rehearse; /* 0: it is no rehearsal */
    bool rejected;
};

/* A client that is told a time within seconds of now asks for each of its requests. */
static const uint64_t rehearse_least = 5 * USEC_PER_SEC;

static int usage(const char *detail)
{
    return output_fail(ERROR_USAGE, detail);
}

static int take_rehearsal(const char *value, uint64_t *ret)
{
    int r = options_duration("--rehearse", value, ret);

    return r == 0 && *ret < rehearse_least ? usage("--rehearse takes 5s or more") : r;
}

/* One argument. Returns 0, or an exit code after having complained. */
static int parse_argument(char **argv, int *i, struct get *g)
{
    const char *value;
    bool missing = false;

    if ((value = options_value(argv, i, "output", 'o', &missing)))
        g->format = value;
    else if ((value = options_value(argv, i, "timeout", 0, &missing)))
        return options_duration("--timeout", value, &g->timeout);
    else if ((value = options_value(argv, i, "min-validity", 0, &missing)))
        return options_duration("--min-validity", value, &g->min_validity);
    else if ((value = options_value(argv, i, "rehearse", 0, &missing)))
        return take_rehearsal(value, &g->rehearse);
    else if (missing)
        return help_value_missing(argv[*i]);
    else if (text_equal(argv[*i], "--rejected"))
        g->rejected = true;
    else if (text_equal(argv[*i], "--json"))
        g->format = "json";
    else if (argv[*i][0] == '-')
        return help_unknown_option("get", argv[*i]);
    else
        return options_take_profile(argv[*i], &g->profile);
    return 0;
}

static int parse(int argc, char **argv, struct get *g)
{
    bool only_names = false;

    for (int i = 1; i < argc; i++) {
        if (!only_names && text_equal(argv[i], "--")) {
            only_names = true;
            continue;
        }
        int r = only_names ? options_take_profile(argv[i], &g->profile)
                           : parse_argument(argv, &i, g);
        if (r)
            return r;
    }
    if (g->profile && !protocol_name_valid(g->profile, strlen(g->profile)))
        return output_fail(ERROR_NO_PROFILE, g->profile);
    if (g->timeout == 0)
        return usage("--timeout 0 leaves no time");
    return 0;
}

/* The format's word for the daemon, or NULL after having complained. KUBERNETES_EXEC_INFO
 * decides the version of an ExecCredential, since kubectl takes no other than it asked for. */
static const char *choose_format(const char *wanted, const char *info)
{
    static const char plain[][7] = { "token", "header", "json" };
    enum exec_version version = info ? exec_info_version(info) : EXEC_NONE;

    for (unsigned i = 0; wanted && i < 3; i++)
        if (text_equal(wanted, plain[i]))
            return plain[i];
    if (wanted && !text_equal(wanted, "exec") && !text_equal(wanted, "exec/v1") &&
        !text_equal(wanted, "exec/v1beta1")) {
        usage("-o takes exec, exec/v1, exec/v1beta1, token, header or json");
        return NULL;
    }
    if (version == EXEC_OTHER) {
        usage("KUBERNETES_EXEC_INFO asks for another apiVersion; write "
              "client.authentication.k8s.io/v1 (or v1beta1) in the kubeconfig");
        return NULL;
    }
    if (version == EXEC_V1)
        return "exec/v1";
    if (version == EXEC_V1BETA1)
        return "exec/v1beta1";
    if (wanted) /* v1beta1 is the one that every kubectl takes */
        return text_equal(wanted, "exec/v1") ? "exec/v1" : "exec/v1beta1";
    if (info) {
        usage("KUBERNETES_EXEC_INFO names no apiVersion; add -o exec/v1 to the plugin's args");
        return NULL;
    }
    return "token";
}

int command_get(int argc, char **argv)
{
    struct get g = { .timeout = PROTOCOL_TIMEOUT };
    struct line line;
    const char *info = paths_variable("KUBERNETES_EXEC_INFO");

    if (info && !*info)
        info = NULL;
    if (!info) /* where kubectl has ended, nobody asks how we did */
        output_heed_pipes();
    int r = parse(argc, argv, &g);
    if (r)
        return r;
    const char *format = choose_format(g.format, info);
    if (!format)
        return error_exit_code(ERROR_USAGE);
    if (g.rehearse && (text_equal(format, "token") || text_equal(format, "header")))
        return usage(
            "--rehearse is for -o exec/v1, exec/v1beta1, exec or json: a bare token says no "
            "time");

    line_init(&line);
    line.may_start = line.is_last = true;
    line_add(&line, "get ");
    line_add(&line, format);
    line_add(&line, " ");
    line_add(&line, g.profile ? g.profile : "*");
    if (g.min_validity)
        line_add_seconds(&line, "min-validity", g.min_validity);
    if (g.rehearse)
        line_add_seconds(&line, "rehearse", g.rehearse);
    if (g.rejected)
        line_add(&line, " rejected");
    if (info && exec_info_is_client_go(info))
        line_add_seconds(&line, "client-go", (uint64_t)(unsigned)getppid() * USEC_PER_SEC);
    return conversation_run(&line, g.timeout);
}
