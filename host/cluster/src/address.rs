//! How processes of a cluster are reached, and names that nobody can guess.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use longshore_model::config::cluster::ClusterAddress;
use longshore_model::error::{Error, Result};
use tokio::net::UdpSocket;

/// The address of this machine that a peer sees.
pub(crate) async fn own_address(peer: &str) -> Result<IpAddr> {
    let finding = |error| Error::io(format!("finding the way to {peer}"), error);
    let mut peers = tokio::net::lookup_host(peer).await.map_err(finding)?;
    let peer = peers.next().ok_or_else(|| Error::connection(format!("{peer} has no address")))?;
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Nothing is sent.
    let socket = UdpSocket::bind((any, 0)).await.map_err(finding)?;
    socket.connect(peer).await.map_err(finding)?;
    Ok(socket.local_addr().map_err(finding)?.ip())
}

/// Where a process listens that others know by this address: on all of its own addresses of the same family.
pub(crate) fn listen_for(address: &ClusterAddress) -> SocketAddr {
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    let any: IpAddr = match host.parse() {
        Ok(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(any, address.port.unwrap_or(0))
}

/// An address as URLs have it.
pub(crate) fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(own) => own.to_string(),
        IpAddr::V6(own) => format!("[{own}]"),
    }
}

/// A name of 32 random digits.
pub(crate) fn unguessable() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    Ok(hex::encode(bytes))
}
