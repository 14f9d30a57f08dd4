//! Where a request comes from: the other end of its connection, or what a proxy on this machine says it is.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;

use crate::app::App;
use crate::http::problem::Problem;

/// The address of a client.
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<ClientAddress, Problem> {
        let ConnectInfo(peer) = ConnectInfo::<SocketAddr>::from_request_parts(parts, app)
            .await
            .map_err(|error| Problem::fault(&error))?;
        let forwarded =
            parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        Ok(ClientAddress(client(app.config.behind_proxy, peer.ip(), forwarded)))
    }
}

/// Says that a client has not tried to come in too often. It stands before the body: what is refused is not read.
pub(super) struct Paced;

impl FromRequestParts<App> for Paced {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Paced, Problem> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, app).await?;
        app.pace.log_in(address)?;
        Ok(Paced)
    }
}

/// The last address that was added is the proxy's own word; those before it are the client's.
pub(crate) fn client<'a>(
    behind_proxy: bool,
    peer: IpAddr,
    forwarded: impl Iterator<Item = &'a str>,
) -> IpAddr {
    let last = forwarded.flat_map(|list| list.split(',')).last();
    match last.and_then(|last| last.trim().parse().ok()) {
        Some(client) if behind_proxy => client,
        _ => peer,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_client_cannot_choose_its_address() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let of = |proxy, list: &[&str]| client(proxy, peer, list.iter().copied()).to_string();
        assert_eq!(of(false, &["1.2.3.4"]), "127.0.0.1");
        assert_eq!(of(true, &[]), "127.0.0.1");
        assert_eq!(of(true, &["9.9.9.9", "8.8.8.8, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(of(true, &["1.2.3.4, unknown"]), "127.0.0.1");
    }
}
