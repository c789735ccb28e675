//! One page over HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::{Scrape, classic};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Connections at a time.
const CONNECTIONS: usize = 16;
/// How long a client may take for its header, and a connection may last.
const HEADER: Duration = Duration::from_secs(5);
const CONNECTION: Duration = Duration::from_secs(300);
/// How long the agent may take: it may be loading a policy.
const ANSWER: Duration = Duration::from_secs(8);
/// How long until the address is tried again.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) fn start(listen: SocketAddr, ask: mpsc::Sender<Scrape>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || runtime.block_on(run(listen, ask));
    std::thread::Builder::new().name("metrics".to_owned()).spawn(work)?;
    Ok(())
}

async fn run(listen: SocketAddr, ask: mpsc::Sender<Scrape>) {
    let mut was_said = false;
    // An address may come later, and nobody waits for metrics to be safe.
    let listener = loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => break listener,
            Err(error) if !was_said => {
                tracing::error!("cannot serve metrics at {listen}: {error}; it is tried again");
                was_said = true;
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    };
    tracing::info!("metrics at http://{listen}/metrics");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let ask = ask.clone();
                tokio::spawn(async move {
                    let _ = timeout(CONNECTION, connection(stream, ask)).await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, ask: mpsc::Sender<Scrape>) {
    let service = service_fn(move |request| {
        let ask = ask.clone();
        async move { Ok::<_, Infallible>(answer(&request, &ask).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER);
    // Who hangs up has seen enough.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer<B>(request: &Request<B>, ask: &mpsc::Sender<Scrape>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if request.method() != Method::GET {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET, please\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let text = timeout(ANSWER, async {
        let (sender, receiver) = oneshot::channel();
        ask.send(sender).await.ok()?;
        receiver.await.ok()
    });
    let Ok(Some(text)) = text.await else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "the agent does not answer\n");
    };
    let wanted = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    let (text, kind) = if wanted.contains("application/openmetrics-text") {
        (text, OPENMETRICS)
    } else {
        (classic(&text), CLASSIC)
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
