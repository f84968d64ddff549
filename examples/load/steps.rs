//! The sizes that a histogram tells apart.

/// The step that a size belongs to.
pub(crate) fn step(micros: u64) -> usize {
    if micros < 8 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let eighth = (micros >> (power - 3)) as usize & 7;
    ((power - 2) * 8 + eighth).min(255)
}

/// The size that a step stays below.
pub(crate) fn end_of(step: usize) -> u64 {
    if step < 8 {
        return step as u64 + 1;
    }
    (9 + step as u64 % 8) << (step / 8 - 1)
}
