//! Where it is measured: Astro by its own names behind a proxy that may be far away, and homes for the program.

#[path = "../../tests/support/proxy.rs"]
mod proxy;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proxy::{Authority, Flaw, Proxy};
use serde_json::json;

use crate::support::{Options, Service, TestHome};
use crate::tools::Line;

pub(crate) const API: &str = "api.astronomer.io";
pub(crate) const AUTH: &str = "auth.astronomer.io";

/// Astro over TLS.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) home: TestHome,
    proxy: Proxy,
}

impl World {
    pub(crate) fn new(round_trip: Duration) -> Self {
        let options = Options {
            issuer: Some(format!("https://{AUTH}/")),
            cache_control: Some("public, max-age=600"),
            ..Options::default()
        };
        let service = Service::start(options);
        let home = home();
        let authority = Authority::new("the authority");
        fs::write(home.path().join("authority.pem"), authority.pem()).unwrap();
        let port = service.url("/").port().unwrap();
        let proxy = Proxy::far_away(&authority, &[(API, Flaw::None), (AUTH, Flaw::None)], port, round_trip);
        Self { service, home, proxy }
    }

    /// How many requests and connections there were so far.
    pub(crate) fn counts(&self) -> [usize; 2] {
        [self.service.requests().len(), self.proxy.connects().len()]
    }

    /// A file with a token of this world.
    pub(crate) fn token(&self) -> PathBuf {
        token_file(&self.service, &self.home)
    }

    /// `program` in this world.
    pub(crate) fn astro(&self, program: &Path, arguments: &[&str]) -> Line {
        let authority = self.home.path().join("authority.pem");
        let line = at_home(&self.home, program, arguments).with("HTTPS_PROXY", &self.proxy.url());
        line.with("SSL_CERT_FILE", authority.to_str().unwrap())
    }

    /// The requests of a token's login, by curl.
    pub(crate) fn curl(&self, token: &Path) -> Line {
        let bearer = fs::read_to_string(token).unwrap();
        let organization = self.service.options().organizations[0].id.clone();
        let paths = [
            format!("https://{API}/private/v1alpha1/cli/auth-config"),
            format!("https://{AUTH}/.well-known/jwks.json"),
            format!("https://{API}/v1/users/self?createIfNotExist=true"),
            format!("https://{API}/v1/organizations?limit=100&offset=0"),
            format!("https://{API}/v1/organizations/{organization}/workspaces?sorts=name:asc&limit=1000&offset=0"),
        ];
        let authority = self.home.path().join("authority.pem");
        let request = |url: String| {
            format!(
                "url = \"{url}\"\noutput = /dev/null\nsilent\nshow-error\nfail\nproxy = {}\ncacert = {}\n\
                 header = \"authorization: Bearer {bearer}\"\nheader = \"x-astro-client-identifier: cli\"\n\
                 header = \"x-astro-client-version: 1\"\nheader = \"x-client-os-identifier: linux-amd64\"\n",
                self.proxy.url(),
                authority.display(),
            )
        };
        let script = paths.map(request).join("next\n");
        let file = self.home.path().join("curl.conf");
        fs::write(&file, script).unwrap();
        Line::new(Path::new("curl"), &["--disable", "--config", file.to_str().unwrap()])
    }
}

/// A home directory in which there is no config.yaml yet.
pub(crate) fn home() -> TestHome {
    TestHome::new()
}

/// `program` at `home`, where there is no keychain.
pub(crate) fn at_home(home: &TestHome, program: &Path, arguments: &[&str]) -> Line {
    let path = home.path().to_str().unwrap();
    let line = Line::new(program, arguments).with("HOME", path).with("ASTRO_HOME", path).with("TZ", "UTC");
    line.with("DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={path}/no-bus"))
}

pub(crate) fn token_file(service: &Service, home: &TestHome) -> PathBuf {
    let file = home.path().join("token");
    fs::write(&file, service.access_token(&json!({}))).unwrap();
    file
}
