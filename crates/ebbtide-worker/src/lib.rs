//! What a worker process of an ebbtide pool links: the frames of the protocol.
#![forbid(unsafe_code)]

pub mod frame;
