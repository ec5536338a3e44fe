/*
 * kubelogin_args - a plan by an exec stanza that runs kubelogin of int128, by any of its names, as
 * a plugin of kubectl, or in a container; its flags as pflag reads them. Pure.
 */
#ifndef KUBETOKEN_ADMIN_KUBELOGIN_ARGS_H
#define KUBETOKEN_ADMIN_KUBELOGIN_ARGS_H

#include "client/admin/import_plan.h"

/* home: what ~ stands for, or NULL. Returns false, with nothing said, where it runs something else;
 * a program of the same name for Azure is why it cannot be imported. */
bool kubelogin_args_read(const cJSON *exec, const char *home, struct import_plan *plan);

#endif
