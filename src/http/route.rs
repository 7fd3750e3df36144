//! One pattern of the router: its segments, and who answers which method.

use super::request::Method;
use super::router::Handler;
use crate::limits::ROUTE_PARAMS_MAX;
use std::borrow::Cow;

/// What the placeholders matched, on the stack.
#[derive(Default)]
pub(super) struct Params<'a> {
    values: [Cow<'a, str>; ROUTE_PARAMS_MAX],
    count: usize,
}

impl<'a> Params<'a> {
    pub(super) fn as_slice(&self) -> &[Cow<'a, str>] {
        &self.values[..self.count]
    }

    fn push(&mut self, value: Cow<'a, str>) {
        self.values[self.count] = value;
        self.count += 1;
    }
}

/// A part of a pattern between slashes. The order is that of precedence: text beats a placeholder.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Text(Box<str>),
    Placeholder,
}

/// All methods of one pattern.
pub(super) struct Route {
    pub(super) pattern: Box<str>,
    pub(super) segments: Vec<Segment>,
    /// From 1, in the order of the first mention.
    pub(super) number: u16,
    pub(super) handlers: Vec<(Method, Handler)>,
}

impl Route {
    /// # Panics
    /// On a pattern that could never match: patterns are written in the program.
    pub(super) fn new(pattern: &str, number: u16) -> Self {
        let relative = pattern.strip_prefix('/').expect("a pattern begins with a slash");
        let segments: Vec<_> = relative.split('/').map(segment).collect();
        let count = segments.iter().filter(|part| **part == Segment::Placeholder).count();
        assert!(count <= ROUTE_PARAMS_MAX, "a pattern has at most ROUTE_PARAMS_MAX placeholders");
        Self { pattern: pattern.into(), segments, number, handlers: Vec::new() }
    }

    pub(super) fn is_static(&self) -> bool {
        !self.segments.contains(&Segment::Placeholder)
    }

    /// The handler for `method`; GET's answers HEAD.
    pub(super) fn handler(&self, method: Method) -> Option<&Handler> {
        let find = |wanted| self.handlers.iter().find(|(method, _)| *method == wanted);
        let found = find(method).or_else(|| (method == Method::Head).then(|| find(Method::Get))?);
        found.map(|(_, handler)| handler)
    }

    /// Matches a path whose leading slash is gone. A segment is compared decoded, after the split,
    /// so that an encoded slash stays inside it; `None` from `decode` matches nothing.
    pub(super) fn matches<'a>(
        &self,
        relative: &'a str,
        decode: impl Fn(&'a str) -> Option<Cow<'a, str>>,
    ) -> Option<Params<'a>> {
        let mut params = Params::default();
        let mut parts = relative.split('/');
        for segment in &self.segments {
            let part = decode(parts.next()?)?;
            match segment {
                Segment::Text(text) if **text == *part => {}
                Segment::Placeholder if !part.is_empty() => params.push(part),
                _ => return None,
            }
        }
        parts.next().is_none().then_some(params)
    }
}

fn segment(text: &str) -> Segment {
    match (text.starts_with('{'), text.ends_with('}')) {
        (true, true) => Segment::Placeholder,
        (false, false) => Segment::Text(text.into()),
        _ => panic!("a placeholder fills its whole segment: {text}"),
    }
}
