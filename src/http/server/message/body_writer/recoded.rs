//! A writer whose pieces get another form.

use std::rc::Rc;

use super::{BodyWriter, Recode};
use crate::http::server::settings::WhenGone;

impl BodyWriter {
    /// Another writer of the same body, whose pieces go through `recode`.
    pub(crate) fn recoded(&self, recode: Rc<dyn Recode>) -> Self {
        Self {
            recode: Some(recode),
            ..Self::new(Rc::clone(&self.exchange), self.number)
        }
    }

    /// Lets the writer go on when the client closes its own side, as for a body whose length was
    /// promised: it has an end. A handler's own choice stays.
    pub(crate) fn note_end(&self) {
        let when_gone = self.exchange.when_gone();
        if self.check().is_ok() && when_gone == WhenGone::EndlessHalfClose {
            self.exchange.set_when_gone(WhenGone::Reset);
        }
    }
}
