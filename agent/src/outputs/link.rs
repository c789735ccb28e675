//! Connections: those of syslog (datagrams, TCP and TLS), and the others as one with them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::store::Message;
use super::{journal, mqtt};
use crate::config::{Scheme, Target, Tls};

/// How long a server may take to refuse a certificate: with TLS 1.3 it does so after the client's part is done.
const VERDICT: Duration = Duration::from_millis(500);

/// How long to wait after the first datagram for word that nobody listens.
const REFUSAL: Duration = Duration::from_millis(50);

/// The way to another side.
pub(super) enum Route {
    Syslog { to: Target, tls: Tls },
    Mqtt(mqtt::Broker),
    Journal(journal::Journal),
}

/// A connection.
pub(super) enum Link {
    Udp(Datagrams),
    Stream(Box<dyn Stream>),
    Mqtt(Box<mqtt::Session>),
    Journal(journal::Session),
}

/// A socket for datagrams, and whether the first one was not refused.
pub(super) struct Datagrams {
    socket: UdpSocket,
    is_tried: bool,
}

/// What TCP and TLS have in common.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// How many messages are done with, and, where the last of them is lost and the link goes on, why.
pub(super) type Taken = (usize, Option<String>);

/// How many messages were taken before it failed, how many that seemed to be taken before were not, and why.
pub(super) type Unsent = (usize, u64, String);

impl Route {
    pub(super) fn syslog(to: Target, tls: Tls) -> Self {
        Self::Syslog { to, tls }
    }

    pub(super) async fn connect(&self) -> Result<Link, String> {
        let (to, tls) = match self {
            Self::Mqtt(broker) => return broker.connect().await.map(|session| Link::Mqtt(Box::new(session))),
            Self::Journal(journal) => return journal.connect().map(Link::Journal),
            Self::Syslog { to, tls } => (to, tls),
        };
        let addresses = resolve(to).await?;
        if to.scheme == Scheme::Udp {
            let link = |socket| Link::Udp(Datagrams { socket, is_tried: false });
            return udp(&addresses).await.map(link).map_err(|e| format!("cannot send: {e}"));
        }
        let stream =
            TcpStream::connect(addresses.as_slice()).await.map_err(|e| format!("cannot connect: {e}"))?;
        let _ = stream.set_nodelay(true);
        if to.scheme != Scheme::Tls {
            return Ok(Link::Stream(Box::new(stream)));
        }
        let name = tls.server_name.as_deref().unwrap_or(&to.host).to_owned();
        let name =
            ServerName::try_from(name.clone()).map_err(|_| format!("`{name}` is no name of a server"))?;
        let connector = TlsConnector::from(client_config(tls)?);
        let mut stream = connector.connect(name, stream).await.map_err(|e| format!("TLS: {e}"))?;
        let mut byte = [0];
        match timeout(VERDICT, stream.read(&mut byte)).await {
            Err(_) => Ok(Link::Stream(Box::new(stream))),
            Ok(Ok(0)) => Err("TLS: the server hung up after the handshake".to_owned()),
            Ok(Ok(_)) => Err("the server speaks, and syslog has no answers".to_owned()),
            Ok(Err(error)) => Err(format!("TLS: {error}")),
        }
    }
}

impl Datagrams {
    async fn send(&mut self, batch: &[Message]) -> Result<(), Unsent> {
        for (number, message) in batch.iter().enumerate() {
            let failed = |refused, error: io::Error| (number, refused, format!("cannot send: {error}"));
            if let Err(error) = self.socket.send(message).await {
                // The kernel hears that nobody listens after a datagram is gone: that is about one before.
                let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                return Err(failed(u64::from(refused), error));
            }
            if !self.is_tried {
                let mut nothing = [0; 1];
                if let Ok(Err(error)) = timeout(REFUSAL, self.socket.recv(&mut nothing)).await {
                    return Err(failed(0, error));
                }
                self.is_tried = true;
            }
        }
        Ok(())
    }
}

impl Link {
    /// Whether the other side has shown that it is there. Nobody asks before datagrams are sent.
    pub(super) fn is_known(&self) -> bool {
        match self {
            Self::Udp(datagrams) => datagrams.is_tried,
            Self::Stream(_) | Self::Mqtt(_) | Self::Journal(_) => true,
        }
    }

    /// Sends them, or as many as the other side has room for now: how many.
    pub(super) async fn send(&mut self, batch: &[Message]) -> Result<Taken, Unsent> {
        let all = (batch.len(), None);
        match self {
            Self::Udp(datagrams) => datagrams.send(batch).await.map(|()| all),
            Self::Stream(stream) => {
                let failed = |what: &str| (0, 0, what.to_owned());
                if let Some(error) = hung_up(stream.as_mut()).await {
                    return Err(failed(&error));
                }
                let mut text = Vec::with_capacity(batch.iter().map(|message| message.len() + 8).sum());
                for message in batch {
                    // RFC 6587, 3.4.1, and RFC 5425, 4.3: octet counting.
                    text.extend_from_slice(format!("{} ", message.len()).as_bytes());
                    text.extend_from_slice(message);
                }
                stream.write_all(&text).await.map_err(|e| failed(&format!("cannot send: {e}")))?;
                stream.flush().await.map_err(|e| failed(&format!("cannot send: {e}")))?;
                Ok(all)
            }
            Self::Mqtt(session) => session.send(batch).await.map(|()| all),
            Self::Journal(session) => session.send(batch).await,
        }
    }

    /// Returns when the other side is gone, and why. Meanwhile it keeps up what the protocol asks for.
    pub(super) async fn broken(&mut self) -> String {
        match self {
            // Asked for with the next datagram.
            Self::Udp(_) | Self::Journal(_) => std::future::pending().await,
            Self::Stream(stream) => {
                let mut byte = [0; 64];
                loop {
                    match stream.read(&mut byte).await {
                        Ok(0) => return "the other side hung up".to_owned(),
                        // Nobody asked.
                        Ok(_) => {}
                        Err(error) => return error.to_string(),
                    }
                }
            }
            Self::Mqtt(session) => session.broken().await,
        }
    }

    /// Says good-bye.
    pub(super) async fn close(&mut self) {
        match self {
            Self::Udp(_) | Self::Journal(_) => {}
            Self::Stream(stream) => {
                let _ = stream.shutdown().await;
            }
            Self::Mqtt(session) => session.close().await,
        }
    }
}

/// Whether the other side is gone already: what is written then is lost without an error.
async fn hung_up(stream: &mut dyn Stream) -> Option<String> {
    let mut byte = [0; 64];
    match timeout(Duration::ZERO, stream.read(&mut byte)).await {
        Ok(Ok(0)) => Some("the other side hung up".to_owned()),
        Ok(Err(error)) => Some(error.to_string()),
        Ok(Ok(_)) | Err(_) => None,
    }
}

async fn resolve(to: &Target) -> Result<Vec<SocketAddr>, String> {
    let found = lookup_host((to.host.as_str(), to.port)).await;
    let addresses: Vec<SocketAddr> =
        found.map_err(|e| format!("cannot look up `{}`: {e}", to.host))?.collect();
    if addresses.is_empty() { Err(format!("`{}` has no address", to.host)) } else { Ok(addresses) }
}

async fn udp(addresses: &[SocketAddr]) -> io::Result<UdpSocket> {
    let Some(to) = addresses.first() else { return Err(io::ErrorKind::NotFound.into()) };
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// Read anew with each connection, so that certificates may be replaced while the agent runs.
pub(super) fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &tls.ca else { return Err("TLS without `ca`".to_owned()) };
    let cannot = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        format!("cannot read {}: {error}", path.display())
    };
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| cannot(ca, &e))? {
        let certificate = certificate.map_err(|e| cannot(ca, &e))?;
        roots.add(certificate).map_err(|e| cannot(ca, &e))?;
    }
    if roots.is_empty() {
        return Err(cannot(ca, &"there is no certificate in it"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?
        .with_root_certificates(roots);
    let config = match &tls.own {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = CertificateDer::pem_file_iter(cert).map_err(|e| cannot(cert, &e))?;
            let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|e| cannot(cert, &e))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| cannot(key, &e))?;
            config.with_client_auth_cert(chain, secret).map_err(|e| cannot(cert, &e))?
        }
    };
    Ok(Arc::new(config))
}
