//! Options and addresses of a stream.

use std::{io, os::fd::AsRawFd as _, time::Duration};

use crate::support::{pair, recv_exact, run};

#[test]
fn nodelay_is_on_and_can_be_changed() {
    run(async {
        let (near, far) = pair().await;
        assert!(near.nodelay().unwrap() && far.nodelay().unwrap());
        near.set_nodelay(false).unwrap();
        assert!(!near.nodelay().unwrap());
        near.set_nodelay(true).unwrap();
        assert!(near.nodelay().unwrap());
    });
}

#[test]
fn keepalive_takes_whole_seconds_and_can_be_taken_back() {
    run(async {
        let (near, far) = pair().await;
        for idle in [
            Some(Duration::from_millis(1)),
            Some(Duration::from_secs(60)),
            None,
        ] {
            near.set_keepalive(idle).unwrap();
        }
        // The kernel takes at most 32767 seconds.
        let error = near.set_keepalive(Some(Duration::MAX)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        near.write_all("alive").await.unwrap();
        assert_eq!(recv_exact(&far, 5).await, b"alive");
    });
}

#[test]
fn linger_decides_how_a_connection_ends() {
    run(async {
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        far.set_linger(None).unwrap();
        drop(far);
        assert!(near.recv().await.unwrap().is_empty());
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let error = near.recv().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn the_addresses_are_each_others() {
    run(async {
        let (near, far) = pair().await;
        assert_eq!(near.local_addr().unwrap(), far.peer_addr().unwrap());
        assert_eq!(near.peer_addr().unwrap(), far.local_addr().unwrap());
        assert!(near.as_raw_fd() >= 0);
        assert!(format!("{near:?}").contains("TcpStream"));
    });
}

#[test]
fn a_connection_that_is_gone_has_no_peer() {
    run(async {
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        near.closed().await.unwrap();
        let error = near.peer_addr().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        near.local_addr().unwrap();
    });
}
