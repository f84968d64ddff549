//! Subscribers that have no room, and those whose sends fail.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{
    super::{FeedHandle, Options, Outlet, Piece, Published, Slow, Topics},
    Client, settle, with_log,
};
use crate::time;

/// Publishes 1 to 6 while the client takes nothing after the first, and then lets it take.
async fn blocked(topics: &Topics) -> (Vec<String>, bool) {
    let client = Client::on(topics, "a");
    client.set_full(true);
    for number in 1..=6 {
        topics.publish("a", format!("{number:0900}"));
        settle().await;
    }
    client.set_full(false);
    settle().await;
    let taken = client.take();
    let last = taken.iter().map(|text| text[899..].to_owned());
    (last.collect(), client.is_closed.get())
}

#[test]
fn a_slow_subscriber_is_served_by_the_rule_of_the_topic() {
    crate::run(async {
        // Room for three messages.
        let options = || Options::new().pending_bytes_max(3 * 1300);
        let check = async |slow, expected: &[&str], is_closed, log: &[&str]| {
            let (topics, lost) = with_log(options().slow(slow));
            let (taken, closed) = blocked(&topics).await;
            assert_eq!(taken, expected, "{slow:?}");
            assert_eq!(closed, is_closed, "{slow:?}");
            let lost = lost.lock().unwrap().join(", ");
            assert_eq!(lost, log.join(", "), "{slow:?}");
            let counts = topics.total_counts();
            assert_eq!(counts.delivered, expected.len() as u64);
            assert_eq!(
                counts.delivered + counts.dropped,
                6 - u64::from(is_closed) * 2
            );
            assert_eq!(counts.closed, u64::from(is_closed));
        };
        let full = "a: 1 lost (no room) by 127.0.0.1:7";
        let replaced = "a: 1 lost (replaced) by 127.0.0.1:7";
        check(Slow::DropNew, &["1", "2", "3"], false, &[full; 3]).await;
        check(Slow::DropOldest, &["4", "5", "6"], false, &[full; 3]).await;
        check(Slow::LastValue, &["6"], false, &[replaced; 5]).await;
        let closed = "a: 4 lost (connection ended) by 127.0.0.1:7";
        // The last two are published after it has left.
        check(Slow::Close, &[], true, &[closed]).await;
    });
}

#[test]
fn the_rule_of_one_topic_leaves_the_messages_of_others() {
    crate::run(async {
        let topics = Topics::with_options(Options::new().pending_bytes_max(3 * 1300));
        topics.configure("price", Options::new().slow(Slow::LastValue));
        let client = Client::on(&topics, "chat");
        client.subscribe(&topics, "price");
        client.set_full(true);
        for number in 1..=2 {
            topics.publish("price", format!("p{number}"));
            topics.publish("chat", format!("c{number}"));
            settle().await;
        }
        client.set_full(false);
        assert_eq!(
            client.take(),
            ["c1", "p2", "c2"],
            "at once, by its own call"
        );
        assert_eq!(topics.counts("price").dropped, 1);
        assert_eq!(topics.counts("chat").delivered, 2);
    });
}

#[test]
fn a_slow_subscriber_that_leaves_and_comes_again_has_one_last_value() {
    crate::run(async {
        for history in [0, 1] {
            let last = Options::new().slow(Slow::LastValue).history(history);
            let topics = Topics::with_options(last);
            let client = Client::new();
            let mut subscription = client.subscribe(&topics, "price");
            client.set_full(true);
            for number in 1..=20 {
                topics.publish("price", number.to_string());
                settle().await;
                subscription.unsubscribe();
                subscription = client.subscribe(&topics, "price");
                assert_eq!(client.feed_len(), 1, "history {history}");
            }
            client.set_full(false);
            assert_eq!(client.take(), ["20"]);
        }
    });
}

#[test]
fn a_hook_is_told_once_a_turn_of_each_subscriber_topic_and_reason() {
    crate::run(async {
        let (topics, lost) = with_log(Options::new().slow(Slow::DropNew).pending_bytes_max(1));
        let clients = [0; 3].map(|_| Client::on(&topics, "a"));
        for client in &clients {
            client.subscribe(&topics, "b");
            client.set_full(true);
        }
        topics.publish("a", "it waits");
        settle().await;
        for _ in 0..20 {
            topics.publish("a", "1");
            topics.publish("b", "2");
        }
        settle().await;
        let mut lost = lost.lock().unwrap().clone();
        lost.sort();
        let of = |topic| format!("{topic}: 20 lost (no room) by 127.0.0.1:7");
        assert_eq!(lost, ["a", "a", "a", "b", "b", "b"].map(of));
        assert_eq!(topics.total_counts().dropped, 120);
    });
}

#[test]
fn messages_that_wait_too_long_are_dropped_or_end_the_connection() {
    crate::run(async {
        time::pause();
        let age = Duration::from_secs(3);
        for (slow, expected) in [(Slow::DropNew, &["2"][..]), (Slow::LastValue, &["2"])] {
            let (topics, lost) = with_log(Options::new().slow(slow).pending_age_max(age));
            let client = Client::on(&topics, "a");
            client.set_full(true);
            topics.publish("a", "1");
            time::sleep(Duration::from_millis(2500)).await;
            topics.publish("a", "2");
            time::sleep(Duration::from_millis(2000)).await;
            assert!(client.look_count.get() >= 4);
            client.set_full(false);
            settle().await;
            assert_eq!(client.take(), expected, "{slow:?}");
            assert_eq!(lost.lock().unwrap().len(), 1);
        }
        let (topics, lost) = with_log(Options::new().pending_age_max(age));
        let (client, other) = (Client::on(&topics, "a"), Client::on(&topics, "a"));
        client.set_full(true);
        topics.publish("a", "1");
        time::sleep(age * 2).await;
        assert!(client.is_closed.get() && !other.is_closed.get());
        assert_eq!(topics.subscribers("a"), 1);
        assert_eq!(
            *lost.lock().unwrap(),
            ["a: 1 lost (connection ended) by 127.0.0.1:7"]
        );
        assert_eq!(topics.counts("a").closed, 1);
    });
}

#[test]
fn a_slow_link_gets_a_history_that_exceeds_the_limits() {
    crate::run(async {
        time::pause();
        let options = Options::new().history(10).pending_bytes_max(6000);
        let (topics, lost) = with_log(options.pending_age_max(Duration::from_secs(3)));
        // Each is sent alone.
        for number in 0..10 {
            topics.publish("a", format!("{number:05000}"));
        }
        let client = Client::new();
        client.room_for.set(Some(0));
        client.subscribe(&topics, "a");
        for number in 0..10 {
            time::sleep(Duration::from_secs(2)).await;
            topics.publish("a", format!("late {number}"));
            settle().await;
            client.room_for.set(Some(1));
            client.set_full(false);
            assert_eq!(client.take(), [format!("{number:05000}")]);
        }
        assert!(!client.is_closed.get(), "{:?}", lost.lock().unwrap());
        // The messages that were published meanwhile have the whole time from then on.
        time::sleep(Duration::from_secs(2)).await;
        client.room_for.set(None);
        client.set_full(false);
        assert_eq!(client.take().len(), 10);
        assert_eq!(topics.counts("a").dropped, 0);
    });
}

#[test]
fn a_client_that_takes_nothing_of_a_history_is_ended() {
    crate::run(async {
        time::pause();
        let age = Duration::from_secs(3);
        let by_age = Options::new().history(10).pending_age_max(age);
        let by_bytes = Options::new().history(10).pending_bytes_max(6000);
        for (options, is_by_age) in [(by_age, true), (by_bytes, false)] {
            let (topics, _) = with_log(options);
            topics.publish("a", "x".repeat(10_000));
            let client = Client::new();
            client.room_for.set(Some(0));
            client.subscribe(&topics, "a");
            settle().await;
            if is_by_age {
                time::sleep(age * 2).await;
            } else {
                topics.publish("a", "x".repeat(5000));
                settle().await;
                assert!(!client.is_closed.get());
                topics.publish("a", "x".repeat(5000));
                settle().await;
            }
            assert!(client.is_closed.get(), "by age: {is_by_age}");
        }
    });
}

#[test]
fn a_slow_client_that_leaves_and_comes_again_has_one_history() {
    crate::run(async {
        let options = Options::new().history(10).pending_bytes_max(60_000);
        let topics = Topics::with_options(options);
        for _ in 0..10 {
            topics.publish("a", "x".repeat(5000));
        }
        let client = Client::new();
        client.room_for.set(Some(0));
        let mut longest = 0;
        for _ in 0..10 {
            let subscription = client.subscribe(&topics, "a");
            settle().await;
            longest = longest.max(client.feed_len());
            subscription.unsubscribe();
        }
        assert!(client.is_closed.get());
        // One history, and as many messages again as may wait.
        assert!(longest <= 10 + 12, "{longest}");
    });
}

/// A kibibyte that is counted while it is in memory.
struct Counted(Arc<AtomicUsize>, [u8; 1024]);

impl Counted {
    fn bytes(alive: &Arc<AtomicUsize>) -> Bytes {
        alive.fetch_add(1, Relaxed);
        Bytes::from_owner(Self(Arc::clone(alive), [b'x'; 1024]))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[test]
fn one_reader_that_stops_holds_no_more_messages_than_its_limit() {
    const COUNT: usize = 10_000;
    const PENDING_BYTES_MAX: usize = 64 * 1024;
    crate::run(async {
        time::pause();
        // The bytes of a message, and its fields.
        let held_max = PENDING_BYTES_MAX / 1200;
        let cases = [
            (Slow::Close, held_max, 0),
            (Slow::DropNew, held_max, held_max / 2),
            (Slow::DropOldest, held_max, held_max / 2),
            (Slow::LastValue, 1, 1),
        ];
        for (slow, held_max, left_min) in cases {
            let alive = Arc::new(AtomicUsize::new(0));
            let options = Options::new().slow(slow);
            let topics = Topics::with_options(options.pending_bytes_max(PENDING_BYTES_MAX));
            let readers = [(); 20].map(|()| Client::on(&topics, "a"));
            let stopped = Client::on(&topics, "a");
            stopped.set_full(true);
            let (mut most, mut taken) = (0, 0);
            for _ in 0..COUNT / 100 {
                for _ in 0..100 {
                    topics.publish("a", Counted::bytes(&alive));
                }
                settle().await;
                most = most.max(alive.load(Relaxed));
                for reader in &readers {
                    taken += reader.take().len();
                }
            }
            assert_eq!(taken, readers.len() * COUNT, "{slow:?}");
            assert!(most <= held_max, "{slow:?}: {most} messages were held");
            assert_eq!(stopped.is_closed.get(), slow == Slow::Close);
            let left = alive.load(Relaxed);
            assert!(left >= left_min, "{slow:?}: {left} are left");
            drop((stopped, readers));
            settle().await;
            assert_eq!(alive.load(Relaxed), 0, "{slow:?}");
            let counts = topics.total_counts();
            let unsent = if slow == Slow::Close {
                // The reader had left when the rest was published.
                assert_eq!(counts.closed, 1);
                counts.dropped
            } else {
                COUNT as u64
            };
            assert_eq!(counts.delivered, 20 * COUNT as u64);
            assert_eq!(counts.dropped, unsent, "{slow:?}");
        }
    });
}

#[test]
fn every_message_of_a_subscriber_that_is_ended_is_counted() {
    crate::run(async {
        time::pause();
        let (topics, lost) = with_log(Options::new().pending_age_max(Duration::from_millis(100)));
        topics.configure("b", Options::new().slow(Slow::DropNew));
        let client = Client::on(&topics, "a");
        client.subscribe(&topics, "b");
        client.set_full(true);
        topics.publish("a", "1");
        settle().await;
        // It waits too long, and the message of another rule comes before the next look.
        time::sleep(Duration::from_millis(200)).await;
        topics.publish("b", "2");
        topics.publish("a", "3");
        settle().await;
        assert!(client.is_closed.get());
        let counts = topics.total_counts();
        assert_eq!((counts.published, counts.dropped, counts.closed), (3, 3, 1));
        let expected = ["a: 2 lost (connection ended) by 127.0.0.1:7"];
        assert_eq!(*lost.lock().unwrap(), expected);
    });
}

/// A connection whose first send panics.
struct Panicking(Cell<bool>);

impl Outlet for Panicking {
    fn has_room(&self) -> bool {
        true
    }

    fn form<'a>(&self, published: &'a Published) -> &'a Bytes {
        published.event.get_or_init(|| Bytes::from_static(b"event"))
    }

    fn send(&self, _piece: Piece<'_>) {
        if !self.0.replace(true) {
            panic!("planned: a send");
        }
    }

    fn close_slow(&self) {}

    fn look(&self) {}

    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }
}

#[test]
fn a_send_that_panics_leaves_nothing_for_the_next_subscriber() {
    crate::run(async {
        let topics = Topics::new();
        let panicking = Rc::new(Panicking(Cell::new(false)));
        let feed = FeedHandle::default();
        feed.subscribe(&topics, "a", None, || {
            let outlet: Weak<Panicking> = Rc::downgrade(&panicking);
            outlet as Weak<dyn Outlet>
        });
        let client = Client::on(&topics, "a");
        topics.publish("a", "1");
        settle().await;
        assert_eq!(client.take(), ["1"]);
        assert_eq!(topics.counts("a").delivered, 2);
    });
}
