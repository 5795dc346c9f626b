//! The floor: recvmmsg and sendmmsg and nothing between. Shares no code with what is measured.
#![allow(
    unsafe_code,
    reason = "system calls that no safe wrapper offers; a benchmark's own, not the product's"
)]

use std::mem::zeroed;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

const BATCH: usize = 64;
const OCTETS: usize = 2048;

/// Sends every datagram back to where it came from, as a response.
pub(crate) fn run(address: SocketAddr) -> Result<(), String> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::DGRAM,
        None,
    );
    let socket = socket.and_then(|socket| {
        socket.set_recv_buffer_size(4 << 20)?;
        socket.set_send_buffer_size(4 << 20)?;
        socket.bind(&address.into())?;
        Ok(UdpSocket::from(socket))
    });
    let socket = socket.map_err(|error| format!("{address}: {error}"))?;
    let mut octets = vec![[0u8; OCTETS]; BATCH];
    // SAFETY: plain C structs, for which all bits zero is a value.
    let (address, part, header) = unsafe {
        (
            zeroed::<libc::sockaddr_in6>(),
            zeroed::<libc::iovec>(),
            zeroed::<libc::mmsghdr>(),
        )
    };
    let mut clients = vec![address; BATCH];
    let mut parts = vec![part; BATCH];
    let mut headers = vec![header; BATCH];
    for index in 0..BATCH {
        parts[index].iov_base = octets[index].as_mut_ptr().cast();
        headers[index].msg_hdr.msg_name = (&raw mut clients[index]).cast();
        headers[index].msg_hdr.msg_iov = &raw mut parts[index];
        headers[index].msg_hdr.msg_iovlen = 1;
    }
    loop {
        for index in 0..BATCH {
            parts[index].iov_len = OCTETS;
            headers[index].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as u32;
        }
        // SAFETY: BATCH headers, whose pointers lead to elements of vectors that are not moved and live as long.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_WAITFORONE as _,
                std::ptr::null_mut(),
            )
        };
        let count =
            usize::try_from(count).map_err(|_| std::io::Error::last_os_error().to_string())?;
        for index in 0..count {
            parts[index].iov_len = headers[index].msg_len as usize;
            octets[index][2] |= 0x80;
        }
        let mut done = 0;
        while done < count {
            let rest = &mut headers[done..count];
            // SAFETY: as above, with as many headers as are announced.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0)
            };
            done += usize::try_from(sent).unwrap_or(1);
        }
    }
}
