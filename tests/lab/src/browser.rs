//! A headless Chromium with a page in it, driven through Debian's chromedriver (W3C WebDriver and Chromium's own commands).

mod axe;
mod driver;

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value as Json, json};

use driver::Driver;

/// A browser window. Dropping it ends the browser.
///
/// Every call panics if the page has opened an alert.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
}

/// The size of the window, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// 1280 × 800.
    Desktop,
    /// 380 × 800. As on phones, a page without a viewport in its head is laid out for a wider window.
    Phone,
}

/// What the user prefers, and the page learns as `prefers-color-scheme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorScheme {
    /// Dark text on a light background.
    Light,
    /// Light text on a dark background.
    Dark,
}

impl Screen {
    /// The width in CSS pixels.
    pub fn width(self) -> u32 {
        match self {
            Self::Desktop => 1280,
            Self::Phone => 380,
        }
    }
}

impl Browser {
    /// Starts a browser with an empty window of [`Screen::Desktop`].
    #[track_caller]
    pub fn start() -> Self {
        let browser = Self {
            driver: Driver::start(),
        };
        browser.resize(Screen::Desktop);
        browser
    }

    /// Changes the size of the window, for this page and those that are opened later.
    #[track_caller]
    pub fn resize(&self, screen: Screen) {
        let metrics = json!({
            "width": screen.width(), "height": 800, "deviceScaleFactor": 1, "mobile": screen == Screen::Phone
        });
        self.driver
            .devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Changes the color scheme, for this page and those that are opened later.
    #[track_caller]
    pub fn prefer(&self, scheme: ColorScheme) {
        let value = match scheme {
            ColorScheme::Light => "light",
            ColorScheme::Dark => "dark",
        };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.driver
            .devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Opens a page, and waits until it and everything that belongs to it have been loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.driver.command("/url", &json!({ "url": url }));
    }

    /// What this JavaScript returns: the body of a function.
    #[track_caller]
    pub fn run(&self, script: &str) -> Json {
        let script = json!({ "script": script, "args": [] });
        self.driver.command("/execute/sync", &script)
    }

    /// What this JavaScript passes to the function `done`.
    #[track_caller]
    pub fn run_until_done(&self, script: &str) -> Json {
        let script = format!("const done = arguments[0];\n{script}");
        let script = json!({ "script": script, "args": [] });
        self.driver.command("/execute/async", &script)
    }

    /// The whole page as PNG.
    #[track_caller]
    pub fn screenshot(&self) -> Vec<u8> {
        let options = json!({ "format": "png", "captureBeyondViewport": true });
        let screenshot = self.driver.devtools("Page.captureScreenshot", &options);
        let data = screenshot["data"].as_str().unwrap_or_default();
        BASE64_STANDARD
            .decode(data)
            .expect("Chromium encodes it in base64")
    }

    /// The messages in the console since the last call: errors, violations of the content security policy, and what scripts log.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let entries = self.driver.log("browser").into_iter();
        let texts = entries.map(|entry| entry["message"].as_str().map(str::to_owned));
        texts.map(Option::unwrap_or_default).collect()
    }

    /// The URLs of all requests of pages since the last call, also of those that were blocked or have failed.
    #[track_caller]
    pub fn requests(&self) -> BTreeSet<String> {
        let entries = self.driver.log("performance").into_iter();
        let requests = entries.filter_map(|entry| {
            let event: Json = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
            // The window opens with a page of Chromium's own.
            let is_request = event["method"] == "Network.requestWillBeSent"
                && !text(&event["params"]["documentURL"]).starts_with("chrome:");
            is_request.then(|| text(&event["params"]["request"]["url"]))
        });
        requests.collect()
    }
}

#[cfg(test)]
mod tests;
