/*
 * profile_undo - takes back what `kubetoken init` or `kubetoken import` wrote for a profile.
 */
#ifndef KUBETOKEN_ADMIN_PROFILE_UNDO_H
#define KUBETOKEN_ADMIN_PROFILE_UNDO_H

/* Removes its section of the user's configuration, the files beside it that the section names and
 * that have the profile's name, and what `--keep-password` put into a keyring; then the daemon
 * forgets it. NULL: the only profile there. What goes is said first, and a person is asked; where
 * nobody is, only ask_nobody() lets it go on. Returns the exit code; what went wrong is said on
 * stderr. */
int profile_undo(const char *profile);

#endif
