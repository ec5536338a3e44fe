/* What is known of a share, written for a next life and read by it. */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"
#include "daemon/share_record.h"

#define HOUR (3600 * USEC_PER_SEC)

static const uint64_t now = 1000 * HOUR;
static const struct share_record box = { .name = "box-1",
                                         .profile = ".p@x",
                                         .identity = UINT64_MAX,
                                         .ends = 1008 * HOUR,
                                         .handouts = 3,
                                         .device = 1ULL << 63,
                                         .inode = 4711 };
static char bytes[SHARE_RECORD_MAX];

static void it_comes_back_whole(void **state)
{
    struct share_record got, longest = box;

    (void)state;
    memset(longest.name, 'n', PROTOCOL_SHARE_MAX);
    memset(longest.profile, 'p', PROTOCOL_NAME_MAX);
    for (const struct share_record *r = &box; r; r = r == &box ? &longest : NULL) {
        size_t length = share_record_encode(r, bytes, sizeof bytes);
        assert_true(length > 0);
        assert_int_equal(share_record_decode(bytes, length, now, &got), 0);
        assert_string_equal(got.name, r->name);
        assert_string_equal(got.profile, r->profile);
        assert_true(got.identity == r->identity && got.ends == r->ends);
        assert_true(got.handouts == r->handouts && got.device == r->device);
        assert_int_equal(got.inode, r->inode);
        assert_int_equal(share_record_encode(r, bytes, length - 1), 0);
    }
}

static int read_with(const char *name, const void *value, size_t length)
{
    struct share_record got = { .inode = 1 };
    struct tlv_writer w;

    tlv_begin(&w, bytes, sizeof bytes);
    tlv_put_text(&w, "name", box.name);
    tlv_put_text(&w, "profile", box.profile);
    tlv_put(&w, "ends", &box.ends, sizeof box.ends);
    tlv_put(&w, "of a later version", "", 0);
    if (name)
        tlv_put(&w, name, value, length);
    int r = share_record_decode(bytes, tlv_end(&w), now, &got);
    if (r < 0)
        assert_int_equal(got.inode, 1); /* untouched */
    else
        assert_int_equal(got.ends, box.ends);
    return r;
}

static void what_could_not_have_been_opened_is_not_taken(void **state)
{
    const uint64_t late = now + PROTOCOL_SHARE_TIME_MAX + 1;

    (void)state;
    assert_int_equal(read_with(NULL, NULL, 0), 0);
    assert_int_equal(read_with("ends", &late, sizeof late), -EBADMSG);
    assert_int_equal(read_with("ends", &late, sizeof late - 1), 0); /* it is none */
    for (size_t n = 0; n < 40; n++)
        assert_int_equal(share_record_decode(bytes, n, now, &(struct share_record){ .ends = 0 }),
                         -EBADMSG);
}

static void a_name_is_a_folders(void **state)
{
    static const char *const bad[] = { "", ".", "..", ".box", "-box", "a/b", "../box", "a b" };
    struct share_record r = box, got;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r = box;
        memcpy(r.name, bad[i], strlen(bad[i]) + 1);
        size_t length = share_record_encode(&r, bytes, sizeof bytes);
        assert_int_equal(share_record_decode(bytes, length, now, &got), -EBADMSG);
    }
    memcpy(r.name, "box", 4);
    memcpy(r.profile, "p/q", 4);
    size_t length = share_record_encode(&r, bytes, sizeof bytes);
    assert_int_equal(share_record_decode(bytes, length, now, &got), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_whole),
        cmocka_unit_test(what_could_not_have_been_opened_is_not_taken),
        cmocka_unit_test(a_name_is_a_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
