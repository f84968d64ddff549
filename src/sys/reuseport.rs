//! The program that deals the connections of several listening sockets out by processor.

use std::{io, mem};

/// Where the kernel has a processor's number and a random one (`SKF_AD_OFF` and what is added to
/// it, bpf(4) of Linux's `filter.h`).
const CPU: u32 = 0xffff_f000 + 36;
const RANDOM: u32 = 0xffff_f000 + 56;

/// A jump's offset has eight bits, and two instructions are needed for each socket.
const SOCKETS_PER_CORE_MAX: usize = 100;
/// The most that the kernel takes (`BPF_MAXINSNS`).
const INSTRUCTIONS_MAX: usize = 4096;

/// Has the kernel give each new connection to the socket whose processor it arrives on
/// (`SO_ATTACH_REUSEPORT_CBPF`, Linux 4.6). The sockets share an address by `SO_REUSEPORT`, `fd` is
/// one of them, and `cores` has their processors in the order in which they began to listen.
/// Sockets of one processor are chosen at random, as are those of a processor that has none.
pub(crate) fn deal_by_core(fd: i32, cores: &[usize]) -> io::Result<()> {
    let mut program = program(cores);
    let len = u16::try_from(program.len()).ok();
    let len = len.filter(|&len| usize::from(len) <= INSTRUCTIONS_MAX);
    let filter = libc::sock_fprog {
        len: len.ok_or_else(|| io::Error::from_raw_os_error(libc::E2BIG))?,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel reads the structure and the instructions during the call.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const filter).cast(),
            mem::size_of_val(&filter) as libc::socklen_t,
        )
    };
    super::as_result(result).map(drop)
}

/// The program. It returns the number of a socket.
fn program(cores: &[usize]) -> Vec<libc::sock_filter> {
    let mut program = vec![load(CPU)];
    for (first, &core) in cores.iter().enumerate() {
        if cores[..first].contains(&core) {
            continue;
        }
        let sockets = cores
            .iter()
            .enumerate()
            .filter(|&(_, &other)| other == core);
        let sockets: Vec<usize> = sockets.map(|(socket, _)| socket).collect();
        let choice = choice(&sockets[..sockets.len().min(SOCKETS_PER_CORE_MAX)]);
        program.push(jump_unless(core, choice.len()));
        program.extend(choice);
    }
    program.extend([load(RANDOM), remainder(cores.len()), RETURN_ACCUMULATOR]);
    program
}

/// Returns one of `sockets` at random.
fn choice(sockets: &[usize]) -> Vec<libc::sock_filter> {
    let mut choice = Vec::new();
    if let [_, _, ..] = sockets {
        choice.extend([load(RANDOM), remainder(sockets.len())]);
        for (number, &socket) in sockets.iter().enumerate().skip(1) {
            choice.extend([jump_unless(number, 1), give(socket)]);
        }
    }
    choice.push(give(sockets[0]));
    choice
}

const RETURN_ACCUMULATOR: libc::sock_filter = instruction(libc::BPF_RET | 0x10, 0, 0);

const fn instruction(code: u32, jump_false: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jump_false,
        k,
    }
}

fn load(place: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, place)
}

fn remainder(count: usize) -> libc::sock_filter {
    instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, 0, count as u32)
}

/// Passes over `count` instructions unless the accumulator has `value`.
fn jump_unless(value: usize, count: usize) -> libc::sock_filter {
    let count = u8::try_from(count).expect("a choice is shorter");
    instruction(
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        count,
        value as u32,
    )
}

fn give(socket: usize) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, socket as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel does, with a processor and random numbers.
    fn run(program: &[libc::sock_filter], core: u32, random: u32) -> u32 {
        let (mut accumulator, mut next) = (0, 0);
        loop {
            let at = &program[next];
            next += 1;
            match u32::from(at.code) {
                0x20 if at.k == CPU => accumulator = core,
                0x20 if at.k == RANDOM => accumulator = random,
                0x94 => accumulator %= at.k,
                0x15 if accumulator == at.k => next += usize::from(at.jt),
                0x15 => next += usize::from(at.jf),
                0x06 => return at.k,
                0x16 => return accumulator,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn each_processor_has_its_sockets() {
        let program = program(&[0, 1, 4, 0, 1, 0]);
        for random in 0..6 {
            let of = |core| run(&program, core, random);
            assert_eq!(of(0), [0, 3, 5][random as usize % 3]);
            assert_eq!(of(1), [1, 4][random as usize % 2]);
            assert_eq!(of(4), 2);
            assert_eq!(of(7), random);
        }
    }

    #[test]
    fn many_workers_fit() {
        let many: Vec<usize> = (0..1024).collect();
        assert_eq!(run(&program(&many), 1000, 0), 1000);
        assert!(program(&many).len() <= INSTRUCTIONS_MAX);
        let on_one = vec![3; 1000];
        assert_eq!(run(&program(&on_one), 3, 99), 99);
        assert_eq!(run(&program(&on_one), 3, 100), 0);
    }
}
