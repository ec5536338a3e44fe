/*
 * explain_text - a paragraph for each row of the table of errors: why it happens, what to look at.
 *
 * For people who ask (kubetoken explain, kubetoken-codes(7)); whoever only reports an error does
 * not link it.
 */
#ifndef KUBETOKEN_EXPLAIN_TEXT_H
#define KUBETOKEN_EXPLAIN_TEXT_H

#include "common/error.h"

/* The paragraph, of one line of plain ASCII; "" for ERROR_NONE. */
const char *explain_text(enum error_code code);

#endif
