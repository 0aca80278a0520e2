//! Headless Chromium, controlled through W3C WebDriver by `chromedriver` (Debian: `chromium-driver`).
//!
//! A failure panics with the driver's message. Home, profile and temporary files of the browser are in one temporary
//! folder. Dropping a [`Chromium`] ends its processes and removes the folder.

#![allow(clippy::doc_markdown, reason = "WebDriver and DevTools are names")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The time limit for an element, a script and a page load, in milliseconds.
const PATIENCE: u64 = 20_000;

/// Root needs no sandbox, and a machine without a network must not be asked for one.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--password-store=basic",
];

const AUDIT: &str = "
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice', 'experimental'];
    const told = (rule, tell) => [rule.id, rule.nodes.flatMap(tell)];
    return axe.run({ runOnly: tags }).then((found) => ({
        checked: found.passes.length,
        violations: found.violations.map((rule) => told(rule, (node) => [node.html, node.failureSummary])),
        undecided: found.incomplete.map((rule) => told(rule, (node) => node.target)),
    }));
";

/// The script of axe-core. It is no part of the project: `.ci/run` fetches it and names the file.
#[expect(clippy::disallowed_methods, reason = "tests are told by a variable where it is")]
pub fn axe() -> String {
    let path = std::env::var_os("AXE").expect(
        "AXE names no file: `npm pack axe-core` and `tar xzf axe-core-*.tgz` make `package/axe.min.js`, as in .ci/run",
    );
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("AXE names {}: {error}", path.display()))
}

pub struct Chromium {
    driver: Child,
    http: reqwest::Client,
    /// The address that every command is below.
    session: String,
    folder: TempDir,
}

impl Chromium {
    /// Starts a driver on a free port and a browser with an empty profile.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same, behind a proxy whose certificates no one knows.
    pub async fn behind(proxy: &str) -> Self {
        Self::with(&[&format!("--proxy-server={proxy}"), "--ignore-certificate-errors"]).await
    }

    async fn with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts (is chromium-driver installed?)");
        let port = announced_port(&mut driver);
        // Every client wants a provider, though this one speaks plain http; another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_millis(2 * PATIENCE))
            .build()
            .expect("a client");
        let mut chromium = Self { driver, http, session: format!("http://127.0.0.1:{port}/session"), folder };
        let usual = FLAGS.iter().filter(|it| flags.is_empty() || **it != "--no-proxy-server");
        let args = usual.chain(flags).map(|it| (*it).to_owned());
        let profile = format!("--user-data-dir={}", chromium.folder.path().join("profile").display());
        let capabilities = json!({
            "browserName": "chrome",
            "timeouts": { "implicit": PATIENCE, "pageLoad": PATIENCE, "script": PATIENCE },
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": args.chain([profile]).collect::<Vec<_>>() },
        });
        let created = chromium.post("", json!({ "capabilities": { "alwaysMatch": capabilities } })).await;
        let id = created["sessionId"].as_str().expect("a session");
        chromium.session = format!("{}/{id}", chromium.session);
        // The browser's first page logs errors without a network.
        chromium.open("about:blank").await;
        chromium.console().await;
        chromium
    }

    pub async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    pub async fn url(&self) -> String {
        text_of(self.get("/url").await)
    }

    pub async fn title(&self) -> String {
        text_of(self.get("/title").await)
    }

    /// The visible text of the first element that `css` selects, once there is one.
    pub async fn text(&self, css: &str) -> String {
        let element = self.find(css).await;
        text_of(self.get(&format!("{element}/text")).await)
    }

    pub async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.post(&format!("{element}/value"), json!({ "text": text })).await;
    }

    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.post(&format!("{element}/click"), json!({})).await;
    }

    /// Runs `script` in the page as the body of a function and hands back what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Returns the console messages since the last call: output of the page, script errors, CSP violations.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().expect("a list of entries");
        entries.iter().map(|entry| text_of(entry["message"].clone())).collect()
    }

    /// Prefers the dark or the light color scheme, and reduced motion.
    pub async fn prefer_dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Makes the page `width` × `height` CSS pixels, as a phone has it where it is narrow.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    pub async fn devtools(&self, command: &str, params: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await
    }

    /// Lets axe-core look at the page, at each of its rules but those of WCAG's level AAA: what is wrong, and what it
    /// could not decide, each as the rule's id and the elements (for what is wrong, with the reason). The page's policy
    /// stands in no script's way that comes through the driver.
    pub async fn audit(&self, axe: &str) -> Value {
        self.run(&format!("{axe}\n{AUDIT}")).await
    }

    pub async fn screenshot(&self, path: &Path) {
        let image = STANDARD.decode(text_of(self.get("/screenshot").await)).expect("base64");
        fs::write(path, image).expect("the picture is written");
    }

    /// The path of the first element that `css` selects; the driver itself waits for it (W3C WebDriver section 12.3).
    async fn find(&self, css: &str) -> String {
        let found = self.post("/element", json!({ "using": "css selector", "value": css })).await;
        let id = found.as_object().and_then(|element| element.values().next()?.as_str()).expect("an element");
        format!("/element/{id}")
    }

    async fn get(&self, path: &str) -> Value {
        self.command(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.command(Method::POST, path, Some(body)).await
    }

    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.session));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("chromedriver answers");
        let success = answer.status().is_success();
        let mut answer: Value = answer.json().await.expect("chromedriver answers with JSON");
        let value = answer["value"].take();
        assert!(success, "{path}: {}: {}", value["error"], value["message"]);
        value
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The browser's processes are in the driver's group, and may write into the folder until the last is gone. They
        // are nobody's children then, so there is nothing to wait for but an empty group; ten seconds at most.
        let group = self.driver.id();
        let end = |rounds: u32| {
            let script = format!("n={rounds}; while kill -KILL -{group} && [ $((n -= 1)) -gt 0 ]; do sleep 0.01; done");
            let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
        };
        end(1);
        let _ = self.driver.wait();
        end(1000);
    }
}

/// The port out of the line `ChromeDriver was started successfully on port 12345.`.
fn announced_port(driver: &mut Child) -> u16 {
    let output = BufReader::new(driver.stdout.as_mut().expect("a pipe"));
    output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
        .expect("chromedriver says which port it took")
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => panic!("expected text, got {other}"),
    }
}
