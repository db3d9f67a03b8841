//! Which addresses a name may stand for. Whoever controls a name could let it point at this machine,
//! or at a cloud's metadata: those are reached only by a job that names them as what they are.

use std::net::{IpAddr, SocketAddr};

use longshore_model::error::{Error, Result};
use longshore_model::grant::Endpoint;

/// The addresses of those found that the endpoint may be reached at.
pub(super) fn reachable(endpoint: &Endpoint, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>> {
    if found.is_empty() {
        return Err(Error::connection(format!("{endpoint}: the name has no address"))
            .with_hint("check the host's name"));
    }
    if endpoint.host.parse::<IpAddr>().is_ok() {
        return Ok(found);
    }
    let refused = found[0].ip();
    let may = |address: &SocketAddr| may_stand_for(&endpoint.host, address.ip().to_canonical());
    let reachable: Vec<SocketAddr> = found.into_iter().filter(may).collect();
    if reachable.is_empty() {
        Err(Error::auth(format!(
            "{endpoint} stands for {refused}, which is reached only by a job that names it"
        ))
        .with_hint("write the address itself in the job, if it is meant"))
    } else {
        Ok(reachable)
    }
}

fn may_stand_for(host: &str, ip: IpAddr) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_local = host == "localhost" || host.ends_with(".localhost");
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    (is_local || !ip.is_loopback()) && !is_link_local && !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(host: &str, found: &[&str]) -> Vec<String> {
        let endpoint = Endpoint { host: host.into(), port: 1 };
        let found = found.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 1)).collect();
        let reachable = reachable(&endpoint, found).unwrap_or_default();
        reachable.iter().map(|address| address.ip().to_string()).collect()
    }

    #[test]
    fn a_name_stands_for_other_machines_only() {
        assert_eq!(reached("db.internal", &["10.0.0.7", "fd00::7"]), ["10.0.0.7", "fd00::7"]);
        for trap in
            ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1", "0.0.0.0"]
        {
            assert!(reached("db.internal", &[trap]).is_empty(), "{trap}");
            assert_eq!(reached("db.internal", &[trap, "10.0.0.7"]), ["10.0.0.7"]);
        }
    }

    #[test]
    fn what_a_job_names_as_it_is_is_reached() {
        assert_eq!(reached("127.0.0.1", &["127.0.0.1"]), ["127.0.0.1"]);
        assert_eq!(reached("169.254.169.254", &["169.254.169.254"]), ["169.254.169.254"]);
        assert_eq!(reached("localhost", &["::1", "127.0.0.1"]), ["::1", "127.0.0.1"]);
        assert!(reached("localhost", &["169.254.169.254"]).is_empty());
    }
}
