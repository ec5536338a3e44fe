/* A request on the socket. The input is its line. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/protocol.h"
#include "common/time.h"

static const uint64_t years = 10 * 366 * 86400 * USEC_PER_SEC;

static void check_request(const struct request *r)
{
    size_t length = strnlen(r->profile, sizeof r->profile);

    PROMISE(length == 0 || protocol_name_valid(r->profile, length));
    PROMISE(r->verb >= VERB_GET && r->verb <= VERB_LOGOUT_ALL);
    bool of_status = r->format == FORMAT_QUIET || r->format == FORMAT_NAME ||
                     r->format == FORMAT_METRICS;
    bool of_login = r->format == FORMAT_REFRESH_TOKEN || r->format == FORMAT_USERNAME ||
                    r->format == FORMAT_OTP || r->format == FORMAT_DEVICE;
    PROMISE(r->verb == VERB_GET ? r->format != FORMAT_TEXT && !of_status && !of_login
                                : (r->verb == VERB_LOGIN && of_login) || r->format == FORMAT_TEXT ||
                                      r->format == FORMAT_JSON || of_status ||
                                      (r->verb == VERB_HOLD && r->format == FORMAT_TOKEN));
    PROMISE(r->verb == VERB_STATUS || !of_status);
    PROMISE(r->verb == VERB_STATUS || r->verb == VERB_WATCH || r->verb == VERB_INSPECT ||
            r->format != FORMAT_JSON || r->verb == VERB_GET || r->verb == VERB_LOG ||
            r->verb == VERB_FOLLOW || r->verb == VERB_WHY);
    PROMISE(r->bar <= BAR_BLOCKS);
    PROMISE(r->format == FORMAT_OTP || (r->username > 0) == (r->format == FORMAT_USERNAME));
    PROMISE((r->otp > 0) == (r->format == FORMAT_OTP) && r->otp <= PROTOCOL_OTP_MAX);
    PROMISE(r->username <= PROTOCOL_USER_MAX && (r->username == 0 || r->verb == VERB_LOGIN));
    PROMISE(r->verb != VERB_LOGIN || (r->format == FORMAT_DEVICE && r->secret == 0) ||
            (r->secret > r->username && r->secret <= PROTOCOL_PASSWORD_MAX + r->username + r->otp));
    PROMISE(r->verb == VERB_LOGIN || r->secret == 0 ||
            (r->verb == VERB_INSPECT && r->secret <= PROTOCOL_TOKEN_MAX));
    PROMISE(r->timeout <= years && r->min_validity <= years && r->rehearse <= years &&
            r->client_go >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = fuzz_bytes(data, size);
    struct request request;
    struct error why = { .code = ERROR_NONE };

    if (request_parse(line, size, &request, &why) == 0) {
        PROMISE(size < PROTOCOL_REQUEST_MAX && !memchr(line, '\n', size));
        check_request(&request);
    } else {
        PROMISE(why.code == ERROR_BAD_REQUEST);
        fuzz_check_error(&why);
    }
    free(line);
    return 0;
}
