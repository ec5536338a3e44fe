/*
 * paths - where the socket and the configuration are.
 */
#ifndef KUBETOKEN_PATHS_H
#define KUBETOKEN_PATHS_H

#include <stddef.h>

#include "common/error.h"

/* A socket's path has to fit struct sockaddr_un. */
enum { PATHS_SOCKET_MAX = 108, PATHS_MAX = 4096 };

#define PATHS_SYSTEM_CONFIG "/etc/kubetoken/kubetoken.conf"

/* The socket's path: $KUBETOKEN_SOCKET, else $XDG_RUNTIME_DIR/kubetoken/socket, else the same
 * below /run/user/UID if that is ours and private, else /tmp/kubetoken-UID/socket.
 * Returns 0, or -1 with *why set (a path too long or relative, a folder of another owner). */
int paths_socket(char out[PATHS_SOCKET_MAX], struct error *why);

/* Makes the folder of the socket (0700) if it is missing and checks that it is ours and
 * that nobody else can write to it. One that was there is never changed. Returns 0, or -1 with
 * *why set. */
int paths_socket_folder(const char *socket_path, struct error *why);

/* The user's configuration file: $XDG_CONFIG_HOME/kubetoken/kubetoken.conf, else the same
 * below ~/.config. Returns 0, or -1 when neither variable gives an absolute path. */
int paths_user_config(char out[PATHS_MAX]);

/* Expands a leading "~/" by $HOME; a relative path counts from the folder given (that of the
 * file which names it). Returns 0, or -1 when it does not fit or HOME is missing. */
int paths_expand(const char *path, const char *folder, char out[PATHS_MAX]);

#endif
