use std::thread;

use super::*;
use crate::peers::{self, Peer};

/// Opens a page with this head and body.
fn open(browser: &Browser, head: &str, body: &str) {
    let page = format!(
        "<!DOCTYPE html><html lang=en><title>A page</title>{head}<main><h1>A page</h1>{body}</main>"
    );
    let encoded: String = page.bytes().map(|byte| format!("%{byte:02x}")).collect();
    browser.open(&format!("data:text/html,{encoded}"));
}

#[test]
fn errors_and_violations_of_the_policy_are_in_the_console() {
    let browser = Browser::start();
    open(&browser, "", "<p>Fine.");
    assert_eq!(browser.console(), [""; 0]);
    open(&browser, "", "<script>nothing.at.all</script>");
    let console = browser.console();
    assert!(
        console.concat().contains("nothing is not defined"),
        "{console:?}"
    );
    let policy =
        r#"<meta http-equiv=Content-Security-Policy content="script-src 'none'; img-src 'none'">"#;
    open(&browser, policy, "<script>1</script><img src=data:, alt=x>");
    let console = browser.console();
    assert_eq!(console.len(), 2, "{console:?}");
    assert!(
        console.concat().contains("Content Security Policy"),
        "{console:?}"
    );
}

#[test]
fn an_alert_is_not_overlooked() {
    let browser = Browser::start();
    let looked = thread::spawn(move || {
        open(&browser, "", "<script>setTimeout(() => alert(1))</script>");
        browser.run_until_done("setTimeout(done)")
    });
    let panic = looked.join().expect_err("an alert was opened");
    let message = panic.downcast_ref::<String>().expect("it has a message");
    assert!(message.contains("unexpected alert open"), "{message}");
}

#[test]
fn requests_to_other_hosts_are_seen() {
    let browser = Browser::start();
    open(&browser, "", "<img src=http://127.0.0.1:9/image alt=x>");
    assert!(browser.requests().contains("http://127.0.0.1:9/image"));
    assert!(browser.requests().is_empty());
}

#[test]
fn a_phone_shows_a_page_without_a_viewport_as_a_wider_one() {
    let browser = Browser::start();
    let width = |head| {
        open(&browser, head, "");
        browser.run("return innerWidth")
    };
    let head = "<meta name=viewport content=width=device-width>";
    assert_eq!(width(head), 1280);
    browser.resize(Screen::Phone);
    assert_eq!(width(head), 380);
    assert_eq!(width(""), 980);
}

#[test]
fn axe_finds_low_contrast_in_the_scheme_that_has_it() {
    let Some(checks) = peers::folder(Peer::PageChecks) else {
        return;
    };
    let browser = Browser::start();
    let style = "<style>@media (prefers-color-scheme: dark) { p { color: #333; background: #000 } }</style>";
    open(&browser, style, "<p>Text");
    assert_eq!(browser.axe_findings(checks), [""; 0]);
    browser.prefer(ColorScheme::Dark);
    open(&browser, style, "<p>Text");
    let findings = browser.axe_findings(checks);
    assert!(
        findings[0]
            .starts_with(r#"color-contrast: ["p"]: Element has insufficient color contrast"#),
        "{findings:?}"
    );
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn a_screenshot_shows_the_whole_page() {
    let browser = Browser::start();
    open(&browser, "", "<div style='height: 3000px'></div>");
    let png = browser.screenshot();
    // The header of a PNG: width and height.
    assert_eq!(png[16..20], 1280_u32.to_be_bytes());
    let height = u32::from_be_bytes(png[20..24].try_into().expect("four bytes"));
    assert!(height > 3000, "{height}");
}
