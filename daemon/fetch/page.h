/*
 * page - what a page of HTML, or a text, says to people. For their eyes alone: nothing is decided
 * by it.
 */
#ifndef KUBETOKEN_FETCH_PAGE_H
#define KUBETOKEN_FETCH_PAGE_H

#include <stdbool.h>

enum { PAGE_WORDS_MAX = 100 };

/* The title of the page, or its text where it has none; a text that is no HTML as it is. Entities
 * are decoded and blanks folded. The caller frees it; NULL: no memory. */
char *page_text(const char *body);

/* Cuts it to its first words, at most PAGE_WORDS_MAX bytes. What is no word but may be a token, or
 * a value behind its name, becomes "...". */
void page_shorten(char *text);

/* Whether it has a field for a password: a log-in page. */
bool page_is_login(const char *body);

/* Whether it says that a certificate of the client is missing, as nginx and IIS do. */
bool page_wants_certificate(const char *body);

#endif
