//! A child process that is handed descriptors, as systemd does it (sd_listen_fds(3)).

use std::{
    env,
    ffi::{CString, OsStr, OsString},
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::{
            ffi::OsStrExt as _, fs::PermissionsExt as _, net::UnixStream, process::CommandExt as _,
        },
    },
    path::Path,
    process::{Child, Command},
    ptr,
};

use super::{as_result, inherited::FIRST};

/// The room for the digits of a process number and the zero at the end.
const PID_ROOM: usize = 12;

/// The folders of programs where the environment names none (execvp(3)).
const PATH_BY_DEFAULT: &str = "/bin:/usr/bin";

/// The status of a child that could not become its program, as the shell has it.
const NOT_STARTED: i32 = 127;

/// Starts `command` with copies of `fds` from descriptor 3 on, named `names`.
///
/// std's own way to tell of a failed exec is a pipe, whose number may be that of a place: the child
/// overwrites it then. So the child tells by a descriptor above the places.
pub(crate) fn spawn_with_descriptors(
    mut command: Command,
    fds: &[BorrowedFd<'_>],
    names: &str,
) -> io::Result<Child> {
    let count = i32::try_from(fds.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let end = FIRST + count;
    // Copies above the places, so that no place is overwritten before it was copied.
    let sources: io::Result<Vec<OwnedFd>> = fds
        .iter()
        .map(|fd| copy_from(fd.as_raw_fd(), end))
        .collect();
    let sources = sources?;
    let numbers: Vec<i32> = sources.iter().map(|fd| fd.as_raw_fd()).collect();
    let (mut told, other) = UnixStream::pair()?;
    let tell = copy_from(other.as_raw_fd(), end)?;
    drop(other);
    let mut image = Image::new(&command, count, names)?;
    let become_program = move || {
        let placed = (FIRST..).zip(&numbers).try_for_each(|(place, &number)| {
            // The new one is not closed by exec. SAFETY: the call takes no address.
            as_result(unsafe { libc::dup2(number, place) }).map(drop)
        });
        let error = placed.err().unwrap_or_else(|| image.exec());
        let errno = error.raw_os_error().unwrap_or(0).to_ne_bytes();
        // SAFETY: the bytes live through the call.
        unsafe { libc::write(tell.as_raw_fd(), errno.as_ptr().cast(), errno.len()) };
        // SAFETY: the call takes no address and does not come back.
        unsafe { libc::_exit(NOT_STARTED) }
    };
    // SAFETY: the closure makes system calls that may be made between fork and exec, and it does
    // not allocate.
    unsafe { command.pre_exec(become_program) };
    let spawned = command.spawn();
    // With it goes this process's own copy of `tell`: the last one is closed by exec.
    drop(command);
    let mut child = spawned?;
    let mut errno = [0; size_of::<i32>()];
    match told.read_exact(&mut errno) {
        Err(_) => Ok(child),
        Ok(()) => {
            child.wait()?;
            Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
        }
    }
}

/// A copy of `fd` with the lowest free number from `least` on, which exec closes.
fn copy_from(fd: i32, least: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no address.
    let copy = as_result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The arguments of an exec, made before the fork. std's own exec has the variables of before it,
/// and only the child knows its number.
struct Image {
    path: CString,
    /// The texts that the pointers below point to.
    _texts: Vec<CString>,
    arguments: Vec<*const libc::c_char>,
    /// `LISTEN_PID=` and room for the digits.
    pid: Vec<u8>,
    variables: Vec<*const libc::c_char>,
}

// SAFETY: the pointers point to texts that the image owns and that no code moves or changes, except
// for `pid` in the child, which has one thread.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    fn new(command: &Command, count: i32, names: &str) -> io::Result<Self> {
        let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
        let program = command.get_program();
        let mut texts = Vec::new();
        for argument in std::iter::once(program).chain(command.get_args()) {
            texts.push(text(argument)?);
        }
        let argument_count = texts.len();
        for variable in variables(command, count, names) {
            texts.push(text(&variable)?);
        }
        let pointers: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
        let (arguments, variables) = pointers.split_at(argument_count);
        let mut pid = b"LISTEN_PID=".to_vec();
        pid.resize(pid.len() + PID_ROOM, 0);
        let mut variables = variables.to_vec();
        // The first is set when the number is known.
        variables.extend([ptr::null(); 2]);
        Ok(Self {
            path: text(&find(command)?)?,
            arguments: arguments.iter().copied().chain([ptr::null()]).collect(),
            _texts: texts,
            pid,
            variables,
        })
    }

    /// Becomes the program, and returns only an error.
    fn exec(&mut self) -> io::Error {
        let mut divisor = 1;
        let pid = std::process::id();
        while pid / divisor >= 10 {
            divisor *= 10;
        }
        // Without zeros before them: some would read an octal number.
        let start = self.pid.len() - PID_ROOM;
        for digit in &mut self.pid[start..] {
            if divisor == 0 {
                break;
            }
            *digit = b'0' + (pid / divisor % 10) as u8;
            divisor /= 10;
        }
        let place = self.variables.len() - 2;
        self.variables[place] = self.pid.as_ptr().cast();
        // SAFETY: the path and the lists are texts that end with a zero, and end with null.
        unsafe {
            libc::execve(
                self.path.as_ptr(),
                self.arguments.as_ptr(),
                self.variables.as_ptr(),
            )
        };
        io::Error::last_os_error()
    }
}

/// The variables of the child without its number.
fn variables(command: &Command, count: i32, names: &str) -> Vec<OsString> {
    let mut all: Vec<(OsString, OsString)> = env::vars_os().collect();
    for (name, value) in command.get_envs() {
        all.retain(|(known, _)| known != name);
        if let Some(value) = value {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    // They hold for this process alone. Without `WATCHDOG_PID` the limit of the watchdog
    // is the child's, too.
    let ours = [
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "WATCHDOG_PID",
    ];
    all.retain(|(name, _)| !ours.iter().any(|ours| name == ours));
    all.push(("LISTEN_FDS".into(), count.to_string().into()));
    all.push(("LISTEN_FDNAMES".into(), names.into()));
    let join = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        name
    };
    all.into_iter().map(join).collect()
}

/// The file of a program. A plain name is looked for in the folders of the child's `PATH`, as
/// execvp(3) does.
///
/// # Errors
///
/// When no folder has it. A file of that name in the working directory is not meant.
fn find(command: &Command) -> io::Result<OsString> {
    let program = command.get_program();
    if program.as_bytes().contains(&b'/') {
        return Ok(program.to_owned());
    }
    let changed = command.get_envs().find(|(name, _)| *name == "PATH");
    let path = match changed {
        Some((_, path)) => path.map(OsStr::to_owned),
        None => env::var_os("PATH"),
    };
    let path = path.unwrap_or_else(|| PATH_BY_DEFAULT.into());
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    let found = files.find(|file| is_executable(file)).ok_or_else(|| {
        let text = format!("expected the program {program:?} in a folder of PATH, found none");
        io::Error::new(io::ErrorKind::NotFound, text)
    })?;
    Ok(found.into())
}

fn is_executable(file: &Path) -> bool {
    let metadata = file.metadata();
    metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
