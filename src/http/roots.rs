//! The trusted certificates that the client does not find by itself.

use std::fs::File;
use std::path::PathBuf;

use reqwest::ClientBuilder;

use crate::environment::Environment;
use crate::text::clean;

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

#[derive(Default)]
pub(super) struct RootSettings {
    /// The file and the folders that the variables name.
    named: Vec<(&'static str, PathBuf)>,
    /// Whether the variable is empty, which counts as unset. The client would look for a file without a name.
    #[cfg_attr(any(not(unix), target_os = "macos"), expect(dead_code, reason = "other platforms ignore the variable"))]
    is_empty: bool,
}

impl RootSettings {
    pub(super) fn of(environment: &Environment) -> Self {
        let file = environment.get_os(FILE).map(|file| (FILE, PathBuf::from(file)));
        let folders = environment.get_os(FOLDERS).map(std::env::split_paths).into_iter().flatten();
        let named = file.into_iter().chain(folders.map(|folder| (FOLDERS, folder))).collect();
        Self { named, is_empty: environment.is_empty(FILE) }
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn apply_to(&self, builder: ClientBuilder) -> ClientBuilder {
        if !self.is_empty {
            return builder;
        }
        let found = openssl_probe::probe();
        let folder = found.cert_dir.first().map(PathBuf::as_path);
        let loaded = rustls_native_certs::load_certs_from_paths(found.cert_file.as_deref(), folder);
        let certificates = loaded.certs.iter().filter_map(|one| reqwest::Certificate::from_der(one).ok());
        builder.tls_certs_only(certificates)
    }

    #[cfg(any(not(unix), target_os = "macos"))]
    pub(super) fn apply_to(&self, builder: ClientBuilder) -> ClientBuilder {
        builder
    }

    /// Returns the reason why the variables name no certificate, if they are set.
    pub(super) fn fault(&self) -> Option<String> {
        let told = |(variable, path): &(_, PathBuf)| {
            format!("{}, which {variable} names", clean(&path.display().to_string(), 200))
        };
        let unread = self.named.iter().find_map(|named| {
            let path = &named.1;
            let read = if path.is_dir() { path.read_dir().map(drop) } else { File::open(path).map(drop) };
            Some(format!("could not read {}: {}", told(named), read.err()?))
        });
        unread.or_else(|| Some(format!("{}, holds no certificate", told(self.named.first()?))))
    }
}
