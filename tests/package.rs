//! The packages that `make packages` builds, without installing them.
//!
//! | module | what is seen to hold |
//! | --- | --- |
//! | `names` | the program looks names up on other hosts than its build's |

#[path = "package/names.rs"]
mod names;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// What the Debian package puts on a machine.
const FILES: [&str; 23] = [
    "/etc/default/exp-rkt-grpc",
    "/usr/bin/exp-rkt-grpc",
    "/usr/lib/systemd/catalog/exp-rkt-grpc.catalog",
    "/usr/lib/systemd/system/exp-rkt-grpc-names.service",
    "/usr/lib/systemd/system/exp-rkt-grpc-names@.path",
    "/usr/lib/systemd/system/exp-rkt-grpc-query.service",
    "/usr/lib/systemd/system/exp-rkt-grpc-query.timer",
    "/usr/lib/systemd/system/exp-rkt-grpc.service",
    "/usr/lib/systemd/system/exp-rkt-grpc.socket",
    "/usr/lib/tmpfiles.d/exp-rkt-grpc.conf",
    "/usr/share/bash-completion/completions/exp-rkt-grpc",
    "/usr/share/doc/exp-rkt-grpc/changelog.Debian.gz",
    "/usr/share/doc/exp-rkt-grpc/changelog.gz",
    "/usr/share/doc/exp-rkt-grpc/copyright",
    "/usr/share/doc/exp-rkt-grpc/examples/cri.conf",
    "/usr/share/doc/exp-rkt-grpc/examples/exp-rkt-grpc-query.path",
    "/usr/share/doc/exp-rkt-grpc/examples/no-network.conf",
    "/usr/share/doc/exp-rkt-grpc/examples/root.conf",
    "/usr/share/doc/exp-rkt-grpc/notices.gz",
    "/usr/share/fish/vendor_completions.d/exp-rkt-grpc.fish",
    "/usr/share/lintian/overrides/exp-rkt-grpc",
    "/usr/share/man/man8/exp-rkt-grpc.8.gz",
    "/usr/share/zsh/vendor-completions/_exp-rkt-grpc",
];

/// What only Debian asks for.
const OF_DEBIAN: [&str; 2] = [
    "/usr/share/doc/exp-rkt-grpc/changelog.Debian.gz",
    "/usr/share/lintian/overrides/exp-rkt-grpc",
];

/// What Debian has elsewhere.
const OF_RPM: [&str; 1] = ["/usr/share/licenses/exp-rkt-grpc/LICENSE"];

/// A file's permissions and the SHA-256 digest of its contents, by its path.
type Tree = BTreeMap<String, (String, String)>;

#[test]
fn lintian_finds_nothing() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]);
    let said = text(&run(lintian.arg(&packages().deb)));
    assert_eq!(said, "");
}

#[test]
fn the_debian_package_holds_what_belongs_to_the_service() {
    let paths: Vec<String> = packages().of_deb().into_keys().collect();
    assert_eq!(paths, FILES);
}

#[test]
fn the_settings_are_the_only_file_that_an_upgrade_leaves_alone() {
    let of_deb = text(&run(dpkg_deb("--info").arg("conffiles")));
    assert_eq!(of_deb, "/etc/default/exp-rkt-grpc\n");
    let of_rpm = text(&run(&mut rpm("--configfiles")));
    assert_eq!(of_rpm, of_deb);
}

/// `systemctl kill --kill-whom=` is of systemd 252, and so is the oldest one that the units are tested with.
#[test]
fn both_packages_need_the_systemd_that_the_units_need() {
    let of_deb = text(&run(dpkg_deb("--field").arg("Depends")));
    assert_eq!(of_deb, "systemd (>= 252)\n");
    let of_rpm = text(&run(&mut rpm("--requires")));
    assert!(of_rpm.contains("systemd >= 252\n"), "{of_rpm}");
}

#[test]
fn the_debian_package_names_whoever_built_it_or_nobody() {
    let of_deb = text(&run(dpkg_deb("--field").arg("Maintainer")));
    assert_eq!(
        of_deb,
        "Nobody (built from source) <nobody@exp-rkt-grpc.invalid>\n"
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("maintained");
    let tree = packages().deb.with_file_name("tree");
    let built = run(Command::new("packaging/build-deb")
        .args([&tree, &folder])
        .args([env!("CARGO_PKG_VERSION"), "1"])
        .env("DEBFULLNAME", "Jo Doe")
        .env("DEBEMAIL", "jo@doe.example"));
    let field =
        run(Command::new("dpkg-deb").args(["--field", text(&built).trim_end(), "Maintainer"]));
    assert_eq!(text(&field), "Jo Doe <jo@doe.example>\n");
}

#[test]
fn the_rpm_holds_the_same_tree() {
    let mut expected = packages().of_deb();
    for path in OF_DEBIAN {
        assert!(expected.remove(path).is_some(), "{path}");
    }
    let mut found = packages().of_rpm();
    for path in OF_RPM {
        assert!(found.remove(path).is_some(), "{path}");
    }
    // zsh looks for completions in another folder outside Debian.
    let zsh = expected
        .remove("/usr/share/zsh/vendor-completions/_exp-rkt-grpc")
        .unwrap();
    expected.insert(
        "/usr/share/zsh/site-functions/_exp-rkt-grpc".to_owned(),
        zsh,
    );
    assert_eq!(found, expected);
}

#[test]
fn the_program_needs_no_other_file() {
    let headers = text(&run(Command::new("readelf")
        .args(["-lW"])
        .arg(packages().program())));
    assert!(headers.contains("LOAD"), "{headers}");
    assert!(!headers.contains("INTERP"), "{headers}");
    let dynamic = text(&run(Command::new("readelf")
        .args(["-dW"])
        .arg(packages().program())));
    assert!(!dynamic.contains("NEEDED"), "{dynamic}");
}

/// glibc, linked statically, loads the modules that the host's nsswitch.conf names: see `names`.
#[test]
fn the_program_loads_no_module_of_its_host() {
    let program = fs::read(packages().program()).unwrap();
    assert!(holds(&program, "/etc/resolv.conf"), "it looks names up");
    for glibc in ["nsswitch.conf", "libnss_"] {
        assert!(!holds(&program, glibc), "{glibc}");
    }
}

#[test]
fn make_adds_the_target_that_is_missing_or_says_how() {
    const HOST: &str = "x86_64-unknown-linux-musl";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("toolchain");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap());
    let toolchain = |rustup: &str, host: &str| {
        for (name, script) in [("rustc", "echo /nonexistent"), ("rustup", rustup)] {
            let file = folder.join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut make = make("toolchain");
        make.env("PATH", &path).arg(format!("HOST={host}"));
        let output = make.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };

    let (succeeded, said) = toolchain("echo \"rustup $*\" >&2", HOST);
    assert!(succeeded, "{said}");
    assert_eq!(said, format!("rustup target add {HOST}\n"));

    let (succeeded, said) = toolchain("exit 1", HOST);
    assert!(!succeeded, "{said}");
    let advice =
        format!("This needs the standard library of Rust for {HOST}: rustup target add {HOST}\n");
    assert!(said.starts_with(&advice), "{said}");

    let (succeeded, said) = toolchain("exit 0", "x86_64-unknown-linux-gnu");
    assert!(!succeeded, "{said}");
    assert!(said.contains("is not a target with musl"), "{said}");
}

#[test]
fn the_program_does_not_name_the_folders_it_was_built_in() {
    let program = fs::read(packages().program()).unwrap();
    let names = |text| holds(&program, text);
    assert!(
        names("/cargo/tokio-"),
        "nothing tells where a panic came from"
    );
    let home = env::var("HOME").unwrap();
    for folder in [
        env!("CARGO_MANIFEST_DIR"),
        &format!("{home}/"),
        "registry/src",
    ] {
        assert!(!names(folder), "{folder}");
    }
}

#[test]
fn an_installation_leaves_the_settings_of_the_one_before_alone() {
    const SETTINGS: &str = "EXP_RKT_GRPC_DEADLINE=7s\n";
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
    let _ = fs::remove_dir_all(&root);
    let settings = root.join("etc/default/exp-rkt-grpc");
    let install = || {
        // What it is made of is built by then.
        packages();
        run(make("install").arg(format!("DESTDIR={}", root.display())));
        fs::read_to_string(&settings).unwrap()
    };
    assert_ne!(install(), SETTINGS);
    fs::write(&settings, SETTINGS).unwrap();
    assert_eq!(install(), SETTINGS);
}

/// It names those that can panic.
#[test]
fn the_crates_that_the_program_names_are_in_its_notices() {
    let program = fs::read(packages().program()).unwrap();
    let program = String::from_utf8_lossy(&program);
    let notices = packages()
        .tree
        .join("usr/share/doc/exp-rkt-grpc/notices.gz");
    let notices = text(&run(Command::new("zcat").arg(notices)));
    let named: BTreeSet<&str> = program
        .split("/cargo/")
        .skip(1)
        .filter_map(|path| Some(path.split_once("/src/")?.0))
        .filter(|krate| !krate.contains(|other: char| other.is_control() || other == '/'))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let musl = fs::read_to_string("packaging/musl.copyright").unwrap();
    assert!(notices.contains(&musl), "musl's licence is missing");
    for krate in named {
        assert!(notices.contains(&format!("==== {krate}: ")), "{krate}");
    }
}

#[test]
fn the_man_page_renders_without_a_warning() {
    let page = packages().tree.join("usr/share/man/man8/exp-rkt-grpc.8.gz");
    let mut man = Command::new("man");
    let output = run(man
        .env("MANWIDTH", "80")
        .env("LC_ALL", "C.UTF-8")
        .args(["--warnings", "--local-file"])
        .arg(page));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    for section in [
        "NAME",
        "SYNOPSIS",
        "OPTIONS",
        "SIGNALS",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
    ] {
        let heading = format!("\n{section}\n");
        assert!(text(&output).contains(&heading), "{section} is missing");
    }
}

#[test]
fn each_shell_can_read_its_completions() {
    for (shell, file) in [
        ("bash", "bash-completion/completions/exp-rkt-grpc"),
        ("fish", "fish/vendor_completions.d/exp-rkt-grpc.fish"),
        ("zsh", "zsh/vendor-completions/_exp-rkt-grpc"),
    ] {
        let file = packages().tree.join("usr/share").join(file);
        let script = fs::read_to_string(&file).unwrap();
        assert!(script.contains("query-at-start"), "{shell}: {script}");
        run(Command::new(shell).arg("-n").arg(file));
    }
}

#[test]
fn bash_completes_flags_and_commands() {
    let file = packages()
        .tree
        .join("usr/share/bash-completion/completions/exp-rkt-grpc");
    let script = r#"
        source "$1"
        [[ $(complete -p exp-rkt-grpc) =~ -F\ ([^ ]+) ]]
        complete() {
            COMP_WORDS=(exp-rkt-grpc "$@") COMP_CWORD=$#
            "${BASH_REMATCH[1]}" exp-rkt-grpc "${@: -1}" "${COMP_WORDS[COMP_CWORD - 1]}"
            echo "${COMPREPLY[@]}"
        }
        complete --d
        complete q
        complete query --o
        complete query --output j"#;
    let said = text(&run(Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(file)));
    assert_eq!(said, "--deadline\nquery\n--output\njson\n");
}

struct Packages {
    deb: PathBuf,
    rpm: PathBuf,
    /// The Debian package, unpacked.
    tree: PathBuf,
}

impl Packages {
    fn program(&self) -> PathBuf {
        self.tree.join("usr/bin/exp-rkt-grpc")
    }

    fn of_deb(&self) -> Tree {
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

    fn of_rpm(&self) -> Tree {
        let format = "[%{FILENAMES} %{FILEMODES:perms} %{FILEDIGESTS}\\n]";
        let listed = text(&run(rpm("--queryformat").arg(format)));
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

/// Built once, which is a matter of seconds after `make packages`.
fn packages() -> &'static Packages {
    static PACKAGES: OnceLock<Packages> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let built = text(&run(&mut make("packages")));
        let ending = |end: &str| {
            let line = built.lines().find(|line| line.ends_with(end));
            PathBuf::from(line.unwrap_or_else(|| panic!("no {end} in {built}")))
        };
        let deb = ending(".deb");
        let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deb");
        let _ = fs::remove_dir_all(&tree);
        run(Command::new("dpkg-deb")
            .arg("--extract")
            .arg(&deb)
            .arg(&tree));
        Packages {
            deb,
            rpm: ending(".rpm"),
            tree,
        }
    })
}

fn holds(program: &[u8], text: &str) -> bool {
    program
        .windows(text.len())
        .any(|bytes| bytes == text.as_bytes())
}

fn make(target: &str) -> Command {
    let mut command = Command::new("make");
    command
        .env_remove("MAKEFLAGS")
        .env_remove("DEBEMAIL")
        .args(["--silent", "--no-print-directory", target])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn dpkg_deb(act: &str) -> Command {
    let mut command = Command::new("dpkg-deb");
    command.arg(act).arg(&packages().deb);
    command
}

fn rpm(query: &str) -> Command {
    let mut command = Command::new("rpm");
    command
        .arg("--query")
        .arg("--package")
        .arg(&packages().rpm)
        .arg(query);
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
