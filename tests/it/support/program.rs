//! Runs the commands of the library in process, with a test service, browser, keychain and home.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use astro_login::browser::{Browser, BrowserLaunch, Machine};
use astro_login::commands::login::{Login, Output, TokenArgument, login};
use astro_login::commands::token::{self, Token};
use astro_login::config::Config;
use astro_login::credentials::vault::{MasterKeySource, Vault, VaultError, VaultName};
use astro_login::credentials::{CredentialStore, Credentials, Kind, StoreError};
use astro_login::domain::Domain;
use astro_login::environment::Environment;
use astro_login::error::Error;
use astro_login::http::{Http, TimeLimits};
use astro_login::oauth::{PendingGrant, Random};
use astro_login::system::{OsRandom, System};
use astro_login::token::{AccessToken, RefreshToken};
use astro_login::ui::{Captured, Ui};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::{AUDIENCE, CLIENT_ID, FakeBrowser, Mode, Options, Page, Service, TestHome};

pub const NOON: &str = "2026-11-24T12:00:00Z";

/// config.yaml after a login by Ada into the keychain.
pub const ADA_CONFIG: &str = "\
contexts:
    localhost:PORT:
        domain: localhost:PORT
        user_email: ada@example.com
        auth_domain: http://localhost:PORT/
        auth_client_id: astro-cli-client
        organization: clorg00000000000000000001
        organization_product: HOSTED
context: localhost:PORT
";

/// A keychain in memory, which can be told to fail.
#[derive(Default)]
pub struct MemoryStore {
    entries: Mutex<HashMap<String, Credentials>>,
    pending: Mutex<Option<Vec<u8>>>,
    loading: Mutex<Option<StoreError>>,
    saving: Mutex<Option<StoreError>>,
    damaged: Mutex<HashSet<String>>,
}

impl MemoryStore {
    pub fn get(&self, domain: &str) -> Option<Credentials> {
        held(&self.entries).get(domain).cloned()
    }

    pub fn put(&self, domain: &str, credentials: Credentials) {
        held(&self.entries).insert(domain.to_owned(), credentials);
    }

    /// The login that waits for its second step.
    pub fn pending(&self) -> Option<Vec<u8>> {
        held(&self.pending).clone()
    }

    /// The entry of `domain` cannot be read, but can be removed or replaced.
    pub fn damage(&self, domain: &str) {
        held(&self.damaged).insert(domain.to_owned());
    }

    pub fn fail(&self, error: StoreError) {
        *held(&self.loading) = Some(error.clone());
        self.fail_saving(error);
    }

    pub fn fail_saving(&self, error: StoreError) {
        *held(&self.saving) = Some(error);
    }
}

/// The vault's master key in memory; reading it can be told to fail.
pub struct MemoryKey(Mutex<Result<Option<Vec<u8>>, StoreError>>);

impl Default for MemoryKey {
    /// 32 bytes of 1.
    fn default() -> Self {
        Self(Mutex::new(Ok(Some(b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_vec()))))
    }
}

impl MemoryKey {
    pub fn set(&self, key: Result<Option<&str>, StoreError>) {
        *held(&self.0) = key.map(|key| key.map(|key| key.as_bytes().to_vec()));
    }
}

impl MasterKeySource for MemoryKey {
    fn master_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        Ok(held(&self.0).clone()?.map(Zeroizing::new))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failing(fault: &Mutex<Option<StoreError>>) -> Result<(), StoreError> {
    held(fault).clone().map_or(Ok(()), Err)
}

impl CredentialStore for MemoryStore {
    fn load(&self, domain: &Domain) -> Result<Option<Credentials>, StoreError> {
        failing(&self.loading)?;
        if held(&self.damaged).contains(domain.as_str()) {
            return Err(StoreError::Damaged);
        }
        Ok(self.get(domain.as_str()))
    }

    fn save(&self, domain: &Domain, credentials: &Credentials) -> Result<(), StoreError> {
        failing(&self.saving)?;
        held(&self.damaged).remove(domain.as_str());
        self.put(domain.as_str(), credentials.clone());
        Ok(())
    }

    fn delete(&self, domain: &Domain) -> Result<bool, StoreError> {
        failing(&self.saving)?;
        let was_damaged = held(&self.damaged).remove(domain.as_str());
        Ok(held(&self.entries).remove(domain.as_str()).is_some() || was_damaged)
    }

    fn domains(&self) -> Result<Vec<Domain>, StoreError> {
        failing(&self.loading)?;
        let names: HashSet<String> = held(&self.entries).keys().chain(&*held(&self.damaged)).cloned().collect();
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn load_pending(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        failing(&self.loading)?;
        Ok(self.pending().map(Zeroizing::new))
    }

    fn save_pending(&self, login: &[u8]) -> Result<(), StoreError> {
        failing(&self.saving)?;
        *held(&self.pending) = Some(login.to_owned());
        Ok(())
    }

    fn delete_pending(&self) -> Result<bool, StoreError> {
        failing(&self.saving)?;
        Ok(held(&self.pending).take().is_some())
    }

    fn ready(&self) -> Result<(), StoreError> {
        failing(&self.loading)
    }

    fn describe(&self) -> String {
        "the test's keychain".to_owned()
    }
}

#[must_use]
#[derive(Debug)]
pub struct Outcome {
    pub result: Result<(), Error>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.result.is_ok(), "{self:?}");
        self
    }

    pub fn exit_code(&self) -> u8 {
        self.result.as_ref().map_or_else(Error::exit_code, |()| 0)
    }

    /// The error and its causes, outermost first, each on a line.
    pub fn error_chain(&self) -> String {
        let error = self.result.as_ref().unwrap_err();
        std::iter::once(error.to_string()).chain(error.causes()).collect::<Vec<_>>().join("\n")
    }

    /// Returns all output: messages, link, error and hint.
    pub fn all_text(&self) -> String {
        let error_chain = self.result.as_ref().map_or_else(|_| self.error_chain(), |()| String::new());
        let hint = self.result.as_ref().err().and_then(Error::hint).unwrap_or_default();
        [&self.stdout, &self.stderr, &error_chain, &hint].map(String::as_str).join("\n")
    }
}

/// A service, a person's browser, a keychain, a home, and an environment with a display.
pub struct Stage {
    pub service: Service,
    pub browser: Arc<FakeBrowser>,
    pub keychain: Arc<MemoryStore>,
    /// The key of the vault in the home. There is no vault before a test makes its folder.
    pub vault_key: Arc<MemoryKey>,
    pub home: TestHome,
    pub environment: Environment,
    pub machine: Machine,
    pub stdin: String,
    pub clock: fn() -> Timestamp,
    pub random: Arc<dyn Random>,
    /// Runs before the browser opens the link.
    pub before_visit: Arc<dyn Fn() + Send + Sync>,
    pub limits: TimeLimits,
}

impl Stage {
    /// Returns a stage on which Ada logs in when the browser opens.
    pub fn new() -> Self {
        Self::with(Options::default(), Mode::LogIn("ada@example.com".to_owned()))
    }

    pub fn with(options: Options, mode: Mode) -> Self {
        astro_login::jwt::crypto::install();
        Self {
            service: Service::start(options),
            browser: Arc::new(FakeBrowser::new(mode)),
            keychain: Arc::default(),
            vault_key: Arc::default(),
            home: TestHome::new(),
            environment: Environment::from_pairs(&[("DISPLAY", ":0")]),
            machine: Machine { os: std::env::consts::OS, container: false, launcher: true },
            stdin: String::new(),
            clock: now,
            random: Arc::new(OsRandom(SystemRandom::new())),
            before_visit: Arc::new(|| ()),
            limits: TimeLimits::default(),
        }
    }

    /// The same, and it is [`NOON`], here and at the service, for as long as it lasts.
    pub fn at_noon(mut self) -> Self {
        self.service.set(|options| options.now = Some(noon().as_second()));
        self.clock = noon;
        self
    }

    pub fn send(&mut self, mode: Mode) {
        self.browser = Arc::new(FakeBrowser::new(mode));
    }

    /// `astro login localhost:PORT`, to be changed as the test needs it.
    pub fn request(&self) -> Login {
        Login {
            if_needed: false,
            domain: Some(self.service.domain()).into(),
            email: None,
            login_link: false,
            begin: false,
            complete: None,
            output: Output::Text,
            paste_stdin: false,
            token_login: None,
            username: None,
            oauth: false,
            password: None,
            organization: None,
            workspace: None,
            timeout: Some(Duration::from_secs(20)),
            insecure_storage: false,
            vault: false,
        }
    }

    pub fn token_request(&self, token: &str) -> Login {
        Login { token_login: Some(TokenArgument::Given(Zeroizing::new(token.to_owned()))), ..self.request() }
    }

    pub async fn login(&self, request: &Login) -> Outcome {
        self.run(async |system| login(system, request).await).await
    }

    /// Runs one login without a terminal, and opens the printed link in the browser.
    pub async fn login_by_link(&self, request: &Login) -> Outcome {
        let seen = Cell::new(false);
        let read = |captured: &Captured| {
            if let Some(link) = captured.stdout().strip_suffix('\n')
                && !seen.replace(true)
            {
                self.browser.visit(&link.parse().unwrap());
            }
        };
        self.watch(async |system| login(system, request).await, read).await
    }

    pub async fn run(&self, command: impl AsyncFnOnce(&System) -> Result<(), Error>) -> Outcome {
        self.watch(command, |_| ()).await
    }

    /// The same; `watch` sees what has been said each time that the program waits for something.
    async fn watch(
        &self,
        command: impl AsyncFnOnce(&System) -> Result<(), Error>,
        watch: impl Fn(&Captured),
    ) -> Outcome {
        let (ui, captured) = Ui::captured(false, self.stdin.clone());
        let system = self.system(ui);
        let mut running = pin!(command(&system));
        let result = poll_fn(|context| {
            let polled = running.as_mut().poll(context);
            watch(&captured);
            polled
        })
        .await;
        Outcome { result, stdout: captured.stdout(), stderr: captured.stderr() }
    }

    /// The outside world of a command with these streams.
    pub fn system(&self, ui: Ui) -> System {
        System {
            environment: self.environment.clone(),
            machine: self.machine.into(),
            home: self.home.path().to_owned(),
            http: Http::with_limits(self.limits),
            browser: Arc::new(Opener {
                browser: Arc::clone(&self.browser),
                before_visit: Arc::clone(&self.before_visit),
            }),
            keychain: Arc::clone(&self.keychain) as Arc<dyn CredentialStore>,
            vault: Arc::new(self.vault()),
            ui,
            now: self.clock,
            time_zone: || TimeZone::UTC,
            pending_grant: PendingGrant::default(),
            random: Arc::clone(&self.random),
        }
    }

    /// `astro` itself, as a process of its own in this home and with nothing of this process's environment. A browser that
    /// it opens leaves a file called `opened` in the home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let home = self.home.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_astro"));
        command.args(arguments).env_clear().env("HOME", home).env("ASTRO_HOME", home).current_dir(home);
        command.env("BROWSER", "touch opened").env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        command.stdin(Stdio::null());
        command
    }

    /// A home in which the Go CLI has left a login, of which the access token ends in so many seconds, and that login. No
    /// browser comes back.
    pub fn logged_in(seconds: i64) -> (Self, Credentials) {
        let stage = Self::with(Options::default(), Mode::NeverComeBack);
        let credentials = stage.earlier_login(seconds);
        stage.keep_in_config(&credentials);
        (stage, credentials)
    }

    /// A login that Ada made a day ago, of which the access token ends in so many seconds, or has ended. Nobody keeps it yet.
    pub fn earlier_login(&self, seconds: i64) -> Credentials {
        let tokens = self.service.log_in("ada@example.com");
        let end = (self.clock)() + SignedDuration::from_secs(seconds);
        let end = Timestamp::from_second(end.as_second()).unwrap();
        let start = end - SignedDuration::from_hours(24);
        let claims = json!({"iat": start.as_second(), "exp": end.as_second()});
        Credentials {
            refresh: tokens["refresh_token"].as_str().map(RefreshToken::new),
            issued_at: Some(start),
            expires_at: Some(end),
            ..self.credentials(&self.service.access_token(&claims))
        }
    }

    /// Returns Ada's credentials with this access token, no refresh token and no times.
    pub fn credentials(&self, access: &str) -> Credentials {
        Credentials {
            kind: Kind::User,
            access: AccessToken::new(access),
            refresh: None,
            issuer: self.service.issuer(),
            client_id: CLIENT_ID.to_owned(),
            audience: AUDIENCE.to_owned(),
            sub: "auth0|ada@example.com".to_owned(),
            email: Some("ada@example.com".to_owned()),
            issued_at: None,
            expires_at: None,
            replaced: None,
        }
    }

    /// The vault of Astro CLI 2 in the home.
    pub fn vault(&self) -> Vault {
        let keys = Arc::clone(&self.vault_key) as Arc<dyn MasterKeySource>;
        Vault::new(Some(self.home.path()), keys, SystemRandom::new())
    }

    /// The name of this service's login in that vault.
    pub fn vault_name(&self) -> VaultName {
        let domain: Domain = self.service.domain().parse().unwrap();
        VaultName::new(&Config::new(self.home.path()).canonical_path(), &domain.context_key())
    }

    pub fn keep_in_keychain(&self, credentials: &Credentials) {
        self.keychain.put(&self.service.domain(), credentials.clone());
    }

    /// Leaves `credentials` in config.yaml as the Go CLI does, among its other settings and a private cluster's context.
    pub fn keep_in_config(&self, credentials: &Credentials) {
        let domain = self.service.domain();
        let refresh = credentials.refresh.as_ref().map_or("\"\"", |token| token.expose());
        let end = credentials.expires_at.unwrap().display_with_offset(jiff::tz::offset(1));
        let text = include_str!("../../fixtures/logged-in.yaml").replace("DOMAIN", &domain);
        let text = text.replace("EXPIRY", &format!("{end:.9}")).replace("REFRESH", refresh);
        self.home.write_config(&text.replace("ACCESS", credentials.access.expose()));
    }

    pub fn stored(&self) -> Option<Credentials> {
        self.keychain.get(&self.service.domain())
    }

    /// Returns the pages that the callback responded with. The runtime goes on, unlike in
    /// [`FakeBrowser::answers`].
    pub async fn pages(&self) -> Vec<Result<Page, String>> {
        let browser = Arc::clone(&self.browser);
        tokio::task::spawn_blocking(move || browser.answers()).await.unwrap()
    }

    pub async fn redirect(&self) -> Url {
        let browser = Arc::clone(&self.browser);
        let redirect = move || {
            loop {
                // No link was opened yet, or no redirect followed.
                if let Some(redirect) = browser.redirect() {
                    return redirect;
                }
                std::thread::yield_now();
            }
        };
        tokio::task::spawn_blocking(redirect).await.unwrap()
    }

    /// Every request that the service got, as method and path, sorted.
    pub fn request_log(&self) -> Vec<String> {
        let line = |request: super::Request| format!("{} {}", request.method, request.path);
        let mut lines: Vec<String> = self.service.requests().into_iter().map(line).collect();
        lines.sort_unstable();
        lines
    }

    /// Returns `text` with values that differ from run to run replaced by names.
    pub fn normalize(&self, text: &str) -> String {
        let config = self.home.config_path().display().to_string();
        let callback = callback_port(text);
        let mut text = text.replace(&config, "CONFIG").replace(&self.service.domain(), "localhost:PORT");
        let begin = "http://localhost:PORT/authorize?";
        while let Some(start) = text.find(begin) {
            let length = text[start..].find(char::is_whitespace).unwrap_or(text.len() - start);
            text.replace_range(start..start + length, "LINK");
        }
        callback.map_or(text.clone(), |port| text.replace(&port.to_string(), "CALLBACK"))
    }
}

/// The port of the redirect URI in the link that `text` holds.
pub fn callback_port(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("redirect_uri=http%3A%2F%2Flocalhost%3A")?;
    rest.split_once('%')?.0.parse().ok()
}

struct Opener {
    browser: Arc<FakeBrowser>,
    before_visit: Arc<dyn Fn() + Send + Sync>,
}

impl Browser for Opener {
    fn open(&self, url: &Url, _: &BrowserLaunch) -> io::Result<()> {
        (self.before_visit)();
        self.browser.visit(url);
        Ok(())
    }
}

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's clock is the machine's")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Runs `astro auth token` with this domain.
pub async fn token(system: &System, domain: Option<&str>) -> Result<(), Error> {
    let domain = domain.map(str::to_owned).into();
    let request = Token { force: false, validity: token::Validity::default(), json: false.into(), domain };
    token::token(system, &request).await
}
