//! Advice for a store that cannot be reached: a sentence or two, of which `Status:` shows about 350 characters.

use std::path::Path;

use rustix::io::Errno;

use super::host::{Host, Owner};
use crate::images::kinds::{UsualSocket, usual_sockets};

const CRI: &str = "/usr/share/doc/exp-rkt-grpc/examples/cri.conf";
const DROP_INS: &str = "/etc/systemd/system/exp-rkt-grpc.service.d";
const RESTART: &str = "systemctl daemon-reload and systemctl restart exp-rkt-grpc";

const ROOT: u32 = 0;

/// The id that `PrivateUsers=` shows for all users and groups but root and the service's own.
const UNMAPPED: u32 = 65_534;

/// About a Unix socket.
pub(super) fn about_socket(errno: Errno, path: &str, host: &Host) -> String {
    match errno {
        Errno::NOENT if host.is_sandbox() && !host.would_show(path) => not_shown(path),
        Errno::NOENT => format!(
            "no runtime has made this socket: start {}, or correct the path in --store (EXP_RKT_GRPC_STORE)",
            runtime(path)
        ),
        Errno::CONNREFUSED if !host.is_socket(path) => {
            "this is not a socket: correct the path in --store (EXP_RKT_GRPC_STORE)".to_owned()
        }
        Errno::CONNREFUSED => format!(
            "the runtime that made this socket has ended: start {}",
            runtime(path)
        ),
        Errno::NOTDIR => {
            "a directory of this path is a file: correct the path in --store (EXP_RKT_GRPC_STORE)"
                .to_owned()
        }
        Errno::ACCESS | Errno::PERM => not_permitted(path, host),
        _ => String::new(),
    }
}

fn runtime(path: &str) -> String {
    match usual_sockets().find(|usual| usual.path == path) {
        Some(UsualSocket { unit, .. }) => format!("it (systemctl start {unit})"),
        None => "the runtime".to_owned(),
    }
}

/// The unit's root directory holds only what drop-ins add; cri.conf adds `/run`.
fn not_shown(path: &str) -> String {
    let path = Path::new(path);
    let directory = path.parent().unwrap_or(Path::new("/")).display();
    let also = if path.starts_with("/run") || path.starts_with("/var/run") {
        String::new()
    } else {
        format!(" with {directory} in its BindReadOnlyPaths=")
    };
    format!(
        "the service's sandbox does not show {directory}: copy {CRI}{also} to {DROP_INS}, then {RESTART}"
    )
}

fn not_permitted(path: &str, host: &Host) -> String {
    const GROUP_MAY_CONNECT: u32 = 0o020;
    const MANUAL: &str = "see \"PERMISSIONS\" in exp-rkt-grpc(8)";
    let in_sandbox = host.is_sandbox();
    let Some(Owner { user, group, mode }) = host.owner(path) else {
        let cure = if in_sandbox {
            format!("if it belongs to root, copy root.conf beside cri.conf to {DROP_INS}")
        } else {
            "check who owns it".to_owned()
        };
        return format!("a directory above it may not be entered: {cure}; {MANUAL}");
    };
    let is_hidden = |id: u32| in_sandbox && id == UNMAPPED;
    let cure = match (mode & GROUP_MAY_CONNECT != 0, in_sandbox) {
        (true, true) if is_hidden(group) => {
            "set SupplementaryGroups= in a drop-in, as cri.conf does, to the group that stat(1) shows on the host".to_owned()
        }
        (true, true) => format!("set SupplementaryGroups={} in a drop-in, as cri.conf does", name(group)),
        (true, false) => format!("connect as root or in the group {}", name(group)),
        (false, true) if user == ROOT => {
            format!("only the owner may connect, copy root.conf beside cri.conf to {DROP_INS}")
        }
        (false, true) => "only the owner, who is not root, may connect: give the socket a group".to_owned(),
        (false, false) => format!("only the owner may connect: connect as {}", name(user)),
    };
    let whose = |what: &str, id: u32| {
        if is_hidden(id) {
            format!("another {what}")
        } else {
            format!("the {what} {}", name(id))
        }
    };
    let (user, group) = (whose("user", user), whose("group", group));
    format!("it belongs to {user} and {group}, mode {mode:04o}: {cure}; {MANUAL}")
}

fn name(id: u32) -> String {
    match id {
        ROOT => "root".to_owned(),
        other => other.to_string(),
    }
}

/// About the default store, rkt's api-service: suggests a runtime that is there.
pub(super) fn about_default(host: &Host) -> String {
    let found = usual_sockets().find(|usual| host.is_socket(usual.path));
    let others = match found {
        Some(_) => "",
        None => " (others: see exp-rkt-grpc(8))",
    };
    let Some(UsualSocket { kind, path, unit }) = found.or_else(|| usual_sockets().next()) else {
        return String::new();
    };
    format!(
        "no store is configured, and rkt, the default, is not there. To query {unit}{others}, set EXP_RKT_GRPC_STORE={kind}+unix://{path} in /etc/default/exp-rkt-grpc, copy {CRI} to {DROP_INS}, then {RESTART}"
    )
}

/// About a TCP connection.
pub(super) fn about_network(errno: Errno, host: &Host) -> String {
    match (errno, host.is_sandbox()) {
        (Errno::CONNREFUSED, _) => "nothing listens there: start the runtime, or correct the address in --store (EXP_RKT_GRPC_STORE)".to_owned(),
        (Errno::AFNOSUPPORT | Errno::NETUNREACH, true) => format!(
            "a drop-in such as no-network.conf takes the network away from the service. For a store over TCP remove that file from {DROP_INS}, then {RESTART}"
        ),
        (Errno::AFNOSUPPORT, false) => {
            "this host has no addresses of that family, or a sandbox forbids them (RestrictAddressFamilies=)".to_owned()
        }
        (Errno::NETUNREACH, false) => {
            "this host has no route there: correct the address in --store (EXP_RKT_GRPC_STORE)".to_owned()
        }
        (Errno::ACCESS | Errno::PERM, true) => {
            "the service's sandbox lets it connect to this host only (IPAddressAllow= in a drop-in permits others), or a firewall forbids it".to_owned()
        }
        (Errno::ACCESS | Errno::PERM, false) => {
            "a firewall of this host, or a sandbox (IPAddressAllow=), forbids it".to_owned()
        }
        _ => String::new(),
    }
}

/// About a host name without an address.
pub(super) fn about_names(host: &Host) -> String {
    let servers = if host.is_sandbox() {
        "a name server on this host, which is all that the service's sandbox reaches"
    } else {
        "the name servers of /etc/resolv.conf"
    };
    format!(
        "correct the name in --store (EXP_RKT_GRPC_STORE), or make it known to /etc/hosts or to {servers}"
    )
}
