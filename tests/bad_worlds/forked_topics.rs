//! Topics that have subscribers in a process and in its forked child.

use annulus::{
    http::{Connection, Request, topics::Topics},
    io::{Duplex, duplex},
    spawn, task,
};

use crate::forked::{fork, on_each_driver, runtime};

/// A client of server-sent events, when it is subscribed.
async fn listen(topics: &Topics) -> Duplex {
    let before = topics.subscribers("news");
    let (near, far) = duplex(4096);
    let news = topics.clone();
    let handler = async move |request: Request| request.events(&news, "news");
    drop(spawn(Connection::new().serve(far, handler)));
    near.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    while topics.subscribers("news") == before {
        task::yield_now().await;
    }
    near
}

/// Publishes, and returns when the client has the message.
async fn hears(topics: &Topics, client: &Duplex, text: &str) {
    topics.publish("news", text);
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains(text) {
        let bytes = client.recv().await.unwrap();
        assert!(!bytes.is_empty(), "it ended without {text}");
        received.extend_from_slice(&bytes);
    }
}

#[test]
fn a_child_hands_out_to_its_own_subscribers_and_the_parent_goes_on() {
    on_each_driver(
        "forked_topics::a_child_hands_out_to_its_own_subscribers_and_the_parent_goes_on",
        || {
            let topics = Topics::new();
            let inherited = runtime();
            let client = inherited.block_on(listen(&topics));
            inherited.block_on(hears(&topics, &client, "before"));
            let mut all = Some((client, inherited));
            fork(|| {
                annulus::run(async {
                    let client = listen(&topics).await;
                    hears(&topics, &client, "in the child").await;
                });
                drop(all.take());
                annulus::run(async {
                    let client = listen(&topics).await;
                    hears(&topics, &client, "without the parent's").await;
                });
            });
            let (client, inherited) = all.unwrap();
            assert_eq!(topics.subscribers("news"), 1);
            inherited.block_on(hears(&topics, &client, "after"));
        },
    );
}
