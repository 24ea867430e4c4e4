//! A private systemd-journald: in a mount namespace of its own, with an empty /run.

use std::path::Path;
use std::process::{Command, Stdio};

use lab::service::{Builder, PATIENCE, Service};
use lab::skip;

/// Executes journald, which reports readiness to `NOTIFY_SOCKET`.
const EXEC_JOURNALD: &str = "mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/journald.conf.d /run/log
    printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\n' \
        > /run/systemd/journald.conf.d/test.conf
    for folder in /usr/lib/systemd /lib/systemd; do
        [ -x $folder/systemd-journald ] && exec $folder/systemd-journald
    done";

/// Executes a program with standard error connected to the journal and `JOURNAL_STREAM` set, as systemd does. The previous
/// standard error stays open, so that its reader sees when the program ends.
const EXEC_WITH_JOURNAL: &str = "exec 9>&2
    exec systemd-cat sh -c 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec \"$@\"' sh \"$@\"";

/// A running journald.
pub(crate) struct Journald {
    service: Service,
}

/// The fields of an entry, in the order of the journal; a field can occur several times.
#[derive(Debug, Default)]
pub(crate) struct Entry(Vec<(String, String)>);

/// Whether this machine can run a private journald. If not, the skipped test is reported, which fails the run in CI.
pub(crate) fn can_be_run() -> bool {
    missing().map(skip::loudly).is_none()
}

fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can create a mount namespace".to_owned());
    }
    let journald = ["/usr/lib/systemd", "/lib/systemd"];
    if !journald
        .iter()
        .any(|folder| Path::new(folder).join("systemd-journald").exists())
    {
        return Some("systemd-journald is not installed (Debian: systemd)".to_owned());
    }
    let private_run = ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"];
    let mounted = Command::new("unshare").args(private_run).output();
    match mounted {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

impl Journald {
    /// Starts a journald; `None` if this machine cannot run one.
    pub(crate) fn start() -> Option<Self> {
        can_be_run().then(|| Self {
            service: Service::builder("unshare")
                .arg("--mount")
                .arg("sh")
                .arg("-c")
                .arg(EXEC_JOURNALD)
                .start(),
        })
    }

    /// A program in the mount namespace of this journald, with standard error connected to it.
    pub(crate) fn logged(&self, program: &str) -> Builder {
        Service::builder("nsenter")
            .arg(self.namespace())
            .arg("sh")
            .arg("-c")
            .arg(EXEC_WITH_JOURNAL)
            .arg("sh")
            .arg(program)
    }

    /// Stops journald from reading until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        self.service.freeze();
    }

    pub(crate) fn thaw(&self) {
        self.service.thaw();
    }

    /// The entries that match, oldest first, after a sync.
    pub(crate) fn entries(&self, matches: &[&str]) -> Vec<Entry> {
        self.journalctl(&["--sync"]);
        let mut arguments = vec!["--directory=/run/log/journal", "--output=export"];
        arguments.extend(matches);
        parse(&self.journalctl(&arguments))
    }

    fn namespace(&self) -> String {
        format!("--mount=/proc/{}/ns/mnt", self.service.pid())
    }

    fn journalctl(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("timeout")
            .arg(PATIENCE.as_secs().to_string())
            .arg("nsenter")
            .arg(self.namespace())
            .arg("journalctl")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("nsenter and journalctl are installed");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }
}

impl Entry {
    /// The value; panics unless there is exactly one.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> &str {
        match self.values(name)[..] {
            [value] => value,
            _ => panic!("not one {name} in {self:#?}"),
        }
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// The journal export format (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>): `NAME=value` lines, or `NAME`, a line break, the
/// length in 8 bytes and the value; an empty line ends an entry.
fn parse(mut export: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut entry = Entry::default();
    while !export.is_empty() {
        let line = until_line_break(&mut export);
        if line.is_empty() {
            entries.push(std::mem::take(&mut entry));
        } else if let Some((name, value)) = line.split_once('=') {
            entry.0.push((name.to_owned(), value.to_owned()));
        } else {
            let value = until_length(&mut export);
            entry.0.push((line, value));
        }
    }
    entries
}

fn until_line_break(export: &mut &[u8]) -> String {
    let end = export.iter().position(|byte| *byte == b'\n');
    let end = end.expect("every line has a line break");
    let line = text(&export[..end]);
    *export = &export[end + 1..];
    line
}

fn until_length(export: &mut &[u8]) -> String {
    let (length, rest) = export.split_first_chunk().expect("a length of 8 bytes");
    let length = usize::try_from(u64::from_le_bytes(*length)).expect("the length fits");
    let value = text(&rest[..length]);
    *export = &rest[length + 1..];
    value
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
