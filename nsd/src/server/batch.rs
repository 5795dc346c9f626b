//! Many datagrams with one system call: `recvmmsg` and `sendmmsg` on Linux.
//!
//! This is the only module of `server` with `unsafe` code. The kernel gets pointers into buffers that the [`Batch`]
//! owns. They are set anew for every call, and each block says what it relies on.
//!
//! A response leaves from the address that the query was sent to, even if the socket is bound to all addresses of the
//! host (IP_PKTINFO, IPV6_PKTINFO: RFC 3542 6).
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{
    c_int, cmsghdr, in_pktinfo, in6_pktinfo, iovec, mmsghdr, sockaddr_in, sockaddr_in6,
    sockaddr_storage,
};

use crate::answer::{Peer, UDP_OCTETS_MAX};

/// The most datagrams that are received at once. More would save little: the system call is a small part by then.
pub(super) const BATCH: usize = 64;

/// The longest query, in octets. A longer one is cut off, and parsing it fails.
const QUERY_OCTETS_MAX: usize = 2048;

/// Room for one control message with the longer of the two kinds of packet information.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Buffers for a batch of queries and their responses, made once.
pub(super) struct Batch {
    queries: Box<[[u8; QUERY_OCTETS_MAX]]>,
    responses: Box<[[u8; UDP_OCTETS_MAX]]>,
    clients: Box<[sockaddr_storage]>,
    controls: Box<[Control]>,
    /// Whether the socket reports the destination of each query; otherwise there are no control messages.
    tells_destination: bool,
    query_parts: Box<[iovec]>,
    response_parts: Box<[iovec]>,
    received: Box<[mmsghdr]>,
    to_send: Box<[mmsghdr]>,
}

fn boxed<T: Clone>(value: T) -> Box<[T]> {
    vec![value; BATCH].into()
}

impl Batch {
    /// Allocates the buffers. `tells_destination`: see [`tell_destination`].
    pub(super) fn new(tells_destination: bool) -> Self {
        // SAFETY: all of these are plain C structs, for which all bits zero is a value.
        let (client, part, header) = unsafe {
            (
                zeroed::<sockaddr_storage>(),
                zeroed::<iovec>(),
                zeroed::<mmsghdr>(),
            )
        };
        Batch {
            queries: boxed([0; QUERY_OCTETS_MAX]),
            responses: boxed([0; UDP_OCTETS_MAX]),
            clients: boxed(client),
            controls: boxed(Control([0; 64])),
            tells_destination,
            query_parts: boxed(part),
            response_parts: boxed(part),
            received: boxed(header),
            to_send: boxed(header),
        }
    }

    /// Waits for queries, up to the socket's read timeout, and receives all that are there. Returns how many.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for index in 0..BATCH {
            self.query_parts[index] = iovec {
                iov_base: self.queries[index].as_mut_ptr().cast(),
                iov_len: QUERY_OCTETS_MAX,
            };
            let header = &mut self.received[index].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.clients[index]).cast();
            header.msg_namelen = size_of::<sockaddr_storage>() as u32;
            header.msg_iov = &raw mut self.query_parts[index];
            header.msg_iovlen = 1;
            if self.tells_destination {
                header.msg_control = self.controls[index].0.as_mut_ptr().cast();
                header.msg_controllen = size_of::<Control>();
            }
        }
        let flags = libc::MSG_WAITFORONE as _;
        // SAFETY: `received` has BATCH headers, whose pointers lead to buffers of the lengths given there;
        // all are owned by `self`, which is borrowed mutably until the call returns. No time limit is passed.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.received.as_mut_ptr(),
                BATCH as u32,
                flags,
                ptr::null_mut(),
            )
        };
        if count < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(count as usize)
        }
    }

    /// The first `count` queries, and who sent them.
    pub(super) fn queries(&self, count: usize) -> impl Iterator<Item = (&[u8], Sender<'_>)> {
        let received = self.received.iter().zip(&self.queries).take(count);
        let senders = self.clients.iter().zip(&self.controls);
        received
            .zip(senders)
            .map(|((header, query), (client, control))| {
                let query = &query[..(header.msg_len as usize).min(QUERY_OCTETS_MAX)];
                let header = &header.msg_hdr;
                (
                    query,
                    Sender {
                        header,
                        client,
                        control,
                    },
                )
            })
    }

    /// Answers the first `count` queries. `answer` gets a query, its sender and room for the response, and returns the
    /// response's length; 0 for none. Returns how many responses there are to send.
    pub(super) fn answer(
        &mut self,
        count: usize,
        mut answer: impl FnMut(&[u8], &Sender<'_>, &mut [u8]) -> usize,
    ) -> usize {
        let mut responses = 0;
        for index in 0..count.min(BATCH) {
            if has_no_port(&self.clients[index]) {
                continue;
            }
            let len = (self.received[index].msg_len as usize).min(QUERY_OCTETS_MAX);
            let sender = Sender {
                header: &self.received[index].msg_hdr,
                client: &self.clients[index],
                control: &self.controls[index],
            };
            let query = &self.queries[index][..len];
            let response_len = answer(query, &sender, &mut self.responses[index]);
            if response_len == 0 {
                continue;
            }
            let response = &mut self.responses[index][..response_len];
            self.response_parts[responses] = iovec {
                iov_base: response.as_mut_ptr().cast(),
                iov_len: response_len,
            };
            let received = &self.received[index].msg_hdr;
            let control_len = self.controls[index].turn_round(received.msg_controllen);
            let header = &mut self.to_send[responses].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.clients[index]).cast();
            header.msg_namelen = received.msg_namelen;
            header.msg_iov = &raw mut self.response_parts[responses];
            header.msg_iovlen = 1;
            header.msg_control = match control_len {
                0 => ptr::null_mut(),
                _ => self.controls[index].0.as_mut_ptr().cast(),
            };
            header.msg_controllen = control_len;
            responses += 1;
        }
        responses
    }

    /// Sends the first `count` responses.
    pub(super) fn send(&mut self, socket: &UdpSocket, count: usize) {
        let mut done = 0;
        while done < count {
            let rest = &mut self.to_send[done..count];
            // SAFETY: `rest` has as many headers as are announced; their pointers lead to addresses, control
            // messages and responses owned by `self`, which is borrowed mutably until the call returns.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0)
            };
            done += match usize::try_from(sent) {
                Ok(sent) if sent > 0 => sent,
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => 0,
                // Skip the response that failed: its client asks again, and the others must not wait.
                _ => 1,
            };
        }
    }
}

/// The sender of a query in a batch.
pub(super) struct Sender<'b> {
    header: &'b libc::msghdr,
    client: &'b sockaddr_storage,
    control: &'b Control,
}

impl Sender<'_> {
    /// All that it takes to answer the query once the batch is gone.
    pub(super) fn envelope(&self) -> Envelope {
        Envelope {
            client: *self.client,
            client_len: self.header.msg_namelen,
            control: *self.control,
            control_len: self.header.msg_controllen,
        }
    }
}

impl Peer for Sender<'_> {
    fn address(&self) -> SocketAddr {
        address(self.client)
    }
}

/// The sender of a query, and the address that it was sent to.
pub(super) struct Envelope {
    client: sockaddr_storage,
    client_len: u32,
    control: Control,
    control_len: usize,
}

impl Peer for Envelope {
    fn address(&self) -> SocketAddr {
        address(&self.client)
    }
}

impl Envelope {
    /// Sends a response, without waiting for room in the socket's buffer. Errors are ignored: the client asks again.
    pub(super) fn send(mut self, socket: &UdpSocket, response: &[u8]) {
        let mut part = iovec {
            iov_base: response.as_ptr().cast_mut().cast(),
            iov_len: response.len(),
        };
        let control_len = self.control.turn_round(self.control_len);
        // SAFETY: a plain C struct, for which all bits zero is a value.
        let mut header = unsafe { zeroed::<libc::msghdr>() };
        header.msg_name = ptr::from_mut(&mut self.client).cast();
        header.msg_namelen = self.client_len;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        if control_len > 0 {
            header.msg_control = self.control.0.as_mut_ptr().cast();
            header.msg_controllen = control_len;
        }
        // SAFETY: the header's pointers lead to the address, the control message and the response, which live until
        // the call returns; sendmsg writes to none of them.
        unsafe {
            libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT);
        }
    }
}

/// The address of a client, as the kernel has written it.
fn address(client: &sockaddr_storage) -> SocketAddr {
    if c_int::from(client.ss_family) == libc::AF_INET6 {
        // SAFETY: by its family this is a sockaddr_in6, which sockaddr_storage has room and alignment for.
        let client = unsafe { &*ptr::from_ref(client).cast::<sockaddr_in6>() };
        let (ip, port) = (
            client.sin6_addr.s6_addr.into(),
            u16::from_be(client.sin6_port),
        );
        return SocketAddrV6::new(ip, port, client.sin6_flowinfo, client.sin6_scope_id).into();
    }
    // SAFETY: the sockets are of one of the two families, so this is a sockaddr_in. All bits are a value of it.
    let client = unsafe { &*ptr::from_ref(client).cast::<sockaddr_in>() };
    let ip = Ipv4Addr::from_bits(u32::from_be(client.sin_addr.s_addr));
    SocketAddrV4::new(ip, u16::from_be(client.sin_port)).into()
}

/// Whether a client's port is 0, to which nothing can be sent.
fn has_no_port(client: &sockaddr_storage) -> bool {
    // SAFETY: sockaddr_in and sockaddr_in6 both have the port in the two octets behind the family, within
    // sockaddr_storage, which the kernel has filled.
    let port = unsafe { (*ptr::from_ref(client).cast::<sockaddr_in>()).sin_port };
    port == 0
}

impl Control {
    /// Turns the packet information of a query into that of its response: keeps the address, and leaves the interface
    /// to the routing table. Returns its length in octets; 0 if there is none.
    fn turn_round(&mut self, len: usize) -> usize {
        if len < size_of::<cmsghdr>() {
            return 0;
        }
        let data = self.0.as_mut_ptr();
        // SAFETY: the buffer is aligned for a header and longer than one, and the kernel has written `len`
        // octets into it.
        let header = unsafe { &*data.cast::<cmsghdr>() };
        // SAFETY: CMSG_LEN only computes with its argument.
        let has = |size: usize| len >= unsafe { libc::CMSG_LEN(size as u32) } as usize;
        match (header.cmsg_level, header.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if has(size_of::<in_pktinfo>()) => {
                // SAFETY: by the length an in_pktinfo follows the header; CMSG_DATA is aligned for it.
                let info = unsafe { &mut *libc::CMSG_DATA(data.cast()).cast::<in_pktinfo>() };
                info.ipi_ifindex = 0;
                len
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if has(size_of::<in6_pktinfo>()) => {
                // SAFETY: as above, for an in6_pktinfo.
                let info = unsafe { &mut *libc::CMSG_DATA(data.cast()).cast::<in6_pktinfo>() };
                let address = info.ipi6_addr.s6_addr;
                // A link-local address means nothing without its link (RFC 4007 6).
                if !(address[0] == 0xfe && address[1] & 0xc0 == 0x80) {
                    info.ipi6_ifindex = 0;
                }
                len
            }
            _ => 0,
        }
    }
}

/// Makes the kernel report the destination address of each query.
pub(super) fn tell_destination(socket: &UdpSocket, is_ipv6: bool) -> io::Result<()> {
    let on: c_int = 1;
    let (level, option) = match is_ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    // SAFETY: the option takes an int, whose address and size are given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(&on).cast(),
            size_of::<c_int>() as u32,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_told() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(server) = UdpSocket::bind(address) else {
                continue; // There is no IPv6 here.
            };
            let client = UdpSocket::bind(address).expect("a port");
            let expected = client.local_addr().expect("an address");
            let to = server.local_addr().expect("an address");
            client.send_to(b"query", to).expect("sent");
            let mut batch = Batch::new(false);
            assert_eq!(batch.receive(&server).expect("a query"), 1);
            let mut senders = Vec::new();
            let responses = batch.answer(1, |_, sender, _| {
                senders.extend([sender.address(), sender.envelope().address()]);
                0
            });
            assert_eq!((responses, senders), (0, vec![expected; 2]));
        }
    }
}
