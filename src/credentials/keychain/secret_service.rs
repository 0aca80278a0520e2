//! The Secret Service of a Linux desktop.

use std::collections::HashMap;
use std::io::ErrorKind;

use secret_service::blocking::SecretService;
use secret_service::{EncryptionType, Error};
use zbus::blocking::{Connection, fdo::DBusProxy};
use zbus::fdo;
use zeroize::Zeroizing;

use super::{StdError, StoreError};

pub(super) const NAME: &str = "the Secret Service";

const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

/// Unlocks the default collection, which takes new entries. The connection is unencrypted, since no secret is sent.
pub(super) fn ready() -> Result<(), StoreError> {
    let open = || -> Result<(), Error> {
        let service = SecretService::connect(EncryptionType::Plain)?;
        let collection = service.get_default_collection()?;
        if collection.is_locked()? { collection.unlock() } else { Ok(()) }
    };
    open().map_err(|error| classify(&error).unwrap_or_else(|| StoreError::other(&error)))
}

/// Finds a secret where Go's keyring package looks for it: in the collection `login`, else in the default one. The keyring
/// crate searches all collections, and fails if another one has an entry of the same name.
pub(in crate::credentials) fn find_as_go(service: &str, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let find = || -> Result<_, Error> {
        let bus = SecretService::connect(EncryptionType::Plain)?;
        let login = bus.get_all_collections()?.into_iter().find(|it| it.collection_path.as_str() == LOGIN);
        let collection = login.map_or_else(|| bus.get_default_collection(), Ok)?;
        if collection.is_locked()? {
            collection.unlock()?;
        }
        let found = collection.search_items(HashMap::from([("service", service), ("username", user)]))?;
        found.first().map(|item| item.get_secret().map(Zeroizing::new)).transpose()
    };
    find().map_err(|error| classify(&error).unwrap_or_else(|| StoreError::other(&error)))
}

pub(super) fn classify(cause: &(dyn StdError + 'static)) -> Option<StoreError> {
    match cause.downcast_ref::<Error>()? {
        Error::Unavailable => Some(absent("no session bus")),
        Error::NoResult => Some(absent("no default collection")),
        Error::Prompt if prompt_could_be_shown() => Some(StoreError::Refused),
        Error::Locked | Error::Prompt => Some(StoreError::Locked),
        Error::PromptDisconnected => Some(StoreError::Disconnected),
        Error::Zbus(error) => bus(error),
        Error::ZbusFdo(error) => standard(error),
        _ => None,
    }
}

fn bus(error: &zbus::Error) -> Option<StoreError> {
    match error {
        zbus::Error::Address(_) => Some(absent("no session bus")),
        zbus::Error::InputOutput(cause) | zbus::Error::Connection(cause, _) => match cause.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Some(absent("no session bus")),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
                Some(StoreError::Disconnected)
            }
            _ => None,
        },
        zbus::Error::MethodError(name, ..) => match name.as_str() {
            "org.freedesktop.DBus.Error.ServiceUnknown" => Some(absent("no Secret Service")),
            "org.freedesktop.Secret.Error.IsLocked" => Some(StoreError::Locked),
            // `NoSession`: the service was restarted during the call.
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Disconnected"
            | "org.freedesktop.Secret.Error.NoSession" => Some(StoreError::Disconnected),
            _ => None,
        },
        zbus::Error::FDO(error) => standard(error),
        _ => None,
    }
}

fn standard(error: &fdo::Error) -> Option<StoreError> {
    match error {
        fdo::Error::ServiceUnknown(_) => Some(absent("no Secret Service")),
        fdo::Error::NoReply(_) | fdo::Error::Disconnected(_) => Some(StoreError::Disconnected),
        fdo::Error::ZBus(error) => bus(error),
        _ => None,
    }
}

fn absent(reason: &'static str) -> StoreError {
    StoreError::Absent { reason }
}

/// Returns `true` if the keyring can show its prompt. The service reports a prompt that could not be shown as dismissed,
/// too. GNOME's keyring leaves the prompt to another process, which is on the bus only in a graphical session; other
/// services show their own.
fn prompt_could_be_shown() -> bool {
    let on_bus = |name: &'static str| -> Result<bool, fdo::Error> {
        let name = name.try_into().map_err(zbus::Error::from)?;
        DBusProxy::new(&Connection::session()?)?.name_has_owner(name)
    };
    match on_bus("org.gnome.keyring") {
        Ok(true) => on_bus("org.gnome.keyring.SystemPrompter").unwrap_or(false),
        Ok(false) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::super::tests::failure;
    use super::*;

    #[test]
    fn the_secret_services_errors_are_known_by_type() {
        let io = |kind| Error::Zbus(zbus::Error::InputOutput(Arc::new(io::Error::from(kind))));
        let unknown = || fdo::Error::ServiceUnknown("org.freedesktop.secrets".to_owned());
        let table = [
            (Error::Unavailable, absent("no session bus")),
            (io(ErrorKind::NotFound), absent("no session bus")),
            (io(ErrorKind::ConnectionRefused), absent("no session bus")),
            (Error::Zbus(zbus::Error::Address(String::new())), absent("no session bus")),
            (Error::ZbusFdo(unknown()), absent("no Secret Service")),
            (Error::Zbus(zbus::Error::FDO(Box::new(unknown()))), absent("no Secret Service")),
            (Error::NoResult, absent("no default collection")),
            (Error::Locked, StoreError::Locked),
            (io(ErrorKind::UnexpectedEof), StoreError::Disconnected),
            (Error::ZbusFdo(fdo::Error::NoReply(String::new())), StoreError::Disconnected),
            (Error::PromptDisconnected, StoreError::Disconnected),
        ];
        for (error, expected) in table {
            let shown = error.to_string();
            assert_eq!(failure(error), expected, "{shown}");
        }
    }

    #[test]
    fn what_has_no_meaning_of_its_own_is_no_reason_to_fall_back() {
        let denied = zbus::Error::InputOutput(Arc::new(io::Error::from(ErrorKind::PermissionDenied)));
        for error in [Error::Zbus(denied), Error::Crypto("bad key")] {
            assert!(matches!(failure(error), StoreError::Other(_)));
        }
    }
}
