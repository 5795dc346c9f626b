//! As much HTTP as the admin listeners need.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub code: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.body))
    }
}

/// Asks for a path, for at most 15 s. HTTP/1.0, so that the body is what comes until the end, in no
/// chunks.
pub async fn get(server: SocketAddr, path: &str) -> Result<Response, String> {
    let asked = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&response).into_owned())
    };
    let response = match timeout(Duration::from_secs(15), asked).await {
        Ok(response) => response.map_err(|error| format!("http://{server}{path}: {error}"))?,
        Err(_) => return Err(format!("http://{server}{path}: no answer within 15 s")),
    };
    let (head, body) = response
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("no HTTP response: {response:?}"))?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| format!("no HTTP status line: {head:?}"))?;
    Ok(Response {
        code,
        head: head.into(),
        body: body.into(),
    })
}
