/* KUBERNETES_EXEC_INFO, as the client scans it without a parser. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "client/exec_info.h"
#include "daemon/fetch/json.h"

/* What a parser finds. */
static enum exec_version expected(const cJSON *json)
{
    const char *version = json_string(json, "apiVersion");

    if (!json_get(json, "apiVersion"))
        return EXEC_NONE;
    if (version && strcmp(version, "client.authentication.k8s.io/v1") == 0)
        return EXEC_V1;
    if (version && strcmp(version, "client.authentication.k8s.io/v1beta1") == 0)
        return EXEC_V1BETA1;
    return EXEC_OTHER;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    enum exec_version version = exec_info_version(text);
    cJSON *json = json_object(text, size);

    PROMISE(version >= EXEC_NONE && version <= EXEC_OTHER);
    if (json && json_count(json, "apiVersion") < 2)
        PROMISE(version == expected(json));
    PROMISE(!exec_info_is_client_go(text) || version != EXEC_NONE);
    cJSON_Delete(json);
    free(text);
    return 0;
}
