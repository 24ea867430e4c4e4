//! What is in the packages, and what they say about themselves.

use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::built::{for_arm64, for_each_processor, make, packages, run, text};

/// What the Debian package puts on a machine.
const FILES: [&str; 35] = [
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
    "/usr/share/doc/exp-rkt-grpc/exp-rkt-grpc.cdx.json",
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

#[test]
fn the_packages_are_named_after_the_processor_of_their_program() {
    const ARM64: [&str; 3] = ["arm64", "aarch64", "AArch64"];
    let own = match ARCH {
        "x86_64" => ["amd64", "x86_64", "Advanced Micro Devices X86-64"],
        _ => ARM64,
    };
    for (packages, [debian, rpm, elf]) in for_each_processor().zip([own, ARM64]) {
        let version = concat!(env!("CARGO_PKG_VERSION"), "-1");
        let name = packages.deb.file_name().unwrap();
        assert_eq!(name, &*format!("exp-rkt-grpc_{version}_{debian}.deb"));
        let name = packages.rpm.file_name().unwrap();
        assert_eq!(name, &*format!("exp-rkt-grpc-{version}.{rpm}.rpm"));
        assert_eq!(
            packages.dpkg_deb("--field", "Architecture"),
            format!("{debian}\n")
        );
        assert_eq!(packages.rpm(&["--queryformat", "%{ARCH}"]), rpm);
        let header = text(&run(Command::new("readelf")
            .arg("-h")
            .arg(packages.program())));
        let machine = header
            .lines()
            .find_map(|line| line.trim().strip_prefix("Machine:"));
        assert_eq!(machine.map(str::trim), Some(elf));
    }
}

#[test]
fn packages_for_an_unknown_processor_are_refused() {
    for package in ["deb", "rpm"] {
        let output = make(package)
            .arg("HOST=riscv64gc-unknown-linux-musl")
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        let refusal = "HOST=riscv64gc-unknown-linux-musl: packages can be built for x86_64 and aarch64 only, not for riscv64gc\n";
        assert!(said.starts_with(refusal), "{said}");
    }
}

/// The software bill of materials names the target.
#[test]
fn only_the_program_and_its_sbom_depend_on_the_processor() {
    let Some(arm64) = for_arm64() else { return };
    if ARCH == "aarch64" {
        // These are the same packages.
        return;
    }
    let mut differing = arm64.of_deb();
    let own = packages().of_deb();
    differing.retain(|path, file| own.get(path) != Some(file));
    let differing: Vec<&str> = differing.keys().map(String::as_str).collect();
    let sbom = "/usr/share/doc/exp-rkt-grpc/exp-rkt-grpc.cdx.json";
    assert_eq!(differing, ["/usr/bin/exp-rkt-grpc", sbom]);
    let sboms = [arm64, packages()].map(|packages| {
        let text = fs::read_to_string(packages.tree.join(&sbom[1..])).unwrap();
        text.replace(
            "aarch64-unknown-linux-musl",
            &format!("{ARCH}-unknown-linux-musl"),
        )
    });
    assert_eq!(sboms[0], sboms[1]);
}

#[test]
fn lintian_finds_nothing() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]);
    lintian.args(for_each_processor().map(|packages| &packages.deb));
    let said = text(&run(&mut lintian));
    assert_eq!(said, "");
}

#[test]
fn the_debian_package_has_exactly_these_files() {
    for packages in for_each_processor() {
        let paths: Vec<String> = packages.of_deb().into_keys().collect();
        assert_eq!(paths, FILES);
    }
}

#[test]
fn only_the_settings_are_a_conffile() {
    let of_deb = packages().dpkg_deb("--info", "conffiles");
    assert_eq!(of_deb, "/etc/default/exp-rkt-grpc\n");
    let of_rpm = packages().rpm(&["--configfiles"]);
    assert_eq!(of_rpm, of_deb);
}

/// `systemctl kill --kill-whom=` needs systemd 252, and so is the oldest one that the units are tested with.
#[test]
fn both_packages_need_the_systemd_that_the_units_need() {
    let of_deb = packages().dpkg_deb("--field", "Depends");
    assert_eq!(of_deb, "systemd (>= 252)\n");
    let of_rpm = packages().rpm(&["--requires"]);
    assert!(of_rpm.contains("systemd >= 252\n"), "{of_rpm}");
    let format = "[%{REQUIRENAME} %{REQUIREFLAGS:deptype}\n]";
    let of_scriptlets = packages().rpm(&["--queryformat", format]);
    assert!(
        of_scriptlets.contains("systemd post,preun,postun\n"),
        "{of_scriptlets}"
    );
}

#[test]
fn the_rpm_holds_the_same_tree() {
    for packages in for_each_processor() {
        let mut expected = packages.of_deb();
        for path in OF_DEBIAN {
            assert!(expected.remove(path).is_some(), "{path}");
        }
        let mut found = packages.of_rpm();
        found.retain(|_, (permissions, _)| !permissions.starts_with('d'));
        for path in OF_RPM {
            assert!(found.remove(path).is_some(), "{path}");
        }
        // zsh looks for completions in another folder outside Debian.
        let zsh = expected
            .remove("/usr/share/zsh/vendor-completions/_exp-rkt-grpc")
            .unwrap();
        let zsh_path = "/usr/share/zsh/site-functions/_exp-rkt-grpc";
        expected.insert(zsh_path.to_owned(), zsh);
        assert_eq!(found, expected);
    }
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
