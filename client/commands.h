/*
 * commands - what `kubetoken COMMAND` runs.
 */
#ifndef KUBETOKEN_CLIENT_COMMANDS_H
#define KUBETOKEN_CLIENT_COMMANDS_H

/* Each of them: argv[0] is its name. Returns the exit code. */
int command_get(int argc, char **argv);
int command_run(int argc, char **argv);
int command_status(int argc, char **argv);
int command_list(int argc, char **argv);
int command_simple(int argc, char **argv); /* refresh, reload, logout */
int command_inspect(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_restart(int argc, char **argv);
int command_share(int argc, char **argv); /* unshare as well */
int command_login(int argc, char **argv);
int command_version(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_admin(int argc,
                  char **argv); /* what kubetoken-admin does: doctor, kubeconfig, log, why */

#endif
