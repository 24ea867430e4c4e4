use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixListener,
    },
    path::Path,
};

use lab::{TempDir, tempdir};
use rustix::io::Errno;

use super::{Host, Target};
use crate::{answer::QueryError, images::address::StoreAddress};

const SOCKET: &str = "/run/containerd/containerd.sock";

/// A root directory with these directories in it.
fn root(directories: &[&str]) -> TempDir {
    let root = tempdir().expect("a temporary folder can be made");
    for directory in directories {
        fs::create_dir_all(root.path().join(directory)).expect("it is ours");
    }
    root
}

/// A host: its journal, its `/run`, a shell.
fn host(also: &[&str]) -> TempDir {
    let host = root(&["bin", "run/systemd/journal", "run/systemd/system"]);
    fs::write(host.path().join("bin/sh"), "").expect("it is ours");
    also.iter()
        .try_for_each(|directory| fs::create_dir_all(host.path().join(directory)))
        .expect("it is ours");
    host
}

/// The unit's root directory, in which a drop-in shows these directories.
fn sandbox(shown: &[&str]) -> TempDir {
    let all = [shown, &["run/systemd/journal", "usr/bin"]].concat();
    root(&all)
}

fn tcp() -> StoreAddress {
    StoreAddress::Tcp {
        host: "store.example".to_owned(),
        port: 1,
    }
}

fn unix(path: &str) -> StoreAddress {
    StoreAddress::Unix(path.to_owned())
}

fn target(address: StoreAddress, root: &Path) -> Target {
    Target {
        host: Host::at(root),
        ..Target::new(address)
    }
}

fn explained(errno: Errno, target: &Target) -> (&'static str, String) {
    let error = target.unreached(&io::Error::from_raw_os_error(errno.raw_os_error()));
    let text = error.to_string();
    (QueryError::from(error).code().name(), text)
}

#[track_caller]
fn assert_explained(errno: Errno, address: StoreAddress, root: &TempDir, words: &[&str]) -> String {
    let (_, text) = explained(errno, &target(address, root.path()));
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert!(text.len() < 480, "{} bytes in {text}", text.len());
    text
}

#[test]
fn a_shortage_on_this_side_is_not_the_stores_fault() {
    let host = host(&[]);
    for (errno, cure) in [
        (Errno::MFILE, "LimitNOFILE="),
        (Errno::NFILE, "fs.file-max"),
        (Errno::NOMEM, "MemoryMax="),
        (Errno::NOBUFS, "MemoryMax="),
        (Errno::NOSPC, "fs.epoll.max_user_watches"),
        (Errno::ADDRNOTAVAIL, "net.ipv4.ip_local_port_range"),
    ] {
        for address in [tcp(), unix(SOCKET)] {
            let (code, text) = explained(errno, &target(address, host.path()));
            assert_eq!(code, "RESOURCE_EXHAUSTED", "{text}");
            assert!(text.contains(cure), "{text}");
            assert!(text.contains("the store was not reached"), "{text}");
        }
    }
}

#[test]
fn a_forbidden_store_is_distinguished_from_a_missing_one() {
    let host = host(&[]);
    let code = |errno, address| explained(errno, &target(address, host.path())).0;
    for errno in [Errno::PERM, Errno::ACCESS] {
        assert_eq!(code(errno, tcp()), "PERMISSION_DENIED");
        assert_eq!(code(errno, unix(SOCKET)), "PERMISSION_DENIED");
    }
    assert_eq!(code(Errno::AFNOSUPPORT, tcp()), "PERMISSION_DENIED");
    for errno in [
        Errno::CONNREFUSED,
        Errno::HOSTUNREACH,
        Errno::NOENT,
        Errno::AGAIN,
    ] {
        assert_eq!(code(errno, tcp()), "UNAVAILABLE");
        assert_eq!(code(errno, unix(SOCKET)), "UNAVAILABLE");
    }
}

#[test]
fn a_socket_that_the_sandbox_does_not_show_needs_the_drop_in() {
    let drop_in = [
        "the service's sandbox does not show /run/",
        "/usr/share/doc/exp-rkt-grpc/examples/cri.conf",
        "/etc/systemd/system/exp-rkt-grpc.service.d",
        "systemctl daemon-reload",
    ];
    let text = assert_explained(Errno::NOENT, unix(SOCKET), &sandbox(&[]), &drop_in);
    assert!(!text.contains("BindReadOnlyPaths="), "{text}");
    let elsewhere = unix("/opt/own/own.sock");
    let all_of_run = sandbox(&["run/exp-rkt-grpc/root"]);
    let cure = [
        "sandbox does not show /opt/own",
        "with /opt/own in its BindReadOnlyPaths=",
    ];
    assert_explained(Errno::NOENT, elsewhere, &all_of_run, &cure);
}

#[test]
fn a_socket_that_would_be_seen_needs_its_runtime() {
    for root in [
        host(&[]),
        host(&["run/containerd"]),
        sandbox(&["run/containerd"]),
        sandbox(&["run/exp-rkt-grpc/root"]),
    ] {
        let cure = ["systemctl start containerd", "--store (EXP_RKT_GRPC_STORE)"];
        let text = assert_explained(Errno::NOENT, unix(SOCKET), &root, &cure);
        assert!(!text.contains("cri.conf"), "{text}");
    }
    let shown = sandbox(&["run/exp-rkt-grpc/root"]);
    let elsewhere = unix("/var/run/own.sock");
    let text = assert_explained(Errno::NOENT, elsewhere, &shown, &["start the runtime"]);
    assert!(!text.contains("systemctl start"), "{text}");
}

/// A container with only this program: it has no shell, but is not the unit's sandbox.
#[test]
fn a_root_directory_without_a_journal_is_not_the_unit_s() {
    let container = root(&["usr/bin"]);
    assert_explained(
        Errno::NOENT,
        unix(SOCKET),
        &container,
        &["start it (systemctl start containerd)"],
    );
}

#[test]
fn a_stale_socket_is_distinguished_from_another_file() {
    let host = host(&["run/containerd"]);
    let path = host.path().join("run/containerd/containerd.sock");
    fs::write(&path, "").expect("it is ours");
    assert_explained(
        Errno::CONNREFUSED,
        unix(SOCKET),
        &host,
        &["this is not a socket"],
    );
    fs::remove_file(&path).expect("it is ours");
    drop(UnixListener::bind(&path).expect("it is free"));
    let words = ["has ended: start it (systemctl start containerd)"];
    assert_explained(Errno::CONNREFUSED, unix(SOCKET), &host, &words);
}

#[test]
fn the_error_of_another_users_socket_names_its_owner() {
    let groups_of_root = [
        "connect as root or in the group 64000",
        "the owner may connect: connect as root",
    ];
    let groups_of_the_unit = ["SupplementaryGroups=64000", "root.conf beside cri.conf"];
    for (root, [by_group, by_owner]) in [
        (host(&["run/containerd"]), groups_of_root),
        (sandbox(&["run/containerd"]), groups_of_the_unit),
    ] {
        let path = root.path().join("run/containerd/containerd.sock");
        let _listener = UnixListener::bind(&path).expect("it is free");
        for (mode, cure) in [(0o660, by_group), (0o600, by_owner)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
            if chown(&path, Some(0), Some(64_000)).is_err() {
                lab::skip::loudly("only root can give a socket away");
                return;
            }
            let owner = format!("user root and the group 64000, mode {mode:04o}");
            assert_explained(Errno::ACCESS, unix(SOCKET), &root, &[&owner, cure]);
        }
    }
    // PrivateUsers= shows other users and groups with this id.
    let root = sandbox(&["run/containerd"]);
    let path = root.path().join("run/containerd/containerd.sock");
    let _listener = UnixListener::bind(&path).expect("it is free");
    chown(&path, None, Some(65_534)).expect("it was possible before");
    fs::set_permissions(&path, Permissions::from_mode(0o660)).expect("it is ours");
    let words = [
        "user root and another group, mode 0660",
        "the group that stat(1) shows on the host",
    ];
    assert_explained(Errno::ACCESS, unix(SOCKET), &root, &words);
    chown(&path, Some(65_534), None).expect("it was possible before");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    let words = [
        "another user and another group, mode 0600",
        "who is not root",
    ];
    assert_explained(Errno::ACCESS, unix(SOCKET), &root, &words);

    let unseen = host(&[]);
    let words = ["a directory above it may not be entered: check who owns it"];
    assert_explained(Errno::ACCESS, unix(SOCKET), &unseen, &words);
    let words = ["may not be entered: if it belongs to root, copy root.conf"];
    assert_explained(Errno::ACCESS, unix(SOCKET), &sandbox(&[]), &words);
}

#[test]
fn the_error_without_a_network_names_the_drop_in_that_removes_it() {
    for errno in [Errno::AFNOSUPPORT, Errno::NETUNREACH] {
        let cure = [
            "a drop-in such as no-network.conf",
            "remove that file from /etc/systemd/system/exp-rkt-grpc.service.d",
        ];
        assert_explained(errno, tcp(), &sandbox(&[]), &cure);
        let text = assert_explained(errno, tcp(), &host(&[]), &["this host has no"]);
        assert!(!text.contains("no-network.conf"), "{text}");
    }
    let outside = assert_explained(Errno::PERM, tcp(), &host(&[]), &["a firewall"]);
    assert!(!outside.contains("the service's"), "{outside}");
    assert_explained(Errno::PERM, tcp(), &sandbox(&[]), &["IPAddressAllow="]);
}

#[test]
fn a_default_that_is_not_there_names_the_runtime_that_is() {
    let default = |root: &TempDir| {
        let target = target(tcp(), root.path()).by_default();
        explained(Errno::CONNREFUSED, &target).1
    };
    let setting = "set EXP_RKT_GRPC_STORE=cri+unix://";
    for socket in [
        "/run/containerd/containerd.sock",
        "/run/k3s/containerd/containerd.sock",
        "/run/crio/crio.sock",
        "/var/run/crio/crio.sock",
    ] {
        let path = socket.trim_start_matches('/');
        let directory = Path::new(path).parent().expect("it has one");
        let host = host(&[directory.to_str().expect("it is ASCII")]);
        let _listener = UnixListener::bind(host.path().join(path)).expect("it is free");
        let text = default(&host);
        assert!(
            text.contains(&format!("{setting}{socket} in /etc")),
            "{text}"
        );
        assert!(!text.contains("(others"), "{text}");
    }
    let text = default(&sandbox(&[]));
    assert!(
        text.contains(&format!("{setting}{SOCKET} in /etc")),
        "{text}"
    );
    assert!(
        text.contains("To query containerd (others: see exp-rkt-grpc(8)),"),
        "{text}"
    );
    assert!(text.len() < 490, "{} bytes in {text}", text.len());
    let (_, configured) = explained(Errno::CONNREFUSED, &target(tcp(), host(&[]).path()));
    assert!(configured.contains("nothing listens there"), "{configured}");
}

#[test]
fn the_error_of_an_unknown_name_names_the_name_servers() {
    let error = io::Error::other("failed to lookup address information");
    let text = |root: &TempDir| target(tcp(), root.path()).unresolved(&error).to_string();
    let outside = text(&host(&[]));
    assert!(
        outside.contains("the name servers of /etc/resolv.conf"),
        "{outside}"
    );
    let inside = text(&sandbox(&[]));
    assert!(inside.contains("a name server on this host"), "{inside}");
}
