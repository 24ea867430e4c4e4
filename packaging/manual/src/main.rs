//! Writes the man page and the shell completions into the folder given as argument.
//!
//! A separate program, so that the service contains none of it. The flags come from clap, the other sections from `sections.roff`.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use exp_rkt_grpc::config::Options;

/// What follows the flags in the man page.
const SECTIONS: &str = include_str!("../sections.roff");

/// The shells, and the names by which they look for completions.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "exp-rkt-grpc"),
    (Shell::Fish, "exp-rkt-grpc.fish"),
    (Shell::Zsh, "_exp-rkt-grpc"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = env::args_os().nth(1).ok_or("expected a folder")?.into();
    fs::create_dir_all(&folder)?;
    write_man_page(&mut File::create(folder.join("exp-rkt-grpc.8"))?)?;
    for (shell, name) in COMPLETIONS {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Options::command(), "exp-rkt-grpc", &mut script);
        fs::write(
            folder.join(name),
            completing_commands(&String::from_utf8(script)?),
        )?;
    }
    Ok(())
}

/// clap_complete's script for bash spells a program with hyphens in two ways, so that nothing after a command is completed.
fn completing_commands(script: &str) -> String {
    script.replace("exp__subcmd__rkt__subcmd__grpc", "exp__rkt__grpc")
}

fn write_man_page(page: &mut impl Write) -> io::Result<()> {
    let command = Options::command();
    // Without the revision: the page belongs to the release.
    let version = command
        .get_version()
        .and_then(|text| text.split(' ').next());
    let source = format!("exp-rkt-grpc {}", version.unwrap_or_default());
    let man = Man::new(command)
        .title("EXP-RKT-GRPC")
        .section("8")
        .source(source)
        .manual("System Administration");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    page.write_all(SECTIONS.as_bytes())
}
