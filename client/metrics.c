#define _GNU_SOURCE
#include "client/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/output.h"
#include "common/protocol.h"

static const char no_daemon[] = "# HELP kubetoken_up Whether kubetokend answers.\n"
                                "# TYPE kubetoken_up gauge\n"
                                "kubetoken_up 0\n";

static int print(const char *text)
{
    struct error why;

    if (output_write(STDOUT_FILENO, text, strlen(text)) == 0)
        return 0;
    output_unwritten(&why);
    return output_fail(why.code, why.detail);
}

/* What the daemon said is a line already. */
static int complain(struct error *why)
{
    size_t length = strlen(why->detail);

    if (why->code == ERROR_BAD_REQUEST) /* of a daemon that does not know the word: an older one */
        return output_fail(ERROR_BAD_ANSWER, "it does not know status --metrics");
    if (strncmp(why->detail, "kubetoken: ", 11) != 0)
        return output_fail(why->code, why->detail);
    why->detail[length] = '\n';
    output_write(STDERR_FILENO, why->detail, length + 1);
    return error_exit_code(why->code);
}

int metrics_absent(void)
{
    return print(no_daemon);
}

int metrics_run(struct line *request, uint64_t timeout)
{
    char *text = malloc(PROTOCOL_BLOCK_MAX); /* as much of it is taken as is written to */
    struct error why;

    if (!text)
        return output_fail_for_memory();
    enum error_code code = conversation_ask_why(request, timeout, text, PROTOCOL_BLOCK_MAX, &why);
    int r = code == ERROR_NONE           ? print(text)
            : error_exit_code(code) == 3 ? metrics_absent()
                                         : complain(&why);
    free(text);
    return r;
}
