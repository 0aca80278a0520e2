//! Public answers that may serve again: the login configuration and the issuer's keys.
//!
//! Both are asked for before anything else can happen, and one waits for the other. A file beside config.yaml keeps them
//! for as long as their `Cache-Control` allows (RFC 9111 section 4.2.1) and ten minutes at most. Nothing depends on it:
//! what is not there, too old, from the future or open to other people's hands is fetched.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http_cache_semantics::{CacheOptions, CachePolicy};
use hyper::{HeaderMap, Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

/// No answer serves for longer, whatever the server allows.
const LONGEST: Duration = Duration::from_secs(600);

/// The largest file that is read, and the largest answer that is kept, in bytes.
const FILE_LIMIT: u64 = 256 * 1024;
const BODY_LIMIT: usize = 64 * 1024;

/// The kept answers of this person.
#[derive(Debug, Clone)]
pub struct Cache {
    path: PathBuf,
    now: fn() -> Timestamp,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// By address.
    answers: BTreeMap<String, Answer>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    since: Timestamp,
    until: Timestamp,
    body: String,
}

impl Answer {
    fn is_good(&self, now: Timestamp) -> bool {
        // A clock that was set back makes a stored answer one of the future, and its age unknown.
        self.since <= now && now < self.until
    }
}

impl Cache {
    /// The answers kept below `home`: `$ASTRO_HOME`, or the home directory.
    pub fn new(home: &Path, now: fn() -> Timestamp) -> Self {
        Self { path: home.join(".astro").join("login-cache.json"), now }
    }

    /// The answer kept for `url`, if it is still good.
    pub fn find(&self, url: &Url) -> Option<Vec<u8>> {
        let answer = self.read().answers.remove(url.as_str())?;
        answer.is_good((self.now)()).then(|| answer.body.into_bytes())
    }

    /// Keeps an answer in the place of the one before, for as long as its headers allow. What cannot be kept is not.
    pub fn keep(&self, url: &Url, headers: &HeaderMap, body: &[u8]) {
        if let Err(failure) = self.write(url, headers, body) {
            tracing::info!(%failure, "the answer was not kept for the next time");
        }
    }

    fn write(&self, url: &Url, headers: &HeaderMap, body: &[u8]) -> io::Result<()> {
        let Some(folder) = self.path.parent().filter(|folder| folder.is_dir()) else { return Ok(()) };
        let now = (self.now)();
        let mut kept = self.read();
        let count = kept.answers.len();
        kept.answers.retain(|kept, answer| kept != url.as_str() && answer.is_good(now));
        let mut changed = kept.answers.len() != count;
        let lifetime = SignedDuration::try_from(lifetime(url, headers, now).min(LONGEST)).unwrap_or_default();
        if let (Ok(until), Ok(body)) = (now.checked_add(lifetime), std::str::from_utf8(body))
            && until > now
            && body.len() <= BODY_LIMIT
        {
            kept.answers.insert(url.to_string(), Answer { since: now, until, body: body.to_owned() });
            changed = true;
        }
        if !changed {
            return Ok(());
        }
        // Born for its owner alone, and put in its place in one step: a reader finds the old or the new one.
        let mut file = tempfile::Builder::new().prefix(".login-cache.").suffix(".tmp").tempfile_in(folder)?;
        serde_json::to_writer(&mut file, &kept)?;
        file.flush()?;
        file.persist(&self.path).map_err(|failure| failure.error)?;
        Ok(())
    }

    /// Everything that is kept; nothing where that cannot be trusted.
    fn read(&self) -> Kept {
        // Asked before it is opened, since opening a pipe would wait for whoever writes into it.
        if !fs::metadata(&self.path).is_ok_and(|file| is_ours(&file)) {
            return Kept::default();
        }
        let read = || {
            let file = File::open(&self.path)?;
            let mut bytes = Vec::new();
            if is_ours(&file.metadata()?) {
                file.take(FILE_LIMIT).read_to_end(&mut bytes)?;
            }
            io::Result::Ok(bytes)
        };
        read().ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

/// How long the answer to a GET of `url` may serve (RFC 9111 section 4.2.1); not at all where the server does not say.
fn lifetime(url: &Url, headers: &HeaderMap, now: Timestamp) -> Duration {
    let Ok(request) = Request::get(url.as_str()).body(()) else { return Duration::ZERO };
    let mut response = Response::new(());
    headers.clone_into(response.headers_mut());
    let options = CacheOptions {
        shared: false,
        cache_heuristic: 0.0,
        immutable_min_time_to_live: Duration::ZERO,
        ignore_cargo_cult: false,
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_second().try_into().unwrap_or_default());
    let policy = CachePolicy::new_options(&request, &response, now, options);
    if policy.is_storable() { policy.time_to_live(now) } else { Duration::ZERO }
}

/// Whether a file is one that nobody but this person can have written: keys from another hand would make any token good.
#[cfg(unix)]
fn is_ours(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.is_file() && file.uid() == rustix::process::geteuid().as_raw() && file.mode() & 0o022 == 0
}

/// Whether it is a file: here the profile's inherited rules decide who can have written it.
#[cfg(not(unix))]
fn is_ours(file: &fs::Metadata) -> bool {
    file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "https://auth.astronomer.io/.well-known/jwks.json";
    const TEN: &str = "2026-11-24T10:00:00Z";

    /// A cache in a home of its own, at ten o'clock.
    fn cache() -> (tempfile::TempDir, Cache) {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".astro")).unwrap();
        let cache = Cache::new(home.path(), || TEN.parse().unwrap());
        (home, cache)
    }

    fn at(cache: &Cache, now: fn() -> Timestamp) -> Cache {
        Cache { now, ..cache.clone() }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn url() -> Url {
        KEYS.parse().unwrap()
    }

    #[test]
    fn an_answer_serves_for_as_long_as_the_server_allows_and_no_longer() {
        let (_home, cache) = cache();
        cache.keep(&url(), &headers(&[("cache-control", "public, max-age=15")]), b"{}");
        assert_eq!(cache.find(&url()).as_deref(), Some(b"{}".as_slice()));
        assert_eq!(cache.find(&"https://auth.astronomer.io/".parse().unwrap()), None);
        assert!(at(&cache, || "2026-11-24T10:00:14Z".parse().unwrap()).find(&url()).is_some());
        assert_eq!(at(&cache, || "2026-11-24T10:00:15Z".parse().unwrap()).find(&url()), None);
        // The clock has been set back.
        assert_eq!(at(&cache, || "2026-11-24T09:59:59Z".parse().unwrap()).find(&url()), None);
    }

    #[test]
    fn the_headers_say_how_long_and_ten_minutes_is_the_most() {
        let table: [(&[(&str, &str)], u64); 9] = [
            (&[], 0),
            (&[("cache-control", "max-age=60")], 60),
            (&[("cache-control", "private, max-age=60")], 60),
            (&[("cache-control", "max-age=60"), ("age", "50")], 10),
            (&[("cache-control", "max-age=60, no-store")], 0),
            (&[("cache-control", "max-age=60, no-cache")], 0),
            (&[("cache-control", "max-age=minutes")], 0),
            (&[("cache-control", "max-age=31536000, immutable")], 31_536_000),
            (&[("last-modified", "Tue, 24 Nov 2020 10:00:00 GMT")], 0),
        ];
        for (pairs, seconds) in table {
            let lifetime = lifetime(&url(), &headers(pairs), TEN.parse().unwrap());
            assert_eq!(lifetime, Duration::from_secs(seconds), "{pairs:?}");
        }
        let (_home, cache) = cache();
        cache.keep(&url(), &headers(&[("cache-control", "max-age=31536000")]), b"{}");
        assert!(at(&cache, || "2026-11-24T10:09:59Z".parse().unwrap()).find(&url()).is_some());
        assert_eq!(at(&cache, || "2026-11-24T10:10:00Z".parse().unwrap()).find(&url()), None);
    }

    #[test]
    fn a_new_answer_takes_the_place_of_the_old_one_also_where_it_may_not_be_kept() {
        let (_home, cache) = cache();
        let minute = headers(&[("cache-control", "max-age=60")]);
        cache.keep(&url(), &minute, b"1");
        cache.keep(&url(), &minute, b"2");
        assert_eq!(cache.find(&url()).as_deref(), Some(b"2".as_slice()));
        cache.keep(&url(), &headers(&[]), b"3");
        assert_eq!(cache.find(&url()), None);
        cache.keep(&url(), &minute, &vec![b'x'; BODY_LIMIT + 1]);
        assert_eq!(cache.find(&url()), None);
    }

    #[test]
    fn what_is_no_cache_is_none_and_is_replaced() {
        let (_home, cache) = cache();
        fs::write(&cache.path, "not json").unwrap();
        assert_eq!(cache.find(&url()), None);
        cache.keep(&url(), &headers(&[("cache-control", "max-age=60")]), b"{}");
        assert!(cache.find(&url()).is_some());
    }

    #[test]
    fn without_a_folder_nothing_is_kept_and_none_is_made() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::new(home.path(), || TEN.parse().unwrap());
        cache.keep(&url(), &headers(&[("cache-control", "max-age=60")]), b"{}");
        assert_eq!(cache.find(&url()), None);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn cl_2_keys_that_others_can_have_written_are_not_used() {
        use std::os::unix::fs::PermissionsExt;

        let (_home, cache) = cache();
        cache.keep(&url(), &headers(&[("cache-control", "max-age=60")]), b"{}");
        assert_eq!(fs::metadata(&cache.path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o620, 0o602] {
            fs::set_permissions(&cache.path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(cache.find(&url()), None, "{mode:o}");
        }
        fs::set_permissions(&cache.path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(cache.find(&url()).is_some());
    }
}
