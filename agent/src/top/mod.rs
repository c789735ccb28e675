//! `banchi top`: a gateway in a terminal, looked at and never changed.
//!
//! A [`Model`] is all that is known, [`update`] lets a [`Message`] change it, and [`view`] draws it: three pure things,
//! so that a test can draw any state there is. [`show`] is the loop around them, and the only one that knows a
//! terminal. Messages of other threads come by an [`Inbox`], which has bounds.

mod anomaly;
mod inbox;
mod keys;
mod model;
mod pane;
mod panes;
mod rates;
mod screen;
mod sight;
mod view;

pub use anomaly::Anomaly;
pub use inbox::Inbox;
pub use model::{KEPT, Message, Model, update};
pub use screen::{End, show};
pub use sight::{Absence, Sight};
pub use view::{Theme, view};
