//! A desktop session of a test's own: home, bus and keyring in a temporary directory, gone when it is dropped.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use zbus::blocking::fdo::DBusProxy;
use zbus::blocking::{Connection, connection};

const PASSWORD: &[u8] = b"correct horse";

/// No service is started by asking for its name: who is on this bus was put there by the test.
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>"#;

pub(crate) struct Session {
    home: tempfile::TempDir,
    address: Option<String>,
    keyring: Option<Child>,
    bus: Option<Child>,
}

impl Session {
    /// A session in which nothing says where a bus is.
    pub(crate) fn without_bus() -> Self {
        Self { home: tempfile::tempdir().unwrap(), address: None, keyring: None, bus: None }
    }

    /// A session that takes the socket of this name in its home for the bus.
    pub(crate) fn at_socket(name: &str) -> Self {
        let mut session = Self::without_bus();
        session.address = Some(format!("unix:path={}", session.path(name).display()));
        session
    }

    /// A bus with nobody on it.
    pub(crate) fn with_bus() -> Self {
        let mut session = Self::at_socket("bus");
        let config = session.path("bus.conf");
        fs::write(&config, BUS.replace("SOCKET", session.path("bus").to_str().unwrap())).unwrap();
        let mut bus = session.command("dbus-daemon");
        bus.arg("--nofork")
            .arg("--print-address")
            .arg("--config-file")
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut bus = bus.spawn().expect("dbus-daemon is installed");
        // It tells its address when it listens.
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        session.bus = Some(bus);
        session
    }

    /// A bus with GNOME's keyring on it, whose default collection is open.
    pub(crate) fn with_keyring() -> Self {
        let mut session = Self::with_bus();
        session.start_keyring(true);
        session
    }

    /// Starts the keyring, on what an earlier one of this session may have left. Only with `unlock` is there a
    /// collection, and an open one.
    pub(crate) fn start_keyring(&mut self, unlock: bool) {
        let mut keyring = self.command("gnome-keyring-daemon");
        keyring.args(["--foreground", "--components=secrets", "--control-directory"]).arg(self.path("control"));
        if unlock {
            keyring.arg("--unlock");
        }
        keyring.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut keyring = keyring.spawn().expect("gnome-keyring-daemon is installed");
        keyring.stdin.take().unwrap().write_all(PASSWORD).unwrap();
        self.keyring = Some(keyring);
        self.until_on_bus("org.freedesktop.secrets");
    }

    pub(crate) fn stop_keyring(&mut self) {
        end(self.keyring.take());
    }

    /// The test's own connection to this session's bus.
    pub(crate) fn connection(&self) -> Connection {
        connection::Builder::address(self.address.as_deref().unwrap()).unwrap().build().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A program in this session, which sees nothing of the world outside.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let home = self.home.path();
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).env("XDG_DATA_HOME", home.join("data"));
        command.env("XDG_RUNTIME_DIR", home).stdin(Stdio::null());
        if let Some(address) = &self.address {
            command.env("DBUS_SESSION_BUS_ADDRESS", address);
        }
        command
    }

    fn until_on_bus(&self, name: &'static str) {
        let connection = self.connection();
        let (found, wait) = mpsc::channel();
        thread::spawn(move || {
            let bus = DBusProxy::new(&connection).unwrap();
            let mut changes = bus.receive_name_owner_changed().unwrap();
            while !bus.name_has_owner(name.try_into().unwrap()).unwrap() {
                changes.next().unwrap();
            }
            found.send(())
        });
        wait.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("{name} did not come"));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        end(self.keyring.take());
        end(self.bus.take());
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        drop(child.kill());
        drop(child.wait());
    }
}
