/*
 * What a process may do, as the service's own are confined: a line for each act, with "ok", the
 * name of the errno, or what it saw. Nothing of it changes anything outside of the process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

static void say(const char *act, long result)
{
    printf("%s %s\n", act, result >= 0 ? "ok" : strerrorname_np(errno));
}

/* In a child, for what would change this process, or end it. */
static void say_of_child(const char *act, long (*try)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(try() < 0 ? errno : 0);
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        printf("%s %s\n", act, sigabbrev_np(WTERMSIG(status)));
    else
        printf("%s %s\n", act, WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "ok");
}

static long foreign_call(void)
{
#ifdef __x86_64__
    long result; /* getpid() of a 32-bit program */

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    errno = (int)-result;
    return result > -4096 && result < 0 ? -1 : 0;
#else
    errno = EPERM;
    return -1;
#endif
}

static long be_traced(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long user_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}

static long other_personality(void)
{
    return personality(PER_LINUX32);
}

static long writable_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) == MAP_FAILED
               ? -1
               : 0;
}

static long set_user_id_file(void)
{
    int fd = memfd_create("probe", 0);

    return fchmod(fd, 04700);
}

/* The kernel looks at the pid first, the filter at the policy. */
static long realtime(void)
{
    const struct sched_param priority = { .sched_priority = 1 };

    return sched_setscheduler(-1, SCHED_FIFO, &priority);
}

static void say_status(const char *field)
{
    char line[256];
    size_t length = strlen(field);
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, field, length) == 0 && line[length] == ':')
            printf("%s %s", field, line + length + 2);
    if (f)
        fclose(f);
}

static void say_link(const char *act, const char *path)
{
    char target[256] = "";

    printf("%s %s\n", act, readlink(path, target, sizeof target - 1) > 0 ? target : "-");
}

static void say_read_only(const char *act, const char *path)
{
    struct statvfs st;

    printf("%s %s\n", act,
           statvfs(path, &st) < 0         ? strerrorname_np(errno)
           : (st.f_flag & ST_RDONLY) != 0 ? "read-only"
                                          : "ok");
}

static void say_writable(const char *act, const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_WRONLY, 0600);

    if (fd < 0 && errno == EOPNOTSUPP) /* not by every overlayfs */
        fd = access(folder, W_OK);
    say(act, fd);
}

static void say_identity(const char *act, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        say(act, -1);
    else
        printf("%s %lu:%lu:%o\n", act, (unsigned long)st.st_dev, (unsigned long)st.st_ino,
               (unsigned)st.st_mode);
}

/* The kernel looks at the clock first. */
static long set_clock(void)
{
    return clock_settime(99, &(struct timespec){ 0, 0 });
}

static void system_calls(void)
{
    say_of_child("int80", foreign_call);
    say_of_child("ptrace", be_traced);
    say_of_child("userns", user_namespace);
    say_of_child("personality", other_personality);
    say_of_child("wx", writable_code);
    say_of_child("suid", set_user_id_file);
    say_of_child("realtime", realtime);
    say_of_child("clock", set_clock);
    say("packet", socket(AF_PACKET, SOCK_RAW, 0));
    for (int family = 0; family < 3; family++)
        say((const char *[]){ "unix", "inet", "inet6" }[family],
            socket((const int[]){ AF_UNIX, AF_INET, AF_INET6 }[family], SOCK_STREAM, 0));
    say("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    /* what the daemon and its fetcher use */
    say("memfd_secret", syscall(SYS_memfd_secret, 0));
    say("landlock", syscall(SYS_landlock_create_ruleset, NULL, 0, 1));
    say("seccomp", syscall(SYS_seccomp, 2, 0, (unsigned[]){ 0x7fff0000 })); /* is it there? */
    say("close_range", close_range(1000, 1001, 0));
    say("mlock2", syscall(SYS_mlock2, realtime, 1, 0));
    say("pidfd_open", syscall(SYS_pidfd_open, getpid(), 0));
    say("execveat", syscall(SYS_execveat, -1, "/nowhere/at/all", NULL, NULL, 0));
    say("setrlimit", setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }));
}

int main(void)
{
    const char *home = getenv("HOME"), *runtime = getenv("XDG_RUNTIME_DIR");
    char folder[4096];
    struct rlimit core;
    mode_t mask = umask(0);

    umask(mask);
    getrlimit(RLIMIT_CORE, &core);
    printf("umask %03o\ncore %lu\n", (unsigned)mask, (unsigned long)core.rlim_max);
    say_status("NoNewPrivs");
    say_status("CapBnd");
    say_link("user", "/proc/self/ns/user");
    say_link("mnt", "/proc/self/ns/mnt");
    say_link("uts", "/proc/self/ns/uts");
    say_identity("tmp", "/tmp");
    say_identity("dev", "/dev");
    say_identity("kmsg", "/proc/kmsg");
    say_identity("modules", "/usr/lib/modules");
    say_writable("home", home ? home : "/");
    snprintf(folder, sizeof folder, "%s/kubetoken", runtime ? runtime : "");
    say_writable("runtime", folder);
    say_read_only("usr", "/usr");
    say_read_only("home-mount", home ? home : "/");
    say_read_only("sysctl", "/proc/sys");
    say_read_only("cgroup", "/sys/fs/cgroup");
    system_calls();
    return 0;
}
