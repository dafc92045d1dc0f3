//! Certificates for servers that speak TLS.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// An authority of its own, trusted by nobody who has not been given its certificate.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("a certificate");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a certificate");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// The authority's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes a certificate for this machine; the options with which `redis-server` uses it.
    pub(super) fn server_options(&self, directory: &Path, port: u16) -> Vec<String> {
        let key = KeyPair::generate().expect("a certificate");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).expect("a certificate");
        let certificate = certificate.signed_by(&key, &self.issuer).expect("a certificate");
        let mut options = vec!["--tls-port".to_owned(), port.to_string()];
        for (option, name, pem) in [
            ("--tls-cert-file", "certificate.pem", certificate.pem()),
            ("--tls-key-file", "key.pem", key.serialize_pem()),
            ("--tls-ca-cert-file", "authority.pem", self.pem.clone()),
        ] {
            let path = directory.join(name);
            fs::write(&path, pem).expect("a file");
            options.extend([
                option.to_owned(),
                path.to_str().expect("a path that is text").to_owned(),
            ]);
        }
        options.extend(["--tls-auth-clients".to_owned(), "no".to_owned()]);
        options
    }
}
