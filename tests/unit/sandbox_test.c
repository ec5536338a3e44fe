/*
 * Each test confines a child of its own, which does one thing and ends with the errno of it, or
 * with 0. The walls are tried one by one where more than one would stop the same thing.
 */
#define _GNU_SOURCE
#include "support.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/fetch/sandbox.h"

/* ASan's shadow is larger than any bound of memory. */
#ifdef __SANITIZE_ADDRESS__
#define WITH_SHADOW
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SHADOW
#endif
#endif

enum {
    LIMITS = 1,
    FILES = 2,
    CALLS = 4,
    ALL = LIMITS | FILES | CALLS,
    OF_NAMES = 8, /* the walls are those of what resolves names */
    /* how a child ends that did not come to its deed */
    NOT_HERE = 200,
    BROKEN,
    WRONG,
};

static const char *ca_file, *key_file, *other_file;
static struct job job;
static pid_t test_process;

static int setup(void **state)
{
    char target[128], link_path[128];

    if (folder_setup(state) < 0)
        return -1;
    test_process = getpid();
    write_file("ca.pem", "ca", 0600);
    snprintf(target, sizeof target, "%s/ca.pem", test_folder);
    snprintf(link_path, sizeof link_path, "%s/link.pem", test_folder);
    if (symlink(target, link_path) < 0)
        return -1;
    key_file = write_file("key.pem", "key", 0600);
    other_file = write_file("other", "not for the fetcher", 0644);
    ca_file = strdup(link_path);
    job = plain_job();
    job.ca_file = ca_file;
    job.tls_client_cert = "/bin/true"; /* what can be read cannot be run all the same */
    job.tls_client_key = key_file;
    return ca_file ? 0 : -1;
}

static int teardown(void **state)
{
    free((char *)(uintptr_t)ca_file);
    return folder_teardown(state);
}

static void put_up(unsigned walls)
{
    int r = 1;

    if (walls & LIMITS)
        sandbox_limits();
    if (walls & FILES)
        r = sandbox_files(walls & OF_NAMES ? NULL : &job);
    if (r > 0 && (walls & CALLS))
        r = sandbox_calls(walls & OF_NAMES ? SANDBOX_NAMES : SANDBOX_NETWORK);
    if (r <= 0)
        _exit(r < 0 ? BROKEN : NOT_HERE);
}

static int wait_for(pid_t child)
{
    int status;

    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* What the deed returns within the walls. */
static int within(unsigned walls, int (*deed)(void))
{
    pid_t child = fork();

    if (child == 0) {
        put_up(walls);
        _exit(deed());
    }
    int status = wait_for(child);
    if (WIFSIGNALED(status))
        fail_msg("the child was killed by signal %d", WTERMSIG(status));
    assert_int_not_equal(WEXITSTATUS(status), BROKEN);
    if (WEXITSTATUS(status) == NOT_HERE) {
        print_message("not looked at: this kernel has not got it\n");
        skip();
    }
    return WEXITSTATUS(status);
}

static int outcome(long r)
{
    return r < 0 ? errno : 0;
}

/* ---- deeds: files ---------------------------------------------------------------------------- */

static int reads(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? errno : outcome(read(fd, &byte, 1));
}

static int reads_ca_file(void)
{
    return reads(ca_file);
}

static int reads_certificate(void)
{
    return reads(job.tls_client_cert);
}

static int reads_key_file(void)
{
    return reads(key_file);
}

static int reads_other_file(void)
{
    return reads(other_file);
}

static int reads_hosts(void)
{
    return reads("/etc/hosts");
}

static int reads_resolv_conf(void)
{
    return reads("/etc/resolv.conf");
}

static int reads_what_is_kept_of_users(void)
{
    return reads("/etc/passwd");
}

static int lists_libraries(void)
{
    return outcome(open("/usr/lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int writes_ca_file(void)
{
    return outcome(open(ca_file, O_WRONLY | O_CLOEXEC));
}

static int writes_null(void)
{
    return outcome(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static int truncates_ca_file(void)
{
    return outcome(truncate(ca_file, 0));
}

static int makes_a_file(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/new", test_folder);
    return outcome(open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int makes_a_node(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/node", test_folder);
    return outcome(mknod(path, S_IFREG | 0600, 0));
}

static int makes_a_folder(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/newer", test_folder);
    return outcome(mkdir(path, 0700));
}

static int removes_ca_file(void)
{
    return outcome(unlink(ca_file));
}

static int runs_a_program(void)
{
    static char name[] = "true";
    static char *const argv[] = { name, NULL };
    static char *const none[] = { NULL };

    return outcome(execve("/bin/true", argv, none));
}

static int writes_to_what_is_open(void)
{
    return outcome(write(STDERR_FILENO, "", 0));
}

/* ---- deeds: sockets -------------------------------------------------------------------------- */

static int opens_tcp(void)
{
    return outcome(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
}

static int opens_udp_6(void)
{
    return outcome(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int opens_raw(void)
{
    return outcome(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int opens_packet(void)
{
    return outcome(socket(AF_PACKET, SOCK_DGRAM, 0));
}

static int opens_vsock(void)
{
    return outcome(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int opens_route(void)
{
    return outcome(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int opens_uevent(void)
{
    return outcome(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 15));
}

static int opens_unix(void)
{
    return outcome(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int opens_unix_datagram(void)
{
    return outcome(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int opens_pair(void)
{
    int pair[2];

    return outcome(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
}

static int opens_datagram_pair(void)
{
    int pair[2];

    return outcome(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
}

static int listening = -1;
static struct sockaddr_in listener;

/* A port of this test on loopback. */
static void listen_somewhere(void)
{
    socklen_t length = sizeof listener;

    listener = (struct sockaddr_in){ .sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&listener, length), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&listener, &length), 0);
}

static int connects(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return outcome(connect(fd, (struct sockaddr *)&listener, sizeof listener));
}

static int binds(void)
{
    const struct sockaddr_in any = { .sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return outcome(bind(fd, (const struct sockaddr *)&any, sizeof any));
}

static int listens(void)
{
    return outcome(listen(listening, 1));
}

static struct sockaddr_un hidden = { .sun_family = AF_UNIX };

static socklen_t hidden_length(void)
{
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(hidden.sun_path + 1));
}

static int connects_to_abstract(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return outcome(connect(fd, (struct sockaddr *)&hidden, hidden_length()));
}

static int connects_to_path(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return outcome(connect(fd, (struct sockaddr *)&hidden, sizeof hidden));
}

static int connects_a_pair(void)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return WRONG;
    return outcome(connect(pair[0], (struct sockaddr *)&hidden, sizeof hidden));
}

static int sends_by_a_pair(void)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return WRONG;
    return outcome(
        sendto(pair[0], "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&hidden, sizeof hidden));
}

static int resolves_localhost(void)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;

    if (getaddrinfo("localhost", "https", &hints, &found) != 0)
        return WRONG;
    freeaddrinfo(found);
    return 0;
}

/* ---- deeds: processes and memory ------------------------------------------------------------- */

static int forks(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    return outcome(child);
}

static int forks_by_clone3(void)
{
    uint64_t arguments[8] = { [4] = SIGCHLD };
    long child = syscall(SYS_clone3, arguments, sizeof arguments);

    if (child == 0)
        _exit(0);
    return outcome(child);
}

static void *greet(void *memory)
{
    *(int *)memory = 1;
    return NULL;
}

static int runs_a_thread(void)
{
    pthread_t thread;
    int done = 0;
    int r = pthread_create(&thread, NULL, greet, &done);

    if (r == 0)
        r = pthread_join(thread, NULL);
    return r ? r : done ? 0 : WRONG;
}

static int signals_its_parent(void)
{
    return outcome(kill(test_process, 0));
}

static int signals_a_thread_of_its_parent(void)
{
    return outcome(syscall(SYS_tgkill, test_process, test_process, 0));
}

static int aborts(void)
{
    abort();
}

static int lets_itself_be_traced(void)
{
    return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int reads_memory_of_others(void)
{
    char byte;
    struct iovec to = { &byte, 1 }, from = { (void *)(uintptr_t)&test_process, 1 };

    return outcome(process_vm_readv(test_process, &to, 1, &from, 1, 0));
}

static int owns_a_socket(void)
{
    return outcome(fcntl(listening, F_SETOWN, test_process));
}

static int sets_a_limit(void)
{
    const struct rlimit limit = { 1, 1 };

    return outcome(setrlimit(RLIMIT_NOFILE, &limit));
}

static int limits_its_parent(void)
{
    struct rlimit limit;

    return outcome(prlimit(test_process, RLIMIT_NOFILE, NULL, &limit));
}

static int reads_a_limit(void)
{
    struct rlimit limit;

    return outcome(getrlimit(RLIMIT_NOFILE, &limit));
}

static int maps(int protection)
{
    void *p = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? errno : 0;
}

static int maps_writable(void)
{
    return maps(PROT_READ | PROT_WRITE);
}

static int maps_writable_code(void)
{
    return maps(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int makes_code_of_memory(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return outcome(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int maps_too_much(void)
{
    void *p = mmap(NULL, 1UL << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? errno : 0;
}

static int makes_a_nameless_file(void)
{
    return outcome(memfd_create("x", MFD_CLOEXEC));
}

static int loads_a_library(void)
{
    return dlopen("libnss_compat.so.2", RTLD_NOW) ? 0 : WRONG;
}

static int sets_up_libcurl(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && curl_easy_init() ? 0 : WRONG;
}

static int is_limited(void)
{
    static const struct {
        unsigned char resource;
        rlim_t most;
    } limits[] = {
        { RLIMIT_CORE, 0 },
        { RLIMIT_NOFILE, 64 },
#ifndef WITH_SHADOW
        { RLIMIT_FSIZE, 0 },
#endif
    };
    struct rlimit limit;

    for (size_t i = 0; i < COUNT(limits); i++)
        if (getrlimit(limits[i].resource, &limit) < 0 || limit.rlim_max > limits[i].most)
            return WRONG;
    return prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : WRONG;
}

/* ---- the tests: limits ----------------------------------------------------------------------- */

static void limits_are_low(void **state)
{
    (void)state;
    assert_int_equal(within(LIMITS, is_limited), 0);
}

static void lower_limits_stay(void **state)
{
    const struct rlimit few = { 8, 8 };
    struct rlimit now;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        setrlimit(RLIMIT_NOFILE, &few);
        sandbox_limits();
        getrlimit(RLIMIT_NOFILE, &now);
        _exit(now.rlim_cur == 8 && now.rlim_max == 8 ? 0 : WRONG);
    }
    assert_int_equal(wait_for(child), 0);
}

static void memory_is_bounded(void **state)
{
    (void)state;
#ifdef WITH_SHADOW
    skip();
#endif
    assert_int_equal(within(LIMITS, maps_too_much), ENOMEM);
}

static void a_large_stack_limit_leaves_room_for_threads(void **state)
{
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        pthread_attr_t attributes; /* as libc sets it from RLIMIT_STACK at the start */
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 1UL << 30);
        pthread_setattr_default_np(&attributes);
        put_up(LIMITS);
        _exit(runs_a_thread());
    }
    assert_int_equal(wait_for(child), 0);
}

/* ---- the tests: files ------------------------------------------------------------------------ */

static void the_jobs_files_can_be_read(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, reads_ca_file), 0);
    assert_int_equal(within(ALL, reads_certificate), 0);
    assert_int_equal(within(ALL, reads_key_file), 0);
}

static void what_resolving_needs_can_be_read(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, reads_hosts), reads_hosts());
    assert_int_equal(within(ALL, reads_resolv_conf), reads_resolv_conf());
    assert_int_equal(within(ALL, lists_libraries), 0);
}

static void other_files_cannot_be_read(void **state)
{
    (void)state;
    assert_int_equal(within(LIMITS | CALLS, reads_other_file), 0);
    assert_int_equal(within(ALL, reads_other_file), EACCES);
    assert_int_equal(within(ALL, reads_what_is_kept_of_users), EACCES);
}

static void nothing_can_be_written(void **state)
{
    (void)state;
    assert_int_equal(within(LIMITS | FILES, writes_ca_file), EACCES);
    assert_int_equal(within(LIMITS | FILES, writes_null), EACCES);
    assert_int_equal(within(LIMITS | FILES, makes_a_file), EACCES);
    assert_int_equal(within(LIMITS | FILES, makes_a_node), EACCES);
    assert_int_equal(within(LIMITS | FILES, makes_a_folder), EACCES);
    assert_int_equal(within(LIMITS | FILES, removes_ca_file), EACCES);
    assert_int_equal(within(LIMITS | CALLS, writes_ca_file), EPERM);
    assert_int_equal(within(LIMITS | CALLS, makes_a_file), EPERM);
    assert_int_equal(within(LIMITS | CALLS, makes_a_folder), EPERM);
    assert_int_equal(within(LIMITS | CALLS, removes_ca_file), EPERM);
    assert_int_equal(within(LIMITS | CALLS, truncates_ca_file), EPERM);
    assert_int_equal(within(LIMITS | CALLS, makes_a_nameless_file), EPERM);
    assert_int_equal(within(ALL, writes_to_what_is_open), 0);
}

static void no_program_can_be_run(void **state)
{
    (void)state;
    assert_int_equal(within(LIMITS | FILES, runs_a_program), EACCES);
    assert_int_equal(within(LIMITS | CALLS, runs_a_program), EPERM);
}

static void libraries_can_be_loaded(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, loads_a_library), 0);
    assert_int_equal(within(ALL, sets_up_libcurl), 0);
}

/* ---- the tests: sockets ---------------------------------------------------------------------- */

/* The version of Landlock; the kernel may have none. */
static long landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0UL, 1U);
}

static void what_a_client_needs_can_be_opened(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, opens_tcp), 0);
    assert_int_equal(within(ALL, opens_udp_6), opens_udp_6());
    assert_int_equal(within(ALL, opens_route), 0);
    assert_int_equal(within(ALL, opens_pair), 0);
}

static void other_sockets_cannot_be_opened(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, opens_raw), EPERM);
    assert_int_equal(within(ALL, opens_packet), EPERM);
    assert_int_equal(within(ALL, opens_vsock), EPERM);
    assert_int_equal(within(ALL, opens_uevent), EPERM);
    assert_int_equal(within(ALL, opens_datagram_pair), EPERM);
}

/* One process has the network, the other one the sockets of this machine, and neither has both. */
static void no_process_has_network_and_unix_sockets(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, opens_unix), EPERM);
    assert_int_equal(within(ALL, opens_unix_datagram), EPERM);
    assert_int_equal(within(ALL | OF_NAMES, opens_unix), 0);
    assert_int_equal(within(ALL | OF_NAMES, opens_unix_datagram), EPERM);
    assert_int_equal(within(ALL | OF_NAMES, opens_tcp), EPERM);
    assert_int_equal(within(ALL | OF_NAMES, opens_udp_6), EPERM);
    assert_int_equal(within(ALL | OF_NAMES, opens_route), EPERM);
    assert_int_equal(within(ALL | OF_NAMES, opens_pair), EPERM);
    assert_int_equal(within(ALL | OF_NAMES, opens_datagram_pair), EPERM);
}

static void a_pair_of_streams_leads_nowhere_else(void **state)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    snprintf(hidden.sun_path, sizeof hidden.sun_path, "%s/bus", test_folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&hidden, sizeof hidden), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(within(LIMITS, connects_a_pair), EISCONN);
    assert_int_equal(within(ALL, connects_a_pair), EISCONN);
    assert_int_equal(within(ALL, sends_by_a_pair), EISCONN);
    close(fd);
    memset(&hidden.sun_path, 0, sizeof hidden.sun_path);
}

/* linux/landlock.h: of ABI 9 is the last one, LANDLOCK_ACCESS_FS_RESOLVE_UNIX. */
static void each_landlock_is_asked_for_what_it_has(void **state)
{
    static const uint64_t rights[] = { 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff,
                                       0xffff, 0xffff, 0xffff, 0x1ffff };

    (void)state;
    for (size_t i = 0; i < COUNT(rights); i++)
        assert_int_equal(sandbox_file_rights((long)i + 1), rights[i]);
    assert_int_equal(sandbox_file_rights(20), 0x1ffff);
}

/* By its path, where the kernel can forbid that; nothing else forbids it without seccomp. */
static void sockets_with_a_path_cannot_be_reached(void **state)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    if (landlock() < 9)
        skip();
    snprintf(hidden.sun_path, sizeof hidden.sun_path, "%s/path", test_folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&hidden, sizeof hidden), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(within(LIMITS, connects_to_path), 0);
    assert_int_equal(within(LIMITS | FILES, connects_to_path), EACCES);
    assert_int_equal(within(LIMITS | FILES | OF_NAMES, connects_to_path), EACCES);
    close(fd);
    memset(&hidden.sun_path, 0, sizeof hidden.sun_path);
}

static void what_resolves_names_has_no_network(void **state)
{
    (void)state;
    listen_somewhere();
    if (landlock() >= 4)
        assert_int_equal(within(LIMITS | FILES | OF_NAMES, connects), EACCES);
    else
        print_message("not looked at: connect()\n");
    assert_int_equal(within(ALL | OF_NAMES, runs_a_thread), EPERM);
    assert_int_equal(within(ALL | OF_NAMES, reads_ca_file), EACCES);
    assert_int_equal(within(ALL | OF_NAMES, reads_hosts), reads_hosts());
    close(listening);
}

static void it_connects_and_does_not_listen(void **state)
{
    (void)state;
    listen_somewhere();
    assert_int_equal(within(ALL, connects), 0);
    assert_int_equal(within(ALL, listens), EPERM);
    if (landlock() >= 4)
        assert_int_equal(within(LIMITS | FILES, binds), EACCES);
    else
        print_message("not looked at: bind()\n");
    close(listening);
}

static void abstract_sockets_cannot_be_reached(void **state)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    if (landlock() < 6)
        skip();
    snprintf(hidden.sun_path + 1, sizeof hidden.sun_path - 1, "%s", test_folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&hidden, hidden_length()), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(within(LIMITS, connects_to_abstract), 0);
    assert_int_equal(within(LIMITS | FILES, connects_to_abstract), EPERM);
    close(fd);
}

static void names_are_resolved(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, resolves_localhost), resolves_localhost());
    assert_int_equal(within(ALL | OF_NAMES, resolves_localhost), resolves_localhost());
}

/* ---- the tests: processes and memory --------------------------------------------------------- */

static void threads_yes_processes_no(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, runs_a_thread), 0);
    assert_int_equal(within(ALL, forks), EPERM);
    assert_int_equal(within(ALL, forks_by_clone3), ENOSYS);
}

static void other_processes_are_out_of_reach(void **state)
{
    (void)state;
    listen_somewhere();
    assert_int_equal(within(LIMITS | CALLS, signals_its_parent), EPERM);
    assert_int_equal(within(LIMITS | CALLS, signals_a_thread_of_its_parent), EPERM);
    assert_int_equal(within(LIMITS | CALLS, lets_itself_be_traced), EPERM);
    assert_int_equal(within(LIMITS | CALLS, reads_memory_of_others), EPERM);
    assert_int_equal(within(LIMITS | CALLS, owns_a_socket), EPERM);
    assert_int_equal(within(LIMITS | CALLS, limits_its_parent), EPERM);
    assert_int_equal(within(LIMITS | CALLS, sets_a_limit), EPERM);
    assert_int_equal(within(LIMITS | CALLS, reads_a_limit), 0);
    if (landlock() >= 6)
        assert_int_equal(within(LIMITS | FILES, signals_its_parent), EPERM);
    close(listening);
}

static void it_can_still_abort(void **state)
{
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        put_up(ALL);
        _exit(aborts());
    }
    int status = wait_for(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE)
        skip();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void no_memory_becomes_code(void **state)
{
    (void)state;
    assert_int_equal(within(ALL, maps_writable), 0);
    assert_int_equal(within(ALL, maps_writable_code), EPERM);
    assert_int_equal(within(ALL, makes_code_of_memory), EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_low),
        cmocka_unit_test(lower_limits_stay),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(a_large_stack_limit_leaves_room_for_threads),
        cmocka_unit_test(the_jobs_files_can_be_read),
        cmocka_unit_test(what_resolving_needs_can_be_read),
        cmocka_unit_test(other_files_cannot_be_read),
        cmocka_unit_test(nothing_can_be_written),
        cmocka_unit_test(no_program_can_be_run),
        cmocka_unit_test(libraries_can_be_loaded),
        cmocka_unit_test(what_a_client_needs_can_be_opened),
        cmocka_unit_test(other_sockets_cannot_be_opened),
        cmocka_unit_test(no_process_has_network_and_unix_sockets),
        cmocka_unit_test(a_pair_of_streams_leads_nowhere_else),
        cmocka_unit_test(each_landlock_is_asked_for_what_it_has),
        cmocka_unit_test(sockets_with_a_path_cannot_be_reached),
        cmocka_unit_test(what_resolves_names_has_no_network),
        cmocka_unit_test(it_connects_and_does_not_listen),
        cmocka_unit_test(abstract_sockets_cannot_be_reached),
        cmocka_unit_test(names_are_resolved),
        cmocka_unit_test(threads_yes_processes_no),
        cmocka_unit_test(other_processes_are_out_of_reach),
        cmocka_unit_test(it_can_still_abort),
        cmocka_unit_test(no_memory_becomes_code),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
