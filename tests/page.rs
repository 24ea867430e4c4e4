//! The page at `/` in a browser: how it looks, and what checks of accessibility and HTML find in it.
//!
//! With `SCREENSHOTS=FOLDER`, the tests write a screenshot of each view to this folder.

use std::path::{Path, PathBuf};
use std::{env, fs};

use lab::browser::{Browser, ColorScheme, Screen};
use lab::jaeger_agent::JaegerAgent;
use lab::peers::{self, Peer};
use lab::poll::eventually;
use lab::service::{Builder, Service, Signal};
use lab::{cri_runtime, html, rkt_api_service};
use serde_json::json;
use tonic::Status;

const VIEWS: [(Screen, ColorScheme); 4] = [
    (Screen::Desktop, ColorScheme::Light),
    (Screen::Desktop, ColorScheme::Dark),
    (Screen::Phone, ColorScheme::Light),
    (Screen::Phone, ColorScheme::Dark),
];

/// What would be wrong with a page in every view.
const MEASURE: &str = r"
const elements = [...document.querySelectorAll('*')];
const attributes = elements.flatMap(element => element.getAttributeNames());
return {
    width: innerWidth,
    overflow: Math.max(0, document.documentElement.scrollWidth - innerWidth),
    scripts: document.scripts.length,
    images: document.images.length,
    handlers: attributes.filter(name => name.startsWith('on')),
    controls: document.documentElement.textContent.match(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g),
};";

/// Text that breaks out of markup, reverses the text after it, and is wider than every window.
fn hostile() -> String {
    let markup = r#""><script>alert(1)</script><img src=x onerror=alert(2)>' onload='alert(3)"#;
    format!("{markup}\u{202e}{}", "W".repeat(10_000))
}

/// A service with these stores, and without traces.
fn service(stores: &[&str]) -> Service {
    with_stores(stores)
        .env("OTEL_TRACES_EXPORTER", "none")
        .start()
}

fn with_stores(stores: &[&str]) -> Builder {
    let builder = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"));
    stores
        .iter()
        .fold(builder, |builder, store| builder.store(store))
}

fn rkt() -> rkt_api_service::StandIn {
    rkt_api_service::StandIn::tcp(rkt_api_service::Images::generated(17))
}

/// A runtime with hostile text wherever it sends text.
fn hostile_runtime() -> cri_runtime::StandIn {
    let image = |_| cri_runtime::Image::tagged(hostile());
    let runtime = cri_runtime::StandIn::tcp(cri_runtime::Images::made(3, image));
    runtime.serve_version(&hostile(), &hostile());
    runtime.serve_filesystems(vec![cri_runtime::filesystem(&hostile(), 1, 1)]);
    runtime
}

/// The page of this service has no fault in any view; `state` names its screenshots.
#[track_caller]
fn assert_faultless(service: &Service, state: &str) {
    let checks = peers::folder(Peer::PageChecks);
    let (browser, page) = (Browser::start(), format!("http://{}/", service.address()));
    let mut text_colors = Vec::new();
    let document = service.get("/");
    let invalid = checks.and_then(|checks| html::validate(checks, document.text()).err());
    let mut faults = Vec::from_iter(invalid);
    for (screen, scheme) in VIEWS {
        browser.resize(screen);
        browser.prefer(scheme);
        browser.open(&page);
        let view = format!("{state}-{}-{scheme:?}", screen.width()).to_lowercase();
        text_colors.push(browser.run("return getComputedStyle(document.body).color"));
        take_screenshot(&browser, &view);
        let found = faults_of(&browser, &page, checks, screen).into_iter();
        faults.extend(found.map(|fault| format!("{view}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_ne!(text_colors[0], text_colors[1], "dark looks like light");
}

/// The page shows hostile text, and it is escaped.
#[track_caller]
fn assert_escaped(service: &Service) {
    let page = service.get("/");
    let escaped =
        "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;";
    assert!(page.text().contains(escaped), "{}", page.text());
}

fn take_screenshot(browser: &Browser, view: &str) {
    if let Some(folder) = env::var_os("SCREENSHOTS") {
        let path = PathBuf::from(folder).join(format!("{view}.png"));
        fs::write(path, browser.screenshot())
            .expect("SCREENSHOTS is a folder that can be written to");
    }
}

/// What is wrong with the page that the browser has opened on this screen.
fn faults_of(browser: &Browser, page: &str, checks: Option<&Path>, screen: Screen) -> Vec<String> {
    let harmless = json!({
        "width": screen.width(), "overflow": 0, "scripts": 0, "images": 0, "handlers": [], "controls": null
    });
    let measured = browser.run(MEASURE);
    let mut faults = browser.console();
    if measured != harmless {
        faults.push(format!("{measured} instead of {harmless}"));
    }
    let requests = browser.requests();
    assert!(requests.contains(page), "{requests:?}");
    let elsewhere = requests.into_iter().filter(|url| !url.starts_with(page));
    faults.extend(elsewhere.map(|url| format!("requests {url}")));
    let found = checks.map(|checks| browser.axe_findings(checks));
    faults.extend(found.into_iter().flatten());
    faults
}

#[test]
fn the_page_has_no_fault_before_the_first_query() {
    let rkt = rkt();
    let service = service(&[&rkt.url()]);
    assert_faultless(&service, "never-queried");
}

#[test]
fn the_page_has_no_fault_when_stores_answer_whatever_they_send() {
    let (rkt, runtime) = (rkt(), hostile_runtime());
    let service = service(&[&rkt.url(), &runtime.url()]);
    let status = service.query();
    assert!(status.contains("cri: 3 images"), "{status}");
    assert_escaped(&service);
    assert_faultless(&service, "healthy");
}

#[test]
fn the_page_has_no_fault_when_stores_fail_whatever_they_say() {
    let (rkt, gone, runtime) = (rkt(), rkt(), hostile_runtime());
    runtime.behave(cri_runtime::Behaviour::Fail(Status::unavailable(hostile())));
    let stores = [
        format!("gone={}", gone.url()),
        format!("hostile={}", runtime.url()),
        format!("rkt={}", rkt.url()),
    ];
    gone.stop();
    let service = service(&[&stores[0], &stores[1], &stores[2]]);
    let status = service.query();
    assert!(status.contains("<script>"), "{status}");
    assert_escaped(&service);
    assert_faultless(&service, "failing");
}

/// The README's screenshot is the first view of this state.
#[test]
fn the_page_has_no_fault_with_links_to_traces() {
    let rkt = rkt_api_service::StandIn::tcp(rkt_api_service::Images::generated(5));
    let containerd = cri_runtime::StandIn::tcp(cri_runtime::Images::generated(27));
    containerd.serve_version("containerd", "2.4.2");
    let stores = [
        rkt.url(),
        containerd.url().replacen("cri", "containerd=cri", 1),
        "crio=cri+unix:///run/no-such/crio.sock".to_owned(),
    ];
    let agent = JaegerAgent::bind();
    let service = with_stores(&[&stores[0], &stores[1], &stores[2]])
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
        .env(
            "EXP_RKT_GRPC_TRACE_URL",
            "http://127.0.0.1:16686/trace/{trace_id}",
        )
        .start();
    service.query();
    service.query();
    let page = service.get("/");
    for shown in [
        "containerd 2.4.2",
        "<dd>27</dd>",
        "<dt>Unused</dt>",
        "cri+unix:///run/no-such/crio.sock",
    ] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let links = page
        .text()
        .matches("<a href=\"http://127.0.0.1:16686/trace/");
    assert_eq!(links.count(), 2, "{}", page.text());
    assert_faultless(&service, "traced");
}

#[test]
fn while_a_query_is_running_the_page_says_so() {
    let rkt = rkt();
    rkt.behave(rkt_api_service::Behaviour::Hang);
    let service = service(&[&rkt.url()]);
    service.signal(Signal::QUIT);
    eventually("the page to say so", || {
        let page = service.get("/");
        page.text()
            .contains("A query has been running for ")
            .then_some(())
    });
}
