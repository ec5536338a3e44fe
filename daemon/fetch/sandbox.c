#define _GNU_SOURCE
#include "daemon/fetch/sandbox.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_VMA /* musl, whose <sys/prctl.h> cannot stand beside <linux/prctl.h> */
#define PR_SET_VMA 0x53564d61
#endif

/* ---- limits ---------------------------------------------------------------------------------- */

/* ASan's shadow is terabytes of address space, and what it finds goes to the daemon's log. */
#ifdef __SANITIZE_ADDRESS__
#define WITH_SHADOW
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SHADOW
#endif
#endif

enum {
    DESCRIPTORS = 64,
    STACK = 2 * 1024 * 1024,    /* of a thread */
    MEMORY = 512 * 1024 * 1024, /* address space: libraries, stacks and reserved heaps count */
};

/* Of a type that fits whatever a libc has for it. */
static void lower(unsigned char resource, rlim_t most)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) < 0)
        return;
    if (limit.rlim_max > most)
        limit.rlim_max = most;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    setrlimit(resource, &limit);
}

/* Under a large RLIMIT_STACK (`ulimit -s`) the resolver's thread would not fit into MEMORY. */
static void bound_stacks(void)
{
    pthread_attr_t attributes;

    if (pthread_attr_init(&attributes) != 0)
        return;
    if (pthread_attr_setstacksize(&attributes, STACK) == 0)
        pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

void sandbox_limits(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    lower(RLIMIT_CORE, 0);
    lower(RLIMIT_NOFILE, DESCRIPTORS);
    /* Not RLIMIT_NPROC: it counts all processes of the user, and the resolver is a thread. */
    bound_stacks();
#ifndef WITH_SHADOW
    lower(RLIMIT_FSIZE, 0);
    lower(RLIMIT_AS, MEMORY);
#endif
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Of kernels that are newer than the oldest headers this is built with. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
#ifndef LANDLOCK_ACCESS_FS_RESOLVE_UNIX
#define LANDLOCK_ACCESS_FS_RESOLVE_UNIX (1ULL << 16)
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP (1ULL << 0)
#endif
#ifndef LANDLOCK_ACCESS_NET_CONNECT_TCP
#define LANDLOCK_ACCESS_NET_CONNECT_TCP (1ULL << 1)
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#endif
#ifndef LANDLOCK_SCOPE_SIGNAL
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1)
#endif

/* struct landlock_ruleset_attr as of ABI 6; an older kernel takes it as long as what it does
 * not know is 0. */
struct ruleset {
    uint64_t files, network, scoped;
};

#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define READ_FOLDER (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* Libraries are mapped executable with the right to read; that to execute is for execve(). */
static const char *const readable[] = {
    /* certificates and the configuration of OpenSSL */
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/usr/share/crypto-policies",
    "/usr/lib/ssl",
    "/proc/sys/crypto/fips_enabled",
    /* name resolution */
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/run/systemd/resolve",
    "/run/nscd",
    /* libraries that are loaded by name: of NSS, OpenSSL, iconv */
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    /* and of libc */
    "/etc/localtime",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
};

/* Where what resolves names listens. */
static const char *const name_services[] = {
    "/run/systemd/resolve", "/run/systemd/machine", "/run/nscd",           "/var/run/nscd",
    "/run/avahi-daemon",    "/var/lib/sss/pipes",   "/run/samba/winbindd",
};

uint64_t sandbox_file_rights(long abi)
{
    uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* all of ABI 1 */

    if (abi >= 2)
        rights |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    if (abi >= 9)
        rights |= LANDLOCK_ACCESS_FS_RESOLVE_UNIX;
    return rights;
}

/* Lets the path be used in that way, and what is below it; where it is a link, what it points to.
 * What cannot be opened needs no rule. Returns 0, or -errno. */
static int let(int ruleset, const char *path, uint64_t file, uint64_t folder)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = file };
    struct stat st;
    int r = 0;

    if (!path || (rule.parent_fd = open(path, O_PATH | O_CLOEXEC)) < 0)
        return 0;
    if (fstat(rule.parent_fd, &st) == 0 && S_ISDIR(st.st_mode))
        rule.allowed_access = folder;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) < 0)
        r = -errno;
    close(rule.parent_fd);
    return r;
}

static int let_read(int ruleset, const char *path)
{
    return let(ruleset, path, READ_FILE, READ_FOLDER);
}

/* Where resolv.conf is a link to below /run, a service replaces the file as the network
 * changes: its folder has to be readable. Returns 0, or -errno. */
static int let_read_resolver_folder(int ruleset)
{
    char path[PATH_MAX];

    if (!realpath("/etc/resolv.conf", path) || strncmp(path, "/run/", 5) != 0)
        return 0;
    *strrchr(path, '/') = '\0';
    return strcmp(path, "/run") == 0 ? 0 : let_read(ruleset, path);
}

static int let_read_system(int ruleset)
{
    int r = let_read_resolver_folder(ruleset);

    for (size_t i = 0; r == 0 && i < sizeof readable / sizeof *readable; i++)
        r = let_read(ruleset, readable[i]);
    return r;
}

static int let_read_for(int ruleset, const struct job *job)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    const char *const further[] = {
        X509_get_default_cert_dir(),
        X509_get_default_cert_file(),
        curl->capath,
        curl->cainfo,
        job->ca_file,
        job->tls_client_cert,
        job->tls_client_key,
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof further / sizeof *further; i++)
        r = let_read(ruleset, further[i]);
    return r;
}

static int let_ask_names(int ruleset)
{
    const uint64_t ask = LANDLOCK_ACCESS_FS_RESOLVE_UNIX;
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof name_services / sizeof *name_services; i++)
        r = let(ruleset, name_services[i], ask, ask);
    return r;
}

/* job: NULL for what resolves names. */
static int add_paths(int ruleset, long abi, const struct job *job)
{
    int r = let_read_system(ruleset);

    if (r == 0 && job)
        r = let_read_for(ruleset, job);
    if (r == 0 && !job && abi >= 9)
        r = let_ask_names(ruleset);
    return r;
}

int sandbox_files(const struct job *job)
{
    struct ruleset rules = { 0 };
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0UL, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 1) /* not built in, not switched on, or forbidden by whoever confines us already */
        return 0;
    rules.files = sandbox_file_rights(abi);
    if (abi >= 4)
        rules.network = LANDLOCK_ACCESS_NET_BIND_TCP | (job ? 0 : LANDLOCK_ACCESS_NET_CONNECT_TCP);
    if (abi >= 6)
        rules.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0U);
    if (ruleset < 0)
        return -errno;
    int r = add_paths(ruleset, abi, job);
    if (r == 0)
        r = syscall(SYS_landlock_restrict_self, ruleset, 0U) < 0 ? -errno : (int)abi;
    close(ruleset);
    return r;
}

/* ---- system calls ---------------------------------------------------------------------------- */

/* Allowed whatever their arguments are. Names, since each library knows some more. */
static const char *const calls[] = {
    /* descriptors */
    "close dup dup2 dup3 eventfd2 lseek pipe pipe2 pread64 read readv write writev",
    /* waiting */
    "clock_nanosleep epoll_create1 epoll_ctl epoll_pwait epoll_wait nanosleep poll ppoll pselect6",
    "restart_syscall select",
    /* connections; listening is not among it */
    "bind connect getpeername getsockname getsockopt recvfrom recvmmsg recvmsg sendmmsg sendmsg",
    "sendto setsockopt shutdown",
    /* files, within what Landlock leaves */
    "access faccessat faccessat2 fstat fstatfs getcwd getdents64 lstat newfstatat readlink",
    "readlinkat stat statfs statx",
    /* memory */
    "brk madvise membarrier mlock mremap munlock munmap",
    /* threads, signals to oneself, the end */
    "exit exit_group futex rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity",
    "sched_yield set_robust_list sigaltstack",
    /* time, who and where we are */
    "clock_getres clock_gettime getegid geteuid getgid getpid getppid getrandom getrusage gettid",
    "gettimeofday getuid sysinfo time uname",
};

struct condition {
    unsigned argument;
    uint64_t mask, value; /* holds when (argument & mask) == value */
};

struct rule {
    const char *call;
    struct condition conditions[3]; /* all have to hold; a mask of 0 ends them */
};

#define INT UINT32_MAX /* the upper half is noise */
#define KIND (INT & ~((uint64_t)SOCK_CLOEXEC | SOCK_NONBLOCK))
#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC)

static const struct rule rules[] = {
    { "open", { { 1, WRITING, 0 } } },
    { "openat", { { 2, WRITING, 0 } } },
    { "mmap", { { 2, PROT_WRITE, 0 } } },
    { "mmap", { { 2, PROT_EXEC, 0 } } },
    { "mprotect", { { 2, PROT_EXEC, 0 } } },
    /* Not F_SETOWN and its like, which have signals sent. */
    { "fcntl", { { 1, INT, F_GETFD } } },
    { "fcntl", { { 1, INT, F_SETFD } } },
    { "fcntl", { { 1, INT, F_GETFL } } },
    { "fcntl", { { 1, INT, F_SETFL } } },
    { "fcntl", { { 1, INT, F_DUPFD_CLOEXEC } } },
    { "ioctl", { { 1, INT, FIONBIO } } },
    { "ioctl", { { 1, INT, FIONREAD } } },
    { "ioctl", { { 1, INT, TCGETS } } },
    { "prctl", { { 0, INT, PR_CAPBSET_READ } } }, /* nss-resolve */
    { "prctl", { { 0, INT, PR_SET_NAME } } },
    { "prctl", { { 0, INT, PR_SET_VMA } } },                  /* names of memory */
    { "prlimit64", { { 0, INT, 0 }, { 2, UINT64_MAX, 0 } } }, /* reading our own */
};

/* No process has both of these: who meets the network reaches no service of this machine. */
static const struct rule network_rules[] = {
    { "socket", { { 0, INT, AF_INET }, { 1, KIND, SOCK_STREAM } } },
    { "socket", { { 0, INT, AF_INET }, { 1, KIND, SOCK_DGRAM } } },
    { "socket", { { 0, INT, AF_INET6 }, { 1, KIND, SOCK_STREAM } } },
    { "socket", { { 0, INT, AF_INET6 }, { 1, KIND, SOCK_DGRAM } } },
    { "socket",
      { { 0, INT, AF_NETLINK }, { 2, INT, NETLINK_ROUTE } } }, /* which addresses we have */
    /* libcurl's resolver and its thread. A pair of streams leads nowhere else; one of datagram
     * sockets could still send to any path. */
    { "socketpair", { { 0, INT, AF_UNIX }, { 1, KIND, SOCK_STREAM } } },
    { "clone", { { 0, CLONE_THREAD, CLONE_THREAD } } },
};

static const struct rule names_rules[] = {
    { "socket", { { 0, INT, AF_UNIX }, { 1, KIND, SOCK_STREAM } } },
};

/* Returns 0, or -errno. */
static int add_rule(scmp_filter_ctx filter, uint32_t action, const struct rule *rule)
{
    struct scmp_arg_cmp where[3];
    unsigned n = 0;
    int call = seccomp_syscall_resolve_name(rule->call);

    if (call < 0) /* the library is older than the call, or the architecture has it not */
        return 0;
    for (; n < 3 && rule->conditions[n].mask != 0; n++)
        where[n] = (struct scmp_arg_cmp){ rule->conditions[n].argument, SCMP_CMP_MASKED_EQ,
                                          rule->conditions[n].mask, rule->conditions[n].value };
    return seccomp_rule_add_array(filter, action, call, n, where);
}

/* The calls of a line of names. Returns 0, or -errno. */
static int add_calls(scmp_filter_ctx filter, const char *names)
{
    char name[32];
    int r = 0;

    for (const char *p = names; r == 0 && *p; p += strspn(p, " ")) {
        size_t length = strcspn(p, " ");
        snprintf(name, sizeof name, "%.*s", (int)length, p);
        r = add_rule(filter, SCMP_ACT_ALLOW, &(struct rule){ .call = name });
        p += length;
    }
    return r;
}

static int add_list(scmp_filter_ctx filter, const struct rule *list, size_t n)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_rule(filter, SCMP_ACT_ALLOW, &list[i]);
    return r;
}

#define ADD_LIST(filter, list) add_list(filter, list, sizeof(list) / sizeof *(list))

static int add_rules(scmp_filter_ctx filter, enum sandbox_role role)
{
    /* For this answer glibc falls back to clone(), whose flags can be seen. */
    const struct rule clone3 = { "clone3", { { 0 } } };
    const struct rule tgkill = { "tgkill", { { 0, INT, (uint64_t)getpid() } } }; /* abort() */
    int r = add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), &clone3);

    for (size_t i = 0; r == 0 && i < sizeof calls / sizeof *calls; i++)
        r = add_calls(filter, calls[i]);
    if (r == 0)
        r = ADD_LIST(filter, rules);
    if (r == 0)
        r = add_rule(filter, SCMP_ACT_ALLOW, &tgkill);
    if (r == 0 && role == SANDBOX_NETWORK)
        r = ADD_LIST(filter, network_rules);
    if (r == 0 && role == SANDBOX_NAMES)
        r = ADD_LIST(filter, names_rules);
    return r;
}

/* Whether the kernel has filters, and the list above is right for the architecture. */
static bool calls_can_be_filtered(void)
{
#if (defined(__x86_64__) && defined(__LP64__)) || defined(__aarch64__)
    uint32_t action = SECCOMP_RET_ERRNO;

    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) == 0;
#else
    return false;
#endif
}

int sandbox_calls(enum sandbox_role role)
{
    if (!calls_can_be_filtered())
        return 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return -ENOMEM;
    /* Calls by the numbers of another architecture: nothing honest makes them. */
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = add_rules(filter, role);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r < 0 ? r : 1;
}
