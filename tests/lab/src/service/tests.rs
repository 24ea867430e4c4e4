use super::*;

/// Otherwise the environment of the tests could change their results.
#[test]
fn the_program_does_not_inherit_our_environment() {
    let seen = run("/usr/bin/env", [""; 0], &[("NAME", "value")]).stdout;
    let seen = String::from_utf8_lossy(&seen);
    let names: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    assert_eq!(names, ["NAME", "PATH"], "{seen}");
}
