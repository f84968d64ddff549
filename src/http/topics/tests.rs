//! Topics with connections of memory.

mod slow;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;

use super::{
    EventId, FeedHandle, LostReason, Message, Options, Outlet, Piece, Published, Slow,
    Subscription, Topics,
};
use crate::{Runtime, task::yield_now};

/// A connection of memory, which takes messages while it is open.
#[derive(Default)]
struct Client {
    feed: FeedHandle,
    taken: RefCell<Vec<String>>,
    /// The sends by which they came.
    send_count: Cell<usize>,
    is_full: Cell<bool>,
    /// Sends until it is full; none for any number.
    room_for: Cell<Option<usize>>,
    is_closed: Cell<bool>,
    look_count: Cell<usize>,
}

impl Outlet for Client {
    fn has_room(&self) -> bool {
        !self.is_full.get() && self.room_for.get() != Some(0)
    }

    fn form<'a>(&self, published: &'a Published) -> &'a Bytes {
        published.frame.get_or_init(|| {
            let bytes = published.message().as_bytes();
            Bytes::from([bytes, b"\n"].concat())
        })
    }

    fn send(&self, piece: Piece<'_>) {
        let text = std::str::from_utf8(piece.as_slice()).unwrap();
        self.taken
            .borrow_mut()
            .extend(text.lines().map(str::to_owned));
        self.send_count.set(self.send_count.get() + 1);
        self.room_for
            .set(self.room_for.get().map(|count| count - 1));
    }

    fn close_slow(&self) {
        self.is_closed.set(true);
    }

    fn look(&self) {
        self.look_count.set(self.look_count.get() + 1);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        Some(([127, 0, 0, 1], 7).into())
    }
}

impl Client {
    fn new() -> Rc<Self> {
        Rc::default()
    }

    fn subscribe(self: &Rc<Self>, topics: &Topics, name: &str) -> Subscription {
        self.subscribe_after(topics, name, None)
    }

    fn subscribe_after(
        self: &Rc<Self>,
        topics: &Topics,
        name: &str,
        after: Option<EventId>,
    ) -> Subscription {
        let outlet = || {
            let client: Weak<Self> = Rc::downgrade(self);
            client as Weak<dyn Outlet>
        };
        self.feed.subscribe(topics, name, after, outlet)
    }

    fn on(topics: &Topics, name: &str) -> Rc<Self> {
        let client = Self::new();
        client.subscribe(topics, name);
        client
    }

    fn set_full(&self, is_full: bool) {
        self.is_full.set(is_full);
        if !is_full {
            self.feed.note_room();
        }
    }

    fn take(&self) -> Vec<String> {
        self.taken.take()
    }
}

/// Lets everything that was published be handed out.
async fn settle() {
    for _ in 0..16 {
        yield_now().await;
    }
}

/// Topics with these settings, and what was lost of them.
fn with_log(options: Options) -> (Topics, Arc<Mutex<Vec<String>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&log);
    let options = options.on_lost(move |lost| told.lock().unwrap().push(lost.to_string()));
    (Topics::with_options(options), log)
}

#[test]
fn a_message_reaches_every_subscriber_of_its_topic_and_no_other() {
    crate::run(async {
        let topics = Topics::new();
        let (one, two) = (Client::on(&topics, "a"), Client::on(&topics, "a"));
        let other = Client::on(&topics, "b");
        one.subscribe(&topics, "b");
        assert_eq!((topics.subscribers("a"), topics.subscribers("b")), (2, 2));
        assert_eq!(topics.publish("a", "1"), 2);
        assert_eq!(topics.publish("b", "2"), 2);
        assert_eq!(topics.publish("a", "3"), 2);
        assert_eq!(topics.publish("c", "nobody hears it"), 0);
        settle().await;
        assert_eq!(one.take(), ["1", "2", "3"], "the order of the publisher");
        assert_eq!(one.send_count.get(), 1, "those of one turn leave together");
        assert_eq!(
            (two.take(), other.take()),
            (vec!["1".into(), "3".into()], vec!["2".into()])
        );
        let counts = topics.counts("a");
        assert_eq!(
            (counts.published, counts.delivered, counts.dropped),
            (2, 4, 0)
        );
        let total = topics.total_counts();
        assert_eq!((total.published, total.delivered), (4, 6));
    });
}

#[test]
fn a_subscription_ends_by_its_handle_and_with_its_connection() {
    crate::run(async {
        let topics = Topics::new();
        let clients: Vec<_> = (0..5).map(|_| Client::new()).collect();
        let names = ["a", "b", "c"];
        let mut handles: Vec<Vec<_>> = clients
            .iter()
            .map(|client| {
                names
                    .iter()
                    .map(|name| client.subscribe(&topics, name))
                    .collect()
            })
            .collect();
        // A second one is the first.
        clients[0].subscribe(&topics, "a");
        assert_eq!(topics.subscribers("a"), 5);
        // Both lists are closed up: the first places are taken by the last ones.
        handles[0].remove(0).unsubscribe();
        handles[3].remove(1).unsubscribe();
        clients[1].feed.end();
        handles.remove(1).remove(0).unsubscribe();
        let counts = names.map(|name| topics.subscribers(name));
        assert_eq!(counts, [3, 3, 4]);
        for name in names {
            topics.publish(name, name);
        }
        settle().await;
        let taken: Vec<_> = clients
            .iter()
            .map(|client| client.take().concat())
            .collect();
        assert_eq!(taken, ["bc", "", "abc", "ac", "abc"]);
        clients[1].subscribe(&topics, "a");
        drop(clients);
        assert_eq!(names.map(|name| topics.subscribers(name)), [0, 0, 0]);
        assert_eq!(
            topics.hub().len(),
            0,
            "topics are forgotten with their subscribers"
        );
        settle().await;
        let late = Client::on(&topics, "a");
        topics.publish("a", "again");
        settle().await;
        assert_eq!(late.take(), ["again"]);
    });
}

#[test]
fn a_late_subscriber_gets_the_history_and_everything_once() {
    crate::run(async {
        let topics = Topics::with_options(Options::new().history(3));
        for number in 1..=5 {
            topics.publish("a", number.to_string());
        }
        let early = Client::on(&topics, "a");
        // These are in the post, and in the history of those that come now.
        topics.publish("a", "6");
        topics.publish("a", "7");
        let late = Client::on(&topics, "a");
        topics.publish("a", "8");
        settle().await;
        assert_eq!(early.take(), ["3", "4", "5", "6", "7", "8"]);
        assert_eq!(late.take(), ["5", "6", "7", "8"]);
        drop((early, late));
        assert_eq!(Client::on(&topics, "a").feed_len(), 3);
        topics.remove("a");
        assert_eq!(topics.hub().len(), 0);
        let new = Client::on(&topics, "a");
        settle().await;
        assert_eq!(new.take(), [""; 0]);
    });
}

impl Client {
    /// How many messages wait for it.
    fn feed_len(&self) -> usize {
        self.feed.pending_count()
    }
}

#[test]
fn a_history_is_limited_in_bytes() {
    let topics = Topics::with_options(Options::new().history(10).history_bytes_max(5000));
    for len in [1000, 2000, 3000, 100] {
        topics.publish("a", vec![b'x'; len]);
    }
    crate::run(async {
        let client = Client::on(&topics, "a");
        settle().await;
        let lens: Vec<_> = client.take().iter().map(String::len).collect();
        assert_eq!(lens, [3000, 100]);
    });
}

#[test]
fn an_id_resumes_and_an_unknown_one_gets_the_whole_history() {
    crate::run(async {
        let topics = Topics::new();
        topics.configure("a", Options::new().history(3));
        topics.publish("a", "0");
        let joined = topics.hub().join("a", &Arc::default(), None).1;
        let epoch = joined.history[0].id().epoch;
        for number in 1..=4 {
            topics.publish("a", number.to_string());
        }
        // Messages 1 to 5 were published, and 3 to 5 are kept.
        let check = async |epoch, number, expected: &[&str]| {
            let client = Client::new();
            client.subscribe_after(&topics, "a", Some(EventId { epoch, number }));
            settle().await;
            assert_eq!(client.take(), expected, "{number}");
        };
        check(epoch, 5, &[]).await;
        check(epoch, 4, &["4"]).await;
        check(epoch, 2, &["2", "3", "4"]).await;
        check(epoch, 1, &["2", "3", "4"]).await;
        check(epoch, 6, &["2", "3", "4"]).await;
        check(epoch, u64::MAX, &["2", "3", "4"]).await;
        check(epoch + 1, 5, &["2", "3", "4"]).await;
    });
}

#[test]
fn a_hook_may_publish_and_may_panic() {
    crate::run(async {
        let topics = Topics::new();
        let again = topics.clone();
        let log = Options::new().slow(Slow::LastValue).on_lost(move |lost| {
            assert_eq!(lost.reason, LostReason::Replaced);
            again.publish("log", lost.to_string());
            panic!("planned: a hook");
        });
        topics.configure("a", log);
        let (slow, reader) = (Client::on(&topics, "a"), Client::on(&topics, "log"));
        slow.set_full(true);
        for text in ["1", "2", "3"] {
            topics.publish("a", text);
        }
        settle().await;
        topics.publish("a", "4");
        settle().await;
        // The three of one turn waited before the first rule was asked.
        assert_eq!(reader.take(), ["a: 3 lost (replaced) by 127.0.0.1:7"]);
        slow.set_full(false);
        assert_eq!(slow.take(), ["4"]);
        // The hook holds the topics, which would hold it for ever.
        topics.remove("a");
    });
}

/// Publishes its name when it is dropped.
struct LastWord(Topics, &'static str);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.publish("log", self.1);
    }
}

#[test]
fn a_hook_that_is_replaced_or_removed_may_publish_when_it_is_dropped() {
    crate::run(async {
        let topics = Topics::new();
        let reader = Client::on(&topics, "log");
        let hooked = |name, word| {
            let last_word = LastWord(topics.clone(), word);
            let options = Options::new().on_lost(move |_| {
                let _ = &last_word;
            });
            topics.configure(name, options);
        };
        hooked("a", "replaced");
        topics.configure("a", Options::new());
        // Of the topic that it publishes to.
        hooked("log", "removed");
        topics.remove("log");
        hooked("b", "forgotten");
        topics.remove("b");
        settle().await;
        assert_eq!(reader.take(), ["replaced", "removed", "forgotten"]);
        assert_eq!(topics.hub().len(), 2, "those that were not removed");
    });
}

#[test]
fn what_many_threads_publish_comes_whole_and_in_the_order_of_each() {
    const MESSAGES: usize = 500;
    crate::run(async {
        let topics = Topics::new();
        let client = Client::on(&topics, "a");
        client.subscribe(&topics, "b");
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let topics = topics.clone();
                thread::spawn(move || {
                    for count in 0..MESSAGES {
                        let name = if count % 2 == 0 { "a" } else { "b" };
                        topics.publish(name, format!("{number} {count}"));
                    }
                })
            })
            .collect();
        while topics.total_counts().delivered < 4 * MESSAGES as u64 {
            yield_now().await;
        }
        let taken = client.take();
        for (number, thread) in threads.into_iter().enumerate() {
            thread.join().unwrap();
            let of_it = taken
                .iter()
                .filter_map(|text| text.strip_prefix(&format!("{number} ")));
            assert!(
                of_it.eq((0..MESSAGES)
                    .map(|count| count.to_string())
                    .collect::<Vec<_>>())
            );
        }
    });
}

#[test]
fn a_publisher_that_is_too_fast_for_a_worker_is_not_silent() {
    crate::run(async {
        let (topics, lost) = with_log(Options::new());
        let clients = [Client::on(&topics, "a"), Client::on(&topics, "a")];
        let message = Message::binary(vec![b'x'; 30 << 20]);
        for _ in 0..4 {
            assert_eq!(topics.publish("a", message.clone()), 2);
        }
        while topics.counts("a").delivered < 4 {
            yield_now().await;
        }
        settle().await;
        assert_eq!(topics.counts("a").dropped, 4);
        assert_eq!(*lost.lock().unwrap(), ["a: 4 lost (worker overrun)"]);
        topics.publish("a", "after");
        settle().await;
        assert!(
            clients
                .iter()
                .all(|client| client.take().last().unwrap() == "after")
        );
    });
}

#[test]
fn what_a_worker_does_not_take_is_added_up_by_topic() {
    crate::run(async {
        let (topics, lost) = with_log(Options::new());
        let client = Client::on(&topics, "a");
        client.subscribe(&topics, "b");
        let message = Message::binary(vec![b'x'; 30 << 20]);
        // Two have room.
        for _ in 0..4 {
            topics.publish("a", message.clone());
            topics.publish("b", message.clone());
        }
        settle().await;
        let expected = ["a: 3 lost (worker overrun)", "b: 3 lost (worker overrun)"];
        assert_eq!(*lost.lock().unwrap(), expected);
    });
}

#[test]
fn subscribers_end_with_their_runtime_and_its_thread_can_have_others() {
    let topics = Topics::new();
    for _ in 0..2 {
        let left = crate::run(async {
            let client = Client::on(&topics, "a");
            topics.publish("a", "1");
            settle().await;
            assert_eq!(client.take(), ["1"]);
            client
        });
        assert_eq!(topics.subscribers("a"), 0, "the runtime is gone");
        assert_eq!(topics.publish("a", "2"), 0);
        left.subscribe(&topics, "b");
        assert_eq!(topics.subscribers("b"), 0);
        drop(left);
    }
    assert_eq!(topics.hub().len(), 0);
}

#[test]
fn runtimes_that_share_a_thread_hand_out_each_to_its_own_subscribers() {
    let topics = Topics::new();
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let of_first = first.block_on(async {
        let client = Client::on(&topics, "a");
        settle().await;
        client
    });
    let of_second = second.block_on(async {
        let client = Client::on(&topics, "a");
        assert_eq!(topics.publish("a", "1"), 2);
        settle().await;
        client
    });
    assert_eq!(of_second.take(), ["1"], "by the runtime that runs");
    assert_eq!(of_first.take(), [""; 0]);
    first.block_on(settle());
    assert_eq!(of_first.take(), ["1"], "when its runtime runs again");
    drop(first);
    assert_eq!(topics.subscribers("a"), 1, "the other runtime lives");
    second.block_on(async {
        assert_eq!(topics.publish("a", "2"), 1);
        settle().await;
        let late = Client::on(&topics, "a");
        topics.publish("a", "3");
        settle().await;
        assert_eq!(late.take(), ["3"]);
    });
    assert_eq!(of_second.take(), ["2", "3"]);
    assert_eq!(of_first.take(), [""; 0]);
    drop(second);
    assert_eq!(topics.subscribers("a"), 0);
}

#[test]
fn messages_on_their_way_end_with_the_runtime() {
    let topics = Topics::new();
    let runtime = Runtime::new().unwrap();
    let left = runtime.block_on(async { Client::on(&topics, "a") });
    let counted = Arc::new(());
    let held = Arc::clone(&counted);
    let hooked = Options::new().on_lost(move |_| {
        let _ = &held;
    });
    topics.configure("a", hooked);
    topics.publish("a", "1");
    topics.configure("a", Options::new());
    assert_eq!(Arc::strong_count(&counted), 2, "the message has its hook");
    drop(runtime);
    assert_eq!(Arc::strong_count(&counted), 1);
    drop(left);
}

/// A message of bytes whose memory panics when it is given back.
struct Panicking;

impl AsRef<[u8]> for Panicking {
    fn as_ref(&self) -> &[u8] {
        b"panics"
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        panic!("planned: the memory of a message");
    }
}

#[test]
fn messages_that_wait_when_their_subscriber_leaves_are_counted() {
    crate::run(async {
        let (topics, lost) = with_log(Options::new());
        let (one, two) = (Client::on(&topics, "a"), Client::on(&topics, "a"));
        one.set_full(true);
        for _ in 0..3 {
            topics.publish("a", Bytes::from_owner(Panicking));
        }
        settle().await;
        assert_eq!(two.take(), ["panics"; 3]);
        one.feed.end();
        settle().await;
        let counts = topics.counts("a");
        assert_eq!((counts.delivered, counts.dropped), (3, 3));
        drop((one, two));
        settle().await;
        let expected = ["a: 3 lost (subscriber left) by 127.0.0.1:7"];
        assert_eq!(*lost.lock().unwrap(), expected);
    });
}

#[test]
fn a_message_whose_memory_panics_does_no_harm_to_others() {
    crate::run(async {
        let topics = Topics::new();
        let client = Client::on(&topics, "a");
        for _ in 0..2 {
            topics.publish("a", Bytes::from_owner(Panicking));
            settle().await;
        }
        topics.publish("a", "after");
        settle().await;
        assert_eq!(client.take(), ["panics", "panics", "after"]);
    });
}

#[test]
fn messages_that_wait_when_their_runtime_ends_are_counted() {
    let (topics, lost) = with_log(Options::new());
    let runtime = Runtime::new().unwrap();
    let left = runtime.block_on(async {
        let clients = [(); 2].map(|()| Client::on(&topics, "a"));
        clients[0].set_full(true);
        topics.publish("a", "1");
        settle().await;
        clients
    });
    // They stay on their way.
    for _ in 0..3 {
        topics.publish("a", Bytes::from_owner(Panicking));
    }
    drop(runtime);
    assert_eq!(topics.total_counts().dropped, 6, "for two subscribers");
    drop(left);
    let total = topics.total_counts();
    assert_eq!((total.delivered, total.dropped), (1, 7));
    drop(topics);
    // No turn told it, and nothing waits for one.
    assert_eq!(
        Arc::into_inner(lost)
            .map(Mutex::into_inner)
            .unwrap()
            .unwrap(),
        [""; 0]
    );
}

#[test]
fn a_message_counts_with_the_name_of_its_event() {
    let len = |message: Message| {
        let settings = Arc::clone(Options::new().settings());
        let id = EventId {
            epoch: 0,
            number: 1,
        };
        Published::new(1, id, message, settings).len()
    };
    let named = Message::text("12345").with_event(&"n".repeat(1000));
    assert_eq!(len(named), len(Message::text("12345")) + 1000);
}

#[test]
fn subscribers_outlive_the_topics() {
    crate::run(async {
        let topics = Topics::new();
        let client = Client::new();
        drop(client.subscribe(&topics, "a"));
        topics.publish("a", "1");
        drop(topics);
        settle().await;
        assert_eq!(client.take(), ["1"]);
        client.feed.end();
        settle().await;
    });
}

#[test]
fn a_crowd_is_served_in_parts_and_other_tasks_have_their_turn() {
    crate::run(async {
        let topics = Topics::new();
        let clients: Vec<_> = (0..1000).map(|_| Client::on(&topics, "a")).collect();
        for number in 0..200 {
            topics.publish("a", number.to_string());
        }
        let mut turns = 0;
        while topics.counts("a").delivered < 200_000 {
            yield_now().await;
            turns += 1;
        }
        assert!(turns >= 4 * 4, "{turns}");
        for client in clients {
            assert_eq!(client.take().len(), 200);
            assert_eq!(client.send_count.get(), 4, "64 messages leave together");
        }
    });
}
