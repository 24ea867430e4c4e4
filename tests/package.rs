//! The packages that `make packages` builds, without installing them.
//!
//! | module | what it tests |
//! | --- | --- |
//! | `names` | name lookups on another host |

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
const FILES: [&str; 34] = [
    "/etc/default/exp-rkt-grpc",
    "/usr/bin/exp-rkt-grpc",
    "/usr/lib/systemd/catalog/exp-rkt-grpc.catalog",
    "/usr/lib/systemd/system/exp-rkt-grpc-names.service",
    "/usr/lib/systemd/system/exp-rkt-grpc-names@.path",
    "/usr/lib/systemd/system/exp-rkt-grpc-query.service",
    "/usr/lib/systemd/system/exp-rkt-grpc-query.timer",
    "/usr/lib/systemd/system/exp-rkt-grpc-trace.socket",
    "/usr/lib/systemd/system/exp-rkt-grpc.service",
    "/usr/lib/systemd/system/exp-rkt-grpc.socket",
    "/usr/lib/tmpfiles.d/exp-rkt-grpc.conf",
    "/usr/share/bash-completion/completions/exp-rkt-grpc",
    "/usr/share/doc/exp-rkt-grpc/alerts.md",
    "/usr/share/doc/exp-rkt-grpc/changelog.Debian.gz",
    "/usr/share/doc/exp-rkt-grpc/changelog.gz",
    "/usr/share/doc/exp-rkt-grpc/copyright",
    "/usr/share/doc/exp-rkt-grpc/examples/cri.conf",
    "/usr/share/doc/exp-rkt-grpc/examples/exp-rkt-grpc-query.path",
    "/usr/share/doc/exp-rkt-grpc/examples/no-network.conf",
    "/usr/share/doc/exp-rkt-grpc/examples/root.conf",
    "/usr/share/doc/exp-rkt-grpc/examples/unix-socket.conf",
    "/usr/share/doc/exp-rkt-grpc/grafana/exp-rkt-grpc.json",
    "/usr/share/doc/exp-rkt-grpc/notices.gz",
    "/usr/share/doc/exp-rkt-grpc/prometheus/alerts.yml",
    "/usr/share/doc/exp-rkt-grpc/prometheus/consoles/exp-rkt-grpc.html",
    "/usr/share/doc/exp-rkt-grpc/prometheus/exp-rkt-grpc-targets.yml",
    "/usr/share/doc/exp-rkt-grpc/prometheus/recording-rules.yml",
    "/usr/share/doc/exp-rkt-grpc/prometheus/scrape-hosts.yml",
    "/usr/share/doc/exp-rkt-grpc/prometheus/scrape-unix-socket-victoriametrics.yml",
    "/usr/share/doc/exp-rkt-grpc/prometheus/scrape-unix-socket.yml",
    "/usr/share/fish/vendor_completions.d/exp-rkt-grpc.fish",
    "/usr/share/lintian/overrides/exp-rkt-grpc",
    "/usr/share/man/man8/exp-rkt-grpc.8.gz",
    "/usr/share/zsh/vendor-completions/_exp-rkt-grpc",
];

/// Files of the Debian package only.
const OF_DEBIAN: [&str; 2] = [
    "/usr/share/doc/exp-rkt-grpc/changelog.Debian.gz",
    "/usr/share/lintian/overrides/exp-rkt-grpc",
];

/// Files of the RPM package only.
const OF_RPM: [&str; 1] = ["/usr/share/licenses/exp-rkt-grpc/LICENSE"];

/// Folders of systemd, the shells' completions and the RPM package `filesystem`.
const OF_THE_SYSTEM: [&str; 11] = [
    "/etc/default",
    "/usr/bin",
    "/usr/lib/systemd/catalog",
    "/usr/lib/systemd/system",
    "/usr/lib/tmpfiles.d",
    "/usr/share/bash-completion/completions",
    "/usr/share/doc",
    "/usr/share/fish/vendor_completions.d",
    "/usr/share/licenses",
    "/usr/share/man/man8",
    "/usr/share/zsh/site-functions",
];

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
fn the_debian_package_has_exactly_these_files() {
    let paths: Vec<String> = packages().of_deb().into_keys().collect();
    assert_eq!(paths, FILES);
}

#[test]
fn only_the_settings_are_a_conffile() {
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
    found.retain(|_, (permissions, _)| !permissions.starts_with('d'));
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

/// A directory that no package owns would stay after a removal.
#[test]
fn the_rpm_owns_every_folder_but_those_of_the_system() {
    let entries = packages().of_rpm();
    let folders: BTreeSet<&Path> = entries
        .keys()
        .flat_map(|path| Path::new(path).ancestors().skip(1))
        .filter(|folder| {
            !OF_THE_SYSTEM
                .iter()
                .any(|path| Path::new(path).starts_with(folder))
        })
        .collect();
    let owned: BTreeSet<&Path> = entries
        .iter()
        .filter(|(_, (permissions, _))| permissions == "drwxr-xr-x")
        .map(|(path, _)| Path::new(path))
        .collect();
    assert_eq!(owned, folders);
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
fn make_installs_a_missing_rust_target_or_fails_with_advice() {
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
    assert!(names("/cargo/tokio-"), "no source paths for panics");
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
fn an_installation_keeps_existing_settings() {
    const SETTINGS: &str = "EXP_RKT_GRPC_DEADLINE=7s\n";
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
    let _ = fs::remove_dir_all(&root);
    let settings = root.join("etc/default/exp-rkt-grpc");
    let install = || {
        // Builds everything that `make install` needs.
        packages();
        run(make("install").arg(format!("DESTDIR={}", root.display())));
        fs::read_to_string(&settings).unwrap()
    };
    assert_ne!(install(), SETTINGS);
    fs::write(&settings, SETTINGS).unwrap();
    assert_eq!(install(), SETTINGS);
}

#[test]
fn an_uninstallation_removes_what_was_installed_except_changed_settings() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uninstalled");
    let _ = fs::remove_dir_all(&root);
    packages();
    let make = |target: &str| {
        let destination = format!("DESTDIR={}", root.display());
        run(make(target).arg(destination).arg("PREFIX=/usr/local"))
    };
    // Files, and folders of this program.
    let found = || {
        let listed = run(Command::new("find").arg(&root).args([
            "(",
            "-type",
            "f",
            "-o",
            "-name",
            "*exp-rkt-grpc*",
            ")",
            "-printf",
            "/%P\\n",
        ]));
        text(&listed)
    };
    make("install");
    assert!(
        found().contains("/usr/local/bin/exp-rkt-grpc\n"),
        "{}",
        found()
    );
    make("uninstall");
    assert_eq!(found(), "");

    make("install");
    let settings = "/etc/default/exp-rkt-grpc";
    let of_the_administrator = "/usr/local/share/doc/exp-rkt-grpc/notes";
    for path in [settings, of_the_administrator] {
        fs::write(root.join(&path[1..]), "changed\n").unwrap();
    }
    make("uninstall");
    let left = found();
    let files: BTreeSet<&str> = left.lines().collect();
    let folder = "/usr/local/share/doc/exp-rkt-grpc";
    assert_eq!(
        files,
        BTreeSet::from([settings, folder, of_the_administrator])
    );
    make("uninstall");
}

/// The program names only crates that can panic.
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

/// Long source lines are accepted: they do not change the rendering.
#[test]
fn mandoc_finds_nothing_in_the_man_page() {
    let mut mandoc = Command::new("mandoc");
    let output = mandoc.args(["-T", "lint", "-W", "style"]).arg(man_page());
    let output = text(&output.output().unwrap());
    let found: Vec<&str> = output
        .lines()
        .filter(|line| !line.contains("STYLE: input text line longer than 80 bytes"))
        .collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn the_man_page_renders_without_a_warning_and_its_synopsis_shows_the_values() {
    let mut man = Command::new("man");
    let output = run(man
        .env("MANWIDTH", "80")
        .env("LC_ALL", "C.UTF-8")
        .args(["--warnings", "--local-file"])
        .arg(man_page()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let page = text(&output);
    for section in [
        "NAME",
        "OPTIONS",
        "SIGNALS",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "COMPATIBILITY",
    ] {
        let heading = format!("\n{section}\n");
        assert!(page.contains(&heading), "{section} is missing");
    }
    let (_, synopsis) = page.split_once("\nSYNOPSIS\n").unwrap();
    let (synopsis, _) = synopsis.split_once("\nDESCRIPTION\n").unwrap();
    let words: Vec<&str> = synopsis.split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "exp-rkt-grpc [--store [NAME=]KIND+URL]... [--deadline DURATION] [--listen IP:PORT] [--query-at-start] \
        [--trace-url URL] [--log-level FILTER] [-h|--help] [-V|--version] \
        exp-rkt-grpc query [--output table|json] [--store [NAME=]KIND+URL]... [--deadline DURATION] \
        [--log-level FILTER] [-h|--help]"
    );
}

fn man_page() -> PathBuf {
    packages().tree.join("usr/share/man/man8/exp-rkt-grpc.8.gz")
}

/// A shell that completes each line it reads, and writes the line with all that is offered to the file OFFERS.
struct Shell {
    /// Run with the file `.zshrc` as its startup file.
    command: &'static str,
    startup: &'static str,
    /// Below /usr/share.
    completions: &'static str,
}

impl Shell {
    /// The lines of OFFERS after these keys, and what the shell prints. The current folder has a file whose name begins with z.
    fn complete(&self, keys: &str) -> (String, String) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("completions");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("zone"), "").unwrap();
        fs::write(folder.join(".zshrc"), self.startup).unwrap();
        fs::write(folder.join("keys"), format!("{keys}exit\n")).unwrap();
        let output = run(Command::new("sh")
            .args(["-c", &format!("{} <keys 2>&1", self.command)])
            .current_dir(&folder)
            .env("HOME", &folder)
            .env("TERM", "dumb")
            .env(
                "COMPLETIONS",
                packages().tree.join("usr/share").join(self.completions),
            )
            .env("OFFERS", folder.join("offers")));
        let offers = fs::read_to_string(folder.join("offers")).unwrap_or_default();
        (offers, text(&output))
    }
}

const SHELLS: [Shell; 3] = [
    Shell {
        command: "bash --noprofile --rcfile .zshrc -i",
        startup: r#"
            source "$COMPLETIONS"
            exp-rkt-grpc() { echo "$*" >>"$OFFERS"; }"#,
        completions: "bash-completion/completions/exp-rkt-grpc",
    },
    // zsh edits lines only on a terminal, and lacks bash's `insert-completions`.
    Shell {
        command: "ZDOTDIR=. script --quiet --return --command 'zsh -d -i' /dev/null",
        startup: r#"
            fpath=("${COMPLETIONS:h}" $fpath) && autoload -Uz compinit && compinit -u -D
            insert-completions() { _main_complete; compstate[insert]=all compstate[list]= }
            zle -C insert-completions complete-word insert-completions && bindkey '\e*' insert-completions
            exp-rkt-grpc() { echo "$*" >>"$OFFERS" }"#,
        completions: "zsh/vendor-completions/_exp-rkt-grpc",
    },
    Shell {
        command: "fish --no-config .zshrc",
        startup: r"
            source $COMPLETIONS
            while read line && test $line != exit
                set typed (string replace \e\* '' $line)
                echo $typed (complete --do-complete $typed | string split --fields 1 \t) >>$OFFERS
            end",
        completions: "fish/vendor_completions.d/exp-rkt-grpc.fish",
    },
];

#[test]
fn shells_complete_words_and_no_file_names() {
    const LEVELS: &str = "debug error info off trace warn";
    const STORES: &str = "cri+unix:///run/containerd/containerd.sock rkt+http://127.0.0.1:15441";
    const LINES: [(&str, &str); 14] = [
        ("--d", "--deadline"),
        ("--m", ""),
        ("q", "query"),
        ("z", ""),
        ("query --o", "--output"),
        ("query z", ""),
        ("query --output ", "json table"),
        ("--log-level ", LEVELS),
        ("query --log-level z", ""),
        ("--store ", STORES),
        ("query --store ", STORES),
        ("--deadline ", ""),
        ("query --deadline ", ""),
        ("--listen ", ""),
    ];
    let keys = LINES.map(|(typed, _)| format!("exp-rkt-grpc {typed}\x1b*\n"));
    for shell in SHELLS {
        let (offers, said) = shell.complete(&keys.concat());
        assert!(!said.contains("not found"), "{}: {said}", shell.command);
        assert_eq!(
            offers.lines().count(),
            LINES.len(),
            "{}: {said}",
            shell.command
        );
        for (offered, (typed, expected)) in offers.lines().zip(LINES) {
            let typed_words: Vec<&str> = typed.split(' ').chain(["exp-rkt-grpc"]).collect();
            let words = offered
                .split(' ')
                .filter(|word| !typed_words.contains(word));
            let words: BTreeSet<&str> = words.collect();
            let expected: BTreeSet<&str> = expected.split_terminator(' ').collect();
            assert_eq!(words, expected, "{}: {typed}", shell.command);
        }
    }
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

    /// With the folders it owns.
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

/// Built once; takes seconds after `make packages`.
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
