//! What the TLV connections of one loop share: their service, their limits, and the way back to them.

use super::Service;
use super::frame::Layout;
use super::responder::TlvReply;
use super::stats::MessageStats;
use crate::exec::Outbox;
use crate::limits::{SEND_BYTES_HIGH, TLV_DATA_BYTES_MAX, TLV_QUEUE_BYTES_MAX};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

/// What the TLV connections of one loop share.
pub struct Port<S> {
    pub(super) service: S,
    pub(super) outbox: Outbox<TlvReply>,
    /// The last uid given; shared by all loops.
    pub(super) uids: Arc<AtomicI64>,
    /// `None`: each connection's first header tells.
    pub(super) layout: Option<Layout>,
    pub(super) data_bytes_max: usize,
    pub(super) queue_bytes_max: usize,
    /// Unsent bytes beyond which the next message waits.
    pub(super) answer_bytes_high: usize,
    pub(super) idle: Option<Duration>,
    pub(super) stats: Arc<MessageStats>,
}

impl<S: Service> Port<S> {
    /// A port with the default limits that finds out each client's layout. `outbox` posts to the
    /// loop on which the connections live.
    pub fn new(service: S, outbox: Outbox<TlvReply>, uids: Arc<AtomicI64>) -> Self {
        Self {
            service,
            outbox,
            uids,
            layout: None,
            data_bytes_max: TLV_DATA_BYTES_MAX,
            queue_bytes_max: TLV_QUEUE_BYTES_MAX,
            answer_bytes_high: SEND_BYTES_HIGH,
            idle: None,
            stats: MessageStats::new([]),
        }
    }

    /// Counts what is answered and pushed there.
    #[must_use]
    pub fn with_stats(self, stats: Arc<MessageStats>) -> Self {
        Self { stats, ..self }
    }

    /// `tlv.layout`: speaks one layout only; `None` is `auto`.
    #[must_use]
    pub fn with_layout(self, layout: Option<Layout>) -> Self {
        Self { layout, ..self }
    }

    /// `tlv.max_data`: a longer frame closes its connection.
    ///
    /// # Panics
    /// Beyond [`Layout::DETECTABLE_DATA_BYTES_MAX`], where a header could fit both layouts.
    #[must_use]
    pub fn with_data_bytes_max(self, data_bytes_max: usize) -> Self {
        assert!(data_bytes_max <= Layout::DETECTABLE_DATA_BYTES_MAX, "layouts stay tellable");
        Self { data_bytes_max, ..self }
    }

    /// `tlv.max_queue`: a push to a connection with more unsent bytes closes it.
    #[must_use]
    pub fn with_queue_bytes_max(self, queue_bytes_max: usize) -> Self {
        // Answers alone must not make a push close.
        let answer_bytes_high = SEND_BYTES_HIGH.min(queue_bytes_max / 2);
        Self { queue_bytes_max, answer_bytes_high, ..self }
    }

    /// `tlv.idle`: closes who sends nothing for so long.
    #[must_use]
    pub fn with_idle(self, idle: Option<Duration>) -> Self {
        Self { idle, ..self }
    }
}
