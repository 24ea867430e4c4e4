//! Builds the packages for this machine and for arm64, and reads them.

use std::collections::BTreeMap;
use std::env::{self, consts::ARCH};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::thread;

use lab::skip;
use lab::supply::Obstacle;

/// `HOST=` for arm64.
const ARM64: &str = "HOST=aarch64-unknown-linux-musl";

/// A file's permissions and the SHA-256 digest of its contents, by its path.
pub(super) type Tree = BTreeMap<String, (String, String)>;

/// The packages for one processor.
pub(super) struct Packages {
    pub(super) deb: PathBuf,
    pub(super) rpm: PathBuf,
    /// The Debian package, unpacked.
    pub(super) tree: PathBuf,
}

struct Built {
    own: Packages,
    arm64: Result<Packages, Obstacle>,
}

/// Built at the same time, so that the tests see what one build overwrites of the other.
static BUILT: LazyLock<Built> = LazyLock::new(|| {
    let arm64 = thread::spawn(|| has_rust_for_arm64().map(|()| Packages::build(&[ARM64])));
    let join = || arm64.join().expect("the packages for arm64 can be built");
    if ARCH == "aarch64" {
        // They are the same packages.
        let arm64 = join();
        let own = Packages::build(&[]);
        return Built { own, arm64 };
    }
    let own = Packages::build(&[]);
    let arm64 = join();
    Built { own, arm64 }
});

/// The packages for this machine. They are built once, which takes seconds after `make packages`.
pub(super) fn packages() -> &'static Packages {
    &BUILT.own
}

/// The packages for arm64; `None`, with a warning, if this machine cannot have Rust's standard library for it.
#[track_caller]
pub(super) fn for_arm64() -> Option<&'static Packages> {
    skip::without_supply(BUILT.arm64.as_ref())
}

/// The packages for this machine, and those for arm64 if there are any.
#[track_caller]
pub(super) fn for_each_processor() -> impl Iterator<Item = &'static Packages> {
    [packages()].into_iter().chain(for_arm64())
}

/// Rust's server has the standard library for it.
fn has_rust_for_arm64() -> Result<(), Obstacle> {
    let output = make("toolchain").arg(ARM64).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = format!("there is no package for arm64: {}", said.trim_end());
    let server = env::var("RUSTUP_DIST_SERVER");
    let reached = Command::new("curl")
        .args(["--silent", "--max-time", "30", "--output", "/dev/null"])
        .arg(server.as_deref().unwrap_or("https://static.rust-lang.org"))
        .status();
    Err(match reached {
        Ok(status) if !status.success() => Obstacle::OutOfReach(said),
        _ => Obstacle::Failed(said),
    })
}

impl Packages {
    fn build(settings: &[&str]) -> Self {
        let built = text(&run(make("deb").arg("rpm").args(settings)));
        let ending = |end: &str| {
            let line = built.lines().find(|line| line.ends_with(end));
            PathBuf::from(line.unwrap_or_else(|| panic!("no {end} in {built}")))
        };
        let deb = ending(".deb");
        let name = deb.file_stem().expect("a package has a name");
        let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&tree);
        run(Command::new("dpkg-deb")
            .arg("--extract")
            .arg(&deb)
            .arg(&tree));
        Self {
            deb,
            rpm: ending(".rpm"),
            tree,
        }
    }

    pub(super) fn program(&self) -> PathBuf {
        self.tree.join("usr/bin/exp-rkt-grpc")
    }

    /// What `dpkg-deb` says about the Debian package.
    pub(super) fn dpkg_deb(&self, act: &str, of: &str) -> String {
        text(&run(Command::new("dpkg-deb")
            .arg(act)
            .arg(&self.deb)
            .arg(of)))
    }

    /// What `rpm --query` says about the RPM package.
    pub(super) fn rpm(&self, query: &[&str]) -> String {
        let mut command = Command::new("rpm");
        command.args(["--query", "--package"]).arg(&self.rpm);
        text(&run(command.args(query)))
    }

    pub(super) fn of_deb(&self) -> Tree {
        let listed = run(Command::new("find")
            .arg(&self.tree)
            .args(["-type", "f", "-printf", "%M %P\\n"]));
        let listed = text(&listed);
        listed
            .lines()
            .map(|line| {
                let (permissions, path) = line.split_once(' ').unwrap();
                let digest = run(Command::new("sha256sum").arg(self.tree.join(path)));
                let digest = text(&digest).split(' ').next().unwrap().to_owned();
                (format!("/{path}"), (permissions.to_owned(), digest))
            })
            .collect()
    }

    /// With the folders it owns.
    pub(super) fn of_rpm(&self) -> Tree {
        let format = "[%{FILENAMES} %{FILEMODES:perms} %{FILEDIGESTS}\\n]";
        let listed = self.rpm(&["--queryformat", format]);
        listed
            .lines()
            .map(|line| {
                let [path, permissions, digest] = line.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{line}");
                };
                (path.to_owned(), (permissions.to_owned(), digest.to_owned()))
            })
            .collect()
    }
}

pub(super) fn make(target: &str) -> Command {
    let mut command = Command::new("make");
    command
        .env_remove("MAKEFLAGS")
        .env_remove("DEBEMAIL")
        .args(["--silent", "--no-print-directory", target])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

pub(super) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

pub(super) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
