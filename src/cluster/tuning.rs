//! Sizes and times of the protocol, with the relations that its proofs rest on.

use std::time::Duration;

/// Every process of a cluster must have the same times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Parts of the view with a fence of their own per writer.
    pub slots: u16,
    /// Gifts that one script applies; a batch holds no more. Redis stands still meanwhile (27 to
    /// 38 µs a gift).
    pub script_documents_max: usize,
    /// Scripts of one pipeline.
    pub pipeline_scripts_max: usize,
    /// Gifts of one insert.
    pub round_documents_max: usize,
    /// Requests that wait for a writer; the next is refused.
    pub queue_asks_max: usize,
    /// Documents of one journal read.
    pub page_records_max: usize,
    /// Rows of one step of a rebuild.
    pub load_rows_max: usize,
    /// Between two passes of the recovery, two heartbeats, two tries.
    pub pass_every: Duration,
    /// How long an acknowledgement waits for the view before the process declares itself behind.
    pub patience: Duration,
    /// How old the last look at the members may be for an answer to count as fresh.
    pub look_age_max: Duration,
    /// A writer sends no insert when its last confirmed heartbeat was sent so long ago.
    pub lapse: Duration,
    /// The longest time from sending an insert until it has landed or never will.
    pub landing_max: Duration,
    /// A process is gone when its heartbeat has not changed for so long.
    pub silence_max: Duration,
    /// What one gap between two answered looks adds to a silence at most: while the record itself
    /// is away, nobody grows silent.
    pub silence_gap_max: Duration,
    /// Who has not renewed a lease for so long has lost it.
    pub lease: Duration,
    /// A total at which an anchor takes no more: half the range, so that what is under way in all
    /// processes still fits. The script is told, and names the anchors that reach it.
    pub total_max: i64,
}

impl Default for Tuning {
    fn default() -> Self {
        let tuning = Self {
            slots: 1,
            script_documents_max: 32,
            pipeline_scripts_max: 32,
            // Whole batches, and one insert command.
            round_documents_max: 960,
            queue_asks_max: 16 * 1024,
            page_records_max: 1024,
            load_rows_max: 256,
            pass_every: Duration::from_secs(1),
            patience: Duration::from_millis(500),
            look_age_max: Duration::from_millis(2_500),
            lapse: Duration::from_secs(5),
            landing_max: Duration::from_secs(20),
            silence_max: Duration::from_secs(30),
            silence_gap_max: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            total_max: i64::MAX / 2,
        };
        tuning.check();
        tuning
    }
}

impl Tuning {
    /// The defaults with times for a process that counts as gone after `takeover`.
    pub fn taking_over_after(takeover: Duration) -> Self {
        let pass_every = takeover / 60;
        let tuning = Self {
            pass_every,
            look_age_max: pass_every * 3,
            lapse: takeover / 6,
            landing_max: takeover * 2 / 3,
            silence_max: takeover,
            silence_gap_max: pass_every * 4,
            lease: takeover / 3,
            ..Self::default()
        };
        tuning.check();
        tuning
    }

    /// The relations that must hold.
    ///
    /// # Panics
    /// When one does not.
    pub fn check(&self) {
        assert!(
            self.silence_max > self.lapse + self.landing_max,
            "who is declared gone must be unable to land another insert"
        );
        assert!(self.look_age_max > self.pass_every, "or no answer would ever be fresh");
        assert!(self.lapse > self.pass_every, "or no writer could ever insert");
        assert!(self.slots > 0 && self.script_documents_max > 0 && self.pipeline_scripts_max > 0);
        assert!(
            self.round_documents_max > 0 && self.page_records_max > 0 && self.load_rows_max > 0
        );
    }
}
