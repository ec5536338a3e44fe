/* Requests and answers on the socket. */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/protocol.h"
#include "common/time.h"

static struct request request;
static struct error why;
static struct answer answer;

static void parse(const char *line)
{
    memset(&request, 0xaa, sizeof request);
    why = (struct error){ ERROR_NONE, "" };
    if (request_parse(line, strlen(line), &request, &why) != 0)
        fail_msg("\"%s\" was refused: %s", line, why.detail);
}

static void assert_refused_bytes(const char *line, size_t length)
{
    why = (struct error){ ERROR_NONE, "" };
    if (request_parse(line, length, &request, &why) != -1)
        fail_msg("\"%s\" was accepted", line);
    assert_int_equal(why.code, ERROR_BAD_REQUEST);
    assert_true(why.detail[0] != '\0');
}

static void assert_refused(const char *line)
{
    assert_refused_bytes(line, strlen(line));
}

/* ---- requests -------------------------------------------------------------------------------- */

static void a_whole_request_is_understood(void **state)
{
    (void)state;
    parse("get exec/v1 minikube client-go=4711 min-validity=300 rehearse=60 timeout=10s rejected "
          "tell once");
    assert_int_equal(request.verb, VERB_GET);
    assert_int_equal(request.format, FORMAT_EXEC_V1);
    assert_string_equal(request.profile, "minikube");
    assert_int_equal(request.client_go, 4711);
    assert_int_equal(request.min_validity, 300 * USEC_PER_SEC);
    assert_int_equal(request.rehearse, 60 * USEC_PER_SEC);
    assert_int_equal(request.timeout, 10 * USEC_PER_SEC);
    assert_true(request.rejected);
    assert_true(request.tell);
    assert_true(request.once);
}

static void a_verb_alone_has_the_defaults(void **state)
{
    (void)state;
    parse("get");
    assert_int_equal(request.format, FORMAT_TOKEN);
    assert_string_equal(request.profile, "");
    assert_int_equal(request.timeout, 30 * USEC_PER_SEC);
    assert_int_equal(request.min_validity, 0);
    assert_int_equal(request.rehearse, 0);
    assert_int_equal(request.client_go, 0);
    assert_false(request.rejected);
    assert_false(request.tell);
    assert_false(request.once);
}

static void every_verb_is_known(void **state)
{
    static const char *const verbs[] = { "get",
                                         "status",
                                         "profile",
                                         "refresh",
                                         "inspect",
                                         "login * * secret=1",
                                         "logout",
                                         "reload",
                                         "version",
                                         "stop",
                                         "watch",
                                         "log",
                                         "follow",
                                         "why",
                                         "hold",
                                         "refresh-all",
                                         "logout-all",
                                         "share * p share=box",
                                         "unshare * * share=box" };

    for (size_t i = 0; i < COUNT(verbs); i++) {
        parse(verbs[i]);
        assert_int_equal(request.verb, i);
    }
    (void)state;
    assert_string_equal(protocol_verb(VERB_LOGOUT_ALL), "logout-all");
}

static void a_share_has_a_name_and_an_end(void **state)
{
    char line[128] = "unshare * * share=";
    size_t length = strlen(line);

    (void)state;
    parse("share * p share=box-1 for=90m renew once");
    assert_string_equal(request.share, "box-1");
    assert_true(request.open_for == 90 * 60 * USEC_PER_SEC && request.renew && request.once);
    parse("share text * share=b");
    assert_true(request.open_for == 0 && !request.renew);
    parse("share * p share=b for=7d");
    parse("get token p share=../b for=8d renew"); /* unknown ones */
    assert_true(!*request.share && request.open_for == 0 && !request.renew);
    memset(line + length, 'n', PROTOCOL_SHARE_MAX);
    parse(line);
    assert_int_equal(strlen(request.share), PROTOCOL_SHARE_MAX);
    line[length + PROTOCOL_SHARE_MAX] = 'n';
    assert_refused(line);
    assert_refused("share * p");
    assert_refused("unshare");
    assert_refused("unshare * * share=");
    assert_refused("share * p share=.");
    assert_refused("share * p share=.b");
    assert_refused("share * p share=-b");
    assert_refused("share * p share=a/b");
    assert_refused("share * p share=b for=0");
    assert_refused("share * p share=b for=7d1s");
    assert_refused("share json p share=b");
    assert_refused("share token p share=b");
}

static void a_password_is_announced_by_its_length(void **state)
{
    (void)state;
    parse("login * p secret=16384");
    assert_int_equal(request.secret, PROTOCOL_PASSWORD_MAX);
    parse("login * p secret=1 once");
    assert_int_equal(request.secret, 1);
    parse("get token p");
    assert_int_equal(request.secret, 0);
    assert_refused("login");
    assert_refused("login * p");
    assert_refused("login * p secret=");
    assert_refused("login * p secret=0");
    assert_refused("login * p secret=16385");
    assert_refused("login * p secret=99999999999999999999");
    assert_refused("login * p secret=-1");
    assert_refused("get token p secret=3");
}

/* The block is both. As an option alone an older daemon would take both for the password. */
static void a_users_name_goes_before_the_password(void **state)
{
    (void)state;
    parse("login username p secret=16384 username=512");
    assert_int_equal(request.username, PROTOCOL_USER_MAX);
    assert_int_equal(request.secret, PROTOCOL_PASSWORD_MAX + PROTOCOL_USER_MAX);
    parse("login * p secret=3 username=4"); /* a word that is not known here */
    assert_int_equal(request.username, 0);
    assert_int_equal(request.secret, 3);
    assert_refused("login username p secret=3");
    assert_refused("login username p username=3");
    assert_refused("login username p secret=3 username=0");
    assert_refused("login username p secret=3 username=513");
    assert_refused("get username p");
    parse("login otp p otp=6");
    assert_int_equal(request.otp, 6);
    assert_int_equal(request.secret, 6);
    parse("login otp p secret=16384 username=512 otp=128");
    assert_int_equal(request.secret, 16384 + 512 + 128);
    assert_int_equal(request.otp, PROTOCOL_OTP_MAX);
    assert_int_equal(request.username, PROTOCOL_USER_MAX);
    parse("login * p secret=3 otp=6 no-otp");
    assert_int_equal(request.otp, 0);
    assert_true(request.no_otp);
    parse("login username p secret=3 username=4 otp=6");
    assert_int_equal(request.otp, 0);
    assert_int_equal(request.secret, 7);
    assert_refused("login otp p secret=3");
    assert_refused("login otp p secret=3 otp=0");
    assert_refused("login otp p secret=3 otp=129");
    assert_refused("get otp p");
    assert_refused("status username");
}

static void a_token_to_inspect_may_be_as_long_as_any(void **state)
{
    (void)state;
    parse("inspect json p secret=131072");
    assert_int_equal(request.secret, PROTOCOL_TOKEN_MAX);
    assert_refused("inspect json p secret=131073");
}

static void get_has_formats_of_its_own(void **state)
{
    static const char *const formats[] = { "json", "token", "header", "exec/v1", "exec/v1beta1" };
    char line[64];

    for (size_t i = 0; i < COUNT(formats); i++) {
        snprintf(line, sizeof line, "get %s", formats[i]);
        parse(line);
        assert_int_equal(request.format, FORMAT_JSON + i);
    }
    (void)state;
}

static void get_has_no_text(void **state)
{
    (void)state;
    assert_refused("get text");
    assert_refused("get metrics");
    assert_refused("inspect metrics");
    assert_refused("refresh quiet");
}

static void status_may_be_text_or_json(void **state)
{
    (void)state;
    parse("status text");
    assert_int_equal(request.format, FORMAT_TEXT);
    parse("status json");
    assert_int_equal(request.format, FORMAT_JSON);
    parse("status metrics");
    assert_int_equal(request.format, FORMAT_METRICS);
    assert_false(request.with_user);
    parse("status metrics p with-user");
    assert_true(request.with_user);
}

static void status_alone_may_be_names_or_nothing(void **state)
{
    (void)state;
    parse("status name");
    assert_int_equal(request.format, FORMAT_NAME);
    parse("status quiet");
    assert_int_equal(request.format, FORMAT_QUIET);
    assert_refused("get name");
    assert_refused("watch name");
    assert_refused("watch quiet");
    parse("watch json p");
    assert_int_equal(request.format, FORMAT_JSON);
    parse("watch");
    assert_int_equal(request.format, FORMAT_TEXT);
}

static void a_table_may_have_colour_and_a_bar(void **state)
{
    (void)state;
    parse("status text p");
    assert_int_equal(request.bar, BAR_NONE);
    assert_false(request.colour);
    parse("status text p columns=80 bar=ascii colour");
    assert_int_equal(request.bar, BAR_ASCII);
    assert_true(request.colour);
    parse("status text p bar=blocks");
    assert_int_equal(request.bar, BAR_BLOCKS);
    parse("status text p bar=of-a-later-version");
    assert_int_equal(request.bar, BAR_ASCII);
}

static void only_get_and_hold_yield_tokens(void **state)
{
    (void)state;
    parse("hold");
    assert_int_equal(request.format, FORMAT_TEXT);
    parse("hold token");
    assert_int_equal(request.format, FORMAT_TOKEN);
    assert_refused("hold header");
    assert_refused("hold json");
    assert_refused("status token");
    assert_refused("refresh exec/v1");
    assert_refused("version json");
}

static void a_star_stands_for_the_default(void **state)
{
    (void)state;
    parse("get * * once");
    assert_int_equal(request.format, FORMAT_TOKEN);
    assert_string_equal(request.profile, "");
    assert_true(request.once);
}

static void blanks_may_be_many(void **state)
{
    (void)state;
    parse("  get   token   a   once  ");
    assert_string_equal(request.profile, "a");
    assert_true(request.once);
}

static void unknown_options_are_ignored(void **state)
{
    (void)state;
    parse("get token a colour=blue shiny once");
    assert_true(request.once);
}

static void an_option_is_known_by_its_whole_name(void **state)
{
    (void)state;
    parse("get token a onc oncee timeou=1 timeouts=1");
    assert_false(request.once);
    assert_int_equal(request.timeout, 30 * USEC_PER_SEC);
}

static void a_name_of_64_characters_fits(void **state)
{
    char line[128];

    (void)state;
    snprintf(line, sizeof line, "get token %064d", 1);
    parse(line);
    assert_int_equal(strlen(request.profile), 64);
}

static void a_name_of_65_characters_is_refused(void **state)
{
    char line[128];

    (void)state;
    snprintf(line, sizeof line, "get token %065d", 1);
    assert_refused(line);
}

static void a_request_of_4095_bytes_is_understood(void **state)
{
    char line[PROTOCOL_REQUEST_MAX];

    (void)state;
    memset(line, ' ', sizeof line);
    memcpy(line, "get", 3);
    line[sizeof line - 1] = '\0';
    parse(line);
}

static void a_request_of_4096_bytes_is_refused(void **state)
{
    char line[PROTOCOL_REQUEST_MAX + 1];

    (void)state;
    memset(line, ' ', sizeof line);
    memcpy(line, "get", 3);
    line[sizeof line - 1] = '\0';
    assert_refused(line);
}

static void an_empty_request_is_refused(void **state)
{
    (void)state;
    assert_refused("");
    assert_refused("   ");
}

static void an_unknown_verb_is_refused(void **state)
{
    (void)state;
    assert_refused("put token a");
    assert_refused("gett");
    assert_refused("GET");
}

static void an_unknown_format_is_refused(void **state)
{
    (void)state;
    assert_refused("get exec/v2");
    assert_refused("get toke");
}

static void a_name_that_no_profile_can_have_is_refused(void **state)
{
    (void)state;
    assert_refused("get token a/b");
    assert_refused("get token ..\xff");
}

static void control_characters_are_refused(void **state)
{
    (void)state;
    assert_refused("get\ttoken");
    assert_refused("get token a\r");
    assert_refused("get token a\x7f");
    assert_refused("get token a unknown=\x1b[2J"); /* also where a word is passed over */
    assert_refused("get token a unknown=\x7f");
    assert_refused_bytes("get\0token", 9);
}

static void an_error_text_has_no_control_characters_of_the_request(void **state)
{
    (void)state;
    assert_refused("get \xc2\x9b"
                   "31m");
    assert_holds_not(why.detail, "\xc2\x9b");
}

static void a_bad_duration_is_refused(void **state)
{
    (void)state;
    assert_refused("get token a timeout=soon");
    assert_refused("get token a timeout=");
    assert_refused("get token a timeout");
    assert_refused("get token a min-validity=-1");
}

static void a_process_number_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_refused("get token a client-go=x");
    assert_refused("get token a client-go=");
    assert_refused("get token a client-go=99999999999999999999");
}

static void a_duration_is_no_process_number(void **state)
{
    (void)state;
    assert_refused("get token a client-go=1h");
}

static void a_refused_request_writes_nothing(void **state)
{
    (void)state;
    parse("get token a");
    assert_refused("status token b");
    assert_string_equal(request.profile, "a");
}

/* ---- names ----------------------------------------------------------------------------------- */

static void names_have_letters_digits_and_four_signs(void **state)
{
    static const char name[] = "AZaz09._@-";

    (void)state;
    assert_true(protocol_name_valid(name, strlen(name)));
}

static void other_characters_are_in_no_name(void **state)
{
    static const char others[] = " !\"#$%&'()*+,/:;<=>?[\\]^`{|}~\x7f\x80\xff\n";

    for (size_t i = 0; i < sizeof others; i++) { /* with the final NUL */
        const char name[] = { 'a', others[i], 'b' };
        assert_false(protocol_name_valid(name, sizeof name));
    }
    (void)state;
}

static void a_name_is_not_empty(void **state)
{
    (void)state;
    assert_false(protocol_name_valid("", 0));
}

/* ---- answers --------------------------------------------------------------------------------- */

static void answer_comes_back(struct answer sent)
{
    char header[PROTOCOL_HEADER_MAX];
    size_t length = answer_header(header, &sent);

    assert_true(length < PROTOCOL_HEADER_MAX);
    assert_int_equal(answer_parse(header, length, &answer), length);
    assert_int_equal(answer.code, sent.code);
    assert_int_equal(answer.out, sent.out);
    assert_int_equal(answer.err, sent.err);
    assert_int_equal(answer.part, sent.part);
}

static void a_good_answer_comes_back(void **state)
{
    (void)state;
    answer_comes_back((struct answer){ .code = ERROR_NONE, .out = 1432 });
}

static void every_error_comes_back_with_the_largest_blocks(void **state)
{
    (void)state;
    for (int code = ERROR_NONE; code < ERROR_MAX; code++)
        answer_comes_back((struct answer){
            .code = (enum error_code)code, .out = PROTOCOL_BLOCK_MAX, .err = PROTOCOL_BLOCK_MAX });
}

static void a_part_comes_back(void **state)
{
    (void)state;
    answer_comes_back((struct answer){ .part = true, .out = 16384 });
}

static void the_header_is_as_documented(void **state)
{
    char header[PROTOCOL_HEADER_MAX];

    (void)state;
    size_t n = answer_header(header, &(struct answer){ .code = ERROR_REFUSED, .err = 96 });
    assert_int_equal(n, strlen("error refused 0 96\n"));
    assert_memory_equal(header, "error refused 0 96\n", n);
    n = answer_header(header, &(struct answer){ .part = true, .out = 5 });
    assert_int_equal(n, strlen("part 5 0\n"));
    assert_memory_equal(header, "part 5 0\n", n);
}

static long parse_answer(const char *bytes)
{
    answer = (struct answer){ .code = ERROR_INTERNAL, .out = 7, .err = 7 };
    return answer_parse(bytes, strlen(bytes), &answer);
}

static void what_follows_the_header_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(parse_answer("ok 3 0\nabc\n"), 7);
    assert_int_equal(answer.out, 3);
}

static void an_unfinished_header_needs_more(void **state)
{
    (void)state;
    assert_int_equal(parse_answer(""), 0);
    assert_int_equal(parse_answer("ok 3"), 0);
    assert_int_equal(parse_answer("error refused 0 96"), 0);
}

static void a_header_that_never_ends_is_refused(void **state)
{
    char bytes[PROTOCOL_HEADER_MAX + 1];

    (void)state;
    memset(bytes, '0', sizeof bytes);
    memcpy(bytes, "ok ", 3);
    bytes[sizeof bytes - 1] = '\0';
    assert_int_equal(parse_answer(bytes), -EBADMSG);
}

static void what_is_no_answer_is_refused(void **state)
{
    static const char *const junk[] = {
        "\n",          "ok\n",         "ok 1\n",          "ok 1 \n",
        "ok -1 0\n",   "ok 1x 0\n",    "okay 1 0\n",      "HTTP/1.1 200\n",
        "error\n",     "error 0 96\n", "ok 0 16777217\n", "ok 99999999999999999999999 0\n",
        "ok 0x10 0\n", "OK 0 0\n",
    };

    for (size_t i = 0; i < COUNT(junk); i++)
        if (parse_answer(junk[i]) != -EBADMSG)
            fail_msg("\"%s\" was accepted", junk[i]);
    (void)state;
}

static void a_refused_answer_writes_nothing(void **state)
{
    (void)state;
    parse_answer("ok 1 x\n");
    assert_int_equal(answer.out, 7);
}

static void an_error_of_a_newer_daemon_is_an_internal_one(void **state)
{
    (void)state;
    assert_true(parse_answer("error from-the-future 0 5\n") > 0);
    assert_int_equal(answer.code, ERROR_INTERNAL);
    assert_int_equal(answer.err, 5);
}

static void further_words_of_a_newer_daemon_are_ignored(void **state)
{
    (void)state;
    assert_true(parse_answer("ok 1 2 more=3\n") > 0);
    assert_int_equal(answer.err, 2);
}

/* ---- wait lines ------------------------------------------------------------------------------ */

static const char *text;
static size_t text_length;

static long parse_wait(const char *bytes)
{
    text = "untouched";
    return wait_parse(bytes, strlen(bytes), &text, &text_length);
}

static void a_wait_line_comes_back(void **state)
{
    char line[PROTOCOL_WAIT_MAX];

    (void)state;
    size_t n = wait_line(line, "waiting for a token from login.example.com");
    assert_memory_equal(line, "wait waiting for a token from login.example.com\n", n);
    assert_int_equal(n, 48);
    assert_int_equal(wait_parse(line, n, &text, &text_length), n);
    assert_int_equal(text_length, 42);
    assert_memory_equal(text, "waiting for a token from login.example.com", text_length);
}

static void a_wait_line_is_printable_and_cut_between_characters(void **state)
{
    char line[PROTOCOL_WAIT_MAX], much[600];

    (void)state;
    assert_int_equal(wait_line(line, "a\nb\x1b[1m"), strlen("wait a b [1m\n"));
    assert_memory_equal(line, "wait a b [1m\n", 13);
    assert_int_equal(wait_line(line, "\n"), 7); /* a text there is */
    for (size_t i = 0; i < sizeof much - 1; i += 2)
        memcpy(much + i, "\xc3\xa9", 2);
    much[sizeof much - 2] = '\0';
    size_t n = wait_line(line, much);
    assert_int_equal(n, 256);
    assert_int_equal(wait_parse(line, n, &text, &text_length), n);
    assert_int_equal(text_length, 250);
}

static void what_follows_a_wait_line_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(parse_wait("wait a b\nok 1 0\nx"), 9);
    assert_int_equal(text_length, 3);
}

static void an_unfinished_wait_line_needs_more(void **state)
{
    (void)state;
    assert_int_equal(parse_wait("wait "), -EAGAIN);
    assert_int_equal(parse_wait("wait resolving"), -EAGAIN);
    assert_string_equal(text, "untouched");
}

static void what_may_be_an_answer_is_no_wait_line(void **state)
{
    static const char *const others[] = {
        "", "w", "wait", "ok 1 0\n", "waits\n", "error wait 0 0\n"
    };

    (void)state;
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(parse_wait(others[i]), 0);
}

static void a_wait_line_that_is_not_valid_is_refused(void **state)
{
    char much[PROTOCOL_WAIT_MAX + 2] = "wait ";

    (void)state;
    assert_int_equal(parse_wait("wait \n"), -EBADMSG);
    assert_int_equal(parse_wait("wait a\x1b[2J\n"), -EBADMSG);
    assert_int_equal(parse_wait("wait a\tb\n"), -EBADMSG);
    assert_int_equal(parse_wait("wait \xff\n"), -EBADMSG);
    memset(much + 5, 'x', sizeof much - 6);
    much[PROTOCOL_WAIT_MAX - 1] = '\0';
    assert_int_equal(parse_wait(much), -EAGAIN); /* its newline would be the last that fits */
    much[PROTOCOL_WAIT_MAX - 1] = 'x';
    assert_int_equal(parse_wait(much), -EBADMSG);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_request_is_understood),
        TEST(a_verb_alone_has_the_defaults),
        TEST(every_verb_is_known),
        TEST(a_share_has_a_name_and_an_end),
        TEST(a_password_is_announced_by_its_length),
        TEST(a_users_name_goes_before_the_password),
        TEST(a_token_to_inspect_may_be_as_long_as_any),
        TEST(get_has_formats_of_its_own),
        TEST(get_has_no_text),
        TEST(status_may_be_text_or_json),
        TEST(status_alone_may_be_names_or_nothing),
        TEST(a_table_may_have_colour_and_a_bar),
        TEST(only_get_and_hold_yield_tokens),
        TEST(a_star_stands_for_the_default),
        TEST(blanks_may_be_many),
        TEST(unknown_options_are_ignored),
        TEST(an_option_is_known_by_its_whole_name),
        TEST(a_name_of_64_characters_fits),
        TEST(a_name_of_65_characters_is_refused),
        TEST(a_request_of_4095_bytes_is_understood),
        TEST(a_request_of_4096_bytes_is_refused),
        TEST(an_empty_request_is_refused),
        TEST(an_unknown_verb_is_refused),
        TEST(an_unknown_format_is_refused),
        TEST(a_name_that_no_profile_can_have_is_refused),
        TEST(control_characters_are_refused),
        TEST(an_error_text_has_no_control_characters_of_the_request),
        TEST(a_bad_duration_is_refused),
        TEST(a_process_number_that_is_none_is_refused),
        TEST(a_duration_is_no_process_number),
        TEST(a_refused_request_writes_nothing),
        TEST(names_have_letters_digits_and_four_signs),
        TEST(other_characters_are_in_no_name),
        TEST(a_name_is_not_empty),
        TEST(a_good_answer_comes_back),
        TEST(every_error_comes_back_with_the_largest_blocks),
        TEST(a_part_comes_back),
        TEST(the_header_is_as_documented),
        TEST(what_follows_the_header_is_left_alone),
        TEST(an_unfinished_header_needs_more),
        TEST(a_header_that_never_ends_is_refused),
        TEST(what_is_no_answer_is_refused),
        TEST(a_refused_answer_writes_nothing),
        TEST(an_error_of_a_newer_daemon_is_an_internal_one),
        TEST(further_words_of_a_newer_daemon_are_ignored),
        TEST(a_wait_line_comes_back),
        TEST(a_wait_line_is_printable_and_cut_between_characters),
        TEST(what_follows_a_wait_line_is_left_alone),
        TEST(an_unfinished_wait_line_needs_more),
        TEST(what_may_be_an_answer_is_no_wait_line),
        TEST(a_wait_line_that_is_not_valid_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
