// Tries what an attacker who controls the service could try. Prints for each action whether it succeeded, or the error with which
// it failed. tests/booted/sandbox.rs starts this program in place of the service, and outside of its sandbox for comparison.
//
// Written in C, because these are plain system calls, and nearly every one would be unsafe in Rust.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// The test listens here; the address is outside of 127.0.0.0/8.
#define OUTSIDE "10.77.0.1"
#define PORT 7777

static int writes(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    return fd < 0 ? -1 : (int)write(fd, "x", 1);
}
static int reads(const char *path) { return open(path, O_RDONLY); }
static int executes(const char *path) {
    char *arguments[] = {(char *)path, (char *)"nothing", NULL};
    return execve(path, arguments, environ);
}
static int connects_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address);
}
static struct sockaddr_in address(const char *host) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, host, &there.sin_addr);
    return there;
}
// A connection to a blocked address times out. Half a second is long enough.
static int connects(const char *host) {
    struct sockaddr_in there = address(host);
    struct timeval wait = {.tv_usec = 500000};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait)) return -1;
    return connect(fd, (struct sockaddr *)&there, sizeof there);
}
static int sends(const char *host) {
    struct sockaddr_in there = address(host);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return fd < 0 ? -1 : (int)sendto(fd, "x", 1, 0, (struct sockaddr *)&there, sizeof there);
}
static int traces(int request) {
    pid_t child = fork();
    if (child == 0) { pause(); _exit(0); }
    int outcome = (int)ptrace(request, child, NULL, NULL), error = errno;
    kill(child, SIGKILL);
    errno = error;
    return outcome;
}
static int makes_executable(int protection) {
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return -1;
    return protection ? 0 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}
static int maps_bpf(void) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map);
}
static int runs_in_real_time(void) {
    struct sched_param parameter = {.sched_priority = 1};
    return sched_setscheduler(0, SCHED_FIFO, &parameter);
}
static int pins(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return sched_setaffinity(0, sizeof set, &set);
}
static int sets_suid(void) {
    return writes("/tmp/suid") < 0 ? -1 : chmod("/tmp/suid", 04755);
}
static int executes_own_file(const char *self) {
    char buffer[65536];
    int from = open(self, O_RDONLY), to = open("/tmp/copy", O_WRONLY | O_CREAT, 0700);
    if (from < 0 || to < 0) return -1;
    for (ssize_t length; (length = read(from, buffer, sizeof buffer)) > 0;)
        if (write(to, buffer, (size_t)length) != length) return -1;
    close(to);
    return executes("/tmp/copy");
}
static int sees_process_1(void) { return access("/proc/1/comm", R_OK); }

// These system calls have invalid arguments, so that they have no effect. A refusal comes before the check of the arguments, so
// EFAULT and EINVAL mean that the call is permitted.
static int is_permitted(long outcome) { return outcome < 0 && errno != EFAULT && errno != EINVAL ? -1 : 0; }

// Runs each action in a child process, because the kernel may kill it.
#define TRY(name, act)                                                                        \
    do {                                                                                      \
        pid_t child = fork();                                                                 \
        if (child == 0) _exit((act) < 0 ? errno : 0);                                         \
        int status = 0;                                                                       \
        waitpid(child, &status, 0);                                                           \
        const char *outcome = WIFSIGNALED(status) ? strsignal(WTERMSIG(status))               \
            : WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "done";            \
        printf("%s: %s\n", name, outcome);                                                    \
    } while (0)

int main(int count, char **arguments) {
    if (count > 1) return 0; // executed by executes()
    const char *self = arguments[0];
    TRY("connect to localhost", connects("127.0.0.1"));

    TRY("write to /", writes("/file"));
    TRY("write to /etc", writes("/etc/file"));
    TRY("write to /usr/bin", writes("/usr/bin/file"));
    TRY("write to /run", writes("/run/file"));
    TRY("write to /tmp", writes("/tmp/file"));
    TRY("write to /var/tmp", writes("/var/tmp/file"));
    TRY("write to /dev/shm", writes("/dev/shm/file"));
    TRY("read /etc/passwd", reads("/etc/passwd"));
    TRY("read /etc/shadow", reads("/etc/shadow"));
    TRY("read /proc/meminfo", reads("/proc/meminfo"));
    TRY("see process 1", sees_process_1());
    TRY("execute a program", executes("/usr/bin/true"));
    TRY("execute a file it has written", executes_own_file(self));

    TRY("connect outside localhost", connects(OUTSIDE));
    TRY("send a datagram outside localhost", sends(OUTSIDE));
    TRY("talk to D-Bus", connects_unix("/run/dbus/system_bus_socket"));
    TRY("talk to D-Bus by its old path", connects_unix("/var/run/dbus/system_bus_socket"));
    TRY("talk to systemd", connects_unix("/run/systemd/private"));
    TRY("ask systemd for users", connects_unix("/run/systemd/userdb/io.systemd.DynamicUser"));
    TRY("command the journal", connects_unix("/run/systemd/journal/io.systemd.journal"));
    TRY("command systemd as init", open("/run/initctl", O_WRONLY | O_NONBLOCK));
    TRY("talk to Docker", connects_unix("/run/docker.sock"));
    TRY("list journals", reads("/run/log/journal"));
    TRY("list users' sockets", reads("/run/user/0"));
    TRY("open a raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    TRY("open a packet socket", socket(AF_PACKET, SOCK_RAW, 0));
    TRY("open a netlink socket", socket(AF_NETLINK, SOCK_RAW, 0));

    TRY("open a device", open("/dev/net/tun", O_RDWR));
    TRY("make a device", mknod("/tmp/null", S_IFCHR | 0600, 1 << 8 | 3));
    TRY("map shared memory of System V", shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
    TRY("make a message queue", msgget(IPC_PRIVATE, IPC_CREAT | 0600));

    TRY("trace a process", traces(PTRACE_ATTACH));
    TRY("make a user namespace", unshare(CLONE_NEWUSER));
    TRY("make a mount namespace", unshare(CLONE_NEWNS));
    TRY("make a network namespace", unshare(CLONE_NEWNET));
    TRY("mount", mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
    TRY("unmount", umount2("/proc", MNT_DETACH));
    TRY("change its root", chroot("/tmp"));
    TRY("become another user", syscall(SYS_setresuid, 1, 1, 1));
    TRY("give a file away", writes("/tmp/gift") < 0 ? -1 : chown("/tmp/gift", 1, 1));
    TRY("make a set-user-id file", sets_suid());

    TRY("add a key", syscall(SYS_add_key, "user", "x", "x", 1, -2));
    TRY("make a BPF map", maps_bpf());
    TRY("set up io_uring", syscall(SYS_io_uring_setup, 1, calloc(1, 256)));
    TRY("handle page faults", syscall(SYS_userfaultfd, O_CLOEXEC | 1));
    TRY("watch performance events", is_permitted(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)));
    TRY("make a file in memory", memfd_create("x", MFD_CLOEXEC));
    TRY("map memory to write and execute", makes_executable(PROT_EXEC));
    TRY("make written memory executable", makes_executable(0));
    TRY("run in real time", runs_in_real_time());
    TRY("choose its processor", pins());
    TRY("raise its priority", setpriority(PRIO_PROCESS, 0, -1));
    TRY("change its personality", personality(ADDR_NO_RANDOMIZE));
    TRY("set the host's name", sethostname("x", 1));
    TRY("read the kernel's log", syscall(SYS_syslog, 3, calloc(1, 64), 64));
    TRY("restart the machine", is_permitted(syscall(SYS_reboot, 0, 0, 0, NULL)));
    return 0;
}
