//! TLS towards instances: whose certificate is accepted, and by which name.

use crate::registry::Registry;
use esclusa_wire::UpstreamTls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, OnceLock};

/// How to speak TLS to one instance.
#[derive(Debug, Clone)]
pub(crate) struct TlsTarget {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl TlsTarget {
    /// Reads the authority's file now, so that a missing one refuses the generation
    /// instead of the first request.
    pub(crate) fn new(tls: &UpstreamTls, registry: &Registry) -> Result<Self, String> {
        let name = ServerName::try_from(tls.sni.clone())
            .map_err(|_| format!("{:?} is not a name that TLS can ask for", tls.sni))?;
        let config = match &tls.ca_file {
            Some(path) => registry.authority(path, |path| config(private_roots(path)?))?,
            None => system_config()?,
        };
        Ok(Self { config, name })
    }
}

fn config(roots: RootCertStore) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn private_roots(path: &str) -> Result<RootCertStore, String> {
    let error = |e: &dyn std::fmt::Display| format!("certificate authority {path}: {e}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| error(&e))? {
        let certificate = certificate.map_err(|e| error(&e))?;
        roots.add(certificate).map_err(|e| error(&e))?;
    }
    if roots.is_empty() {
        return Err(error(&"it holds no certificate"));
    }
    Ok(roots)
}

/// The system's roots, read once: they are large, and the same for every instance.
fn system_config() -> Result<Arc<ClientConfig>, String> {
    static SYSTEM: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    SYSTEM
        .get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                return Err("the system has no certificate authorities; name a file".into());
            }
            config(roots).map(Arc::new)
        })
        .clone()
}
