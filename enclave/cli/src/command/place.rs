//! Where files may be written: not inside a home, whose folder is copied, moved and handed on as a whole.

use std::io;
use std::path::{Component, Path, PathBuf};

use vault::RootSource;

use crate::outcome::{Done, Outcome};

/// Names another file for the root key.
pub(crate) const ROOT_KEY_VARIABLE: &str = "ENCLAVE_ROOT_KEY";

/// Refuses a path inside the home for `what`, which would go wherever the home goes.
pub(crate) fn outside(home: &Path, path: &Path, what: &str) -> Done {
    if !lead(path)?.starts_with(lead(home)?) {
        return Ok(());
    }
    Err(Outcome::Invalid(format!(
        "`{}` is in the home `{}`, where {what} must not lie: name a place outside of it, such as a medium of its own",
        path.display(),
        home.display()
    )))
}

/// The same for the file of a root key. `keys/root.key` is the only one in a home that we know to leave out of backups.
pub(crate) fn of_root_key(home: &Path, source: &RootSource) -> Done {
    let named = || std::env::var_os(ROOT_KEY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let file = match source {
        RootSource::File(path) => path.clone().or_else(named),
        // Sealed.
        RootSource::Passphrase | RootSource::Credential(_) | RootSource::Pkcs11(_) => None,
    };
    match file {
        Some(file) if lead(&file)? != lead(home)?.join("keys").join("root.key") => {
            outside(home, &file, "a root key that is not in `keys/root.key`")
        }
        _ => Ok(()),
    }
}

/// Where a path leads.
fn lead(path: &Path) -> Result<PathBuf, Outcome> {
    let failed = |error: io::Error| Outcome::Invalid(format!("cannot look at `{}`: {error}", path.display()));
    resolved(path).map_err(failed)
}

/// Absolute and without links, also where the last parts of it are not there yet.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for part in path.ancestors() {
        let Ok(mut resolved) = part.canonicalize() else { continue };
        // What is not there is no link.
        for name in path.strip_prefix(part).into_iter().flat_map(Path::components) {
            match name {
                Component::ParentDir => {
                    resolved.pop();
                }
                name => resolved.push(name),
            }
        }
        return Ok(resolved);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_is_inside_a_home_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let home = folder.join("home");
        // Before there is a home, and after.
        for _ in 0..2 {
            for inside in
                ["home", "home/shares", "home/a/b", "other/../home/shares", "home/../home/a", "./home/a"]
            {
                assert!(outside(&home, &folder.join(inside), "this").is_err(), "{inside}");
            }
            for other in ["home-shares", "shares", "home/../shares", "home/a/../../shares", "."] {
                assert!(outside(&home, &folder.join(other), "this").is_ok(), "{other}");
            }
            std::fs::create_dir_all(&home).unwrap();
        }
        std::os::unix::fs::symlink(&home, folder.join("link")).unwrap();
        assert!(outside(&home, &folder.join("link/shares"), "this").is_err());
        assert!(outside(&folder.join("link"), &home.join("shares"), "this").is_err());
        for (file, fine) in [("keys/root.key", true), ("keys/other.key", false), ("my.key", false)] {
            let source = RootSource::File(Some(home.join(file)));
            assert_eq!(of_root_key(&home, &source).is_ok(), fine, "{file}");
        }
    }
}
