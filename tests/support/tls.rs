//! Certificates that are made for one test and trusted by no system.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};

/// The names of a server on loopback.
const NAMES: [&str; 2] = ["127.0.0.1", "0.0.0.0"];

/// A certificate authority of the test.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let (mut params, key) = (CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Writes its certificate as PEM. Returns the path.
    pub fn write_bundle(&self, folder: &Path) -> PathBuf {
        write_pem(&self.certificate, folder)
    }

    /// A server with a certificate of this authority.
    pub fn server(&self) -> ServerConfig {
        self.vouch(&server_params())
    }

    /// A server with a certificate of this authority that expired in 2020.
    pub fn expired_server(&self) -> ServerConfig {
        let mut params = server_params();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.vouch(&params)
    }

    fn vouch(&self, params: &CertificateParams) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        server_config(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

/// A server with a self-signed certificate, and this as PEM. `is_ca` is what `openssl req -x509` makes.
pub fn self_signed(is_ca: bool, folder: &Path) -> (ServerConfig, PathBuf) {
    let (mut params, key) = (server_params(), KeyPair::generate().unwrap());
    params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    let certificate = params.self_signed(&key).unwrap();
    (server_config(&certificate, &key), write_pem(&certificate, folder))
}

fn server_params() -> CertificateParams {
    CertificateParams::new(NAMES.map(str::to_owned)).unwrap()
}

fn server_config(certificate: &Certificate, key: &KeyPair) -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap()
}

fn write_pem(certificate: &Certificate, folder: &Path) -> PathBuf {
    let (path, text) = (folder.join("bundle.pem"), BASE64_STANDARD.encode(certificate.der()));
    fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")).unwrap();
    path
}
