//! [`RootSource`]: what guards the root key, as it is typed at `init`, and as the root key's file says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What guards the root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSource {
    /// A file of 32 bytes that only its owner reads; `None`: `keys/root.key` in the home.
    File(Option<PathBuf>),
    /// A passphrase, through Argon2id.
    Passphrase,
    /// A credential that systemd hands to the service, by its name.
    Credential(String),
    /// An AES key that never leaves its token.
    Pkcs11(Pkcs11Key),
}

/// An AES key of a PKCS #11 token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Key {
    /// The library that speaks to the token.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// Label of the key.
    pub object: String,
}

/// What was typed names no source of a root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a source of a root key: write `file`, `file:PATH`, `passphrase`, `credential:NAME` or \
     `pkcs11:MODULE?token=LABEL&object=LABEL`"
)]
pub struct UnknownSource;

impl FromStr for RootSource {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<RootSource, UnknownSource> {
        let (kind, rest) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
        match (kind, rest) {
            ("file", None) => Ok(RootSource::File(None)),
            ("file", Some(path)) if !path.is_empty() => Ok(RootSource::File(Some(PathBuf::from(path)))),
            ("passphrase", None) => Ok(RootSource::Passphrase),
            ("credential", Some(name)) if is_credential(name) => Ok(RootSource::Credential(name.to_owned())),
            ("pkcs11", Some(rest)) => pkcs11(rest).map(RootSource::Pkcs11).ok_or(UnknownSource),
            _ => Err(UnknownSource),
        }
    }
}

impl fmt::Display for RootSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RootSource::File(None) => f.write_str("file"),
            RootSource::File(Some(path)) => write!(f, "file:{}", path.display()),
            RootSource::Passphrase => f.write_str("passphrase"),
            RootSource::Credential(name) => write!(f, "credential:{name}"),
            RootSource::Pkcs11(key) => {
                write!(f, "pkcs11:{}?token={}&object={}", key.module.display(), key.token, key.object)
            }
        }
    }
}

/// A name, and no path.
fn is_credential(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

fn pkcs11(text: &str) -> Option<Pkcs11Key> {
    let (module, labels) = text.split_once('?')?;
    let (mut token, mut object) = (None, None);
    for label in labels.split('&') {
        match label.split_once('=')? {
            ("token", label) if token.is_none() && !label.is_empty() => token = Some(label.to_owned()),
            ("object", label) if object.is_none() && !label.is_empty() => object = Some(label.to_owned()),
            _ => return None,
        }
    }
    let module = PathBuf::from(module);
    // A relative path would be looked up where libraries are, and whoever names it could mean another.
    module.is_absolute().then_some(())?;
    Some(Pkcs11Key { module, token: token?, object: object? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn sources_read_as_they_are_written() {
        for text in [
            "file",
            "file:/media/key/root.key",
            "passphrase",
            "credential:enclave-root",
            "pkcs11:/usr/lib/softhsm/libsofthsm2.so?token=enclave&object=root",
        ] {
            assert_eq!(text.parse::<RootSource>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "file:",
            "passphrase:secret",
            "credential:",
            "credential:../key",
            "credential:.key",
            "pkcs11:libsofthsm2.so?token=a&object=b",
            "pkcs11:/lib/a.so?token=a",
            "pkcs11:/lib/a.so?token=a&token=b&object=c",
            "pkcs11:/lib/a.so?token=a&object=b&pin=1234",
            "vault:somewhere",
        ] {
            assert_eq!(text.parse::<RootSource>(), Err(UnknownSource), "{text}");
        }
    }
}
