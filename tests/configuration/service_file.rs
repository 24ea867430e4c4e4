//! The service's settings file, which `exp-rkt-grpc query` reads if no store is given.

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use exp_rkt_grpc::config::{Config, ConfigError, Environment, StoresFrom};
use lab::{TempDir, tempdir};

/// The settings file, and the environment of the query.
struct Scene {
    folder: TempDir,
    environment: Environment,
}

impl Scene {
    fn with(text: &str) -> Self {
        let scene = Self {
            folder: tempdir().expect("a temporary folder can be made"),
            environment: Environment::default(),
        };
        fs::write(scene.path(), text).expect("the folder is writable");
        scene
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("exp-rkt-grpc")
    }

    fn read(&self, arguments: &[&str]) -> Result<Config, ConfigError> {
        let arguments = [&["exp-rkt-grpc"], arguments].concat();
        let arguments = arguments.into_iter().map(OsString::from);
        Config::read(arguments, &self.environment, &self.path())
    }

    #[track_caller]
    fn query(&self) -> Config {
        self.read(&["query"]).expect("the configuration is valid")
    }

    /// The query refuses its configuration with the name of the file and these words.
    #[track_caller]
    fn assert_refused(&self, words: &str) {
        let refusal = self
            .read(&["query"])
            .expect_err("the configuration is invalid")
            .to_string();
        let file = format!("in {}: ", self.path().display());
        assert!(refusal.starts_with(&file), "{refusal}");
        assert!(refusal.contains(words), "{refusal}");
    }
}

fn variables(variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter();
    variables
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

fn stores_and_origin(config: &Config) -> String {
    config.stores_and_origin().expect("no store is given")
}

#[test]
fn query_uses_the_stores_of_the_file_and_reports_it() {
    let scene =
        Scene::with("# mine\nEXP_RKT_GRPC_STORE='a=rkt+http://127.0.0.1:1, unix:///run/x.sock,'\n");
    let config = scene.query();
    let path = scene.path();
    assert_eq!(config.stores_from, StoresFrom::File(path.clone()));
    let stores = "a=rkt+http://127.0.0.1:1,cri=cri+unix:///run/x.sock";
    let line = format!(
        "querying {stores} (EXP_RKT_GRPC_STORE in {})",
        path.display()
    );
    assert_eq!(stores_and_origin(&config), line);
}

#[test]
fn if_a_store_is_given_query_does_not_read_the_file() {
    let scene = Scene::with("EXP_RKT_GRPC_STORE=nonsense\nEXP_RKT_GRPC_DEADLINE=1s\n");
    let arguments = ["query", "--store=rkt+http://127.0.0.1:2"];
    let config = scene.read(&arguments).expect("the configuration is valid");
    assert_eq!(config.stores_and_origin(), None);
    assert_eq!(config.options.deadline, Duration::from_secs(60));
}

#[test]
fn the_service_itself_does_not_read_the_file() {
    let scene = Scene::with("EXP_RKT_GRPC_STORE=nonsense\n");
    assert!(scene.read(&[]).is_ok());
}

#[test]
fn if_the_file_is_missing_or_has_no_store_query_uses_the_default_store() {
    let silent = Scene::with("EXP_RKT_GRPC_STORE=\nEXP_RKT_GRPC_DEADLINE=3s\n");
    let config = silent.query();
    assert_eq!(
        stores_and_origin(&config),
        "querying rkt=rkt+http://127.0.0.1:15441 (default)"
    );
    assert_eq!(config.options.deadline, Duration::from_secs(3));
    fs::remove_file(silent.path()).expect("the file exists");
    let config = silent.query();
    assert_eq!(config.stores_from, StoresFrom::Default(None));
}

#[test]
fn if_the_file_cannot_be_read_query_uses_the_default_store_and_reports_why() {
    let scene = Scene::with("");
    fs::remove_file(scene.path()).expect("the file exists");
    fs::create_dir(scene.path()).expect("the folder is writable");
    let line = stores_and_origin(&scene.query());
    let why = format!("(default; {} cannot be read: ", scene.path().display());
    assert!(line.contains(&why), "{line}");
}

#[test]
fn a_fifo_a_device_and_an_overlong_file_are_not_read() {
    let scene = Scene::with("");
    fs::remove_file(scene.path()).expect("the file exists");
    let made = std::process::Command::new("mkfifo")
        .arg(scene.path())
        .status();
    assert!(made.expect("mkfifo(1) can be run").success());
    let fifo = stores_and_origin(&scene.query());
    fs::remove_file(scene.path()).expect("the file exists");
    std::os::unix::fs::symlink("/dev/zero", scene.path()).expect("the path is free");
    for asked in [fifo, stores_and_origin(&scene.query())] {
        assert!(
            asked.contains("cannot be read: it is not a regular file"),
            "{asked}"
        );
    }
    let long = Scene::with(&"#".repeat(1024 * 1024 + 1));
    let asked = stores_and_origin(&long.query());
    assert!(
        asked.contains("cannot be read: it is longer than 1 MiB"),
        "{asked}"
    );
}

#[test]
fn flags_win_over_the_settings_of_the_file() {
    let scene = Scene::with("EXP_RKT_GRPC_DEADLINE=3s\n");
    let config = scene
        .read(&["query", "--deadline=4s"])
        .expect("the configuration is valid");
    assert_eq!(config.options.deadline, Duration::from_secs(4));
}

#[test]
fn settings_of_the_file_that_do_not_concern_a_query_are_ignored() {
    let scene = Scene::with(
        "EXP_RKT_GRPC_LISTEN=nonsense\nEXP_RKT_GRPC_QUERY_AT_START=nonsense\nEXP_RKT_GRPC_LOG=nonsense\nPATH=nonsense\n",
    );
    scene.query();
}

#[test]
fn trace_settings_of_the_file_apply_unless_the_environment_has_some() {
    let mut scene = Scene::with("OTEL_EXPORTER_JAEGER_AGENT_PORT=7\nOTEL_SERVICE_NAME=file\n");
    assert_eq!(
        scene.query().traces.to_string(),
        "jaeger 127.0.0.1:7 (OTEL_EXPORTER_JAEGER_AGENT_PORT)"
    );
    scene.environment = variables(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:8")]);
    let traces = scene.query().traces;
    assert_eq!(
        traces.to_string(),
        "otlp http://127.0.0.1:8 (OTEL_EXPORTER_OTLP_ENDPOINT)"
    );
    assert_eq!(traces.service_name, None);
}

#[test]
fn invalid_settings_of_the_file_are_refused_with_its_name() {
    Scene::with("EXP_RKT_GRPC_STORE=docker\n")
        .assert_refused("\"docker\" for --store (EXP_RKT_GRPC_STORE)");
    Scene::with("EXP_RKT_GRPC_STROE=x\n").assert_refused("did you mean EXP_RKT_GRPC_STORE?");
    Scene::with("EXP_RKT_GRPC_DEADLINE=soon\n")
        .assert_refused("--deadline (EXP_RKT_GRPC_DEADLINE)");
    Scene::with("OTEL_TRACES_EXPORTER=zipkin\n").assert_refused("OTEL_TRACES_EXPORTER");
}

#[test]
fn a_setting_that_was_removed_is_ignored_with_a_warning() {
    let scene = Scene::with("EXP_RKT_GRPC_MAX_RESPONSE=1MiB\n");
    let config = scene
        .read(&["query"])
        .expect("a removed setting is not an error");
    let [warning] = &config.warnings[..] else {
        panic!("{:?}", config.warnings);
    };
    let expected = "--max-response (EXP_RKT_GRPC_MAX_RESPONSE) was removed and has no effect: ";
    assert!(warning.starts_with(expected), "{warning}");
}
