//! The values of one name.

use std::{any::type_name, borrow::Cow, str::FromStr};

use ::serde::de::{
    self, DeserializeSeed, Deserializer, SeqAccess, Visitor, value::BorrowedStrDeserializer,
};

use super::{Group, Wrong};

/// The values of the parameter `name`.
#[derive(Clone, Copy)]
pub(super) struct Values<'de> {
    pub(super) name: &'de str,
    values: &'de [Cow<'de, str>],
}

impl<'de> Values<'de> {
    pub(super) fn new((name, values): &'de Group<'de>) -> Self {
        Self { name, values }
    }

    /// The text of the value, which is one.
    fn text(self) -> Result<&'de str, Wrong> {
        match self.values {
            [value] => Ok(value),
            values => {
                let reason = format!("expected one value, found {}", values.len());
                let wrong: Wrong = de::Error::custom(reason);
                Err(wrong.of(self.name))
            }
        }
    }

    fn parse<T: FromStr>(self) -> Result<T, Wrong> {
        let text = self.text()?;
        text.parse().map_err(|_| {
            let reason = format!("expected `{}`, found {text:?}", type_name::<T>());
            let wrong: Wrong = de::Error::custom(reason);
            wrong.of(self.name)
        })
    }
}

/// Reads each by `FromStr`.
macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            visitor.$visit(self.parse()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Values<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let name = self.name;
        let each = self.values.chunks(1);
        visitor.visit_seq(Several::new(each.map(|values| Values { name, values })))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let text = BorrowedStrDeserializer::<Wrong>::new(self.text()?);
        text.deserialize_enum(name, variants, visitor)
            .map_err(|wrong| wrong.of(self.name))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    parsed! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
        deserialize_f32 visit_f32
        deserialize_f64 visit_f64
        deserialize_char visit_char
    }

    ::serde::forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct tuple_struct map struct identifier
    }
}

/// Several values in a row.
pub(super) struct Several<I> {
    left: I,
}

impl<I> Several<I> {
    pub(super) fn new(left: I) -> Self {
        Self { left }
    }
}

impl<'de, I: Iterator<Item = Values<'de>>> SeqAccess<'de> for Several<I> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let Some(values) = self.left.next() else {
            return Ok(None);
        };
        let element = seed.deserialize(values);
        element.map(Some).map_err(|wrong| wrong.of(values.name))
    }
}
