//! What changes of counters look like in `MongoDB`: plain fields, for whoever looks at the collection.

use super::draft::{Change, Draft, path_name};
use crate::cluster::JournalDocument;
use crate::counter::{Counter, Id, Path};
use crate::store::mongo::Index;
use mongodb::bson::{Bson, Document, doc};

const PATHS: [Path; 4] = [Path::Increment, Path::Users, Path::Recount, Path::Reset];

impl JournalDocument for Draft {
    fn write(&self, document: &mut Document) {
        let Counter { counter_type, resource } = &self.counter;
        document.extend(doc! {
            "id": self.id, "time_us": self.time_us, "counter_type": bson(counter_type),
            "resource_id": bson(resource), "epoch": self.epoch.cast_signed(), "delta": self.delta(),
            "path": path_name(self.path),
        });
        let kind = match &self.change {
            Change::Added { user, .. } => {
                document.extend(user.iter().map(|user| ("user_id".to_owned(), bson(user))));
                "added"
            }
            Change::Moved { user, n } => {
                document.extend(doc! { "user_id": bson(user), "n": n.cast_signed() });
                if n % 2 == 1 { "joined" } else { "left" }
            }
            Change::Recounted { reason, .. } => {
                document.insert("reason", reason);
                "recounted"
            }
            Change::Reset { reason, .. } => {
                document.insert("reason", reason);
                "reset"
            }
        };
        document.insert("kind", kind);
        if let Some(turn) = self.turn {
            document.insert("turn", turn.cast_signed());
        }
    }

    fn read(name: &str, document: &Document) -> Option<Self> {
        let number = |field| document.get_i64(field).ok();
        let unsigned = |field| number(field).map(i64::cast_unsigned);
        let text = |field| document.get_str(field).ok().map(str::to_owned);
        let delta = number("delta")?;
        let change = match document.get_str("kind").ok()? {
            "added" => Change::Added { delta, user: document.get("user_id").and_then(id) },
            "joined" | "left" => {
                Change::Moved { user: id(document.get("user_id")?)?, n: unsigned("n")? }
            }
            "recounted" => Change::Recounted { delta, reason: text("reason")? },
            "reset" => Change::Reset { delta, reason: text("reason")? },
            _ => return None,
        };
        let path = text("path")?;
        Some(Self {
            name: name.to_owned(),
            id: number("id")?,
            time_us: number("time_us")?,
            counter: Counter {
                counter_type: id(document.get("counter_type")?)?,
                resource: id(document.get("resource_id")?)?,
            },
            epoch: unsigned("epoch")?,
            change,
            turn: unsigned("turn"),
            path: PATHS.into_iter().find(|of| path_name(*of) == path)?,
            key: text("key"),
        })
    }

    fn second_name(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Turns and steps are found by their names.
    fn indexes() -> Vec<Index> {
        Vec::new()
    }
}

fn bson(id: &Id) -> Bson {
    match id {
        Id::Number(number) => Bson::Int64(*number),
        Id::Text(text) => Bson::String(text.to_string()),
    }
}

fn id(bson: &Bson) -> Option<Id> {
    match bson {
        Bson::Int64(number) => Id::from_number(*number),
        Bson::String(text) => Id::from_text(text),
        _ => None,
    }
}
