//! The other side of the sockets: what programs need that talk to a server like any client does.
//! Knows of the server only what is on the wire.

pub mod frames;
pub mod http;
pub mod money;
pub mod portfolio;
pub mod room;
pub mod room_link;
