/*
 * kubectl_words - what kubectl's words on stderr mean: those of 1.20 to 1.36, as they were seen.
 */
#ifndef KUBETOKEN_ADMIN_KUBECTL_WORDS_H
#define KUBETOKEN_ADMIN_KUBECTL_WORDS_H

#include <stdbool.h>

#include "common/error.h"

/* The line that tells what is wrong, in a text that is changed for it: not kubectl's log, and not
 * the advice that follows. Never NULL. */
char *kubectl_words_telling(char *text);

/* What kubectl failed for. proxied: the kubeconfig's cluster names a proxy; plain: its address
 * begins with http://. */
enum error_code kubectl_words_code(const char *text, bool proxied, bool plain);

#endif
