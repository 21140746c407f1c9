//! The footer of a Parquet file, read by the rules of Thrift's compact protocol and nothing else, as a program sees it
//! that knows no newer version of the format.

use std::{collections::BTreeMap, fs, path::Path};

/// A value of the compact protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Thrift {
    Flag(bool),
    Number(i64),
    Double(f64),
    Bytes(Vec<u8>),
    List(Vec<Thrift>),
    /// Fields by their ids.
    Struct(BTreeMap<i64, Thrift>),
}

/// `FileMetaData` of a file.
pub fn footer(path: &Path) -> Thrift {
    let file = fs::read(path).unwrap();
    let (rest, magic) = file.split_at(file.len() - 4);
    assert_eq!(magic, b"PAR1", "{}", path.display());
    let (rest, length) = rest.split_at(rest.len() - 4);
    let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
    let mut reader = Reader { rest: &rest[rest.len() - length..] };
    let metadata = reader.fields();
    assert!(reader.rest.is_empty(), "{}: {} bytes are left", path.display(), reader.rest.len());
    metadata
}

impl Thrift {
    /// A field of a struct.
    pub fn field(&self, id: i64) -> Option<&Thrift> {
        let Self::Struct(fields) = self else { panic!("no struct: {self:?}") };
        fields.get(&id)
    }

    /// The elements of a list that is a field.
    pub fn list(&self, id: i64) -> &[Thrift] {
        match self.field(id) {
            Some(Self::List(list)) => list,
            other => panic!("field {id} is no list: {other:?}"),
        }
    }

    pub fn number(&self) -> i64 {
        let Self::Number(number) = self else { panic!("no number: {self:?}") };
        *number
    }

    /// The ids of the present fields.
    pub fn ids(&self) -> Vec<i64> {
        let Self::Struct(fields) = self else { panic!("no struct: {self:?}") };
        fields.keys().copied().collect()
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().unwrap();
        self.rest = rest;
        *first
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    fn zigzag(&mut self) -> i64 {
        let value = self.varint();
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken.to_vec()
    }

    fn fields(&mut self) -> Thrift {
        let (mut fields, mut last) = (BTreeMap::new(), 0);
        loop {
            let head = self.byte();
            if head == 0 {
                return Thrift::Struct(fields);
            }
            last = if head >> 4 == 0 { self.zigzag() } else { last + i64::from(head >> 4) };
            // The value of a flag is in its head.
            let value = match head & 0xf {
                1 => Thrift::Flag(true),
                2 => Thrift::Flag(false),
                kind => self.value(kind),
            };
            assert!(fields.insert(last, value).is_none(), "field {last} is there twice");
        }
    }

    fn value(&mut self, kind: u8) -> Thrift {
        match kind {
            1 | 2 => Thrift::Flag(self.byte() == 1),
            3 => Thrift::Number(i64::from(self.byte().cast_signed())),
            4..=6 => Thrift::Number(self.zigzag()),
            7 => Thrift::Double(f64::from_le_bytes(self.take(8).try_into().unwrap())),
            8 => {
                let length = self.varint();
                Thrift::Bytes(self.take(usize::try_from(length).unwrap()))
            }
            9 | 10 => {
                let head = self.byte();
                let count = if head >> 4 == 15 { self.varint() } else { u64::from(head >> 4) };
                Thrift::List((0..count).map(|_| self.value(head & 0xf)).collect())
            }
            12 => self.fields(),
            other => panic!("a value of kind {other}"),
        }
    }
}
