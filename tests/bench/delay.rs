//! A proxy that holds everything back for a while, each way: the distance that this machine has not.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Forwards connections to `target`, each octet late by `delay`. Gives its own address; ends with the runtime.
pub(crate) async fn proxy(target: SocketAddr, delay: Duration) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A connection takes a round trip to come about.
                sleep_until(Instant::now() + 2 * delay).await;
                let Ok(far) = TcpStream::connect(target).await else {
                    return;
                };
                let set = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
                if set.is_err() {
                    return;
                }
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(late(near_in, far_out, delay));
                tokio::spawn(late(far_in, near_out, delay));
            });
        }
    });
    Ok(address)
}

async fn late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let write = async move {
        while let Some((due, octets)) = waiting.recv().await {
            sleep_until(due).await;
            to.write_all(&octets).await?;
        }
        to.shutdown().await
    };
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(len) = from.read(&mut buffer).await {
            let chunk = (Instant::now() + delay, buffer[..len].to_vec());
            if len == 0 || sender.send(chunk).await.is_err() {
                break;
            }
        }
    };
    // What fails is seen at both ends, as a connection that ends.
    let _ = tokio::join!(write, read);
}
