//! A chromedriver with one session.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::service::PATIENCE;
use crate::service::http::{self, Connection};

const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--hide-scrollbars",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Chromium ends when the pipe is closed, so it does not outlive chromedriver.
    "--remote-debugging-pipe",
];

#[derive(Debug)]
pub(super) struct Driver {
    process: Child,
    address: SocketAddr,
    /// The path of the session.
    session: String,
    /// Chromium's home and temporary folder.
    folder: TempDir,
    /// Kept open for chromedriver to write to.
    _stdout: BufReader<ChildStdout>,
}

impl Driver {
    #[track_caller]
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "chromedriver", "--port=0"])
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // The signals of a terminal must not reach it.
            .process_group(0)
            .spawn()
            .expect("every Debian has setpriv");
        let mut stdout = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port(&mut stdout)));
        let mut driver = Self {
            process,
            address,
            session: String::new(),
            folder,
            _stdout: stdout,
        };
        driver.session = driver.new_session();
        driver
    }

    #[track_caller]
    fn new_session(&self) -> String {
        let profile = format!("--user-data-dir={}", self.folder.path().display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([&*profile]).collect();
        let patience = PATIENCE.as_secs() * 1000;
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "timeouts": { "pageLoad": patience, "script": patience },
        });
        let request = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let session = self.command("/session", &request);
        let id = session["sessionId"].as_str().expect("a session has an id");
        format!("/session/{id}")
    }

    /// The value that this command of WebDriver returns; panics if it fails.
    #[track_caller]
    pub(super) fn command(&self, path: &str, parameters: &Json) -> Json {
        match self.request("POST", path, parameters) {
            Ok(value) => value,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    fn request(&self, method: &str, path: &str, parameters: &Json) -> Result<Json, String> {
        let path = format!("{}{path}", self.session);
        let body = parameters.to_string();
        let length = body.len().to_string();
        let head = http::request(method, &path, &[("Content-Length", &length)]);
        let exchange = || {
            let mut connection = Connection::open(self.address)?;
            connection.send(&[head, body.into_bytes()].concat())?;
            connection.receive()
        };
        let response = exchange().map_err(|error| error.to_string())?;
        let answer: Result<Json, _> = serde_json::from_slice(&response.body);
        let value = answer.map_err(|error| error.to_string())?["value"].take();
        match response.status {
            200 => Ok(value),
            _ => Err(format!("{}: {}", value["error"], value["message"])),
        }
    }

    /// The result of this command of the Chrome DevTools protocol; panics if it fails.
    #[track_caller]
    pub(super) fn devtools(&self, command: &str, parameters: &Json) -> Json {
        let command = json!({ "cmd": command, "params": parameters });
        self.command("/goog/cdp/execute", &command)
    }

    /// The entries of this log since the last call.
    #[track_caller]
    pub(super) fn log(&self, name: &str) -> Vec<Json> {
        match self.command("/se/log", &json!({ "type": name })) {
            Json::Array(entries) => entries,
            other => panic!("not a log: {other}"),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Chromium ends in good order, so it does not write to its folder any more. What is left is killed with chromedriver.
        let _ = self.request("DELETE", "", &json!({}));
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// The port on which chromedriver says that it listens.
#[track_caller]
fn port(stdout: &mut impl BufRead) -> u16 {
    let mut lines = stdout.lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    port.expect(
        "chromedriver is missing: run tests/setup, or install Debian's package chromium-driver",
    )
}
