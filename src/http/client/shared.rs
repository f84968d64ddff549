//! The state that a client's requests share.

use std::rc::Rc;

use super::{
    body::Body,
    connect::Connector,
    exchange::{
        Exchange,
        message::{DefaultFields, Message},
        onward_head::OnwardHead,
    },
    options::Options,
    pool::Pool,
    url::Url,
};
use crate::{
    http::{Method, h1::Rules, header},
    shrink::Spares,
};

/// The state that a client's requests share: its settings, its pool and its memory.
pub(super) struct Shared {
    pub(super) options: Rc<Options>,
    pub(super) rules: Rules,
    pub(super) fields: DefaultFields,
    pub(super) pool: Rc<Pool>,
    pub(super) connector: Connector,
    spare: Spares<Box<Exchange>>,
    spare_messages: Spares<Box<Message>>,
}

impl Shared {
    pub(super) fn new(
        options: Options,
        rules: Rules,
        fields: DefaultFields,
        pool: Rc<Pool>,
        connector: Connector,
    ) -> Rc<Self> {
        Rc::new(Self {
            options: Rc::new(options),
            rules,
            fields,
            pool,
            connector,
            spare: Spares::default(),
            spare_messages: Spares::default(),
        })
    }

    pub(super) fn take_exchange(&self) -> Box<Exchange> {
        self.spare.take().unwrap_or_else(Exchange::new)
    }

    /// Takes back an exchange, in whatever state it is.
    pub(super) fn recycle(&self, mut exchange: Box<Exchange>) {
        exchange.clear();
        let message = exchange.message.take();
        // One more than enough is dropped.
        let _ = self.spare.put(exchange);
        if let Some(message) = message {
            self.recycle_message(message);
        }
    }

    /// A message with the client's options.
    pub(super) fn new_message(&self, method: Method, mut url: Url) -> Box<Message> {
        let authorization = url.take_authorization();
        let spare = self.spare_messages.take();
        let mut message = match spare {
            Some(mut message) => {
                message.method = method;
                message.url = url;
                message.options = Rc::clone(&self.options);
                message
            }
            None => Box::new(Message {
                method,
                url,
                fields: Vec::new(),
                body: Body::none(),
                options: Rc::clone(&self.options),
                asks_upgrade: false,
                onward: OnwardHead::default(),
            }),
        };
        if let Some(value) = authorization {
            message.fields.push((header::AUTHORIZATION, value));
        }
        message
    }

    fn recycle_message(&self, mut message: Box<Message>) {
        message.forget();
        // The one that the caller has made for it may keep much.
        message.options = Rc::clone(&self.options);
        let _ = self.spare_messages.put(message);
    }
}
