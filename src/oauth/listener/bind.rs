//! The callback port, on 127.0.0.1 and `::1`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::Callbacks;
use crate::oauth::authorization::RedirectUri;
use crate::oauth::callback::ExpectedResponse;

/// The queue of connections that wait to be accepted; the operating system may use a shorter one. With the 128 of
/// `TcpListener::bind`, a burst fills it, and the next connection is delayed by a second or more.
const QUEUE: u32 = 1024;
/// The number of attempts to bind an ephemeral port: one that is free in one address family may be taken in the other.
const PORT_ATTEMPTS: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("port {0} is taken by another program")]
    PortTaken(u16),
    #[error("could not listen on port {port}")]
    Bind { port: u16, source: io::Error },
}

/// The bound port. Connections wait in the queue until [`serve`](Self::serve).
#[derive(Debug)]
pub struct CallbackListener {
    v4: Option<TcpListener>,
    v6: Option<TcpListener>,
    port: u16,
}

impl CallbackListener {
    /// Binds `port` on 127.0.0.1 and `::1`, or on the one that this machine has; 0 means any free port. Must be called
    /// within a tokio runtime.
    ///
    /// Both addresses are bound explicitly, so no other program receives a browser's connection to either. Linux refuses
    /// the bind if any program listens there, even on a wildcard address: `SO_REUSEADDR`, which is set on Unix, only
    /// ignores closed connections. BSD, macOS and Windows allow a wildcard listener beside it, and the exact address
    /// wins. `SO_REUSEPORT` is not set. Windows' `SO_EXCLUSIVEADDRUSE` would need unsafe code: without it, another
    /// program of the same user could take over the port on purpose.
    pub fn bind(port: u16) -> Result<Self, ListenError> {
        let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match Self::bind_both(port) {
                Err(ListenError::PortTaken(_)) if attempts > 0 => {}
                outcome => return outcome,
            }
        }
    }

    fn bind_both(port: u16) -> Result<Self, ListenError> {
        let v4 = bind_one(Ipv4Addr::LOCALHOST.into(), port)?;
        let port = v4.as_ref().map_or(Ok(port), local_port)?;
        let v6 = bind_one(Ipv6Addr::LOCALHOST.into(), port)?;
        let port = v6.as_ref().map_or(Ok(port), local_port)?;
        if v4.is_none() && v6.is_none() {
            return Err(ListenError::Bind { port, source: io::ErrorKind::AddrNotAvailable.into() });
        }
        Ok(Self { v4, v6, port })
    }

    pub fn redirect_uri(&self) -> RedirectUri {
        RedirectUri::new(self.port)
    }

    /// Returns whether 127.0.0.1 is bound, and whether `::1` is.
    pub fn bound_families(&self) -> (bool, bool) {
        (self.v4.is_some(), self.v6.is_some())
    }

    /// Accepts connections until the result is dropped. Must be called within a tokio runtime.
    pub fn serve(self, expected: ExpectedResponse) -> Callbacks {
        Callbacks::serve(self.v4, self.v6, self.port, expected)
    }
}

/// Binds one address. Returns `None` for an address family that this machine does not have.
fn bind_one(address: IpAddr, port: u16) -> Result<Option<TcpListener>, ListenError> {
    match listen((address, port).into()) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_taken(error.kind(), cfg!(windows)) => Err(ListenError::PortTaken(port)),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => Err(ListenError::Bind { port, source }),
        Err(error) => {
            tracing::debug!(%address, %error, "no such address family");
            Ok(None)
        }
    }
}

/// Windows reports a taken port also as a missing permission (`WSAEACCES`), if it is held exclusively or reserved.
fn is_taken(kind: io::ErrorKind, windows: bool) -> bool {
    kind == io::ErrorKind::AddrInUse || (windows && kind == io::ErrorKind::PermissionDenied)
}

pub fn port_owner_command(port: u16) -> String {
    if cfg!(windows) { format!("netstat -ano | findstr :{port}") } else { format!("lsof -i :{port}") }
}

/// Listens as `TcpListener::bind` does, but with a longer queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

fn local_port(listener: &TcpListener) -> Result<u16, ListenError> {
    listener.local_addr().map(|address| address.port()).map_err(|source| ListenError::Bind { port: 0, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_3_taken_port_is_recognized_on_each_system() {
        let table = [
            (io::ErrorKind::AddrInUse, true, true),
            (io::ErrorKind::PermissionDenied, false, true),
            (io::ErrorKind::AddrNotAvailable, false, false),
            (io::ErrorKind::Unsupported, false, false),
        ];
        for (kind, elsewhere, on_windows) in table {
            assert_eq!((is_taken(kind, false), is_taken(kind, true)), (elsewhere, on_windows), "{kind}");
        }
    }

    /// The table above relies on how the standard library maps Windows' error numbers.
    #[cfg(windows)]
    #[test]
    fn lb_3_windows_numbers_are_of_these_kinds() {
        assert_eq!(io::Error::from_raw_os_error(10048).kind(), io::ErrorKind::AddrInUse);
        assert_eq!(io::Error::from_raw_os_error(10013).kind(), io::ErrorKind::PermissionDenied);
    }
}
