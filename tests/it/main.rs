//! All integration tests, in one binary; each module is a subject.

mod cli;
mod config;
mod tidy;
