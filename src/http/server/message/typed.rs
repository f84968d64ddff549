//! Queries, forms and parameters of paths as types of serde's.

mod values;

use std::{borrow::Cow, collections::HashMap, fmt};

use ::serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor,
    value::BorrowedStrDeserializer,
};

use super::{form::Form, request::Request};
use crate::http::{
    StatusCode,
    error::{Error, Result},
    error_kind::ErrorKind,
};
use values::Values;

/// Queries, forms and parameters of paths as types of the crate `serde`.
///
/// A struct has a field for each name. A number, a `bool` (`true` or `false`), a `char`, text, and
/// an enum without data are read from the text of one value. An `Option` is none without the name,
/// and a `Vec` has the values of a name that comes several times, or of none with
/// `#[serde(default)]`. Another name is ignored unless the type has
/// `#[serde(deny_unknown_fields)]`. Where a name comes twice and the field is no `Vec`, it is an
/// error.
impl Request {
    /// Reads the query as a `T`.
    ///
    /// Feature: `json`.
    ///
    /// # Errors
    ///
    /// 400 when it is no `T`. The error names the parameter.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{self, Request};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Search {
    ///     q: String,
    ///     page: Option<u32>,
    ///     #[serde(default)]
    ///     tag: Vec<String>,
    /// }
    ///
    /// /// Answers `/?q=tea&tag=hot&tag=cold`.
    /// async fn search(request: Request) -> http::Result<String> {
    ///     let search: Search = request.query_as()?;
    ///     let page = search.page.unwrap_or(1);
    ///     Ok(format!("{} tagged {:?}, page {page}", search.q, search.tag))
    /// }
    /// # let _ = search;
    /// ```
    pub fn query_as<T: DeserializeOwned>(&self) -> Result<T> {
        read(self.query_pairs())
    }

    /// Reads the parameters of the path as a `T`: a struct, or a tuple or single value in the order
    /// of the path.
    ///
    /// Feature: `json`.
    ///
    /// # Errors
    ///
    /// 400 when they are no `T`, or no UTF-8 once they are decoded. The error names the parameter.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{self, Request, Router};
    ///
    /// async fn post(request: Request) -> http::Result<String> {
    ///     let (user, post): (String, u64) = request.params_as()?;
    ///     Ok(format!("post {post} of {user}"))
    /// }
    ///
    /// let router = Router::new().get("/users/{user}/posts/{post}", post);
    /// ```
    pub fn params_as<T: DeserializeOwned>(&self) -> Result<T> {
        let names = self.params().borrow().names.clone();
        let names = names.as_deref().map_or(&[][..], Vec::as_slice);
        let mut pairs = Vec::with_capacity(names.len());
        for name in names {
            pairs.push((Cow::Borrowed(name.as_str()), self.param_str(name)?));
        }
        read(pairs.into_iter())
    }

    /// Reads the body as a form, and that as a `T`. The server's limit on bodies bounds it.
    ///
    /// Feature: `json`.
    ///
    /// # Errors
    ///
    /// 400 when it is no `T`, where the error names the field, and those of [`form`](Self::form).
    ///
    /// # Cancel safety
    ///
    /// The bytes collected so far are lost when the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{self, Request};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     count: u32,
    ///     topping: Vec<String>,
    /// }
    ///
    /// async fn order(mut request: Request) -> http::Result<String> {
    ///     let order: Order = request.form_as().await?;
    ///     Ok(format!("{} with {}", order.count, order.topping.join(", ")))
    /// }
    /// # let _ = order;
    /// ```
    pub async fn form_as<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.form().await?.read()
    }
}

impl Form {
    /// Reads the form as a `T`; [`Request::form_as`] has an example.
    ///
    /// Feature: `json`.
    ///
    /// # Errors
    ///
    /// 400 when it is no `T`. The error names the field.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        read(self.pairs())
    }
}

/// A name, and its values in order.
type Group<'a> = (Cow<'a, str>, Vec<Cow<'a, str>>);

fn read<'a, T: DeserializeOwned>(
    pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<T> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut places = HashMap::new();
    for (name, value) in pairs {
        let place = *places.entry(name.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    T::deserialize(Groups { groups: &groups }).map_err(|wrong| {
        let reason = wrong.to_string();
        Error::other(StatusCode::BAD_REQUEST, ErrorKind::Param, reason)
    })
}

/// The reason why pairs are no `T`.
#[derive(Debug)]
struct Wrong {
    name: Option<String>,
    reason: String,
}

impl Wrong {
    /// The same, about the parameter `name`.
    fn of(self, name: &str) -> Self {
        Self {
            name: self.name.or_else(|| Some(name.to_owned())),
            ..self
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "the parameter `{name}`: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self {
            name: None,
            reason: message.to_string(),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom("expected a value, found none").of(field)
    }
}

/// All pairs, in groups of one name.
struct Groups<'de> {
    groups: &'de [Group<'de>],
}

impl<'de> Groups<'de> {
    fn fields(&self) -> Fields<'de> {
        Fields {
            left: self.groups.iter(),
            values: None,
        }
    }

    /// The only value, for a `T` that is one.
    fn only(&self) -> Result<Values<'de>, Wrong> {
        match self.groups {
            [group] => Ok(Values::new(group)),
            groups => {
                let count = groups.len();
                let reason = format!("expected one parameter, found {count}");
                Err(de::Error::custom(reason))
            }
        }
    }
}

/// Reads a `T` that is no struct from the only value.
macro_rules! as_only_value {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.only()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Groups<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(self.fields())
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.groups {
            [] => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Wrong> {
        if self.groups.len() != len {
            let count = self.groups.len();
            let reason = format!("expected {len} parameters, found {count}");
            return Err(de::Error::custom(reason));
        }
        visitor.visit_seq(values::Several::new(self.groups.iter().map(Values::new)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    as_only_value! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string
    }

    ::serde::forward_to_deserialize_any! {
        bytes byte_buf unit_struct seq map struct identifier ignored_any
    }
}

/// The names and values, as a struct or a map reads them.
struct Fields<'de> {
    left: std::slice::Iter<'de, Group<'de>>,
    /// The values of the name that was read.
    values: Option<Values<'de>>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some(group) = self.left.next() else {
            return Ok(None);
        };
        self.values = Some(Values::new(group));
        seed.deserialize(BorrowedStrDeserializer::new(&group.0))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let values = self.values.take().expect("its name was read");
        let name = values.name;
        seed.deserialize(values).map_err(|wrong| wrong.of(name))
    }
}
