//! Answers one request at a time, for transports on which each request has a stream of its own: HTTPS and QUIC.
//!
//! [`Handler`] is a `RequestHandler` of hickory-server, so that requests come in its types, and it works in any server
//! that takes one. The listeners here call it with a [`ResponseSlot`], which gets the octets that the responder wrote: the
//! same ones as over UDP and TCP. Others get these octets as records.

use std::any::Any;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hickory_server::net::NetError;
use hickory_server::net::runtime::{Time, TokioTime};
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Header, HeaderCounts, Message, Metadata};
use hickory_server::proto::rr::Record;
use hickory_server::proto::serialize::binary::{BinDecodable, BinDecoder, BinEncoder};
use hickory_server::server::{self as hickory, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder};

use crate::answer::{Confirmation, OCTETS_MAX, Reply, Request, Service, Transport};
use crate::message;
use crate::metrics::{Counters, Tally};

/// Answers requests that came over one transport.
#[derive(Clone)]
pub(super) struct Handler {
    pub(super) service: Service,
    pub(super) transport: Transport,
    pub(super) counters: Arc<Counters>,
}

thread_local! {
    /// Room for a response, for each thread of the runtime: a task needs it only between two waits.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; OCTETS_MAX].into());
}

impl Handler {
    /// Answers a message. `None` if it gets no response, as it is no query.
    pub(super) async fn respond(&self, octets: Vec<u8>, client: SocketAddr) -> Option<Vec<u8>> {
        let protocol = match self.transport {
            Transport::Quic => Protocol::Quic,
            _ => Protocol::Https,
        };
        // hickory reads all records of a message and follows each pointer in them, which takes 100 ms for some messages of
        // 64 KiB. The responder knows at once what such a message gets, and what one gets that hickory cannot read.
        let request = message::header_counts_fit_query(&octets)
            .then(|| hickory::Request::from_bytes(octets.clone(), client, protocol));
        let Some(Ok(request)) = request else {
            return self.respond_to(&octets, client).await;
        };
        let slot = ResponseSlot::default();
        self.handle_request::<_, TokioTime>(&request, slot.clone())
            .await;
        slot.take()
    }

    async fn respond_to(&self, octets: &[u8], client: SocketAddr) -> Option<Vec<u8>> {
        match self.respond_now(octets, client, Confirmation::Unasked) {
            Response::Octets(octets) => Some(octets),
            Response::Nothing => None,
            Response::NeedsConfirmation => {
                let is_confirmed = self.service.barrier.confirmed().await;
                match self.respond_now(octets, client, Confirmation::Answered(is_confirmed)) {
                    Response::Octets(octets) => Some(octets),
                    _ => None,
                }
            }
        }
    }

    /// Answers from the view that is published now.
    fn respond_now(
        &self,
        octets: &[u8],
        client: SocketAddr,
        confirmation: Confirmation,
    ) -> Response {
        let mut tally = Tally::default();
        let (proof, view) = (self.service.served.proof(), self.service.served.view());
        let mut responder = self.service.responder(proof, &view);
        let request = Request {
            octets,
            peer: &client,
            transport: self.transport,
            confirmation,
        };
        let response =
            BUFFER.with_borrow_mut(|out| match responder.respond(&request, &mut tally, out) {
                Reply::Ready(len) => Response::Octets(out[..len].to_vec()),
                Reply::NeedsConfirmation => Response::NeedsConfirmation,
                Reply::Silent | Reply::Stream(_) => Response::Nothing,
            });
        self.counters.add(&tally);
        response
    }
}

/// What [`Handler::respond_now`] makes of a message.
enum Response {
    Octets(Vec<u8>),
    NeedsConfirmation,
    Nothing,
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &hickory::Request,
        mut handle: R,
    ) -> ResponseInfo {
        let octets = self.respond_to(request.as_slice(), request.src()).await;
        let octets = octets.unwrap_or_default();
        let read = Header::read(&mut BinDecoder::new(&octets));
        let header = read.unwrap_or_else(|_| Header {
            metadata: Metadata::response_from_request(&request.metadata),
            counts: HeaderCounts::default(),
        });
        match (&mut handle as &mut dyn Any).downcast_mut::<ResponseSlot>() {
            Some(slot) => slot.put(octets),
            // An error is the client's: it has gone.
            None => drop(send_records(request, &octets, handle).await),
        }
        header.into()
    }
}

/// Sends a response through a handle that takes only records.
async fn send_records(
    request: &hickory::Request,
    octets: &[u8],
    mut handle: impl ResponseHandler,
) -> Result<(), NetError> {
    let message = Message::from_vec(octets)?;
    let response = MessageResponseBuilder::new(&request.queries, message.edns.as_ref()).build(
        message.metadata,
        &message.answers,
        &message.authorities,
        [],
        &message.additionals,
    );
    handle.send_response(response).await.map(drop)
}

/// Takes the octets of a response.
#[derive(Clone, Default)]
struct ResponseSlot(Arc<Mutex<Vec<u8>>>);

impl ResponseSlot {
    fn put(&self, octets: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = octets;
    }

    fn take(&self) -> Option<Vec<u8>> {
        let octets = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (!octets.is_empty()).then_some(octets)
    }
}

#[async_trait]
impl ResponseHandler for ResponseSlot {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut octets = Vec::new();
        let info = response.destructive_emit(&mut BinEncoder::new(&mut octets))?;
        self.put(octets);
        Ok(info)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;
    use crate::answer::tests::{QUERY, service_without_data};

    #[tokio::test]
    async fn it_gives_the_same_response_in_a_server_of_hickory() {
        let (_publisher, service) = service_without_data();
        let handler = Handler {
            service,
            transport: Transport::Https,
            counters: Arc::default(),
        };
        let client = SocketAddr::from(([192, 0, 2, 1], 5300));
        let ours = handler.respond(QUERY.to_vec(), client).await;
        let ours = ours.expect("a response");
        // There are no zones yet: SERVFAIL.
        assert_eq!((&ours[..2], ours[3] & 15), (&QUERY[..2], 2));

        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let mut server = hickory::Server::new(handler);
        server.register_socket(socket);
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        socket.send_to(&QUERY, address).await.expect("sent");
        let mut theirs = [0; 512];
        let (len, _) = socket.recv_from(&mut theirs).await.expect("a response");
        assert_eq!(theirs[..len], ours);
        server.shutdown_gracefully().await.expect("it ends");
    }
}
