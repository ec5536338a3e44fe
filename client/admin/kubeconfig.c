/* kubetoken kubeconfig: prints the user with its exec stanza, or writes it into kubectl's file. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/commands.h"
#include "client/admin/kubeconfig_write.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

struct kubeconfig {
    struct kubeconfig_wish wish;
    bool write, undo;
};

/* Those with a value. Returns 1 when it is none of them, 0, or the exit code. */
static int take_value(char **argv, int *i, struct kubeconfig *k)
{
    const struct {
        const char *name;
        const char **target;
        bool writes;
    } options[] = {
        { "api-version", &k->wish.api_version, false }, { "context", &k->wish.context, true },
        { "cluster", &k->wish.cluster, true },          { "user", &k->wish.user, true },
        { "kubeconfig", &k->wish.file, true },          { "command", &k->wish.command, true },
    };
    char full[32];

    for (size_t j = 0; j < sizeof options / sizeof *options; j++) {
        bool missing = false;
        const char *value = options_value(argv, i, options[j].name, 0, &missing);
        snprintf(full, sizeof full, "--%s", options[j].name);
        if (missing)
            return help_value_missing(full);
        if (value && !*value)
            return help_value_missing(full);
        if (value)
            *options[j].target = value;
        if (value)
            return 0;
    }
    return 1;
}

static int take_option(char **argv, int *i, struct kubeconfig *k)
{
    const char *arg = argv[*i];
    int r = take_value(argv, i, k);

    if (r != 1)
        return r;
    if (text_equal(arg, "--write"))
        k->write = true;
    else if (text_equal(arg, "--dry-run"))
        k->wish.dry_run = true;
    else if (text_equal(arg, "--undo"))
        k->undo = true;
    else if (text_equal(arg, "--absolute"))
        k->wish.absolute = true;
    else if (text_equal(arg, "--force"))
        k->wish.force = true;
    else
        return help_unknown_option("kubeconfig", arg);
    return 0;
}

/* What does not go together, or means nothing. */
static int check(struct kubeconfig *k)
{
    const struct kubeconfig_wish *w = &k->wish;
    bool details = w->context || w->cluster || w->user || w->command || w->absolute || w->force;

    if (w->api_version && !text_equal(w->api_version, "v1") &&
        !text_equal(w->api_version, "v1beta1"))
        return output_fail(ERROR_USAGE, "--api-version takes v1 or v1beta1");
    if (k->undo && (k->write || details || w->profile || w->api_version))
        return output_fail(ERROR_USAGE, "--undo goes with --kubeconfig and --dry-run alone");
    if (w->cluster && !w->context)
        return output_fail(ERROR_USAGE, "--cluster is for a new --context");
    if (w->command && w->absolute)
        return output_fail(ERROR_USAGE, "--absolute and --command exclude each other");
    if (w->dry_run && !k->undo)
        k->write = true;
    if (!k->write && !k->undo && (details || w->file))
        return output_fail(ERROR_USAGE, "what goes into a file needs --write");
    return options_check_profile(w->profile);
}

static int parse(int argc, char **argv, struct kubeconfig *k)
{
    bool only_names = false;
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++) {
        if (only_names || argv[i][0] != '-')
            r = options_take_profile(argv[i], &k->wish.profile);
        else if (text_equal(argv[i], "--"))
            only_names = true;
        else
            r = take_option(argv, &i, k);
    }
    return r ? r : check(k);
}

/* The profile's name as the daemon knows it. Without a daemon a given name is taken as it is. */
static int find_profile(const char *wanted, char *out, size_t size)
{
    struct line line = { .may_start = true };
    enum error_code code = ERROR_NO_DEFAULT;

    line_add(&line, "profile * ");
    line_add(&line, wanted ? wanted : "*");
    struct line again = line;
    if (wanted)
        code = conversation_ask(&line, 10 * USEC_PER_SEC, out, size);
    if (!wanted || code == ERROR_NO_PROFILE) { /* the daemon itself says what is wrong */
        int r = conversation_query(&again, 10 * USEC_PER_SEC, out, size);
        out[strcspn(out, "\n")] = '\0';
        return r;
    }
    if (code == ERROR_NONE) {
        out[strcspn(out, "\n")] = '\0';
        return 0;
    }
    fprintf(stderr, "kubetoken: warning: whether there is a profile %s could not be seen: %s\n",
            wanted, error_sentence(code));
    snprintf(out, size, "%s", wanted);
    return 0;
}

static int print(const struct kubeconfig_wish *wish)
{
    const char *version = wish->api_version ? wish->api_version : kubeconfig_api_version();

    printf("users:\n"
           "- name: \"%s\"\n"
           "  user:\n"
           "    exec:\n"
           "      apiVersion: client.authentication.k8s.io/%s\n"
           "      command: kubetoken\n"
           "      args: [get, -o, exec/%s, \"%s\"]\n"
           "      interactiveMode: Never\n"
           "      provideClusterInfo: false\n"
           "      installHint: |\n"
           "        kubetoken is not installed, or not on the PATH.\n"
           "        It gets and renews the id_token that this cluster wants.\n",
           wish->profile, version, version, wish->profile);
    return output_done(0);
}

int kubeconfig_run(int argc, char **argv, const char *folder)
{
    struct kubeconfig k = { .wish.folder = folder };
    char profile[PROTOCOL_NAME_MAX + 2];

    int r = parse(argc, argv, &k);
    if (r == 0 && k.undo)
        return kubeconfig_undo(k.wish.file, k.wish.dry_run);
    if (r == 0)
        r = find_profile(k.wish.profile, profile, sizeof profile);
    if (r)
        return r;
    k.wish.profile = profile;
    return k.write ? kubeconfig_write(&k.wish) : print(&k.wish);
}
