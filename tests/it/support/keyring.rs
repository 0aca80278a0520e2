//! A private desktop session: home, bus and keyring in a temporary directory, removed on drop.

#![allow(clippy::needless_pass_by_value, clippy::unused_self, reason = "zbus sets the form of an interface's methods")]
#![allow(clippy::used_underscore_binding, reason = "the code that zbus generates uses every parameter")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use zbus::blocking::fdo::DBusProxy;
use zbus::blocking::{Connection, connection};
use zbus::message::Header;
use zbus::object_server::ResponseDispatchNotifier;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

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

    pub(crate) fn with_bus() -> Self {
        let mut session = Self::at_socket("bus");
        session.start_bus();
        session
    }

    /// Starts the bus, at the address that an earlier one of this session may have had.
    pub(crate) fn start_bus(&mut self) {
        let config = self.path("bus.conf");
        fs::write(&config, BUS.replace("SOCKET", self.path("bus").to_str().unwrap())).unwrap();
        let mut bus = self.command("dbus-daemon");
        bus.arg("--nofork")
            .arg("--print-address")
            .arg("--config-file")
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut bus = bus.spawn().expect("dbus-daemon is installed");
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        self.bus = Some(bus);
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

    /// The text of our entry under this account, as `secret-tool` prints it. Empty if there is none.
    pub(crate) fn entry(&self, account: &str) -> String {
        let mut tool = self.command("secret-tool");
        let output = tool.args(["lookup", "service", "astro-login", "username", account]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn stop_keyring(&mut self) {
        end(self.keyring.take());
        // The bus may not have noticed yet, and the next one is waited for by name.
        let connection = self.connection();
        let bus = DBusProxy::new(&connection).unwrap();
        while bus.name_has_owner("org.freedesktop.secrets".try_into().unwrap()).unwrap() {
            thread::yield_now();
        }
    }

    pub(crate) fn stop_bus(&mut self) {
        end(self.bus.take());
    }

    /// Keeps the keyring from doing anything, as a machine without a free moment would, until it may go on.
    pub(crate) fn pause_keyring(&self, pause: bool) {
        let keyring = Pid::from_child(self.keyring.as_ref().unwrap());
        kill_process(keyring, if pause { Signal::STOP } else { Signal::CONT }).unwrap();
    }

    pub(crate) fn address(&self) -> &str {
        self.address.as_deref().unwrap()
    }

    /// The test's own connection to this session's bus.
    pub(crate) fn connection(&self) -> Connection {
        connection::Builder::address(self.address()).unwrap().build().unwrap()
    }

    /// Puts the keyring's dialogs on the bus, for as long as the connection is held.
    pub(crate) fn prompter(&self, prompter: Prompter) -> Connection {
        let connection = self.connection();
        connection.object_server().at("/org/gnome/keyring/Prompter", prompter).unwrap();
        connection.request_name("org.gnome.keyring.SystemPrompter").unwrap();
        connection
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

/// Stands for the process that shows the keyring's dialogs, and for the person before them.
pub(crate) enum Prompter {
    Dismisses,
    Waits,
}

type Properties = HashMap<String, OwnedValue>;

#[zbus::interface(name = "org.gnome.keyring.internal.Prompter")]
impl Prompter {
    fn begin_prompting(
        &self,
        callback: OwnedObjectPath,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &zbus::Connection,
    ) -> ResponseDispatchNotifier<()> {
        match self {
            Self::Dismisses => reply(connection, &header, callback, ""),
            Self::Waits => ResponseDispatchNotifier::new(()).0,
        }
    }

    fn perform_prompt(
        &self,
        callback: OwnedObjectPath,
        _kind: String,
        _properties: Properties,
        _exchange: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &zbus::Connection,
    ) -> ResponseDispatchNotifier<()> {
        reply(connection, &header, callback, "no")
    }

    fn stop_prompting(&self, _callback: OwnedObjectPath) {}
}

/// Tells the keyring what the person said, once it knows that its call has arrived.
fn reply(
    connection: &zbus::Connection,
    header: &Header<'_>,
    callback: OwnedObjectPath,
    said: &'static str,
) -> ResponseDispatchNotifier<()> {
    let (response, sent) = ResponseDispatchNotifier::new(());
    let connection = zbus::blocking::Connection::from(connection.clone());
    let keyring = header.sender().unwrap().to_owned();
    thread::spawn(move || {
        zbus::block_on(sent);
        let interface = Some("org.gnome.keyring.internal.Prompter.Callback");
        connection.call_method(Some(keyring), callback, interface, "PromptReady", &(said, Properties::new(), ""))
    });
    response
}
