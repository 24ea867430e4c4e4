// Stores standard input in systemd's file descriptor store in the format of the service's records: one message that is queued in
// a socket, see src/notify/fd_store.rs. The argument is the descriptor's name. tests/booted/state.rs starts this program as a
// command of the service's unit, because systemd accepts descriptors only from the unit's own processes.
//
// Written in C, because the machine has no interpreter that can send a descriptor.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void check(const char *act, long outcome) {
    if (outcome >= 0) return;
    perror(act);
    exit(1);
}

static int sealed(void) {
    static char record[1 << 20];
    int ends[2];
    size_t length = fread(record, 1, sizeof record, stdin);
    check("socketpair", socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    check("send", send(ends[1], record, length, 0));
    close(ends[1]);
    return ends[0];
}

static void notify_with(int fd, char *text) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    strncpy(address.sun_path, path ? path : "", sizeof address.sun_path - 1);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)}};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    struct iovec part = {.iov_base = text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = &control, .msg_controllen = sizeof control};
    check("sendmsg", sendmsg(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), &message, 0));
}

int main(int count, char **arguments) {
    char text[256];
    if (count != 2) return 64;
    // FDPOLL=0: otherwise systemd would remove the descriptor, because the other end of the socket is closed.
    snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", arguments[1]);
    notify_with(sealed(), text);
    return 0;
}
