//! Sockets of ZeroMQ, on both drivers. Its descriptors tell each change once.

use std::{pin::pin, process::Command, rc::Rc, thread, time::Duration};

use annulus::{
    DriverKind, Runtime,
    future::{Either, join, race},
    spawn,
    task::yield_now,
    time,
};
use ecosystem::zeromq::Socket;
use zmq::{Context, DEALER, DONTWAIT, REP, REQ, SUB, SocketType, XPUB};

const COUNT: u32 = 10_000;

/// Runs a test on each driver.
fn run_each(test: impl AsyncFn()) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        let guarded = async { time::timeout(Duration::from_secs(100), test()).await };
        let ended = runtime.block_on(guarded);
        ended.expect("the test does not hang");
    }
}

/// Two sockets that are connected by TCP, and keep up to `messages_max` messages in each queue; all
/// of them for 0.
fn pair(
    context: &Context,
    bound: SocketType,
    connected: SocketType,
    messages_max: i32,
) -> (Socket, Socket) {
    let new = |kind| {
        let socket = context.socket(kind).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_rcvhwm(messages_max).unwrap();
        socket.set_sndhwm(messages_max).unwrap();
        socket
    };
    let (bound, connected) = (new(bound), new(connected));
    bound.bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = bound.get_last_endpoint().unwrap().unwrap();
    if connected.get_socket_type() == Ok(SUB) {
        connected.set_subscribe(b"").unwrap();
    }
    connected.connect(&endpoint).unwrap();
    (Socket::new(bound).unwrap(), Socket::new(connected).unwrap())
}

fn number(message: &[u8]) -> u32 {
    u32::from_be_bytes(message.try_into().unwrap())
}

#[test]
fn each_request_has_its_reply() {
    run_each(async || {
        let (replying, asking) = pair(&Context::new(), REP, REQ, 1000);
        let service = spawn(async move {
            for _ in 0..1000 {
                let request = replying.recv().await.unwrap();
                replying.send(&*request).await.unwrap();
            }
            // A socket of this kind answers what it was asked, and sends nothing else.
            let error = replying.send("unasked").await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "Operation cannot be accomplished in current state"
            );
        });
        for count in 0..1000_u32 {
            asking.send(count.to_be_bytes()).await.unwrap();
            assert_eq!(number(&asking.recv().await.unwrap()), count);
        }
        service.await.unwrap();
    });
}

/// Waits are given up again and again: before the first message of a burst, and in the middle.
#[test]
fn a_subscriber_gets_each_message_of_bursts_although_waits_are_dropped() {
    run_each(async || {
        let (telling, hearing) = pair(&Context::new(), XPUB, SUB, 0);
        assert_eq!(*telling.recv().await.unwrap(), [1], "it subscribes");
        let publishing = async {
            let mut count = 0;
            while count < COUNT {
                let end = COUNT.min(count + count % 977 + 1);
                while count < end {
                    telling.send(count.to_be_bytes()).await.unwrap();
                    count += 1;
                }
                time::sleep(Duration::from_micros(u64::from(count % 500))).await;
            }
        };
        let receiving = async {
            let mut dropped = 0;
            for count in 0..COUNT {
                let message = loop {
                    let limit = Duration::from_micros(u64::from(count % 7) * 50);
                    match time::timeout(limit, hearing.recv()).await {
                        Ok(message) => break message.unwrap(),
                        Err(_) => dropped += 1,
                    }
                };
                assert_eq!(number(&message), count);
            }
            dropped
        };
        let (dropped, ()) = join(receiving, publishing).await;
        assert!(dropped > 0, "no wait was dropped");
    });
}

/// Each end has a task that sends and one that receives, so that the calls of one take what was
/// told for the other. Short queues make the senders wait, too.
#[test]
fn two_tasks_of_a_socket_lose_no_wake() {
    run_each(async || {
        let (near, far) = pair(&Context::new(), DEALER, DEALER, 3);
        let both_ways = async |socket: Socket| {
            let socket = Rc::new(socket);
            let sender = Rc::clone(&socket);
            let sending = spawn(async move {
                for count in 0..COUNT {
                    sender.send(count.to_be_bytes()).await.unwrap();
                    if count % 5 == 0 {
                        yield_now().await;
                    }
                }
            });
            for count in 0..COUNT {
                assert_eq!(number(&socket.recv().await.unwrap()), count);
            }
            sending.await.unwrap();
            socket
        };
        // They stay until both are done.
        let _both = join(both_ways(near), both_ways(far)).await;
    });
}

/// The call of another task takes what was told, and the descriptor is not readable any more.
#[test]
fn a_call_of_another_task_wakes_one_that_waits() {
    run_each(async || {
        let (near, far) = pair(&Context::new(), DEALER, DEALER, 10);
        for round in 0..100_u32 {
            let waiting = pin!(near.recv());
            let calling = async {
                far.send(round.to_be_bytes()).await.unwrap();
                // The state is asked for until it has the message, and no other task runs.
                while !near
                    .now(|socket| socket.get_events())
                    .unwrap()
                    .contains(zmq::POLLIN)
                {
                    thread::yield_now();
                }
            };
            let (message, ()) = join(waiting, calling).await;
            assert_eq!(number(&message.unwrap()), round);
        }
    });
}

#[test]
fn a_message_of_several_parts_is_received_as_one() {
    run_each(async || {
        let (near, far) = pair(&Context::new(), DEALER, DEALER, 10);
        // The end that connects has a queue from the start.
        let sent = far.now(|socket| socket.send_multipart(["a", "", "c"], DONTWAIT));
        sent.unwrap();
        let parts = near.recv_multipart().await.unwrap();
        assert_eq!(parts, [&b"a"[..], b"", b"c"]);
    });
}

#[test]
fn a_context_that_is_terminated_ends_the_waits() {
    run_each(async || {
        let context = Context::new();
        let (near, far) = pair(&context, DEALER, DEALER, 10);
        let waited = race(pin!(far.recv()), yield_now()).await;
        assert!(matches!(waited, Either::Right(())));
        // It waits until the sockets are dropped.
        let mut ending = context.clone();
        let thread = thread::spawn(move || ending.destroy());
        let error = near.recv().await.unwrap_err();
        assert_eq!(error.to_string(), "Context was terminated");
        let error = far.send("late").await.unwrap_err();
        assert_eq!(error.to_string(), "Context was terminated");
        drop((near, far));
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn the_program_asks_and_hears() {
    for driver in ["ring", "poll"] {
        let output = Command::new(env!("CARGO_BIN_EXE_zeromq"))
            .env("ANNULUS_DRIVER", driver)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            told,
            "1 squared is 1\n2 squared is 4\n3 squared is 9\n\
             told: the service has answered 3 questions\n"
        );
    }
}
