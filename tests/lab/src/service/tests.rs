use super::*;

/// Else the settings of whoever runs the tests would decide them.
#[test]
fn the_program_sees_nothing_of_our_environment() {
    let seen = run("/usr/bin/env", [""; 0], &[("NAME", "value")]).stdout;
    let seen = String::from_utf8_lossy(&seen);
    let names: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    assert_eq!(names, ["NAME", "PATH"], "{seen}");
}
