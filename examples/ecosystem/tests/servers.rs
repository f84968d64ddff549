//! The servers that tests of databases start.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use ecosystem::{postgres_server::PostgresServer, redis_server::RedisServer};

#[test]
fn a_cluster_keeps_its_data_over_a_restart() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let _ = server.sql("CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')");
    server.stop();
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
    server.resume();
    assert_eq!(server.sql("SELECT text FROM notes"), "kept");
}

#[test]
fn redis_listens_on_a_port_and_on_a_unix_socket() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let mut near = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    near.write_all(b"SET key 1\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(near).read_line(&mut line).unwrap();
    assert_eq!(line, "+OK\r\n");
    let mut near = UnixStream::connect(server.socket()).unwrap();
    near.write_all(b"INCR key\r\n").unwrap();
    line.clear();
    BufReader::new(near).read_line(&mut line).unwrap();
    assert_eq!(line, ":2\r\n");
}
