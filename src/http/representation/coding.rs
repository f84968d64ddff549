//! Content codings, and which of them a client accepts.

use crate::http::{
    HeaderValue,
    h1::{Fields, trim},
};

/// A content coding: a form of compression that a client can ask for (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// `br`, in files that end in `.br`.
    Brotli,
    /// `zstd`, in files that end in `.zst`.
    Zstd,
    /// `gzip`, in files that end in `.gz`.
    Gzip,
}

impl Coding {
    /// All of them, the one that makes text smallest first.
    pub(crate) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The end of the name of a file in this coding, without a dot.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }

    pub(crate) fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

/// A weight in thousandths; 0 is a refusal.
type Weight = u16;

/// The codings that a client accepts, by its `Accept-Encoding` (RFC 9110, section 12.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// In the order of [`Coding::ALL`].
    weights: [Weight; Coding::ALL.len()],
    identity: Weight,
}

impl Accepted {
    /// Reads the field. A client without it gets no coding. An element that is malformed is
    /// ignored.
    pub(crate) fn by(fields: &Fields) -> Self {
        let mut named = [None; Coding::ALL.len()];
        let (mut identity, mut others) = (None, None);
        for element in fields.elements("accept-encoding") {
            let Some((name, weight)) = weighted(element) else {
                continue;
            };
            let place = match name {
                b"*" => Some(&mut others),
                name if name.eq_ignore_ascii_case(b"identity") => Some(&mut identity),
                name => {
                    let name = name.strip_prefix(b"x-").unwrap_or(name);
                    let is = |coding: &Coding| name.eq_ignore_ascii_case(coding.name().as_bytes());
                    let index = Coding::ALL.iter().position(is);
                    index.map(|index| &mut named[index])
                }
            };
            if let Some(place) = place {
                *place = Some(weight);
            }
        }
        Self {
            weights: named.map(|weight: Option<Weight>| weight.or(others).unwrap_or(0)),
            // The least of what is accepted, unless the client gives it a weight.
            identity: identity
                .or(others.filter(|&weight| weight == 0))
                .unwrap_or(1),
        }
    }

    /// Whether the client wants nothing that is not compressed.
    #[cfg_attr(
        not(any(feature = "compress", test)),
        expect(dead_code, reason = "compressed answers ask")
    )]
    pub(crate) fn refuses_identity(&self) -> bool {
        self.identity == 0
    }

    fn weight(&self, coding: Coding) -> Weight {
        let index = Coding::ALL.iter().position(|&known| known == coding);
        index.map_or(0, |index| self.weights[index])
    }

    /// Those of `offered` that the client likes at least as well as no coding, the best first. Of
    /// two with the same weight the one that is offered first comes first.
    pub(crate) fn best_of(&self, offered: &[Coding]) -> impl Iterator<Item = Coding> + use<> {
        let mut liked: Vec<(Weight, Coding)> = offered
            .iter()
            .map(|&coding| (self.weight(coding), coding))
            .filter(|&(weight, _)| weight > 0 && weight >= self.identity)
            .collect();
        liked.sort_by_key(|&(weight, _)| std::cmp::Reverse(weight));
        liked.into_iter().map(|(_, coding)| coding)
    }
}

/// A name and its weight, which is 1 unless it is given (RFC 9110, section 12.4.2).
fn weighted(element: &[u8]) -> Option<(&[u8], Weight)> {
    let mut parts = element.split(|&byte| byte == b';');
    let name = trim(parts.next()?);
    let mut weight = 1000;
    for parameter in parts.map(trim) {
        if let [b'q' | b'Q', b'=', value @ ..] = parameter {
            weight = thousandths(value)?;
        }
    }
    Some((name, weight))
}

fn thousandths(text: &[u8]) -> Option<Weight> {
    let (&whole, rest) = text.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut weight: Weight = match whole {
        b'0' => 0,
        b'1' => 1,
        _ => return None,
    };
    for place in 0..3 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        weight = weight * 10 + char::from(digit).to_digit(10)? as Weight;
    }
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::{RequestHead, Rules};

    fn accepted(lines: &str) -> Accepted {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut head = RequestHead::new();
        let read = head.read(text.as_bytes(), &Rules::default());
        assert!(matches!(read, Ok(Some(_))), "{text}");
        Accepted::by(head.fields())
    }

    fn best(lines: &str, offered: &[Coding]) -> Vec<&'static str> {
        let best = accepted(lines).best_of(offered);
        best.map(Coding::name).collect()
    }

    #[test]
    fn a_weight_of_zero_refuses_plain_answers() {
        for (value, refuses) in [
            ("", false),
            ("gzip", false),
            ("gzip;q=0", false),
            ("identity;q=0", true),
            ("IDENTITY; q=0.000", true),
            ("identity;q=0.001", false),
            ("*;q=0", true),
            ("*;q=0.1", false),
            ("gzip, *;q=0", true),
            ("identity, *;q=0", false),
            ("*, identity;q=0", true),
        ] {
            let line = format!("Accept-Encoding: {value}\r\n");
            assert_eq!(accepted(&line).refuses_identity(), refuses, "{value}");
        }
        assert!(!accepted("").refuses_identity());
    }

    #[test]
    fn codings_are_chosen_by_weight_and_then_by_the_order_of_the_server() {
        for (value, expected) in [
            ("", vec![]),
            ("gzip", vec!["gzip"]),
            ("GZIP", vec!["gzip"]),
            ("x-gzip", vec!["gzip"]),
            ("gzip, deflate, br, zstd", vec!["br", "zstd", "gzip"]),
            ("gzip;q=1.0, br;q=0.5", vec!["gzip", "br"]),
            ("gzip;q=0.001", vec!["gzip"]),
            ("gzip;q=0", vec![]),
            ("gzip;q=0.000, br", vec!["br"]),
            ("br;q=0.8 , gzip ; q=0.9", vec!["gzip", "br"]),
            ("*", vec!["br", "zstd", "gzip"]),
            ("*;q=0", vec![]),
            ("br;q=0, *", vec!["zstd", "gzip"]),
            ("gzip, *;q=0", vec!["gzip"]),
            ("identity", vec![]),
            ("identity, gzip;q=0.5", vec![]),
            ("identity;q=0.5, gzip;q=0.5", vec!["gzip"]),
            ("identity;q=0.5, gzip;q=0.4, br;q=0.6", vec!["br"]),
            ("identity;q=0, gzip", vec!["gzip"]),
            ("deflate, compress", vec![]),
            // Malformed elements are ignored.
            ("gzip;q=2, br", vec!["br"]),
            ("gzip;q=0.1234, br", vec!["br"]),
            ("gzip;q=, br", vec!["br"]),
            ("gzip;q=-1, br;q=x", vec![]),
            ("gzip;q=1.001, br", vec!["br"]),
            ("gzipped, abr", vec![]),
            ("gzip;level=9", vec!["gzip"]),
        ] {
            let line = format!("Accept-Encoding: {value}\r\n");
            assert_eq!(best(&line, &Coding::ALL), expected, "{value}");
        }
        assert_eq!(best("", &Coding::ALL), [""; 0]);
        let lines = "Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n";
        assert_eq!(best(lines, &Coding::ALL), ["br", "gzip"]);
        assert_eq!(best(lines, &[Coding::Gzip, Coding::Brotli]), ["gzip", "br"]);
        assert_eq!(best(lines, &[Coding::Zstd]), [""; 0]);
    }
}
