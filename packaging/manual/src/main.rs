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

use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use exp_rkt_grpc::config::Options;

/// What follows the flags in the man page.
const SECTIONS: &str = include_str!("../sections.roff");

const CHANGELOG: &str = include_str!("../../../CHANGELOG.md");

const README: &str = include_str!("../../../README.md");

/// The shells, and the names by which they look for completions.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "exp-rkt-grpc"),
    (Shell::Fish, "exp-rkt-grpc.fish"),
    (Shell::Zsh, "_exp-rkt-grpc"),
];

/// What the shells offer for `--log-level`.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Offered for `--store`: one URL of each kind that has no parameter, because zsh and fish do not offer values with `?`. bash treats a
/// colon as a word break and would stop at a common prefix.
const STORES: [&str; 2] = [
    "rkt+http://127.0.0.1:15441",
    "cri+unix:///run/containerd/containerd.sock",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = env::args_os().nth(1).ok_or("expected a folder")?.into();
    fs::create_dir_all(&folder)?;
    write_man_page(&mut File::create(folder.join("exp-rkt-grpc.8"))?)?;
    for (shell, name) in COMPLETIONS {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut completed(), "exp-rkt-grpc", &mut script);
        let script = String::from_utf8(script)?;
        let script = match shell {
            Shell::Bash => adapted_to_bash(&script),
            Shell::Fish => adapted_to_fish(&script),
            _ => script,
        };
        fs::write(folder.join(name), script)?;
    }
    Ok(())
}

/// The flags and commands to offer, without hidden ones. The values are only examples, so the service's own flags lack them.
fn completed() -> Command {
    let command = Options::command();
    let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
    Command::new("exp-rkt-grpc")
        .version(env!("CARGO_PKG_VERSION"))
        .args(flags.cloned().map(with_hints))
        .subcommands(command.get_subcommands().cloned())
}

fn with_hints(flag: Arg) -> Arg {
    // In zsh's script a colon ends the name of a value.
    let name = value_name(&flag).replace(':', "\\:");
    match flag.get_long() {
        _ if !flag.get_action().takes_values() => flag,
        Some("log-level") => flag.value_parser(LEVELS),
        Some("store") => flag.value_parser(STORES),
        // No flag takes a file.
        _ => flag.value_name(name).value_hint(ValueHint::Other),
    }
}

/// clap_complete's script for bash spells a program with hyphens in two ways, so that nothing after a command is completed, and lets
/// bash complete files where the script offers nothing.
fn adapted_to_bash(script: &str) -> String {
    script
        .replace("exp__subcmd__rkt__subcmd__grpc", "exp__rkt__grpc")
        .replace(" -o bashdefault -o default", "")
}

/// clap_complete's script for fish offers nothing for the value of a flag before a command, because it cannot parse a flag without its
/// value. It offers files where it has no flag and no command to offer.
fn adapted_to_fish(script: &str) -> String {
    let parse = "argparse -s (__fish_exp_rkt_grpc_global_optspecs) -- $cmd";
    let or_without_last = format!("{parse} 2>/dev/null\n    or {parse}[1..-2]");
    script.replace(parse, &or_without_last) + "complete -c exp-rkt-grpc -f\n"
}

fn write_man_page(page: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut command = Options::command();
    command.build();
    // Without the revision: the page belongs to the release.
    let version = command
        .get_version()
        .and_then(|text| text.split(' ').next());
    let source = format!("exp-rkt-grpc {}", version.unwrap_or_default());
    let man = Man::new(command.clone())
        .title("EXP-RKT-GRPC")
        .section("8")
        .date(release_date().ok_or("CHANGELOG.md has no release")?)
        .source(source)
        .manual("System Administration");
    man.render_title(page)?;
    man.render_name_section(page)?;
    write_synopsis(page, &command)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    let tested = tested().ok_or("README.md does not say what this was tested on")?;
    page.write_all(SECTIONS.replace("@TESTED@", tested).as_bytes())?;
    Ok(())
}

/// The paragraph of README.md that says what the program was tested on.
fn tested() -> Option<&'static str> {
    let begin = README.find("\nTested on ")? + 1;
    let end = README[begin..].find("\nLicence: ")?;
    Some(&README[begin..][..end])
}

/// The date of the newest release.
fn release_date() -> Option<&'static str> {
    let releases = CHANGELOG
        .lines()
        .filter_map(|line| line.strip_prefix("## ["));
    releases
        .filter_map(|line| line.split_once("] - "))
        .map(|(_, date)| date)
        .next()
}

/// One line for the service and one for each command. clap_mangen's synopsis has neither the flags' values nor the commands.
fn write_synopsis(page: &mut impl Write, command: &Command) -> io::Result<()> {
    writeln!(page, ".SH SYNOPSIS")?;
    let commands = command.get_subcommands();
    for command in [command]
        .into_iter()
        .chain(commands.filter(|command| command.get_name() != "help"))
    {
        let name = command.get_bin_name().unwrap_or(command.get_name());
        writeln!(page, ".SY {}", escaped(name).replace(' ', "\\~"))?;
        for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
            writeln!(page, "{}", usage(flag))?;
        }
        writeln!(page, ".YS")?;
    }
    Ok(())
}

/// `[--flag VALUE]...` as one word, so that no line breaks inside it.
fn usage(flag: &Arg) -> String {
    let short = flag.get_short().map(|short| format!("-{short}"));
    let long = flag.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short
        .into_iter()
        .chain(long)
        .map(|name| format!("\\fB{}\\fR", escaped(&name)))
        .collect();
    let names = names.join("|");
    if !flag.get_action().takes_values() {
        return format!("[{names}]");
    }
    let values = flag.get_possible_values();
    let value = match &values[..] {
        [] => value_name(flag),
        values => values
            .iter()
            .map(|value| value.get_name())
            .collect::<Vec<_>>()
            .join("\\fR|\\fI"),
    };
    let repeated = match flag.get_action() {
        // `\&`: otherwise groff takes the dots for the end of a sentence.
        ArgAction::Append => "...\\&",
        _ => "",
    };
    format!("[{names}\\~\\fI{}\\fR]{repeated}", escaped(&value))
}

fn value_name(flag: &Arg) -> String {
    flag.get_value_names().unwrap_or_default().join(" ")
}

fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}
