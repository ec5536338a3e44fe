/* kubetoken kubeconfig: prints the user with its exec stanza. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/conversation.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

extern char **environ;

struct kubeconfig {
    const char *profile;
    const char *version; /* "v1", "v1beta1", NULL: by the kubectl found */
};

static int parse(int argc, char **argv, struct kubeconfig *k)
{
    const char *value;
    bool missing = false;

    for (int i = 1; i < argc; i++) {
        if ((value = options_value(argv, &i, "api-version", 0, &missing))) {
            if (!text_equal(value, "v1") && !text_equal(value, "v1beta1"))
                return output_fail(ERROR_USAGE, "--api-version takes v1 or v1beta1");
            k->version = value;
        } else if (missing) {
            return output_fail(ERROR_USAGE, "--api-version wants a value");
        } else if (argv[i][0] == '-') {
            return output_fail(ERROR_USAGE, argv[i]);
        } else if (k->profile) {
            return output_fail(ERROR_USAGE, "more than one profile is named");
        } else {
            k->profile = argv[i];
        }
    }
    if (k->profile && !protocol_name_valid(k->profile, strlen(k->profile)))
        return output_fail(ERROR_NO_PROFILE, k->profile);
    return 0;
}

/* Runs kubectl version --client and collects what it prints, for at most 10 s. */
static size_t ask_kubectl(char *out, size_t size)
{
    char *argv[] = { (char[]){ "kubectl" }, (char[]){ "version" }, (char[]){ "--client" },
                     (char[]){ "--output=json" }, NULL };
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid;
    size_t used = 0;
    ssize_t n = 1;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int failed = posix_spawnp(&pid, "kubectl", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    uint64_t deadline = time_boottime() + 10 * USEC_PER_SEC;
    while (!failed && n > 0 && used < size - 1) {
        uint64_t now = time_boottime();
        struct pollfd p = { .fd = ends[0], .events = POLLIN };
        if (now >= deadline || poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
            break;
        n = read(ends[0], out + used, size - 1 - used);
        used += n > 0 ? (size_t)n : 0;
    }
    close(ends[0]);
    if (!failed) {
        if (n != 0)
            kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    out[used] = '\0';
    return used;
}

/* kubectl knows v1 since 1.22; none found counts as a new one. */
static const char *version_for_kubectl(void)
{
    char text[4096];

    ask_kubectl(text, sizeof text);
    const char *minor = strstr(text, "\"minor\"");
    if (!minor || !(minor = strpbrk(minor, "0123456789")))
        return "v1";
    return strtol(minor, NULL, 10) < 22 ? "v1beta1" : "v1";
}

/* The profile's name as the daemon knows it. Without a daemon a given name is taken as it is. */
static int find_profile(const char *wanted, char *out, size_t size)
{
    struct line line = { .may_start = true };

    line_add(&line, "profile * ");
    line_add(&line, wanted ? wanted : "*");
    enum error_code code = conversation_ask(&line, 10 * USEC_PER_SEC, out, size);
    if (code == ERROR_NONE) {
        out[strcspn(out, "\n")] = '\0';
        return 0;
    }
    if (code == ERROR_NO_PROFILE || !wanted)
        return output_fail(code, wanted ? wanted : "");
    fprintf(stderr, "kubetoken: warning: whether there is a profile %s could not be seen: %s\n",
            wanted, error_sentence(code));
    snprintf(out, size, "%s", wanted);
    return 0;
}

int command_kubeconfig(int argc, char **argv)
{
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
