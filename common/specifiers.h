/*
 * specifiers - what stands in a value of the configuration for the user at hand, as in systemd's
 * units: %u the user's name, %U the uid, %h the home; %% is a percent sign. What is none of them
 * stays as it is.
 */
#ifndef KUBETOKEN_SPECIFIERS_H
#define KUBETOKEN_SPECIFIERS_H

#include <stddef.h>

/* Puts what they stand for in their place, once: what comes in is not looked at again. The name is
 * the one in /etc/passwd, without the name service, which may not answer for minutes; of who does
 * not stand there $USER, else $LOGNAME. Returns the text, which the caller frees, or NULL with
 * *ret_error: -ENOMEM, or -ENOENT: nobody knows what *ret_letter ('u',
 * 'h') stands for. */
char *specifiers_expand(const char *text, int *ret_error, char *ret_letter);

/* The text with each percent sign doubled, which the caller frees; NULL: no memory. */
char *specifiers_escape(const char *text);

#endif
