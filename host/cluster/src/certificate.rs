//! Certificates for the processes of a cluster, signed by an authority that is the cluster's own.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::{Datelike, Days, Utc};
use longshore_cli::cluster::CertificateOptions;
use longshore_model::error::{Error, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::tls::{AUTHORITY, CERTIFICATE, KEY};

/// The key of the authority, in its folder: who has it can join the cluster.
const AUTHORITY_KEY: &str = "ca-key.pem";

/// How long an authority is good.
const AUTHORITY_DAYS: u32 = 3_650;

/// Only its owner reads a key.
const KEY_MODE: u32 = 0o600;

/// Everybody reads a certificate.
const CERTIFICATE_MODE: u32 = 0o644;

/// Makes the certificate of a process; the authority, too, the first time.
pub(crate) fn issue(options: &CertificateOptions) -> Result<()> {
    let CertificateOptions { authority, out, hosts, days } = options;
    hosts.iter().try_for_each(|host| check_host(host))?;
    let authority_params = authority_params()?;
    let (certificate, key) = open_authority(authority, &authority_params)?;
    let issuer = Issuer::new(authority_params, key);
    let own = KeyPair::generate().map_err(fault)?;
    let mut params = CertificateParams::new(hosts.clone()).map_err(|error| {
        Error::config(format!("a certificate for {}: {error}", hosts.join(", ")))
            .with_hint("give names of hosts and IP addresses")
    })?;
    params.distinguished_name.push(DnType::CommonName, hosts[0].clone());
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    last(&mut params, *days);
    let signed = params.signed_by(&own, &issuer).map_err(fault)?;
    folder(out)?;
    write(&out.join(AUTHORITY), &certificate, CERTIFICATE_MODE)?;
    write(&out.join(CERTIFICATE), &signed.pem(), CERTIFICATE_MODE)?;
    write(&out.join(KEY), &own.serialize_pem(), KEY_MODE)
}

/// The authority's certificate and its key.
fn open_authority(at: &Path, params: &CertificateParams) -> Result<(String, KeyPair)> {
    let (certificate, key) = (at.join(AUTHORITY), at.join(AUTHORITY_KEY));
    if key.exists() {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|error| Error::io(path.display(), error))
        };
        let pair = KeyPair::from_pem(&read(&key)?)
            .map_err(|error| Error::config(format!("{}: {error}", key.display())))?;
        return Ok((read(&certificate)?, pair));
    }
    if certificate.exists() {
        let text = format!("{} has {AUTHORITY}, and not {AUTHORITY_KEY}", at.display());
        return Err(Error::config(text).with_hint(
            "give the folder of the authority with its key; another authority would make another cluster",
        ));
    }
    let pair = KeyPair::generate().map_err(fault)?;
    let signed = params.self_signed(&pair).map_err(fault)?.pem();
    folder(at)?;
    write(&certificate, &signed, CERTIFICATE_MODE)?;
    write(&key, &pair.serialize_pem(), KEY_MODE)?;
    Ok((signed, pair))
}

/// A name of a host, whose first label may be `*`, or an IP address.
fn check_host(host: &str) -> Result<()> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    if host.parse::<IpAddr>().is_ok() || (host.len() <= 253 && name.split('.').all(is_label)) {
        return Ok(());
    }
    Err(Error::config(format!("`{host}` is no name of a host, and no IP address"))
        .with_hint("give names and IP addresses without a scheme and a port"))
}

fn authority_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(fault)?;
    params.distinguished_name.push(DnType::CommonName, "Longshore cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    last(&mut params, AUTHORITY_DAYS);
    Ok(params)
}

/// From yesterday on: clocks differ.
fn last(params: &mut CertificateParams, days: u32) {
    let today = Utc::now().date_naive();
    let day = |date: chrono::NaiveDate| {
        let (month, day) = (date.month() as u8, date.day() as u8);
        date_time_ymd(date.year(), month, day)
    };
    params.not_before = day(today - Days::new(1));
    params.not_after = day(today + Days::new(u64::from(days)));
}

fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Error::io(path.display(), error))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut options = OpenOptions::new();
    let open = options.write(true).create(true).truncate(true).mode(mode).open(path);
    let written = open.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Error::io(path.display(), error))
}

fn fault(error: rcgen::Error) -> Error {
    Error::internal(format!("making a certificate: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_no_host_and_an_authority_without_its_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let options = |authority: &str, host: &str| CertificateOptions {
            authority: folder.path().join(authority),
            out: folder.path().join("out"),
            hosts: vec![host.into()],
            days: 30,
        };
        for host in ["", "https://one", "one:1", "a..b", &"a".repeat(64), "*"] {
            assert!(issue(&options("authority", host)).is_err(), "{host}");
        }
        for host in ["one", "*.executors.shop.svc", "10.0.0.1", "::1"] {
            issue(&options("authority", host)).unwrap();
        }
        let before = fs::read_to_string(folder.path().join("out/ca.pem")).unwrap();
        let error = issue(&options("out", "two")).unwrap_err();
        assert!(error.to_string().contains("ca-key.pem"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("out/ca.pem")).unwrap(), before);
    }

    #[test]
    fn all_certificates_of_an_authority_go_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = |out: &str| CertificateOptions {
            authority: folder.path().join("authority"),
            out: folder.path().join(out),
            hosts: vec!["one.internal".into(), "10.0.0.1".into()],
            days: 30,
        };
        issue(&options("one")).unwrap();
        issue(&options("two")).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("one/ca.pem"), read("two/ca.pem"));
        assert_ne!(read("one/cert.pem"), read("two/cert.pem"));
        for key in ["authority/ca-key.pem", "one/key.pem"] {
            let mode = fs::metadata(folder.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, KEY_MODE);
        }
        assert!(!folder.path().join("one/ca-key.pem").exists());
    }
}
