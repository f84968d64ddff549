//! Frames on the screen, or one after the other where there is none.

use std::io::{self, Write as _};

use annulus::{
    future::{Either, race},
    net::UnixStream,
    signal, time,
};

/// Shows a frame after each pause. Its rates are those of the pause.
pub(crate) async fn show(
    stream: &UnixStream,
    arguments: &crate::arguments::Arguments,
    is_drawn: bool,
) -> crate::plain::Result {
    // Each of them ends the view, so that the terminal is as it was.
    let mut stop = std::pin::pin!(race(signal::ctrl_c(), signal::terminate()));
    let mut before = look(stream).await?;
    loop {
        if let Either::Left(stopped) = race(stop.as_mut(), time::sleep(arguments.pause)).await {
            return Ok(stopped.into_inner()?);
        }
        let now = look(stream).await?;
        let frame = crate::frame::frame(&arguments.path, &before, &now);
        if is_drawn {
            // Each line is cleared behind its text, and the rest of the screen in the end.
            let lines = frame.replace('\n', "\x1b[K\r\n");
            write(&format!("\x1b[H{lines}\x1b[J"))?;
        } else {
            crate::plain::say(frame.trim_end());
        }
        if arguments.is_once {
            return Ok(());
        }
        before = now;
    }
}

pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

async fn look(stream: &UnixStream) -> io::Result<crate::metrics::Metrics> {
    let page = crate::ask::ask(stream, "metrics").await?;
    Ok(crate::metrics::Metrics::parse(&page))
}
