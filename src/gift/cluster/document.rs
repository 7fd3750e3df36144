//! What gifts and revokes look like in `MongoDB`: plain fields, for whoever looks at the collection.

use super::Draft;
use crate::cluster::JournalDocument;
use crate::gift::Entry;
use crate::store::mongo::Index;
use mongodb::bson::{Document, doc};

impl JournalDocument for Draft {
    fn write(&self, document: &mut Document) {
        let entry = &self.entry;
        document.extend(doc! {
            "id": entry.id, "audience_id": entry.audience_id, "anchor_id": entry.anchor_id,
            "worth": entry.worth, "time_us": entry.time_us,
        });
        if let Some(revokes) = entry.revokes {
            document.extend(doc! { "revokes": revokes, "gift_time_us": self.gift_time_us });
        }
        if let Some(reason) = &self.reason {
            document.insert("reason", reason);
        }
    }

    fn read(name: &str, document: &Document) -> Option<Self> {
        let entry = entry(document)?;
        let text = |field| document.get_str(field).ok().map(str::to_owned);
        Some(Self {
            name: name.to_owned(),
            gift_time_us: document.get_i64("gift_time_us").unwrap_or(entry.time_us),
            entry,
            reason: text("reason"),
            key: text("key"),
        })
    }

    fn second_name(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn indexes() -> Vec<Index> {
        let index = |keys| Index { keys, unique: false, sparse: false };
        // An anchor's journal newest first, and a gift to revoke.
        vec![index(doc! { "anchor_id": 1, "time_us": -1, "id": -1 }), index(doc! { "id": 1 })]
    }
}

/// The entry of a document of the journal.
pub(super) fn entry(document: &Document) -> Option<Entry> {
    let number = |field| document.get_i64(field).ok();
    Some(Entry {
        id: number("id")?,
        audience_id: number("audience_id")?,
        anchor_id: number("anchor_id")?,
        worth: number("worth")?,
        time_us: number("time_us")?,
        revokes: number("revokes"),
    })
}
