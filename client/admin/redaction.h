/*
 * redaction - names, hosts, addresses and paths in a text, each replaced by what it is: <user-1>,
 * <host-2>. The same has the same number. What was registered is found wherever it stands; below
 * that is a net for what looks like such a thing, which rather takes too much. Words of our own
 * stay: our programs, keys, options and codes, and what no person can be told by.
 */
#ifndef KUBETOKEN_ADMIN_REDACTION_H
#define KUBETOKEN_ADMIN_REDACTION_H

#include <stdbool.h>
#include <stddef.h>

struct redaction;

/* NULL: no memory. redaction_free() takes NULL and returns it. */
struct redaction *redaction_new(void);
struct redaction *redaction_free(struct redaction *redaction);

/* From now on the value, as a whole word and in any case, is <KIND-N>. kind: a literal. Nothing
 * happens for a value of one character, for one of our own words, and for NULL as either. */
void redaction_hide(struct redaction *redaction, const char *kind, const char *value);

/* The host of a URL, and the URL itself. */
void redaction_hide_url(struct redaction *redaction, const char *url);

/* Writes the text without what is to be hidden; one that grows beyond size is cut. foreign: others
 * may have written it (kubectl, who made the configuration), so that each word that looks like a
 * name, with a digit or a hyphen, is one. */
void redaction_apply(struct redaction *redaction, const char *text, bool foreign, char *out,
                     size_t size);

#endif
