/* trusted_path, trusted_group, trusted_program: who could put another file in the place of one that
 * steers a secret. */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/trusted_group.h"
#include "common/trusted_path.h"
#include "common/trusted_program.h"

#define NO_ID UINT32_MAX

enum { STAFF = 50, GROUP = 61012, OTHER = 61013, CANNOT = 77 };

static struct trusted_fault fault;
static char words[8192];

/* ---- what a test makes ------------------------------------------------------------------------*/

/* Below the folder of the test; lives until the next eight. */
static const char *at(const char *name)
{
    static char paths[8][4096];
    static unsigned next;
    char *path = paths[next++ % COUNT(paths)];

    snprintf(path, sizeof paths[0], "%s/%s", test_folder, name);
    return path;
}

static void make_folder(const char *name, unsigned mode)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

/* Only root can give away what is his. */
static void give(const char *name, uid_t uid, gid_t gid)
{
    struct stat st;

    if (geteuid() != 0)
        skip();
    assert_int_equal(lstat(at(name), &st), 0);
    assert_int_equal(lchown(at(name), uid, gid), 0);
    if (!S_ISLNK(st.st_mode))
        assert_int_equal(chmod(at(name), st.st_mode & 07777), 0);
}

static int check(const char *path)
{
    int r = trusted_path_check(path, TRUSTED_PRIVATE, &fault);

    trusted_path_tell(&fault, words, sizeof words);
    return r;
}

static void is_good(const char *name)
{
    if (check(at(name)) < 0)
        fail_msg("%s: %s", name, fault.number ? strerror(fault.number) : words);
}

/* That is said of it: the kind, the path below the folder of the test, what is wrong. */
static void is_bad(const char *name, const char *kind, const char *of, const char *text)
{
    char whole[8192];

    assert_int_equal(check(at(name)), -1);
    assert_int_equal(fault.number, 0);
    snprintf(whole, sizeof whole, "%s%s %s", kind, at(of), text);
    assert_string_equal(words, whole);
}

static void fails_by(const char *path, int number)
{
    assert_int_equal(check(path), -1);
    assert_int_equal(fault.number, number);
}

/* ---- modes ------------------------------------------------------------------------------------*/

static void a_file_that_others_can_write_is_refused(void **state)
{
    char text[300];

    (void)state;
    write_file("f", "", 0644);
    is_good("f");
    for (unsigned mode = 0602; mode <= 01602; mode += 01000) {
        chmod(at("f"), mode);
        snprintf(text, sizeof text, "can be written by others (mode %o); chmod o-w %s", mode,
                 at("f"));
        is_bad("f", "", "f", text);
    }
}

static void a_folder_that_others_can_write_is_refused_however_far_above(void **state)
{
    char text[300];

    (void)state;
    make_folder("a", 0755);
    make_folder("a/b", 0755);
    write_file("a/b/f", "", 0600);
    is_good("a/b/f");
    chmod(at("a"), 0757);
    snprintf(text, sizeof text, "can be written by others (mode 757); chmod o-w %s", at("a"));
    is_bad("a/b/f", "the folder ", "a", text);
    chmod(at("a"), 0755);
    chmod(at("a/b"), 0777);
    snprintf(text, sizeof text, "can be written by others (mode 777); chmod go-w %s", at("a/b"));
    is_bad("a/b/f", "the folder ", "a/b", text);
    is_bad("a/b/../b/f", "the folder ", "a/b", text);
    chmod(at("a/b"), 01777);
    is_good("a/b/f");
}

static void a_path_with_a_blank_is_one_word_of_the_remedy(void **state)
{
    (void)state;
    write_file("a b", "", 0666);
    assert_int_equal(check(at("a b")), -1);
    assert_holds(words, "; chmod go-w '/");
}

static void a_group_of_the_system_may_write_and_another_may_not(void **state)
{
    char text[300];

    (void)state;
    make_folder("a", 02775);
    write_file("a/f", "", 0664);
    give("a", 0, STAFF);
    give("a/f", 0, STAFF);
    is_good("a/f");
    give("a", 0, 99);
    is_good("a/f");
    give("a", 0, GROUP);
    snprintf(text, sizeof text, "can be written by others (mode 2775, group %d); chmod go-w %s",
             GROUP, at("a"));
    is_bad("a/f", "the folder ", "a", text);
    chmod(at("a"), 03775); /* nobody can replace what another one owns */
    is_good("a/f");
    chmod(at("a"), 0755);
    give("a/f", 0, GROUP);
    snprintf(text, sizeof text, "can be written by others (mode 664, group %d); chmod go-w %s",
             GROUP, at("a/f"));
    is_bad("a/f", "", "a/f", text);
}

/* ---- owners -----------------------------------------------------------------------------------*/

static void what_belongs_to_another_user_is_refused(void **state)
{
    static const char text[] = "belongs to another user (uid 61013); it has to be yours or root's";

    (void)state;
    make_folder("a", 0755);
    write_file("a/f", "", 0644);
    give("a", OTHER, OTHER);
    is_bad("a/f", "the folder ", "a", text);
    give("a", 0, 0);
    give("a/f", OTHER, OTHER);
    is_bad("a/f", "", "a/f", text);
}

static void in_a_sticky_folder_it_is_the_entry_that_counts(void **state)
{
    static const char text[] = "belongs to another user (uid 61013); it has to be yours or root's";

    (void)state;
    make_folder("tmp", 01777);
    make_folder("tmp/a", 0755);
    write_file("tmp/a/f", "", 0600);
    assert_int_equal(symlink("a", at("tmp/l")), 0);
    is_good("tmp/l/f");
    give("tmp/l", OTHER, OTHER);
    is_bad("tmp/l/f", "the link ", "tmp/l", text);
    give("tmp/a", OTHER, OTHER);
    is_bad("tmp/a/f", "the folder ", "tmp/a", text);
    give("tmp", OTHER, OTHER);
    is_bad("tmp/a/f", "the folder ", "tmp", text);
}

static void a_link_of_another_users_is_refused_in_any_folder(void **state)
{
    (void)state;
    write_file("f", "", 0600);
    assert_int_equal(symlink(at("f"), at("l")), 0);
    is_good("l");
    give("l", OTHER, OTHER);
    is_bad("l", "the link ", "l",
           "belongs to another user (uid 61013); it has to be yours or root's");
}

/* ---- links ------------------------------------------------------------------------------------*/

static void where_a_link_leads_is_judged(void **state)
{
    char text[300];

    (void)state;
    make_folder("a", 0755);
    make_folder("open", 0757);
    write_file("open/f", "", 0600);
    assert_int_equal(symlink("../open/f", at("a/l")), 0);
    assert_int_equal(symlink(at("a/l"), at("l")), 0);
    snprintf(text, sizeof text, "can be written by others (mode 757); chmod o-w %s", at("open"));
    is_bad("l", "the folder ", "open", text);
    chmod(at("open"), 0755);
    is_good("l");
    assert_int_equal(symlink("a/../open", at("m")), 0);
    is_good("m/./f");
    is_good("m/../a/l");
    chmod(at("open/f"), 0602);
    snprintf(text, sizeof text, "can be written by others (mode 602); chmod o-w %s", at("open/f"));
    is_bad("l", "", "open/f", text);
}

/* What only leads through a folder that others can write, as a link there could, is on the way. */
static void a_folder_that_is_left_again_was_on_the_way(void **state)
{
    (void)state;
    make_folder("open", 0777);
    make_folder("open/a", 0755);
    write_file("f", "", 0600);
    assert_int_equal(check(at("open/../f")), -1);
    assert_holds(words, "/open can be written by others");
}

static void forty_links_are_followed_and_no_more(void **state)
{
    char name[16], target[16];

    (void)state;
    write_file("0", "", 0600);
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof name, "%d", i);
        snprintf(target, sizeof target, "%d", i - 1);
        assert_int_equal(symlink(target, at(name)), 0);
    }
    is_good("40");
    fails_by(at("41"), ELOOP);
    assert_int_equal(symlink("loop", at("loop")), 0);
    fails_by(at("loop"), ELOOP);
}

/* ---- what cannot be reached -------------------------------------------------------------------*/

static void what_is_not_there_is_told_by_number(void **state)
{
    static char name[300];

    (void)state;
    write_file("f", "", 0600);
    fails_by(at("g"), ENOENT);
    fails_by(at("f/g"), ENOTDIR);
    fails_by(at("g/../f"), ENOENT);
    memset(name, 'n', sizeof name - 1);
    fails_by(at(name), ENAMETOOLONG);
}

static void what_is_no_regular_file_is_refused_and_not_opened(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    make_folder("a", 0755);
    for (int i = 0; i < 2; i++) {
        const char *path = at(i ? "a" : "fifo");
        assert_int_equal(trusted_path_open(path, &fault), -1);
        assert_int_equal(fault.number, 0);
        assert_string_equal(fault.text, "is not a regular file");
        assert_int_equal(check(path), -1);
    }
}

static void a_relative_path_counts_from_where_we_are(void **state)
{
    char before[4096];

    (void)state;
    make_folder("a", 0755);
    write_file("a/f", "", 0600);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(at("a")), 0);
    int good = check("f");
    chmod(at("."), 0707);
    int bad = check("./f");
    assert_int_equal(chdir(before), 0);
    assert_int_equal(good, 0);
    assert_int_equal(bad, -1);
}

static void no_descriptor_is_left_open(void **state)
{
    (void)state;
    int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(first);
    make_folder("a", 0777);
    write_file("a/f", "", 0600);
    write_file("f", "", 0600);
    assert_int_equal(symlink("f", at("l")), 0);
    fails_by(at("l/x"), ENOTDIR);
    check(at("a/f"));
    check(at("l"));
    int fd = trusted_path_open(at("l"), &fault);
    assert_true(fd >= 0);
    close(fd);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    assert_int_equal(fd, first);
}

/* ---- groups -----------------------------------------------------------------------------------*/

static FILE *text_file(char *text)
{
    FILE *f = *text ? fmemopen(text, strlen(text), "r") : NULL;

    assert_true(f || !*text);
    return f;
}

static bool is_own(char *users, char *groups, gid_t login)
{
    FILE *u = text_file(users), *g = text_file(groups);
    bool own = trusted_group_is_own(u, g, 1000, login, 1000);

    if (u)
        fclose(u);
    if (g)
        fclose(g);
    return own;
}

static void the_own_group_has_no_other_member(void **state)
{
    static const struct {
        const char *users, *groups;
        gid_t login;
        bool own;
    } cases[] = {
        { "a:x:1000:1000::/:/\n", "a:x:1000:\n", 1, true },
        { "a:x:1000:1000::/:/\n", "x:x:1:b\na:x:1000:a\n", 1, true },
        { "a:x:1000:1000::/:/\nalias:x:1000:5::/:/\n", "a:x:1000:alias\n", 1, true },
        { "root:x:0:0::/:/\na:x:1000:1000::/:/\n", "a:x:1000:root,a\n", 1, true },
        { "a:x:1000:1000::/:/\nb:x:1001:1001::/:/\n", "a:x:1000:b\n", 1000, false },
        { "a:x:1000:1000::/:/\n", "a:x:1000:a,b\n", 1000, false },
        { "a:x:1000:1000::/:/\n", "a:x:1000:\nagain:x:1000:b\n", 1000, false },
        { "a:x:1000:1000::/:/\nb:x:1001:1000::/:/\n", "a:x:1000:\n", 1000, false },
        { "b:x:1001:1000::/:/\na:x:1000:1000::/:/\n", "a:x:1000:\n", 1000, false },
        /* of the group he has no more than its name, or its file */
        { "a:x:1000:50::/:/\n", "a:x:1000:a\n", 1000, false },
        { "a:x:1000:50::/:/\n", "docker:x:1000:\n", 50, false },
        /* of a directory service, or of systemd-homed */
        { "a:x:1000:1000::/:/\n", "", 1, true },
        { "", "", 1000, true },
        { "", "", 50, false },
        { "b:x:1001:1001::/:/\n", "b:x:1001:\n", 1000, true },
        { "b:x:1001:1000::/:/\n", "", 1000, false },
        { "", "a:x:1000:a\n", 1000, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char users[200], groups[200];
        snprintf(users, sizeof users, "%s", cases[i].users);
        snprintf(groups, sizeof groups, "%s", cases[i].groups);
        if (is_own(users, groups, cases[i].login) != cases[i].own)
            fail_msg("case %zu", i);
    }
}

/* ---- access control lists ---------------------------------------------------------------------*/

static void set_list(const char *name, uint16_t tag, uint32_t id, uint16_t mask)
{
    struct {
        struct posix_acl_xattr_header header;
        struct posix_acl_xattr_entry entries[5];
    } list = { { POSIX_ACL_XATTR_VERSION },
               { { ACL_USER_OBJ, 7, NO_ID },
                 { ACL_GROUP_OBJ, 5, NO_ID },
                 { tag, 7, id },
                 { ACL_MASK, mask, NO_ID },
                 { ACL_OTHER, 5, NO_ID } } };

    if (tag == ACL_USER) {
        struct posix_acl_xattr_entry e = list.entries[1];
        list.entries[1] = list.entries[2];
        list.entries[2] = e;
    }
    if (setxattr(at(name), "system.posix_acl_access", &list, sizeof list, 0) == 0)
        return;
    assert_int_equal(errno, EOPNOTSUPP);
    skip();
}

static void by_a_list_of_access_those_in_it_count(void **state)
{
    char text[300];

    (void)state;
    make_folder("a", 0755);
    write_file("a/f", "", 0600);
    set_list("a", ACL_USER, OTHER, 7);
    snprintf(text, sizeof text,
             "can be written by others (mode 775, access control list: uid 61013); chmod go-w %s",
             at("a"));
    is_bad("a/f", "the folder ", "a", text);
    set_list("a", ACL_USER, OTHER, 5); /* the mask takes it away */
    is_good("a/f");
    set_list("a", ACL_USER, geteuid(), 7);
    is_good("a/f");
    set_list("a", ACL_GROUP, GROUP, 7);
    assert_int_equal(check(at("a/f")), -1);
    assert_holds(words, "can be written by others (mode 775, group 61012); chmod go-w ");
    set_list("a", ACL_GROUP, STAFF, 7);
    is_good("a/f");
    give("a", 0, GROUP); /* which may read alone: the bit is the mask's */
    set_list("a", ACL_GROUP, STAFF, 7);
    is_good("a/f");
}

/* ---- programs ---------------------------------------------------------------------------------*/

static void find(const char *name, int r, const char *holds)
{
    char out[PATHS_MAX];

    assert_int_equal(trusted_program_find(name, out, &fault), r);
    trusted_path_tell(&fault, words, sizeof words);
    if (r == 0)
        assert_string_equal(out, holds);
    else if (*holds)
        assert_holds(words, holds);
}

static void a_program_is_found_as_execvp_does_and_judged(void **state)
{
    char list[512], before[4096];

    (void)state;
    snprintf(before, sizeof before, "%s", getenv("PATH"));
    make_folder("none", 0777);
    make_folder("one", 0755);
    make_folder("two", 0755);
    make_folder("one/dir", 0755);
    snprintf(list, sizeof list, "%s:%s:%s", at("none"), at("one"), at("two"));
    setenv("PATH", list, 1);
    write_file("one/no", "", 0644);
    write_file("one/both", "", 0755);
    write_file("two/both", "", 0755);
    write_file("two/no", "", 0755);
    write_file("two/dir", "", 0755);
    find("both", 0, at("one/both"));
    find("no", 0, at("two/no"));
    find("dir", 0, at("two/dir"));
    find(at("one/both"), 0, at("one/both"));
    find("missing", -1, "");
    assert_int_equal(fault.number, ENOENT);
    unlink(at("two/no"));
    find("no", -1, "");
    assert_int_equal(fault.number, EACCES);
    chmod(at("one/both"), 0757);
    find("both", -1, "one/both can be written by others (mode 757); chmod o-w ");
    write_file("none/both", "", 0755);
    find("both", -1, "the folder ");
    assert_holds(words, "none can be written by others (mode 777); chmod go-w ");
    setenv("PATH", before, 1);
}

static void what_interprets_a_script_is_judged_too(void **state)
{
    char line[512];

    (void)state;
    make_folder("a", 0755);
    write_file("a/interpreter", "\177ELF", 0755);
    snprintf(line, sizeof line, "#! %s -x\n", at("a/interpreter"));
    write_file("a/inner", line, 0755);
    snprintf(line, sizeof line, "#!%s\n", at("a/inner"));
    write_file("script", line, 0755);
    find(at("script"), 0, at("script"));
    chmod(at("a/interpreter"), 0757);
    find(at("script"), -1, "a/interpreter can be written by others (mode 757)");
    chmod(at("a/interpreter"), 0755);
    chmod(at("a"), 0757);
    find(at("script"), -1, "the folder ");
    write_file("loop", "", 0755);
    snprintf(line, sizeof line, "#!%s\n", at("loop"));
    write_file("loop", line, 0755);
    find(at("loop"), 0, at("loop")); /* the kernel refuses it */
}

/* ---- user namespaces --------------------------------------------------------------------------*/

static bool write_map(void)
{
    char map[64];
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    int n = snprintf(map, sizeof map, "%d %d 1", OTHER, OTHER);
    bool well = fd >= 0 && write(fd, map, (size_t)n) == n;

    close(fd);
    return well;
}

/* As PrivateUsers=yes has it, where all but this user looks like uid 65534. */
static int in_namespace(const char *own, const char *roots)
{
    struct trusted_fault f;

    return (trusted_path_check(own, TRUSTED_PRIVATE, &f) == 0) |
           (trusted_path_check("/etc/passwd", TRUSTED_SYSTEM, &f) == 0) << 1 |
           (trusted_path_check("/etc/passwd", TRUSTED_PRIVATE, &f) < 0 &&
            strstr(f.text, "; only what is yours is taken there"))
               << 2 |
           (trusted_path_check(roots, TRUSTED_SYSTEM, &f) < 0 && f.number == 0) << 3;
}

static void in_a_user_namespace_the_folders_of_nobody_are_taken_for_roots(void **state)
{
    int status;

    (void)state;
    write_file("own", "", 0600);
    write_file("roots", "", 0644);
    give("own", OTHER, OTHER);
    give(".", OTHER, OTHER);
    pid_t pid = fork();
    if (pid == 0) {
        if (setresgid(OTHER, OTHER, OTHER) < 0 || setresuid(OTHER, OTHER, OTHER) < 0 ||
            prctl(PR_SET_DUMPABLE, 1) < 0 || unshare(CLONE_NEWUSER) < 0 || !write_map())
            _exit(CANNOT);
        _exit(in_namespace(at("own"), at("roots")));
    }
    waitpid(pid, &status, 0);
    if (WEXITSTATUS(status) == CANNOT)
        skip();
    assert_int_equal(WEXITSTATUS(status), 15);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* the first one: who has looked at the namespace once keeps what it saw */
        TEST(in_a_user_namespace_the_folders_of_nobody_are_taken_for_roots),
        TEST(a_file_that_others_can_write_is_refused),
        TEST(a_folder_that_others_can_write_is_refused_however_far_above),
        TEST(a_path_with_a_blank_is_one_word_of_the_remedy),
        TEST(a_group_of_the_system_may_write_and_another_may_not),
        TEST(what_belongs_to_another_user_is_refused),
        TEST(in_a_sticky_folder_it_is_the_entry_that_counts),
        TEST(a_link_of_another_users_is_refused_in_any_folder),
        TEST(where_a_link_leads_is_judged),
        TEST(a_folder_that_is_left_again_was_on_the_way),
        TEST(forty_links_are_followed_and_no_more),
        TEST(what_is_not_there_is_told_by_number),
        TEST(what_is_no_regular_file_is_refused_and_not_opened),
        TEST(a_relative_path_counts_from_where_we_are),
        TEST(no_descriptor_is_left_open),
        cmocka_unit_test(the_own_group_has_no_other_member),
        TEST(by_a_list_of_access_those_in_it_count),
        TEST(a_program_is_found_as_execvp_does_and_judged),
        TEST(what_interprets_a_script_is_judged_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
