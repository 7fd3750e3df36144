//! The directory of users that `GET /hello` shows: a large answer, encoded once per change and
//! shared by all who read it.

pub mod openapi;

use crate::exec::Published;
use crate::http::{Representation, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Users at the start.
const USERS: u32 = 100;

/// Bytes of a user's text: a hundred users make about 225 kB.
const CONTENT_BYTES: usize = 2_200;

/// One user, named on the wire as clients know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct User {
    /// Number.
    pub id: u32,
    /// Nick, and the key in the directory.
    pub name: String,
    /// In years.
    pub age: u32,
    /// About the user.
    pub content: String,
}

/// All users by nick.
///
/// Invariant: what is published is the encoding of `users`.
pub struct Directory {
    /// Held by who changes the directory, never by who reads it.
    users: Mutex<BTreeMap<String, User>>,
    encoded: Published<Representation>,
}

impl Default for Directory {
    /// The users that every fresh server knows.
    fn default() -> Self {
        let users: BTreeMap<_, _> =
            (0..USERS).map(example).map(|user| (user.name.clone(), user)).collect();
        let encoded = Published::new(encode(&users));
        Self { users: Mutex::new(users), encoded }
    }
}

impl Directory {
    /// The answer to `GET /hello`; a pointer copy.
    pub fn hello(&self) -> Response {
        Response::json(self.encoded.get())
    }

    /// Adds a user, or replaces the one of that nick. Every later answer shows it.
    pub fn put(&self, user: User) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.insert(user.name.clone(), user);
        // Under the lock, or an older state could be published over a newer one.
        self.encoded.publish(encode(&users));
    }
}

fn encode(users: &BTreeMap<String, User>) -> Representation {
    // 225 kB are compressed here, by who changes the directory, and not by a loop.
    Representation::with_gzip(serde_json::to_vec(users).expect("strings and numbers are JSON"))
}

fn example(id: u32) -> User {
    let name = format!("hello_{id}");
    let sentence = format!("{name} waves from the front row. ");
    let content = sentence.chars().cycle().take(CONTENT_BYTES).collect();
    User { id, age: 10 + id % 60, content, name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Body;
    use serde_json::Value;
    use std::sync::Arc;

    fn decode(response: &Response) -> Value {
        serde_json::from_slice(response.body.bytes()).expect("JSON")
    }

    #[test]
    fn a_hundred_users_make_about_225_kilobytes() {
        let answer = Directory::default().hello();
        assert!((220_000..230_000).contains(&answer.body.bytes().len()));
        let users = decode(&answer);
        assert_eq!(users.as_object().expect("an object").len(), 100);
        let first = &users["hello_0"];
        assert_eq!(
            (&first["Id"], &first["Name"], &first["Age"]),
            (&0.into(), &"hello_0".into(), &10.into())
        );
        assert_eq!(first["Content"].as_str().map(str::len), Some(CONTENT_BYTES));
    }

    #[test]
    fn answers_share_their_bytes_until_the_directory_changes() {
        let directory = Directory::default();
        let shared = |response: Response| match response.body {
            Body::Tagged(representation, _) => representation,
            other => panic!("expected a shared body, found {other:?}"),
        };
        let (first, second) = (shared(directory.hello()), shared(directory.hello()));
        assert!(Arc::ptr_eq(&first, &second));
        directory.put(User { age: 99, ..example(7) });
        assert_eq!(decode(&directory.hello())["hello_7"]["Age"], 99);
        assert!(!Arc::ptr_eq(&first, &shared(directory.hello())));
    }
}
