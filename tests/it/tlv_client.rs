//! A TLV client on a socket: what any test that talks to the room needs.

use fanfare::tlv::Layout;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Far beyond what any answer takes; a server that never answers fails the test instead of hanging.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct TlvClient {
    stream: TcpStream,
    layout: Layout,
    /// What came between an answer and its question.
    pub(crate) pushes: Vec<(u32, Value)>,
}

impl TlvClient {
    /// Connects; the welcome has not come yet.
    pub(crate) fn connect(addr: SocketAddr, layout: Layout) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        Self::on(stream, layout)
    }

    /// Talks over a socket that the test made.
    pub(crate) fn on(stream: TcpStream, layout: Layout) -> Self {
        stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, layout, pushes: Vec::new() }
    }

    /// Connects, logs in and reads both answers.
    pub(crate) fn login(addr: SocketAddr, customer: &str) -> Self {
        let mut client = Self::connect(addr, Layout::Big);
        let data = client.ask(2, &format!(r#"{{"customer_id":"{customer}"}}"#));
        assert_eq!(data["customer_id"], customer);
        client
    }

    pub(crate) fn try_send(&mut self, id: u32, data: &str) -> io::Result<()> {
        let frame = crate::tlv_talk::frame(self.layout, id, data.as_bytes());
        self.stream.write_all(&frame)
    }

    /// The next frame.
    #[track_caller]
    pub(crate) fn next(&mut self) -> (u32, Value) {
        self.try_next().expect("the server goes on")
    }

    pub(crate) fn try_next(&mut self) -> io::Result<(u32, Value)> {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header)?;
        let header = self.layout.header(&header);
        assert!(header.length <= 4_096, "old clients refuse {}", header.length);
        let mut data = vec![0; header.length as usize];
        self.stream.read_exact(&mut data)?;
        Ok((header.id, serde_json::from_slice(&data).expect("data is JSON")))
    }

    /// Asks, and returns the answer; keeps what is pushed before it.
    #[track_caller]
    pub(crate) fn ask(&mut self, id: u32, data: &str) -> Value {
        let (answered, data) = self.ask_any(id, data);
        assert_eq!(answered, id, "{data}");
        data
    }

    /// Asks for what is refused; returns the code.
    #[track_caller]
    pub(crate) fn refused(&mut self, id: u32, data: &str) -> String {
        let (answered, data) = self.ask_any(id, data);
        assert_eq!((answered, &data["request"]), (0, &id.into()), "{data}");
        assert!(data["message"].is_string());
        data["code"].as_str().expect("a code").to_owned()
    }

    #[track_caller]
    fn ask_any(&mut self, id: u32, data: &str) -> (u32, Value) {
        self.try_ask(id, data).expect("the server goes on")
    }

    pub(crate) fn try_ask(&mut self, id: u32, data: &str) -> io::Result<(u32, Value)> {
        self.try_send(id, data)?;
        loop {
            let (next, data) = self.try_next()?;
            if next > 100 && next != 99_999 || next == 1 {
                self.pushes.push((next, data));
            } else {
                return Ok((next, data));
            }
        }
    }
}
