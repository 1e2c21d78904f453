//! A server on hyper and tokio with the same answers: what one would take if one had no book to write.

use std::convert::Infallible;
use std::error::Error;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves on one thread until it is killed.
pub fn serve() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                // A client may go at any time.
                let _ = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
            });
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let content = match path.strip_prefix("/bytes/").map(str::parse) {
        _ if path == "/" => Bytes::from_static(exec_service::ROOT),
        Some(Ok(count)) if count <= exec_service::pattern::PATTERN_LEN => {
            Bytes::from_static(&exec_service::pattern::memory()[..count])
        }
        _ => {
            let mut refused = Response::new(Full::default());
            *refused.status_mut() = StatusCode::NOT_FOUND;
            return Ok(refused);
        }
    };
    let mut response = Response::new(Full::new(content));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Ok(response)
}
