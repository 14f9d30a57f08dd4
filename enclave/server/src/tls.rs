//! TLS 1.3 for both ports: the city's own certificate, or a self-signed one that the home keeps.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::config::Config;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file system.
    #[error("cannot read or write `{0}`: {1}")]
    File(PathBuf, std::io::Error),
    /// Not PEM, or not a certificate or key.
    #[error("`{0}` holds no {1} in PEM form")]
    Pem(PathBuf, &'static str),
    /// Certificate and key do not go together, or neither can be used.
    #[error("certificate and key cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// Making a certificate.
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Where a home keeps its self-signed certificate.
pub fn own_certificate(home: &Path) -> PathBuf {
    home.join("tls").join("certificate.pem")
}

fn own_key(home: &Path) -> PathBuf {
    home.join("tls").join("key.pem")
}

/// Makes the self-signed certificate of a home, for `localhost` and the loopback addresses, where there is none yet.
/// Clients are given the file to trust.
pub fn ensure_own(home: &Path) -> Result<(), TlsError> {
    let (certificate, key) = (own_certificate(home), own_key(home));
    if certificate.exists() {
        return Ok(());
    }
    let folder = home.join("tls");
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|error| TlsError::File(folder, error))?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    let pem = Zeroizing::new(made.signing_key.serialize_pem());
    write(&key, &pem)?;
    // Last: the certificate says that the key is whole.
    write(&certificate, &made.cert.pem())
}

fn write(path: &Path, text: &str) -> Result<(), TlsError> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| TlsError::File(path.to_owned(), error))
}

/// What both ports speak; `None` for plain connections on loopback. `protocols` are those of ALPN.
pub(crate) fn server(
    home: &Path,
    config: &Config,
    protocols: &[&str],
) -> Result<Option<RustlsConfig>, TlsError> {
    if config.tls.plain {
        return Ok(None);
    }
    let (certificate, key) = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => {
            ensure_own(home)?;
            (own_certificate(home), own_key(home))
        }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect)
        .map_err(|_| TlsError::Pem(certificate.clone(), "certificate"))?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|_| TlsError::Pem(key.clone(), "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Some(RustlsConfig::from_config(Arc::new(server))))
}

/// When the certificate that would be served ends; `None` where there is none yet.
pub fn expires(home: &Path, config: &Config) -> Result<Option<chrono::DateTime<chrono::Utc>>, TlsError> {
    let path = config.tls.certificate.clone().unwrap_or_else(|| own_certificate(home));
    if !path.exists() {
        return Ok(None);
    }
    let unread = || TlsError::Pem(path.clone(), "certificate");
    let leaf = CertificateDer::from_pem_file(&path).map_err(|_| unread())?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&leaf).map_err(|_| unread())?;
    let end = certificate.validity().not_after.timestamp();
    Ok(chrono::DateTime::from_timestamp(end, 0))
}
