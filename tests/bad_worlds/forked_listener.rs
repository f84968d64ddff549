//! A worker's listener in a forked child.

use std::{cell::Cell, io, net};

use annulus::{
    Workers,
    workers::{AcceptPolicy, SharedListener},
};

use crate::forked::{fork, on_each_driver};

#[test]
fn a_listener_that_a_child_drops_is_dealt_connections_in_the_parent() {
    on_each_driver(
        "forked_listener::a_listener_that_a_child_drops_is_dealt_connections_in_the_parent",
        || {
            let policy = AcceptPolicy::IncomingCpu;
            let shared = SharedListener::bind("127.0.0.1:0", policy).unwrap();
            let addr = shared.local_addr().unwrap();
            let workers = Workers::builder().count(1).start(async move |worker| {
                let listener = Cell::new(Some(shared.listener(&worker)?));
                fork(|| drop(listener.take()));
                let _client = net::TcpStream::connect(addr)?;
                listener.take().unwrap().accept().await?;
                io::Result::Ok(())
            });
            workers.unwrap().join().unwrap();
        },
    );
}
