//! The installed units: systemd has nothing to say about them, and rates their sandboxes as docs/systemd.md does.

use std::collections::BTreeSet;

use lab::documents::pages;

use crate::host::{EXAMPLES, Host, SERVICE, SOCKET};

const UNITS: &str = "/usr/lib/systemd/system";

/// Units without drop-ins of their own, and their ratings.
const OTHERS: [(&str, &str); 2] = [
    ("exp-rkt-grpc-query.service", "0.5"),
    ("exp-rkt-grpc-names.service", "0.2"),
];

/// The drop-ins of each profile, and its rating, from the table in docs/systemd.md.
fn profiles() -> Vec<(Vec<String>, String)> {
    let page = pages()
        .into_iter()
        .find(|page| page.name == "docs/systemd.md");
    let page = page.expect("the page exists");
    let (_, table) = page
        .text
        .split_once("| exposure |")
        .expect("it has the table");
    let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
    let row = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let drop_ins = cells[1].split('`').skip(1).step_by(2).map(str::to_owned);
        (drop_ins.collect(), cells[2].to_owned())
    };
    rows.map(row).collect()
}

/// Replaces the service's drop-ins.
#[track_caller]
fn switch_to(host: &Host, drop_ins: &[String]) {
    host.machine.succeed(&format!(
        "rm --recursive --force /etc/systemd/system/{SERVICE}.d"
    ));
    let drop_ins: Vec<&str> = drop_ins.iter().map(String::as_str).collect();
    host.drop_in(&drop_ins);
}

/// systemd-analyze(1) exits with 0 even if it prints warnings.
#[track_caller]
fn assert_verified(host: &Host, profile: &[String]) {
    let installed = host.machine.succeed(&format!("ls {UNITS}"));
    let ours = installed
        .lines()
        .filter(|unit| unit.starts_with("exp-rkt-grpc"));
    let ours = ours.map(|unit| unit.replace("@.", "@etc-hosts."));
    let ours: Vec<String> = ours.chain(["exp-rkt-grpc-query.path".to_owned()]).collect();
    assert_eq!(ours.len(), 8, "{ours:?}");
    let analyze = ["systemd-analyze", "verify"].map(str::to_owned);
    let output = host.machine.run(analyze.iter().chain(&ours));
    assert!(output.status.success(), "{profile:?}: {output:?}");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let about_ours = printed.lines().filter(|line| line.contains("exp-rkt-grpc"));
    assert_eq!(about_ours.collect::<Vec<_>>(), [""; 0], "{profile:?}");
}

/// The rating, such as `0.9`.
#[track_caller]
fn rating(host: &Host, unit: &str) -> String {
    let analyze = format!("systemd-analyze security --no-pager {unit}");
    let table = host.machine.succeed(&analyze);
    let (_, rating) = table
        .rsplit_once(&format!(" for {unit}: "))
        .expect("it ends with the rating");
    rating.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn systemd_finds_nothing_in_the_units_of_any_profile_and_rates_them_as_documented() {
    let Some(host) = Host::boot("units") else {
        return;
    };
    for (unit, example) in [
        ("", "exp-rkt-grpc-query.path"),
        (SOCKET, "unix-socket.conf"),
    ] {
        let folder = match unit {
            "" => String::new(),
            unit => format!("/{unit}.d"),
        };
        host.machine.succeed(&format!(
            "install -D -m 644 -t /etc/systemd/system{folder} {EXAMPLES}/{example}"
        ));
    }
    let profiles = profiles();
    let drop_ins = profiles.iter().flat_map(|(drop_ins, _)| drop_ins);
    let drop_ins: BTreeSet<&str> = drop_ins.map(String::as_str).collect();
    assert_eq!(
        drop_ins,
        BTreeSet::from(["cri.conf", "no-network.conf", "root.conf"])
    );
    for (drop_ins, documented) in profiles {
        switch_to(&host, &drop_ins);
        assert_verified(&host, &drop_ins);
        assert_eq!(rating(&host, SERVICE), documented, "{drop_ins:?}");
    }
    for (unit, documented) in OTHERS {
        assert_eq!(rating(&host, unit), documented, "{unit}");
    }
}
