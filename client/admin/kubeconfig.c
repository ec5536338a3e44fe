/* kubetoken kubeconfig: prints the user with its exec stanza. */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/child.h"
#include "client/admin/commands.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

struct kubeconfig {
    const char *profile;
    const char *version; /* "v1", "v1beta1", NULL: by the kubectl found */
};

static int parse(int argc, char **argv, struct kubeconfig *k)
{
    const char *value;
    bool missing = false, only_names = false;
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++) {
        if (only_names || argv[i][0] != '-') {
            r = options_take_profile(argv[i], &k->profile);
        } else if (text_equal(argv[i], "--")) {
            only_names = true;
        } else if ((value = options_value(argv, &i, "api-version", 0, &missing))) {
            if (!text_equal(value, "v1") && !text_equal(value, "v1beta1"))
                return output_fail(ERROR_USAGE, "--api-version takes v1 or v1beta1");
            k->version = value;
        } else if (missing) {
            return help_value_missing("--api-version");
        } else {
            return help_unknown_option("kubeconfig", argv[i]);
        }
    }
    return r ? r : options_check_profile(k->profile);
}

/* kubectl knows v1 since 1.22; none found counts as a new one. */
static const char *version_for_kubectl(void)
{
    static const char *const argv[] = { "kubectl", "version", "--client", "--output=json", NULL };
    struct child child;

    child_run(argv, 10 * USEC_PER_SEC, &child);
    cJSON *json = cJSON_Parse(child.out);
    const cJSON *client = cJSON_GetObjectItemCaseSensitive(json, "clientVersion");
    const char *minor = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(client, "minor"));
    bool old = minor && *minor && strtol(minor, NULL, 10) < 22;
    cJSON_Delete(json);
    child_free(&child);
    return old ? "v1beta1" : "v1";
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

int kubeconfig_run(int argc, char **argv, const char *folder)
{
    (void)folder;
    struct kubeconfig k = { 0 };
    char profile[PROTOCOL_NAME_MAX + 2];

    int r = parse(argc, argv, &k);
    if (r == 0)
        r = find_profile(k.profile, profile, sizeof profile);
    if (r)
        return r;
    const char *version = k.version ? k.version : version_for_kubectl();
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
           profile, version, version, profile);
    return output_done(0);
}
