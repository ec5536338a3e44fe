/*
 * paths - where the socket and the configuration are.
 */
#ifndef KUBETOKEN_PATHS_H
#define KUBETOKEN_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

/* A socket's path has to fit struct sockaddr_un. */
enum { PATHS_SOCKET_MAX = 108, PATHS_MAX = 4096 };

/* Everybody's configuration: a file, and a folder of what is laid over it. */
#define PATHS_SYSTEM_FOLDER "/etc/kubetoken/"
#define PATHS_SYSTEM_CONFIG PATHS_SYSTEM_FOLDER "kubetoken.conf"
#define PATHS_SYSTEM_DROPINS PATHS_SYSTEM_FOLDER "conf.d/"

/* As getenv(): a variable of another first letter costs a comparison, not a call of a function. */
const char *paths_variable(const char *name);

/* The socket's path: $KUBETOKEN_SOCKET, else $XDG_RUNTIME_DIR/kubetoken/socket, else, also where
 * the folder that XDG_RUNTIME_DIR names is gone, the same below /run/user/UID if that is ours and
 * private, else /tmp/kubetoken-UID/socket.
 * Returns 0, or -1 with *why set (a path too long or relative, a folder of another owner). */
int paths_socket(char out[PATHS_SOCKET_MAX], struct error *why);

/* The same without a look at whether XDG_RUNTIME_DIR is there: right where that socket is, and a
 * system call less. */
int paths_socket_as_named(char out[PATHS_SOCKET_MAX], struct error *why);

/* The folder of the shares: kubetoken-share, beside the socket's where no variable names that.
 * Returns 0, or -1: there is no place, or it does not fit. */
int paths_shares(char out[PATHS_SOCKET_MAX]);

/* Whether the socket is in /tmp for want of a runtime directory, and systemd would have one: it is
 * removed when a user's last session ends, unless that user lingers. */
bool paths_logged_out(void);

/* Says of *why what became of the socket, its folder or its lock, by errno. */
void paths_explain(struct error *why, const char *path, int number);

/* Makes the folder of the socket (0700) if it is missing and checks that it is ours and
 * that nobody else can write to it. One that was there is never changed. Returns 0, or -1 with
 * *why set. */
int paths_socket_folder(const char *socket_path, struct error *why);

/* The user's configuration file: $XDG_CONFIG_HOME/kubetoken/kubetoken.conf, else the same
 * below ~/.config. Returns 0, or -1 when neither variable gives an absolute path. */
int paths_user_config(char out[PATHS_MAX]);

/* The log of a daemon that a client started: $XDG_STATE_HOME/kubetoken/log, else the same below
 * ~/.local/state. Returns as paths_user_config(). */
int paths_log(char out[PATHS_MAX]);

/* Expands a leading "~/" by $HOME; a relative path counts from the folder given (that of the
 * file which names it). Returns 0, or -1 when it does not fit or HOME is missing. */
int paths_expand(const char *path, const char *folder, char out[PATHS_MAX]);

#endif
