/* A command as a unit of the user's systemd: when, and what systemd-run is told. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/command_unit.h"

static const struct command_unit unit = { .name = "kubetoken-command-1.service",
                                          .owner = "kubetoken.service",
                                          .program = "/usr/bin/kubetokend" };

/* The arguments, each followed by a stroke. */
static void join(char *const *argv, char *out, size_t size)
{
    size_t n = 0;

    for (*out = '\0'; *argv; argv++)
        n += (size_t)snprintf(out + n, size - n, "%s|", *argv);
}

static void systemd_run_is_told_names_of_variables_and_no_command(void **state)
{
    char home[] = "HOME=/home/hunter2", lang[] = "LANG=", zone[] = "TZ=a=b";
    char *const environment[] = { home, lang, zone, NULL };
    char **argv = command_unit_argv(&unit, "Of kubetoken", 60 * USEC_PER_SEC, environment);
    char line[1024];

    (void)state;
    assert_non_null(argv);
    join(argv, line, sizeof line);
    free(argv);
    assert_string_equal(line,
                        "systemd-run|--user|--pipe|--wait|--collect|-q|--same-dir|"
                        "-p|KillMode=process|-p|Type=oneshot|-p|TimeoutStopSec=5s|-p|UMask=0077|"
                        "-p|LimitCORE=0|-p|LogLevelMax=crit|--unit=kubetoken-command-1.service|"
                        "--description=Of kubetoken|-p|BindsTo=kubetoken.service|"
                        "-p|TimeoutStartSec=65|-E|HOME|-E|LANG|-E|TZ|--|/usr/bin/kubetokend|"
                        "--credential-command|");
}

static void without_variables_there_are_none(void **state)
{
    char *const environment[] = { NULL };
    char **argv = command_unit_argv(&unit, "", 60 * USEC_PER_SEC, environment);
    char line[1024];

    (void)state;
    assert_non_null(argv);
    join(argv, line, sizeof line);
    free(argv);
    assert_holds_not(line, "|-E|");
}

static void outside_a_service_there_is_no_unit(void **state)
{
    struct command_unit planned;
    char pid[16];

    (void)state;
    snprintf(pid, sizeof pid, "%d", (int)getpid() + 1); /* of a service that has started us */
    unsetenv("SYSTEMD_EXEC_PID");
    assert_false(command_unit_plan(&planned));
    assert_string_equal(planned.name, "");
    setenv("SYSTEMD_EXEC_PID", pid, 1);
    assert_false(command_unit_plan(&planned));
    setenv("SYSTEMD_EXEC_PID", "", 1);
    assert_false(command_unit_plan(&planned));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systemd_run_is_told_names_of_variables_and_no_command),
        cmocka_unit_test(without_variables_there_are_none),
        cmocka_unit_test(outside_a_service_there_is_no_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
