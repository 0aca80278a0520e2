//! The proxy of a request, from the environment, else from the system's settings.

use std::io;
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::{ClientBuilder, NoProxy};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use url::Url;

use super::error::{Fault, ProxyFault};
use crate::domain::is_loopback;
use crate::environment::Environment;
use crate::text::clean;

/// The variables that name the proxy of https requests, the strongest first.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The longest status line of a proxy that is read, in bytes.
const STATUS_LINE: u64 = 1024;

#[derive(Default)]
pub(super) struct ProxySettings {
    /// A variable and its value.
    named: Option<(&'static str, String)>,
    exceptions: String,
}

/// The proxy of one request.
pub(super) struct Proxy {
    intercept: Intercept,
    /// Host and port, safe to print: the URL may hold a password.
    pub(super) name: String,
}

impl ProxySettings {
    pub(super) fn of(environment: &Environment) -> Self {
        let value = |name: &&str| environment.get(name).map(str::trim).filter(|value| !value.is_empty());
        let named = VARIABLES.iter().find_map(|name| Some((*name, value(name)?.to_owned())));
        let exceptions = ["NO_PROXY", "no_proxy"].iter().find_map(value).unwrap_or_default().to_owned();
        Self { named, exceptions }
    }

    pub(super) fn apply_to(&self, builder: ClientBuilder) -> ClientBuilder {
        let Some((_, value)) = &self.named else { return builder };
        match reqwest::Proxy::all(value) {
            Ok(proxy) => {
                let exceptions = format!("{},localhost,127.0.0.1,::1", self.exceptions);
                builder.proxy(proxy.no_proxy(NoProxy::from_string(&exceptions)))
            }
            // The variable is reported for each request that it applies to.
            Err(_) => builder.no_proxy(),
        }
    }

    /// Returns the proxy for `url`, and rejects a variable that names none: without it the request would go past the proxy.
    pub(super) fn for_url(&self, url: &Url) -> Result<Option<Proxy>, Fault> {
        let Ok(uri) = url.as_str().parse::<Uri>() else { return Ok(None) };
        if url.host_str().is_some_and(is_loopback) {
            return Ok(None);
        }
        let Some((variable, value)) = &self.named else {
            return Ok(Matcher::from_system().intercept(&uri).map(Proxy::new));
        };
        let matcher = |proxy: &str| Matcher::builder().all(proxy).no(self.exceptions.as_str()).build();
        if matcher("http://proxy.invalid").intercept(&uri).is_none() {
            return Ok(None);
        }
        // The matcher ignores a port out of range.
        let is_url =
            if value.contains("://") { Url::parse(value) } else { Url::parse(&format!("http://{value}")) }.is_ok();
        let proxy = matcher(value).intercept(&uri).map(Proxy::new).filter(|proxy| is_url && proxy.is_plausible());
        let proxy = proxy.ok_or(Fault::ProxyInvalid { variable })?;
        match proxy.intercept.uri().scheme_str() {
            Some("http" | "https") => Ok(Some(proxy)),
            _ => Err(Fault::SocksProxy { variable, proxy: proxy.name }),
        }
    }
}

impl Proxy {
    fn new(intercept: Intercept) -> Self {
        let uri = intercept.uri();
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let name = format!("{}{port}", clean(uri.host().unwrap_or_default(), 255));
        Self { intercept, name }
    }

    /// Rejects what a URL may contain, but no host name does, such as a quote.
    fn is_plausible(&self) -> bool {
        let host = self.intercept.uri().host().unwrap_or_default();
        !host.is_empty() && host.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._[]:".contains(&it))
    }

    /// Blames the proxy for a failed connection, if it was the proxy that failed.
    pub(super) async fn blame(&self, fault: Fault, target: &str, bound: Duration) -> Fault {
        let reason = match &fault {
            // The client resolves no other name.
            Fault::Dns => ProxyFault::Dns,
            Fault::Timeout(bound) => ProxyFault::Silent(*bound),
            Fault::Connect(_) if self.intercept.uri().scheme_str() == Some("http") => {
                match tokio::time::timeout(bound, self.ask_again(target)).await {
                    Ok(Ok(Some(200..=299))) | Err(_) => return fault,
                    Ok(Ok(Some(status))) => ProxyFault::Refused(status),
                    Ok(Ok(None)) => ProxyFault::HungUp,
                    Ok(Err(error)) => ProxyFault::Connect(clean(&error.to_string(), 200)),
                }
            }
            _ => return fault,
        };
        Fault::Proxy { proxy: self.name.clone(), reason }
    }

    /// Asks once more for the connection that failed. Returns the status, which the client does not report, or `None` if the
    /// proxy hung up.
    async fn ask_again(&self, target: &str) -> io::Result<Option<u16>> {
        let uri = self.intercept.uri();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let mut stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
        let target = if target.contains(':') { target.to_owned() } else { format!("{target}:443") };
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(credentials) = self.intercept.basic_auth() {
            request.extend([b"Proxy-Authorization: ", credentials.as_bytes(), b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        stream.write_all(&request).await?;
        let mut line = Vec::new();
        BufReader::new(stream).take(STATUS_LINE).read_until(b'\n', &mut line).await?;
        let line = String::from_utf8_lossy(&line);
        Ok(line.strip_prefix("HTTP/").and_then(|line| line.split(' ').nth(1)?.trim().parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(variables: &[(&str, &str)]) -> Result<Option<String>, Fault> {
        let settings = ProxySettings::of(&Environment::from_pairs(variables));
        let found = settings.for_url(&Url::parse("https://api.astronomer.io/").unwrap());
        found.map(|proxy| proxy.map(|proxy| proxy.name))
    }

    #[test]
    fn proxy_variable_is_trimmed_or_named() {
        let some = |name: &str| Ok(Some(name.to_owned()));
        for value in [
            "http://proxy.corp:3128",
            " http://u:p@proxy.corp:3128/\r\n",
            "proxy.corp:3128\n",
            "HTTP://proxy.corp:3128",
        ] {
            assert_eq!(proxy(&[("HTTPS_PROXY", value)]), some("proxy.corp:3128"), "{value:?}");
        }
        for value in [
            "\"http://p:1\"",
            "'http://p:1'",
            "'p'",
            "http://",
            "http://:3128",
            "http://p:99999",
            "ftp://p",
            "http://a b:1",
            "http//p:1",
        ] {
            for variable in VARIABLES {
                assert_eq!(proxy(&[(variable, value)]), Err(Fault::ProxyInvalid { variable }), "{value:?}");
            }
        }
        for value in ["socks5://p:1080", "socks5h://u:p@p:1080", "socks4://p:1080"] {
            let fault = Fault::SocksProxy { variable: "ALL_PROXY", proxy: "p:1080".to_owned() };
            assert_eq!(proxy(&[("ALL_PROXY", value)]), Err(fault));
        }
        let both = [("HTTPS_PROXY", "http://one:1"), ("ALL_PROXY", "socks5://two:2")];
        assert_eq!(proxy(&both), some("one:1"));
        assert_eq!(proxy(&[("HTTPS_PROXY", " \n"), ("https_proxy", "two:2")]), some("two:2"));
        assert_eq!(proxy(&[("HTTPS_PROXY", "'"), ("NO_PROXY", "astronomer.io")]), Ok(None));
    }
}
