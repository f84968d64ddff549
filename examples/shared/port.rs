//! The arguments of an example that serves: at most a port.

/// The port in the only argument, or `default` without one.
pub(crate) fn argument(program: &str, default: u16) -> u16 {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(default), |port| port.parse());
    let (Ok(port), None) = (port, arguments.next()) else {
        crate::plain::usage(format_args!("{program} [PORT]"));
    };
    port
}
