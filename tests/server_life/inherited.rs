//! Sockets of a parent process that are used without a server.

use std::{
    env, fs,
    io::{self, Read as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        linux::net::SocketAddrExt as _,
        unix::{
            fs::symlink,
            net::{SocketAddr, UnixListener, UnixStream},
        },
    },
    path::Path,
    process::{self, Command},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use annulus::net::{InheritedKind, InheritedSocket, inherited_sockets, spawn_with_sockets};

use crate::support::BOUND;

const CHILD: &str = "HTTP_LIFE_INHERITED_SOCKETS";

/// The three sockets that a child gets, in this order.
struct Sockets {
    tcp: TcpListener,
    unix: UnixListener,
    udp: UdpSocket,
}

impl Sockets {
    fn new(test: &str) -> Self {
        let name = format!("annulus-{test}-{}", process::id());
        let name = SocketAddr::from_abstract_name(name).unwrap();
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            unix: UnixListener::bind_addr(&name).unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
        }
    }

    /// This test once more, in a process that has the sockets. A shell knows the number of the
    /// process that it becomes.
    fn start(&self, test: &str, variables: &str) -> process::Child {
        let script = format!(
            "{variables} LISTEN_PID=$$ exec \"$0\" \"$@\" \
             3<&0 4<&1 5<&2 </dev/null >/dev/null 2>/dev/null"
        );
        Command::new("sh")
            .args(["-c", &script])
            .arg(env::current_exe().unwrap())
            .args([&format!("inherited::{test}"), "--exact", "--nocapture"])
            .env(CHILD, "1")
            .stdin(OwnedFd::from(self.tcp.try_clone().unwrap()))
            .stdout(OwnedFd::from(self.unix.try_clone().unwrap()))
            .stderr(OwnedFd::from(self.udp.try_clone().unwrap()))
            .spawn()
            .unwrap()
    }
}

/// Whether the socket goes on to processes that this one starts.
fn goes_on(socket: &InheritedSocket) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", socket.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = i32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
    flags & libc::O_CLOEXEC == 0
}

async fn answer_each(sockets: Vec<InheritedSocket>) -> io::Result<()> {
    let [tcp, unix, udp] = <[_; 3]>::try_from(sockets).unwrap();
    let (tcp, unix) = (tcp.into_tcp_listener()?, unix.into_unix_listener()?);
    let udp = udp.into_udp_socket()?;
    tcp.accept().await?.0.write_all("tcp").await?;
    unix.accept().await?.0.write_all("unix").await?;
    let (_, from) = udp.recv_from().await?;
    udp.send_to("udp", from).await?;
    Ok(())
}

fn use_each() {
    let sockets = inherited_sockets().unwrap();
    let names: Vec<_> = sockets.iter().map(InheritedSocket::name).collect();
    assert_eq!(names, [Some("web"), Some(""), Some("dns")]);
    let kinds: Vec<_> = sockets.iter().map(InheritedSocket::kind).collect();
    let expected = [
        InheritedKind::TcpListener,
        InheritedKind::UnixListener,
        InheritedKind::UdpSocket,
    ];
    assert_eq!(kinds, expected);
    assert!(!sockets.iter().any(goes_on));
    assert!(inherited_sockets().unwrap().is_empty(), "they were taken");
    annulus::run(answer_each(sockets)).unwrap();
}

#[test]
fn listeners_and_udp_sockets_are_inherited_with_their_names() {
    if env::var_os(CHILD).is_some() {
        return use_each();
    }
    let test = "listeners_and_udp_sockets_are_inherited_with_their_names";
    let sockets = Sockets::new("inherited");
    let mut child = sockets.start(test, "LISTEN_FDS=3 LISTEN_FDNAMES=web::dns");
    let mut text = String::new();
    let mut tcp = TcpStream::connect(sockets.tcp.local_addr().unwrap()).unwrap();
    tcp.set_read_timeout(Some(BOUND)).unwrap();
    tcp.read_to_string(&mut text).unwrap();
    let mut unix = UnixStream::connect_addr(&sockets.unix.local_addr().unwrap()).unwrap();
    unix.set_read_timeout(Some(BOUND)).unwrap();
    unix.read_to_string(&mut text).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(BOUND)).unwrap();
    udp.connect(sockets.udp.local_addr().unwrap()).unwrap();
    udp.send(b"?").unwrap();
    let mut bytes = [0; 16];
    let count = udp.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"udp");
    assert_eq!(text, "tcpunix");
    assert!(child.wait().unwrap().success());
}

/// Runs `check` in a child that has the sockets and these variables.
fn in_child(test: &str, variables: &str, check: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        return check();
    }
    let mut child = Sockets::new(test).start(test, variables);
    assert!(child.wait().unwrap().success(), "the child's check failed");
}

#[test]
fn a_socket_of_another_kind_is_refused() {
    let test = "a_socket_of_another_kind_is_refused";
    in_child(test, "LISTEN_FDS=3", || {
        let sockets = inherited_sockets().unwrap();
        assert_eq!(sockets[0].name(), None);
        let [tcp, unix, udp] = <[_; 3]>::try_from(sockets).unwrap();
        let texts = annulus::run(async {
            [
                tcp.into_unix_listener().unwrap_err(),
                unix.into_udp_socket().unwrap_err(),
                udp.into_tcp_listener().unwrap_err(),
            ]
        });
        assert!(
            texts
                .iter()
                .all(|error| error.kind() == io::ErrorKind::InvalidInput)
        );
        assert_eq!(
            texts[0].to_string(),
            "expected a Unix socket that listens to be handed over, found a TCP socket that \
             listens (descriptor 3)"
        );
    });
}

#[test]
fn a_server_refuses_an_inherited_socket_that_does_not_listen() {
    let test = "a_server_refuses_an_inherited_socket_that_does_not_listen";
    in_child(test, "LISTEN_FDS=3", || {
        let server = annulus::http::Server::new().listen_inherited();
        let error = server.run(async |_| "never").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("found a UDP socket"), "{error}");
    });
}

#[test]
fn names_that_do_not_fit_are_an_error() {
    let test = "names_that_do_not_fit_are_an_error";
    in_child(test, "LISTEN_FDS=3 LISTEN_FDNAMES=a:b", || {
        let error = inherited_sockets().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            error.to_string(),
            "expected 3 names in LISTEN_FDNAMES, as many as LISTEN_FDS says, found 2"
        );
    });
}

#[test]
fn a_descriptor_that_is_not_there_is_an_error() {
    let test = "a_descriptor_that_is_not_there_is_an_error";
    in_child(test, "LISTEN_FDS=4", || {
        let error = inherited_sockets().unwrap_err().to_string();
        assert!(error.contains("of LISTEN_FDS=4 cannot be used"), "{error}");
    });
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    if env::var_os(CHILD).is_some() {
        assert!(inherited_sockets().unwrap().is_empty());
        return;
    }
    let status = Command::new(env::current_exe().unwrap())
        .args([
            "inherited::sockets_for_another_process_are_not_taken",
            "--exact",
        ])
        .envs([(CHILD, "1"), ("LISTEN_FDS", "1"), ("LISTEN_PID", "1")])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_program_that_cannot_be_started_is_an_error() {
    let sockets = Sockets::new("absent");
    for program in ["annulus-no-such-program", "/proc/nothing/program"] {
        let named = [("tcp", &sockets.tcp); 5];
        let error = spawn_with_sockets(Command::new(program), named).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{program}: {error}");
    }
    let error = spawn_with_sockets(Command::new("true"), [("a:b", &sockets.udp)]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
}

/// std tells of a failed exec by a pipe, whose number may be one of those that the program gets.
#[test]
fn a_program_that_cannot_be_started_is_an_error_while_descriptors_come_and_go() {
    let sockets = Sockets::new("churn");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let held: Vec<_> = (0..24).map(|_| sockets.tcp.try_clone()).collect();
                drop(held);
            }
        });
        let kinds: Vec<_> = (0..20)
            .map(|_| {
                let command = Command::new("/proc/nothing/program");
                let started = spawn_with_sockets(command, [("tcp", &sockets.tcp); 60]);
                started.map(drop).map_err(|error| error.kind())
            })
            .collect();
        is_done.store(true, Ordering::Relaxed);
        assert_eq!(kinds, [Err(io::ErrorKind::NotFound); 20]);
    });
}

/// A plain name is that of a program in `PATH`, and never that of a file in the working directory.
#[test]
fn a_program_is_looked_for_as_the_shell_does() {
    let folder = env::temp_dir().join(format!("annulus-programs-{}", process::id()));
    let named = folder.join("annulus-named");
    fs::create_dir_all(&named).unwrap();
    symlink("/bin/sh", folder.join("annulus-program")).unwrap();
    let start = |path: &[&Path]| {
        let mut command = Command::new("annulus-program");
        command
            .args(["-c", "exit 3"])
            .current_dir(&folder)
            .env("PATH", env::join_paths(path).unwrap());
        spawn_with_sockets(
            command,
            [("tcp", TcpListener::bind("127.0.0.1:0").unwrap())],
        )
    };
    let absent = Path::new("/nothing");
    let error = start(&[absent]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("in a folder of PATH"), "{error}");
    // A file that cannot be executed is passed over.
    let first = named.join("annulus-program");
    fs::write(&first, "").unwrap();
    let status = |path: &[&Path]| start(path).unwrap().wait().unwrap().code();
    assert_eq!(status(&[absent, &named, &folder]), Some(3));
    // This program does not know the arguments.
    fs::remove_file(&first).unwrap();
    symlink(env::current_exe().unwrap(), &first).unwrap();
    assert_ne!(status(&[absent, &named, &folder]), Some(3));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_program_gets_the_sockets_in_order_and_the_variables_of_its_command() {
    let sockets = Sockets::new("handed");
    let script = "test $LISTEN_PID = $$ && test $LISTEN_FDS = 2 && test $LISTEN_FDNAMES = udp:tcp \
                  && test $GREETING = hello && test -z \"$HOME\" \
                  && test -S /dev/fd/3 && test -S /dev/fd/4 && ! test -e /dev/fd/5";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .env("GREETING", "hello")
        .env_remove("HOME");
    let handed = [("udp", sockets.udp.as_fd()), ("tcp", sockets.tcp.as_fd())];
    let mut child = spawn_with_sockets(command, handed).unwrap();
    assert!(child.wait().unwrap().success());
}
