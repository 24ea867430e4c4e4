//! Machines are isolated from the host, and leave nothing behind.

use std::net::{Ipv4Addr, TcpListener};

use super::*;
use crate::poll::eventually;

/// The mounts, cgroups, state and processes of a machine. Empty when the machine is gone.
fn remains_of(name: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/mounts").expect("proc is mounted");
    let mounts = mounts
        .lines()
        .filter(|line| line.contains(name))
        .map(str::to_owned);
    let folders = [
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/systemd",
        "/sys/fs/cgroup/unified",
        "/run/sdbox",
    ];
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .map(|entry| {
            entry
                .expect("the folder can be read")
                .path()
                .display()
                .to_string()
        })
        .filter(|path| path.contains(name));
    let processes = fs::read_dir("/proc")
        .expect("proc is mounted")
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|command| String::from_utf8_lossy(&command).into_owned())
        .filter(|command| command.contains(name));
    mounts.chain(entries).chain(processes).collect()
}

fn holder_of(machine: &Machine) -> rustix::process::Pid {
    rustix::process::Pid::from_child(&machine.holder)
}

#[test]
fn a_machine_has_a_systemd_and_a_network_and_files_of_its_own() {
    let Some(machine) = Machine::boot("own") else {
        return;
    };
    let state = machine.run(["systemctl", "is-system-running"]);
    assert_eq!(state.stdout, b"running\n", "{state:?}");

    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = taken.local_addr().expect("the socket is bound");
    machine
        .network(|| TcpListener::bind(address))
        .expect("the port is free in the machine");

    machine.write("/etc/only-inside/file", "x");
    assert_eq!(machine.succeed("cat /etc/only-inside/file"), "x");
    assert!(!Path::new("/etc/only-inside").exists());

    let failed = machine.succeed("systemctl list-units --failed --no-legend");
    assert_eq!(failed, "");
}

#[test]
fn nothing_stays_of_a_machine_that_is_dropped_or_powered_off() {
    let Some(machine) = Machine::boot("dropped") else {
        return;
    };
    let name = machine.name.clone();
    assert!(remains_of(&name).len() >= 3, "{:?}", remains_of(&name));
    drop(machine);
    assert_eq!(remains_of(&name), Vec::<String>::new());

    let machine = Machine::boot("off").expect("the first one booted");
    let name = machine.name.clone();
    machine.power_off();
    assert_eq!(remains_of(&name), Vec::<String>::new());
}

#[test]
fn a_machine_whose_holder_is_killed_ends_and_the_next_run_removes_the_rest() {
    let Some(machine) = Machine::boot("killed") else {
        return;
    };
    let name = machine.name.clone();
    let leader = PathBuf::from(format!("/proc/{}/root", machine.leader));
    rustix::process::kill_process(holder_of(&machine), rustix::process::Signal::KILL)
        .expect("the holder runs as our user");
    drop(machine);
    eventually("the machine to end", || (!leader.exists()).then_some(()));
    assert!(!remains_of(&name).is_empty());
    service::run(SDBOX, ["reap"], &[]);
    assert_eq!(remains_of(&name), Vec::<String>::new());
}
