//! Gateways: requests that go on to other servers.
//!
//! [`Forward`] is the handler of a reverse proxy, and [`Balancer`] the choice among its servers.

mod balancer;
mod fields;
mod gateway;
mod onward_body;
mod tunnel;

pub use balancer::Balancer;
pub use gateway::Forward;
