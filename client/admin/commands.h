/*
 * commands - what kubetoken-admin runs for kubetoken.
 */
#ifndef KUBETOKEN_ADMIN_COMMANDS_H
#define KUBETOKEN_ADMIN_COMMANDS_H

/* Each of them: argv[0] is its name. Returns the exit code. folder is that of kubetoken. */
int config_run(int argc, char **argv, const char *folder);
int doctor_run(int argc, char **argv, const char *folder);
int import_run(int argc, char **argv, const char *folder);
int init_run(int argc, char **argv, const char *folder);
int kubeconfig_run(int argc, char **argv, const char *folder);
int log_run(int argc, char **argv, const char *folder);
int why_run(int argc, char **argv, const char *folder);
int complete_run(int argc, char **argv, const char *folder); /* __complete */

#endif
