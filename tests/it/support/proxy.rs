//! An HTTP proxy for CONNECT, and behind it TLS servers with Astro's names and generated certificates. They forward the
//! requests to a local service.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional, duplex, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A fault of a host: its certificate, or the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Expired,
    NotYetValid,
    OtherName,
    SelfSigned,
    /// The proxy answers a CONNECT to it with this status.
    Refused(&'static str),
    HungUp,
    ProxySilent,
    /// It is connected, and does not speak.
    HostSilent,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as `SSL_CERT_FILE` wants it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    fn server(&self, host: &str, flaw: Flaw) -> TlsAcceptor {
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        let name = if flaw == Flaw::OtherName { "other.example" } else { host };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        match flaw {
            Flaw::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Flaw::NotYetValid => params.not_before = date_time_ymd(2999, 1, 1),
            _ => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key).unwrap(),
            _ => params.signed_by(&key, &self.0).unwrap(),
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
}

pub(crate) struct Proxy {
    port: u16,
    connects: Arc<Mutex<Vec<Connect>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy that connects `hosts`, with or without port, each a TLS server with a certificate of `authority`, to the service at this port, and
    /// nothing else.
    pub(crate) fn connecting(authority: &Authority, hosts: &[(&str, Flaw)], service: u16) -> Self {
        Self::far_away(authority, hosts, service, Duration::ZERO)
    }

    /// The same, with a proxy so far away that this passes between a question and its answer; the CONNECT and the
    /// handshake of TLS are such questions too.
    pub(crate) fn far_away(authority: &Authority, hosts: &[(&str, Flaw)], service: u16, round_trip: Duration) -> Self {
        let server = |(host, flaw): &(&str, Flaw)| {
            let behind = match flaw {
                Flaw::Refused(status) => Way::Refused(status),
                Flaw::HungUp => Way::HungUp,
                Flaw::ProxySilent => Way::Silent(b""),
                Flaw::HostSilent => Way::Silent(CONNECTED),
                certificate => Way::Open(authority.server(host, *certificate)),
            };
            (if host.contains(':') { (*host).to_owned() } else { format!("{host}:443") }, behind)
        };
        Self::start(hosts.iter().map(server).collect(), service, "403 Forbidden", round_trip)
    }

    pub(crate) fn refusing(status: &'static str) -> Self {
        Self::start(BTreeMap::new(), 0, status, Duration::ZERO)
    }

    fn start(servers: BTreeMap<String, Way>, service: u16, refusal: &'static str, round_trip: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connects = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let behind = Arc::new(Behind { servers, service, refusal, round_trip, connects: Arc::clone(&connects) });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::spawn(accept(tokio::net::TcpListener::from_std(listener).unwrap(), behind));
                // An error means that the owner was dropped.
                let _ = stopped.await;
            });
        });
        Self { port, connects, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn connects(&self) -> Vec<Connect> {
        self.connects.lock().unwrap().clone()
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        let mut targets: Vec<String> = self.connects().into_iter().map(|connect| connect.target).collect();
        targets.sort();
        targets.dedup();
        targets
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        let finished = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || finished.is_none_or(|end| end.is_ok()), "the proxy's thread panicked");
    }
}

const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

enum Way {
    Open(TlsAcceptor),
    Refused(&'static str),
    HungUp,
    /// With these bytes, and nothing after them.
    Silent(&'static [u8]),
}

struct Behind {
    servers: BTreeMap<String, Way>,
    service: u16,
    refusal: &'static str,
    round_trip: Duration,
    connects: Arc<Mutex<Vec<Connect>>>,
}

impl Behind {
    async fn serve(&self, mut client: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let connect = read_connect(&mut client).await?;
        self.connects.lock().unwrap().push(connect.clone());
        let refused = Way::Refused(self.refusal);
        let server = match self.servers.get(&connect.target).unwrap_or(&refused) {
            Way::Open(server) => server,
            Way::Refused(status) => {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                return client.write_all(answer.as_bytes()).await;
            }
            Way::HungUp => return Ok(()),
            Way::Silent(first) => {
                client.write_all(first).await?;
                while client.read(&mut [0; 1024]).await? > 0 {}
                return Ok(());
            }
        };
        client.write_all(CONNECTED).await?;
        let mut secured = server.accept(client).await?;
        let mut service = TcpStream::connect((Ipv4Addr::LOCALHOST, self.service)).await?;
        copy_bidirectional(&mut secured, &mut service).await.map(drop)
    }
}

async fn accept(listener: tokio::net::TcpListener, behind: Arc<Behind>) {
    while let Ok((client, _)) = listener.accept().await {
        let behind = Arc::clone(&behind);
        tokio::spawn(async move {
            // The program may close the connection, for example over a certificate.
            let _ = if behind.round_trip.is_zero() {
                behind.serve(client).await
            } else {
                behind.serve(held_back(client, behind.round_trip / 2)).await
            };
        });
    }
}

/// Forwards the bytes of both sides with a delay.
fn held_back(client: TcpStream, latency: Duration) -> impl AsyncRead + AsyncWrite + Unpin {
    let (near, far) = duplex(64 * 1024);
    client.set_nodelay(true).unwrap();
    let ((from_client, to_client), (from_far, to_far)) = (split(client), split(far));
    tokio::spawn(line(from_client, to_far, latency));
    tokio::spawn(line(from_far, to_client, latency));
    near
}

/// One direction of the line. What is underway does not keep the next piece from entering.
async fn line(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin,
    latency: Duration,
) -> io::Result<()> {
    let (enter, mut underway) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            if enter.send((Instant::now() + latency, piece[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    while let Some((arrival, piece)) = underway.recv().await {
        sleep_until(arrival).await;
        to.write_all(&piece).await?;
    }
    to.shutdown().await
}

async fn read_connect(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Connect> {
    let mut head = Vec::new();
    // Byte by byte, because what follows the head belongs to TLS.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or(&head).to_owned();
    let header = |line: &str| line.to_ascii_lowercase().starts_with("proxy-authorization:").then(|| line.to_owned());
    let authorization = head.lines().find_map(header).and_then(|line| Some(line.split_once(": ")?.1.to_owned()));
    Ok(Connect { target, authorization })
}
