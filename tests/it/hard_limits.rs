//! Hostile input within the limits: time, memory and answers stay bounded.
