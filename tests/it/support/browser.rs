//! A person with a browser, simulated by an HTTP client: it opens the authorization URL, submits the login page,
//! follows the redirect to the callback, and records the response. It follows each redirect itself, so that it can
//! misbehave there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread::JoinHandle;

use url::Url;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    LogIn(String),
    Cancel,
    /// Logs in. Delivers a callback with another state first, then the valid one.
    TamperState(String),
    /// Logs in; the callback is delivered twice at once.
    DeliverTwice(String),
    /// Logs in, but the callback is never delivered; [`FakeBrowser::redirect`] has its address, for pasting.
    StopAtRedirect(String),
    NeverComeBack,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// The browser. An adapter for the program's own trait only has to call [`visit`](Self::visit).
pub struct FakeBrowser {
    mode: Mode,
    visits: Mutex<Vec<JoinHandle<Visit>>>,
    ended: Mutex<Vec<Visit>>,
}

#[derive(Clone)]
struct Visit {
    opened: Url,
    redirect: Option<Url>,
    answers: Vec<Result<Page, String>>,
}

impl FakeBrowser {
    pub fn new(mode: Mode) -> Self {
        Self { mode, visits: Mutex::default(), ended: Mutex::default() }
    }

    /// Opens `url` and returns at once, as an opener does; the visit goes on in a thread of its own.
    pub fn visit(&self, url: &Url) {
        let (mode, url) = (self.mode.clone(), url.clone());
        let visit = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(visit(&mode, url))
        });
        self.visits.lock().unwrap().push(visit);
    }

    pub fn opened(&self) -> Vec<Url> {
        self.ended().into_iter().map(|visit| visit.opened).collect()
    }

    /// Returns the responses of the callback in the order of delivery, or the error; without a redirect to the callback,
    /// the page of the identity provider. Waits for the visits to end, and so for the program's responses.
    pub fn answers(&self) -> Vec<Result<Page, String>> {
        self.ended().into_iter().flat_map(|visit| visit.answers).collect()
    }

    /// The callback's address, with its code and state. Waits for the visits to end.
    pub fn redirect(&self) -> Option<Url> {
        self.ended().into_iter().rev().find_map(|visit| visit.redirect)
    }

    fn ended(&self) -> Vec<Visit> {
        let mut ended = self.ended.lock().unwrap();
        let visits: Vec<_> = self.visits.lock().unwrap().drain(..).collect();
        ended.extend(visits.into_iter().map(|visit| visit.join().unwrap()));
        ended.clone()
    }
}

async fn visit(mode: &Mode, opened: Url) -> Visit {
    // An error only means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut page = fetch(&client, opened.clone()).await;
    if let (Some(action), Some(form)) = (form_action(&page, &opened), form(mode)) {
        page = read(client.post(action).form(&form)).await;
    }
    let redirect = redirect_of(&page, &opened);
    let answers = match (mode, redirect.clone()) {
        (Mode::StopAtRedirect(_) | Mode::NeverComeBack, _) => Vec::new(),
        (_, None) => vec![page],
        (Mode::LogIn(_) | Mode::Cancel, Some(callback)) => vec![fetch(&client, callback).await],
        (Mode::TamperState(_), Some(callback)) => {
            let strangers = fetch(&client, with_other_state(&callback)).await;
            vec![strangers, fetch(&client, callback).await]
        }
        (Mode::DeliverTwice(_), Some(callback)) => {
            let both = tokio::join!(fetch(&client, callback.clone()), fetch(&client, callback));
            vec![both.0, both.1]
        }
    };
    Visit { opened, redirect, answers }
}

/// The fields that a browser would submit, the pressed button included.
fn form(mode: &Mode) -> Option<[(&'static str, &str); 3]> {
    match mode {
        Mode::LogIn(email) | Mode::TamperState(email) | Mode::DeliverTwice(email) | Mode::StopAtRedirect(email) => {
            Some([("email", email), ("password", "correct horse"), ("answer", "log-in")])
        }
        Mode::Cancel => Some([("email", ""), ("password", ""), ("answer", "cancel")]),
        Mode::NeverComeBack => None,
    }
}

async fn fetch(client: &reqwest::Client, url: Url) -> Result<Page, String> {
    read(client.get(url)).await
}

async fn read(request: reqwest::RequestBuilder) -> Result<Page, String> {
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (status, headers) = (answer.status().as_u16(), answer.headers().iter().map(header).collect());
    Ok(Page { status, headers, body: answer.text().await.map_err(|error| error.to_string())? })
}

fn form_action(page: &Result<Page, String>, base: &Url) -> Option<Url> {
    let form = page.as_ref().ok()?.body.split_once("<form")?.1;
    let action = form.split_once("action=\"")?.1.split_once('"')?.0;
    base.join(&html_escape::decode_html_entities(action)).ok()
}

fn redirect_of(page: &Result<Page, String>, base: &Url) -> Option<Url> {
    base.join(page.as_ref().ok()?.headers.get("location")?).ok()
}

fn with_other_state(callback: &Url) -> Url {
    let pairs = callback.query_pairs().map(|(name, value)| {
        let value = if name == "state" { "a-strangers-state".into() } else { value };
        (name, value)
    });
    let mut url = callback.clone();
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    url.set_query(Some(&query));
    url
}
