//! TLS by the host: keys and certificates never enter a plugin.

use std::sync::{Arc, LazyLock};

use longshore_model::error::{Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How far a server's certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVerify {
    /// Not at all.
    None,
    /// Signed by a trusted authority.
    Authority,
    /// Signed by a trusted authority, for the name that was asked for.
    Full,
}

/// How to speak TLS.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// The name for SNI and verification.
    pub server_name: String,
    /// How far the certificate is verified.
    pub verify: TlsVerify,
    /// Authorities to trust, as PEM text; the system's without it.
    pub authorities: Option<String>,
}

/// A client's config for these options.
pub fn client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(error.to_string()))?;
    let config = match options.verify {
        TlsVerify::Full => builder.with_root_certificates(roots(options)?).with_no_client_auth(),
        TlsVerify::Authority => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Lenient {
                roots: Some(roots(options)?),
                provider,
            }))
            .with_no_client_auth(),
        TlsVerify::None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Lenient { roots: None, provider }))
            .with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The authorities that the job gives, or those of the system.
fn roots(options: &TlsOptions) -> Result<Arc<RootCertStore>> {
    static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    });
    let Some(pem) = &options.authorities else { return Ok(SYSTEM.clone()) };
    let refused = |cause: String| {
        Error::config(format!("the authorities given for TLS are not PEM certificates: {cause}"))
            .with_hint("give the text of a PEM file, for example as { file: /path/to/ca.pem }")
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        store.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if store.is_empty() { Err(refused("there is none in it".into())) } else { Ok(Arc::new(store)) }
}

/// Verifies the authority but not the name, or nothing at all; signatures always.
#[derive(Debug)]
struct Lenient {
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
