//! The HTTP client's requests, dropped at any moment of theirs.

use annulus::{
    http::{Client, client::Url},
    net::{TcpListener, TcpStream},
    spawn,
    task::JoinSet,
};

use super::{
    census::{Census, alone, runtime, soon},
    live_memory::{Growth, rounds},
    moment::{impatient, turns},
};
use crate::support::random::Random;

/// Requests in each round, and how many of them at once.
const REQUESTS: usize = 150;
const AT_ONCE: usize = 60;
/// A response to be received in one piece, in some, and in many.
const BODY_BYTES: [usize; 3] = [13, 20_000, 100_000];

/// Answers `GET /N` with so many bytes, until the client leaves.
async fn answer(stream: TcpStream) {
    let mut request = Vec::new();
    loop {
        let Ok(bytes) = stream.recv().await else {
            return;
        };
        if bytes.is_empty() {
            return;
        }
        request.extend_from_slice(&bytes);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
        let target = text.split(' ').nth(1).unwrap();
        let len: usize = target.trim_start_matches('/').parse().unwrap();
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + len, b'x');
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Visits a page, and is dropped at its `polls_max`-th poll at the latest.
async fn visit(client: Client, url: Url, len: usize, polls_max: u32) -> bool {
    let whole = async {
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap().len(), len);
    };
    impatient(whole, polls_max).await.is_some()
}

#[test]
fn requests_dropped_at_random_leave_no_connection_and_no_memory() {
    alone(|| {
        runtime(64).block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let server = spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    drop(spawn(answer(stream)));
                }
            });
            let urls = BODY_BYTES.map(|len| Url::parse(&format!("http://{addr}/{len}")).unwrap());
            let client = Client::builder()
                .connections_per_host_max(AT_ONCE / 2)
                .build();
            let mut random = Random::new(4);
            let (mut done, mut dropped) = (0, 0);
            let mut count = |is_done| {
                *(if is_done { &mut done } else { &mut dropped }) += 1;
            };
            let mut growth = Growth::default();
            // The server's accept is in flight all the time.
            turns(3).await;
            let census = Census::take();
            for round in 0..rounds() {
                let mut tasks = JoinSet::new();
                for _ in 0..REQUESTS {
                    if tasks.len() == AT_ONCE {
                        let next = soon("a request hangs", tasks.join_next()).await;
                        count(next.unwrap().unwrap());
                    }
                    let index = random.below(urls.len());
                    let polls_max = 1 + random.len(40) as u32;
                    let visit = visit(
                        client.clone(),
                        urls[index].clone(),
                        BODY_BYTES[index],
                        polls_max,
                    );
                    tasks.spawn(visit);
                }
                while let Some(next) = soon("a request hangs", tasks.join_next()).await {
                    count(next.unwrap());
                }
                // Requests that were not dropped gave their connections back to the pool, which has
                // no other users.
                let state = client.pool_state();
                assert_eq!((state.busy(), state.waiting()), (0, 0), "{state:?}");
                client.close_idle();
                census.settled(&format!("round {round}")).await;
                growth.note(round);
            }
            // How far the pool's recycled messages and buffers have grown differs by a few
            // kilobytes from round to round; a dropped request that leaves something behind does so
            // twenty times or more.
            growth.check_for(16);
            assert_eq!(done + dropped, rounds() * REQUESTS);
            assert!(
                done > REQUESTS && dropped > REQUESTS,
                "{done} and {dropped}"
            );
            server.abort();
        });
    });
}
