//! The processes of containerd, and those that outlive it: its containers, and the shims that are their parents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};

/// containerd, its shims and runc share files with fixed names below /run/containerd. This one uses a folder of its own instead, in a
/// mount namespace. Neither unshare nor sh forks, so containerd is the process that is started here.
const IN_A_NAMESPACE: &str =
    r#"mkdir -p /run/containerd "$1" && mount --bind "$1" /run/containerd && shift && exec "$@""#;

/// A command that runs this program with this folder as its /run/containerd. Shims become our children when their parents end, so that we
/// can wait for them.
pub(super) fn command(program: &Path, run: &Path) -> Command {
    set_child_subreaper(Some(getpid())).expect("every process may be a subreaper");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", IN_A_NAMESPACE, "sh"])
        .args([run, program]);
    command
}

/// Kills the containers of the containerd with this folder, and removes their cgroups.
pub(super) fn kill_containers(run: &Path) {
    for namespace in paths_in(&run.join("runc")) {
        for container in paths_in(&namespace) {
            let id = container.file_name().expect("it is in a folder");
            let _ = Command::new("runc")
                .arg("--root")
                .arg(&namespace)
                .args(["delete", "--force"])
                .arg(id)
                .output();
        }
    }
}

/// Kills the shims that work below `folder` and what is left of their containers, and waits until they have ended.
pub(super) fn kill_shims(folder: &Path) {
    let works_there = |process: &PathBuf| {
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    };
    for shim in paths_in(Path::new("/proc")).filter(works_there) {
        let threads = paths_in(&shim.join("task"));
        let children = threads.flat_map(|thread| fs::read_to_string(thread.join("children")));
        let children = Vec::from_iter(children).join(" ");
        let shim = shim.file_name().and_then(|number| number.to_str());
        for number in shim.into_iter().chain(children.split_whitespace()) {
            let pid = number.parse().ok().and_then(Pid::from_raw);
            let pid = pid.expect("the kernel numbers processes from 1");
            // Both fail if the shim has waited for its child itself.
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

/// What is in a folder; nothing if it does not exist.
fn paths_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}
