//! The trusted certificates that the client does not find by itself.

use std::fs::File;
use std::path::PathBuf;

use reqwest::ClientBuilder;

use crate::environment::Environment;
use crate::text::clean;

const FILE: &str = "SSL_CERT_FILE";

#[derive(Default)]
pub(super) struct RootSettings {
    /// The file that the variable names.
    file: Option<PathBuf>,
    /// Whether the variable is empty, which counts as unset. The client would look for a file without a name.
    #[cfg_attr(any(not(unix), target_os = "macos"), expect(dead_code, reason = "other platforms ignore the variable"))]
    is_empty: bool,
}

impl RootSettings {
    pub(super) fn of(environment: &Environment) -> Self {
        Self { file: environment.get_os(FILE).map(PathBuf::from), is_empty: environment.is_empty(FILE) }
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

    /// Returns the reason why the variable's file cannot be read.
    pub(super) fn fault(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let name = clean(&file.display().to_string(), 200);
        match File::open(file) {
            Err(error) => Some(format!("could not read {name}, which {FILE} names: {error}")),
            Ok(_) => Some(format!("{name}, which {FILE} names, holds no certificate")),
        }
    }
}
