//! The paths without parameters.

/// Paths without parameters, with the indices of their routes. Most requests have one, which is
/// found by a comparison or two.
#[derive(Default)]
pub(super) struct Literals {
    /// By the length of the path, and sorted in there.
    by_len: Vec<Vec<(Box<str>, usize)>>,
}

impl Literals {
    /// Adds `pattern` unless it has parameters. One with braces for themselves stays out, too: the
    /// tree finds it.
    pub(super) fn add(&mut self, pattern: &str, index: usize) {
        if pattern.contains(['{', '}']) {
            return;
        }
        let len = pattern.len();
        if self.by_len.len() <= len {
            self.by_len.resize_with(len + 1, Vec::new);
        }
        let paths = &mut self.by_len[len];
        let place = paths.partition_point(|(path, _)| **path < *pattern);
        paths.insert(place, (pattern.into(), index));
    }

    /// The index of the route with this path.
    #[inline]
    pub(super) fn find(&self, path: &[u8]) -> Option<usize> {
        let paths = self.by_len.get(path.len())?;
        match &paths[..] {
            [] => None,
            [(only, index)] => (only.as_bytes() == path).then_some(*index),
            paths => {
                let place = paths
                    .binary_search_by(|(known, _)| known.as_bytes().cmp(path))
                    .ok()?;
                Some(paths[place].1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Literals;

    #[test]
    fn paths_without_parameters_are_found_by_all_of_their_bytes() {
        let mut literals = Literals::default();
        let paths = [
            "/", "/b", "/a", "/abc", "/c", "/abd", "/{a}", "/{{a}}", "/}}",
        ];
        for (index, path) in paths.into_iter().enumerate() {
            literals.add(path, index);
        }
        for (path, expected) in [
            ("/", Some(0)),
            ("/a", Some(2)),
            ("/b", Some(1)),
            ("/c", Some(4)),
            ("/abc", Some(3)),
            ("/abd", Some(5)),
            ("/d", None),
            ("/ab", None),
            ("/abe", None),
            ("/{a}", None),
            ("/{{a}}", None),
            ("/}}", None),
            ("", None),
            ("/longer-than-all", None),
        ] {
            assert_eq!(literals.find(path.as_bytes()), expected, "{path}");
        }
    }
}
