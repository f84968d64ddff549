//! Small pieces that both encoders write.

/// Appends `number` in decimal digits.
#[inline]
pub(super) fn write_number(out: &mut Vec<u8>, number: u64) {
    // Most are small.
    if number < 10 {
        out.push(b'0' + number as u8);
    } else if number < 100 {
        let (tens, ones) = (number as u8 / 10, number as u8 % 10);
        out.extend_from_slice(&[b'0' + tens, b'0' + ones]);
    } else {
        write_large_number(out, number);
    }
}

fn write_large_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a `Content-Length` field line.
#[inline]
pub(super) fn write_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    write_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Appends a field line. The caller vouches for both parts.
#[inline]
pub(super) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
