//! The packages that `make packages` builds, without installing them.
//!
//! | module | what it tests |
//! | --- | --- |
//! | `contents` | which files are in them, and what they say about themselves |
//! | `program` | the program in them |
//! | `arm64` | the program for arm64, run by an emulator |
//! | `names` | name lookups on another host |
//! | `reproducible` | how packages that differ are reported |
//! | `sbom` | the software bill of materials |
//! | `built` | builds and reads them |

#[path = "package/arm64.rs"]
mod arm64;
#[path = "package/built.rs"]
mod built;
#[path = "package/contents.rs"]
mod contents;
#[path = "package/names.rs"]
mod names;
#[path = "package/program.rs"]
mod program;
#[path = "package/reproducible.rs"]
mod reproducible;
#[path = "package/sbom.rs"]
mod sbom;

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use built::{make, packages, run, text};

#[test]
fn the_debian_package_names_whoever_built_it_or_nobody() {
    let nobody = "Nobody (built from source) <nobody@exp-rkt-grpc.invalid>\n";
    assert_eq!(packages().dpkg_deb("--field", "Maintainer"), nobody);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("maintained");
    let built = run(make("deb")
        .arg(format!("PACKAGES={}", folder.display()))
        .env("DEBFULLNAME", "Jo Doe")
        .env("DEBEMAIL", "jo@doe.example"));
    let field =
        run(Command::new("dpkg-deb").args(["--field", text(&built).trim_end(), "Maintainer"]));
    assert_eq!(text(&field), "Jo Doe <jo@doe.example>\n");
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
