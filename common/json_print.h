/*
 * json_print - JSON for others to read, be it on a terminal: what printable.h hides, DEL, C1
 * controls and what is no UTF-8 are escaped (RFC 8259, section 7).
 */
#ifndef KUBETOKEN_JSON_PRINT_H
#define KUBETOKEN_JSON_PRINT_H

#include <cjson/cJSON.h>

/* As cJSON_PrintUnformatted(). The caller frees it with free(). NULL: no memory. */
char *json_print(const cJSON *json);

/* The same of JSON that is printed already. */
char *json_print_escape(const char *json);

/* What is to be shown as text instead: printable_hide() of each string in it, but no name. */
void json_print_hide(cJSON *json);

#endif
