use std::sync::Mutex;

use zeroize::Zeroizing;

use super::*;

/// A master key in memory.
struct Memory(Mutex<Option<String>>);

impl MasterKeySource for Memory {
    fn master_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        Ok(self.0.lock().unwrap().clone().map(|key| Zeroizing::new(key.into_bytes())))
    }
}

const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const OTHER_KEY: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

struct Home {
    directory: tempfile::TempDir,
    key: Arc<Memory>,
    vault: Vault,
}

fn home() -> Home {
    let directory = tempfile::tempdir().unwrap();
    let key = Arc::new(Memory(Mutex::new(Some(KEY.to_owned()))));
    let vault = Vault::new(Some(directory.path()), Arc::clone(&key) as Arc<dyn MasterKeySource>, SystemRandom::new());
    Home { directory, key, vault }
}

fn home_with_vault() -> Home {
    let home = home();
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(home.folder()).unwrap();
    home
}

impl Home {
    fn folder(&self) -> PathBuf {
        self.directory.path().join(".astro/secrets")
    }

    fn entry(&self) -> PathBuf {
        self.folder().join(name().entry())
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.folder()).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = entries
            .map(|it| (it.file_name().into_string().unwrap(), fs::read(it.path()).unwrap_or_default()))
            .collect();
        files.sort();
        files
    }
}

fn name() -> VaultName {
    VaultName::new(b"/home/ada/.astro/config.yaml", "astronomer_io")
}

fn tokens(access: &str, refresh: &str) -> VaultTokens {
    VaultTokens { access: Some(AccessToken::new(access)), refresh: Some(RefreshToken::new(refresh)) }
}

fn vectors() -> Vec<serde_json::Value> {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/vault-vectors.json")).unwrap();
    vectors["vectors"].as_array().unwrap().clone()
}

#[test]
fn vectors_of_astro_cli_2_are_read_and_written_to_the_byte() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let text = |member: &str| vector[member].as_str().unwrap();
        let name = VaultName::new(text("config_path").as_bytes(), text("context_key"));
        assert_eq!((name.0.as_str(), name.entry().as_str()), (text("key"), text("file")));
        assert_eq!(name.marker(), text("marker"));
        let key = Key::parse(text("master_key").as_bytes()).unwrap();
        assert_eq!(key.id(), text("kid"));
        let path = Path::new("entry");
        let opened = entry::open(text("content").as_bytes(), &name, path, || Ok(key.clone())).unwrap();
        let plain: serde_json::Value = serde_json::from_str(text("plaintext")).unwrap();
        let member = |name: &str| plain[name].as_str().unwrap().trim_start_matches("Bearer ").to_owned();
        assert_eq!(opened.access.unwrap().expose(), member("token"));
        assert_eq!(opened.refresh.map_or(String::new(), |it| it.expose().to_owned()), member("refreshtoken"));
        let envelope = text("content").rsplit_once(':').unwrap().1.trim_end_matches("\"}");
        let nonce = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, envelope).unwrap();
        let plaintext = Zeroizing::new(text("plaintext").as_bytes().to_vec());
        let sealed = entry::sealed(&name, plaintext, &key, nonce[..12].try_into().unwrap()).unwrap();
        assert_eq!(sealed, text("content"));
    }
}

#[test]
fn login_is_written_replaced_and_removed() {
    let home = home_with_vault();
    let (vault, name) = (&home.vault, name());
    assert!(!vault.has(&name.entry()) && vault.load(&name).unwrap().is_none());
    vault.save(&name, &tokens("a.b.c", "v1.one")).unwrap();
    assert_eq!(vault.load(&name).unwrap(), Some(tokens("a.b.c", "v1.one")));
    let (one, two, three) = (tokens("a.b.c", "v1.one"), tokens("d.e.f", "v1.two"), tokens("g.h.i", "v1.three"));
    assert!(vault.replace(&name, &one, Some(&two)).unwrap());
    // Another program was faster.
    let before = home.files();
    assert!(!vault.replace(&name, &one, Some(&three)).unwrap());
    assert!(!vault.replace(&name, &one, None).unwrap());
    assert_eq!(home.files(), before);
    assert!(vault.replace(&name, &two, None).unwrap());
    assert!(!vault.remove(&name.entry()).unwrap());
    assert!(home.files().is_empty());
}

#[cfg(unix)]
#[test]
fn rf_19_files_are_private_and_the_folder_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = home_with_vault();
    home.vault.save(&name(), &tokens("a.b.c", "v1.one")).unwrap();
    home.vault.mark(&name()).unwrap();
    home.vault.mark(&name()).unwrap();
    assert!(home.vault.has(&name().marker()));
    for (file, _) in home.files() {
        let mode = fs::metadata(home.folder().join(&file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let before = home.files();
    for mode in [0o750, 0o701, 0o777] {
        fs::set_permissions(home.folder(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(home.vault.load(&name()).unwrap(), Some(tokens("a.b.c", "v1.one")), "still read");
        let refused = [
            home.vault.ready(&name()).map(drop),
            home.vault.save(&name(), &tokens("x", "y")),
            home.vault.dry_run(&name(), 1),
            home.vault.remove(&name().entry()).map(drop),
            home.vault.remove(&name().marker()).map(drop),
            home.vault.mark(&name()),
        ];
        for outcome in refused {
            assert!(matches!(outcome, Err(VaultError::OpenToOthers(_))), "{outcome:?}");
        }
        assert_eq!(fs::metadata(home.folder()).unwrap().permissions().mode() & 0o777, mode);
        assert_eq!(home.files(), before);
    }
}

#[test]
fn rf_19_no_folder_and_no_key_is_made() {
    let home = home();
    assert!(!home.vault.exists() && home.vault.load(&name()).unwrap().is_none());
    assert!(home.vault.ready(&name()).unwrap().is_none());
    assert!(home.vault.save(&name(), &tokens("a", "b")).is_err());
    home.vault.mark(&name()).unwrap();
    assert!(!home.vault.remove(&name().entry()).unwrap() && !home.folder().exists());
    let home = home_with_vault();
    *home.key.0.lock().unwrap() = None;
    assert!(matches!(home.vault.ready(&name()), Err(VaultError::NoKey)));
    assert!(matches!(home.vault.save(&name(), &tokens("a", "b")), Err(VaultError::NoKey)));
    assert!(home.files().is_empty());
}

#[cfg(unix)]
#[test]
fn rf_19_link_in_place_of_the_folder_is_refused() {
    let home = home();
    let elsewhere = home_with_vault();
    elsewhere.vault.save(&name(), &tokens("a.b.c", "v1.one")).unwrap();
    fs::create_dir(home.directory.path().join(".astro")).unwrap();
    std::os::unix::fs::symlink(elsewhere.folder(), home.folder()).unwrap();
    assert!(home.vault.exists());
    for outcome in [home.vault.load(&name()).map(drop), home.vault.remove(&name().entry()).map(drop)] {
        assert!(matches!(outcome, Err(VaultError::Folder(_))), "{outcome:?}");
    }
    assert!(elsewhere.vault.has(&name().entry()));
}

#[test]
fn rf_19_unknown_entry_is_neither_read_nor_replaced() {
    let home = home_with_vault();
    home.vault.save(&name(), &tokens("a.b.c", "v1.one")).unwrap();
    let good = fs::read_to_string(home.entry()).unwrap();
    let key = &name().0;
    let with = |value: &str| format!(r#"{{"key":"{key}","value":"{value}"}}"#);
    let table = [
        (good.replacen("enc:v2:", "enc:v3:", 1), "newer"),
        (good.replacen('{', "{\"more\":1,", 1), "newer"),
        (with("enc:"), "newer"),
        (good[..good.len() - 1].to_owned(), "damaged"),
        (good.replacen("astronomer_io", "astronomer_i0", 1), "damaged"),
        (good.replacen("==\"", "=\"", 1).replacen("enc:v2:", "enc:v2::", 1), "other key"),
        (with("enc:v2:f9e9249f3e2e8816"), "damaged"),
        (with("enc:v2:f9e9249f3e2e8816:AAAA"), "damaged"),
        (with("enc:v1:AAAA"), "damaged"),
        (with("plain text"), "damaged"),
        (with(""), "damaged"),
        (String::new(), "damaged"),
        ("null".to_owned(), "damaged"),
        (format!(r#"{{"key":"{key}","value":7}}"#), "damaged"),
    ];
    for (content, expected) in table {
        fs::write(home.entry(), &content).unwrap();
        for outcome in [home.vault.load(&name()).map(drop), home.vault.ready(&name()).map(drop)] {
            let found = match &outcome {
                Err(VaultError::Newer(_)) => "newer",
                Err(VaultError::Damaged(_)) => "damaged",
                Err(VaultError::OtherKey) => "other key",
                other => panic!("{content}: {other:?}"),
            };
            assert_eq!(found, expected, "{content}");
        }
        assert_eq!(fs::read_to_string(home.entry()).unwrap(), content);
        assert_eq!(home.files().len(), 1);
    }
    fs::write(home.entry(), &good).unwrap();
    *home.key.0.lock().unwrap() = Some(OTHER_KEY.to_owned());
    assert!(matches!(home.vault.load(&name()), Err(VaultError::OtherKey)));
    for invalid in ["", "AQEB", "not base64", &KEY[..43], &format!("{KEY}{KEY}")] {
        *home.key.0.lock().unwrap() = Some(invalid.to_owned());
        assert!(matches!(home.vault.load(&name()), Err(VaultError::InvalidKey)), "{invalid}");
    }
    // A logout removes it with any content.
    fs::write(home.entry(), "enc:v9:").unwrap();
    assert!(home.vault.remove(&name().entry()).unwrap());
}

#[test]
fn rf_19_unknown_envelope_of_another_value_forbids_writing() {
    let home = home_with_vault();
    let other = home.folder().join(format!("{}.json", "0".repeat(64)));
    for (value, is_usable) in
        [("enc:v3:x", false), ("enc:v1:x", true), ("enc:v2:y:x", true), ("", true), ("open", false)]
    {
        fs::write(&other, format!(r#"{{"key":"env:X","value":"{value}"}}"#)).unwrap();
        assert_eq!(home.vault.ready(&name()).is_ok(), is_usable, "{value}");
    }
    fs::write(&other, r#"{"key":"env:X","value":"open","plain":true}"#).unwrap();
    assert_eq!(home.vault.ready(&name()).unwrap().as_deref(), Some("f9e9249f3e2e8816"));
}

#[test]
fn entry_of_the_first_format_is_read() {
    use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let home = home_with_vault();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[1; 32]).unwrap());
    let mut text = br#"{"token":"Bearer a.b.c","refreshtoken":"r"}"#.to_vec();
    cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key([7; 12]), Aad::empty(), &mut text).unwrap();
    let engine = base64::engine::general_purpose::STANDARD;
    let value = base64::Engine::encode(&engine, [&[7; 12], text.as_slice()].concat());
    fs::write(home.entry(), format!(r#"{{"key":"{}","value":"enc:v1:{value}"}}"#, name().0)).unwrap();
    assert_eq!(home.vault.load(&name()).unwrap(), Some(tokens("a.b.c", "r")));
}

#[test]
fn entry_is_read_as_go_reads_json() {
    let home = home_with_vault();
    let key = Key::parse(KEY.as_bytes()).unwrap();
    let table: [(&str, Option<(&str, &str)>); 9] = [
        (r#"{"token":"Bearer a.b.c","refreshtoken":"r"}"#, Some(("a.b.c", "r"))),
        (r#"{"Token":"Bearer a\u002eb.c","REFRESHTOKEN":"r","more":{}}"#, Some(("a.b.c", "r"))),
        (r#"{"token":"a.b.c","refreshtoken":null}"#, Some(("a.b.c", ""))),
        ("{}", Some(("", ""))),
        ("null", Some(("", ""))),
        (r#"{"token":7}"#, None),
        ("[]", None),
        ("", None),
        ("token", None),
    ];
    for (text, expected) in table {
        let sealed = entry::sealed(&name(), Zeroizing::new(text.as_bytes().to_vec()), &key, [7; 12]).unwrap();
        fs::write(home.entry(), sealed.replace("\"key\"", "\"Key\"")).unwrap();
        let found = home.vault.load(&name()).ok().flatten();
        let text_of = |it: VaultTokens| {
            let access = it.access.map_or(String::new(), |it| it.expose().to_owned());
            (access, it.refresh.map_or(String::new(), |it| it.expose().to_owned()))
        };
        let expected = expected.map(|(access, refresh)| (access.to_owned(), refresh.to_owned()));
        assert_eq!(found.map(text_of), expected, "{text}");
    }
}
