/*
 * printable - what of foreign text a terminal is not sent.
 *
 * A format character (Unicode's Cf: bidirectional controls, joiners, tags, the soft hyphen) and a
 * separator of lines or paragraphs (Zl, Zp) is not seen itself, and makes others seem to be
 * elsewhere, or two names the same. In text a question mark stands for it, which is never longer;
 * in JSON its escape (json_print.h), so that nothing is lost.
 */
#ifndef KUBETOKEN_PRINTABLE_H
#define KUBETOKEN_PRINTABLE_H

#include <stddef.h>
#include <stdint.h>

/* The length in bytes of the well-formed UTF-8 character at text (RFC 3629, section 4), printable
 * or not; 0: there is none. */
size_t printable_utf8(const void *text, size_t length);

/* The code point of such a character of n bytes. */
uint32_t printable_code_point(const void *text, size_t n);

/* The length of the format character or separator at text, 0: there is none. */
size_t printable_format(const void *text, size_t length);

/* Puts a question mark, in place, for each of those, for each control character but the ones named,
 * and for each byte that is no UTF-8. */
void printable_hide(char *text, const char *controls);

#endif
