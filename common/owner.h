/*
 * owner - who may ask, and whose files are believed: this user and root. In a user namespace (as
 * by PrivateUsers=yes) whoever is not in it, root too, has one and the same uid there, 65534
 * (user_namespaces(7)): that one is nobody, neither root nor this user.
 */
#ifndef KUBETOKEN_OWNER_H
#define KUBETOKEN_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether that is this user or root. */
bool owner_is_ours(uid_t uid);

/* Who it is otherwise, to stand behind "belongs to". The text is good until the next call. */
const char *owner_name(uid_t uid);

/* Whether that is somebody in whom this process cannot tell root from another user. */
bool owner_is_unknown(uid_t uid);

/* Whether there are users whom this process cannot tell apart. */
bool owner_some_unknown(void);

#endif
