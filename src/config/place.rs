//! The folder of the settings, by which the logins of one home are told from those of another.

use std::path::{Component, Path, PathBuf};

use ring::digest::{SHA256, digest};

use super::Config;
use crate::text::hex;

impl Config {
    /// Returns the folder of config.yaml after all links are resolved. Homes that share a config.yaml share this folder.
    pub(super) fn real_folder(&self) -> PathBuf {
        // A link to a device or a folder is refused by every read, and gets no lock beside it.
        let is_other = self.path.metadata().is_ok_and(|it| !it.is_file());
        let path = if is_other { canonical(&self.folder).join("config.yaml") } else { canonical(&self.path) };
        path.parent().unwrap_or(&self.folder).to_owned()
    }

    /// Returns the name of this home in a keychain that other homes use too. `None` for the user's `ordinary` home, whose
    /// logins are stored by domain alone.
    pub fn home_id(&self, ordinary: Option<&Path>) -> Option<String> {
        let ordinary = ordinary.map(Self::new);
        // Nearly always, and then no link has to be resolved.
        if ordinary.as_ref().is_some_and(|ordinary| ordinary.folder == self.folder) {
            return None;
        }
        let folder = self.real_folder();
        if ordinary.is_some_and(|ordinary| ordinary.real_folder() == folder) {
            return None;
        }
        Some(hex(&digest(&SHA256, &identifying_bytes(&folder)).as_ref()[..4]))
    }

    /// Returns the path of config.yaml as Astro CLI 2 spells it in the names of its vault: after links are resolved.
    pub fn canonical_path(&self) -> Vec<u8> {
        identifying_bytes(&canonical(&self.path))
    }

    /// Returns the lock beside the target of a linked config.yaml. Other homes may link to that file too.
    pub(super) fn lock_path_at_target(&self) -> Option<PathBuf> {
        let folder = self.real_folder();
        // A second lock on one file would wait for the first one.
        (folder != canonical(&self.folder)).then(|| folder.join("config.yaml.lock"))
    }
}

/// Removes `.` and `..` without looking at links, as Go does before it opens a file.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match (component, cleaned.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                cleaned.pop();
            }
            (component, _) => cleaned.push(component),
        }
    }
    cleaned
}

/// Resolves the links in the part of `path` that exists.
fn canonical(path: &Path) -> PathBuf {
    let resolved = path.ancestors().find_map(|existing| {
        let rest = path.strip_prefix(existing).ok()?;
        Some(existing.canonicalize().ok()?.components().chain(rest.components()).collect::<PathBuf>())
    });
    let resolved = resolved.unwrap_or_else(|| path.to_owned());
    let plain = resolved.to_str().filter(|_| cfg!(windows)).and_then(without_verbatim_prefix);
    plain.map_or(resolved, PathBuf::from)
}

/// Returns a Windows path without the prefix that `canonicalize` adds, `\\?\` or `\\?\UNC\`.
fn without_verbatim_prefix(path: &str) -> Option<String> {
    let rest = path.strip_prefix(r"\\?\")?;
    Some(rest.strip_prefix(r"UNC\").map_or_else(|| rest.to_owned(), |share| format!(r"\\{share}")))
}

/// Returns the bytes of a canonical path. Windows ignores case in paths.
fn identifying_bytes(path: &Path) -> Vec<u8> {
    if cfg!(windows) {
        path.to_string_lossy().to_lowercase().into_bytes()
    } else {
        path.as_os_str().as_encoded_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(home: &Path, ordinary: &Path) -> Option<String> {
        Config::new(home).home_id(Some(ordinary))
    }

    #[test]
    fn ordinary_home_has_no_id_however_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let (ordinary, other) = (root.path().join("ada"), root.path().join("work"));
        for exists in [false, true] {
            if exists {
                std::fs::create_dir_all(ordinary.join(".astro")).unwrap();
                std::fs::write(ordinary.join(".astro/config.yaml"), "context: astronomer.io\n").unwrap();
            }
            for spelled in [ordinary.clone(), root.path().join("./ada/"), root.path().join("work/../ada/.")] {
                assert_eq!(id(&spelled, &ordinary), None, "{}", spelled.display());
            }
            let work = id(&other, &ordinary).unwrap();
            assert!(work.len() == 8 && work.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it)));
            assert_eq!(Config::new(&other).home_id(None), Some(work.clone()));
            assert_ne!(id(&root.path().join("play"), &ordinary), Some(work));
        }
    }

    #[test]
    fn home_id_is_hash_of_folder() {
        // printf /nonexistent/work/.astro | sha256sum
        let expected = if cfg!(windows) { return } else { "12eea667" };
        assert_eq!(id(Path::new("/nonexistent/work"), Path::new("/nonexistent/ada")).as_deref(), Some(expected));
    }

    #[cfg(unix)]
    #[test]
    fn linked_config_has_id_of_its_target() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let home = |name: &str| root.path().join(name);
        for name in ["ada", "work", "first", "second", "folder"] {
            std::fs::create_dir_all(home(name)).unwrap();
        }
        for name in ["ada", "work", "first", "second"] {
            std::fs::create_dir(home(name).join(".astro")).unwrap();
        }
        let config = |name: &str| home(name).join(".astro/config.yaml");
        for name in ["ada", "work"] {
            std::fs::write(config(name), "").unwrap();
        }
        symlink(config("work"), config("first")).unwrap();
        symlink("../../first/.astro/config.yaml", config("second")).unwrap();
        symlink(home("work").join(".astro"), home("folder").join(".astro")).unwrap();
        let work = id(&home("work"), &home("ada"));
        assert!(work.is_some());
        for name in ["first", "second", "folder"] {
            assert_eq!(id(&home(name), &home("ada")), work, "{name}");
            assert_eq!(id(&home(name), &home("work")), None, "{name}");
            assert_eq!(id(&home("work"), &home(name)), None, "{name}");
        }
        std::fs::remove_file(config("first")).unwrap();
        symlink(config("ada"), config("first")).unwrap();
        assert_eq!(id(&home("second"), &home("ada")), None);
    }

    #[test]
    fn path_is_cleaned_before_links_are_resolved() {
        let table = [
            ("/a/b/../c", "/a/c"),
            ("/a/./b/", "/a/b"),
            ("/../a", "/a"),
            ("/a/../../b", "/b"),
            ("a/../../b", "../b"),
            ("../../a", "../../a"),
        ];
        for (path, cleaned) in table {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned), "{path}");
        }
    }

    #[test]
    fn verbatim_prefix_is_no_part_of_the_id() {
        let table = [
            (r"\\?\C:\Users\ada", Some(r"C:\Users\ada")),
            (r"\\?\UNC\server\share\ada", Some(r"\\server\share\ada")),
            (r"C:\Users\ada", None),
        ];
        for (path, plain) in table {
            assert_eq!(without_verbatim_prefix(path).as_deref(), plain, "{path}");
        }
    }
}
