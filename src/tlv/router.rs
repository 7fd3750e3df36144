//! Finds the handler of a message by its id, and calls the hooks of those who come and go.

use super::{Answer, Deferral, Frame, Message, Peer, Service, id};

/// Answers the messages of one id.
pub type Handler<P> = Box<dyn Fn(&mut Peer<'_, P>, &Message<'_>, Deferral<'_>) -> Answer>;

/// Called when a connection has come, or has gone.
pub type Hook<P> = Box<dyn Fn(&mut Peer<'_, P>)>;

/// A service made of handlers. From the start it answers heartbeats, whatever their data, and refuses
/// every other message.
pub struct Router<P> {
    /// A handful, so that looking through all is as quick as anything.
    routes: Vec<(u32, Handler<P>)>,
    on_start: Vec<Hook<P>>,
    on_stop: Vec<Hook<P>>,
}

impl<P: 'static> Router<P> {
    /// Without routes.
    pub fn new() -> Self {
        let router = Self { routes: Vec::new(), on_start: Vec::new(), on_stop: Vec::new() };
        router.route(id::HEARTBEAT, |_, _, _| Answer::now(Frame::new(id::HEARTBEAT, "{}")))
    }

    /// Has `handler` answer the messages of that id.
    ///
    /// # Panics
    /// When the id has a handler already.
    #[must_use]
    pub fn route(
        mut self,
        id: u32,
        handler: impl Fn(&mut Peer<'_, P>, &Message<'_>, Deferral<'_>) -> Answer + 'static,
    ) -> Self {
        assert!(self.routes.iter().all(|(other, _)| *other != id), "{id} has two handlers");
        self.routes.push((id, Box::new(handler)));
        self
    }

    /// The ids that have a handler.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.routes.iter().map(|(id, _)| *id)
    }

    /// Calls `hook` after each welcome.
    #[must_use]
    pub fn on_start(mut self, hook: impl Fn(&mut Peer<'_, P>) + 'static) -> Self {
        self.on_start.push(Box::new(hook));
        self
    }

    /// Calls `hook` when a connection that had its welcome is gone.
    #[must_use]
    pub fn on_stop(mut self, hook: impl Fn(&mut Peer<'_, P>) + 'static) -> Self {
        self.on_stop.push(Box::new(hook));
        self
    }
}

impl<P: 'static> Default for Router<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Default + 'static> Service for Router<P> {
    type Properties = P;

    fn opened(&self, peer: &mut Peer<'_, P>) {
        self.on_start.iter().for_each(|hook| hook(peer));
    }

    fn call(
        &self,
        peer: &mut Peer<'_, P>,
        message: &Message<'_>,
        deferral: Deferral<'_>,
    ) -> Answer {
        match self.routes.iter().find(|(id, _)| *id == message.id) {
            Some((_, handler)) => handler(peer, message, deferral),
            None => Answer::now(Frame::unknown_message(message.id)),
        }
    }

    fn closed(&self, peer: &mut Peer<'_, P>) {
        self.on_stop.iter().for_each(|hook| hook(peer));
    }
}
