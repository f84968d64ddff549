//! A request's body.

use std::{future::poll_fn, rc::Rc};

use super::{Result, exchange::Exchange};
use crate::pool::ManagedBuf;

/// A request's body, pulled piece by piece: what is not pulled stays with the client.
///
/// A client that asked by `Expect: 100-continue` is told to send at the first pull.
#[derive(Debug)]
pub struct Body {
    exchange: Rc<Exchange>,
    /// Which of the exchange's requests it belongs to; none for one that was taken before.
    number: Option<u64>,
}

impl Body {
    pub(super) fn new(exchange: Rc<Exchange>, number: Option<u64>) -> Self {
        Self { exchange, number }
    }

    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    ///
    /// A body that is larger than the server's limit (413), that breaks the protocol, or that ends
    /// too early (400); an I/O error; or the answer was written already.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<ManagedBuf>> {
        let Some(number) = self.number else {
            return Ok(None);
        };
        poll_fn(|context| self.exchange.poll_body(number, context)).await
    }

    /// The whole body. The server's limit bounds it.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// What was collected is lost when the future is dropped.
    pub async fn bytes(mut self) -> Result<Vec<u8>> {
        let Some(first) = self.next().await? else {
            return Ok(Vec::new());
        };
        let mut bytes = first.into_vec();
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}
