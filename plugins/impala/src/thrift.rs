//! Thrift's binary protocol, as far as HiveServer2 speaks it. Own, because columns of texts must come
//! without an allocation for each value, and messages without a limit of 16 MB.

use longshore_sdk::{Error, Result};

use crate::fault;
use crate::wire::Wire;

/// The longest text or handle, and the most elements of a list that one message may hold.
const LENGTH_LIMIT: i32 = 256 << 20;

/// How deep structs and lists may nest.
const DEPTH_LIMIT: u32 = 32;

const VERSION: u32 = 0x8001_0000;
const CALL: u32 = 1;
const EXCEPTION: u32 = 3;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stop,
    Bool,
    Byte,
    Double,
    I16,
    I32,
    I64,
    Text,
    Struct,
    Map,
    List,
}

impl Kind {
    fn of(code: u8) -> Result<Self> {
        Ok(match code {
            0 => Self::Stop,
            2 => Self::Bool,
            3 => Self::Byte,
            4 => Self::Double,
            6 => Self::I16,
            8 => Self::I32,
            10 => Self::I64,
            11 => Self::Text,
            12 => Self::Struct,
            13 => Self::Map,
            14 | 15 => Self::List,
            other => return Err(fault::protocol(format!("type {other} is not known"))),
        })
    }
}

/// Writes one message.
pub struct Writer(Vec<u8>);

impl Writer {
    /// A call of a method, whose one argument is the struct that `request` writes.
    pub fn call(method: &str, request: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut writer = Self(Vec::new());
        writer.0.extend((VERSION | CALL).to_be_bytes());
        writer.bytes(method.as_bytes());
        // Calls are answered in their order: nothing needs a number.
        writer.0.extend(0_i32.to_be_bytes());
        writer.structure(1, request);
        writer.0.push(0);
        writer.0
    }

    pub fn structure(&mut self, id: i16, fields: impl FnOnce(&mut Self)) {
        self.field(12, id);
        fields(self);
        self.0.push(0);
    }

    /// A struct as it once came.
    pub fn handle(&mut self, id: i16, handle: &[u8]) {
        self.field(12, id);
        self.0.extend_from_slice(handle);
    }

    pub fn boolean(&mut self, id: i16, value: bool) {
        self.field(2, id);
        self.0.push(value.into());
    }

    pub fn i32(&mut self, id: i16, value: i32) {
        self.field(8, id);
        self.0.extend(value.to_be_bytes());
    }

    pub fn i64(&mut self, id: i16, value: i64) {
        self.field(10, id);
        self.0.extend(value.to_be_bytes());
    }

    pub fn text(&mut self, id: i16, value: &str) {
        self.field(11, id);
        self.bytes(value.as_bytes());
    }

    pub fn map<'a>(&mut self, id: i16, entries: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
        self.field(13, id);
        self.0.extend([11, 11]);
        self.0.extend((entries.len() as i32).to_be_bytes());
        for (key, value) in entries {
            self.bytes(key.as_bytes());
            self.bytes(value.as_bytes());
        }
    }

    fn field(&mut self, kind: u8, id: i16) {
        self.0.push(kind);
        self.0.extend(id.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend((bytes.len() as i32).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }
}

/// Reads one message as it arrives.
pub struct Reader<'a> {
    wire: &'a mut Wire,
    /// What was read of a struct that is to be given back as it is.
    copied: Option<Vec<u8>>,
    depth: u32,
}

impl<'a> Reader<'a> {
    /// The answer to a call: `answer` reads the struct that the method gives.
    pub fn answer<T>(wire: &'a mut Wire, answer: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut reader = Self { wire, copied: None, depth: 0 };
        let head = reader.u32()?;
        if head & 0xffff_0000 != VERSION {
            return Err(fault::protocol("this is not a HiveServer2 answer".into())
                .with_hint("check `auth` and `transport`, and that the port is HiveServer2's"));
        }
        reader.text()?;
        reader.i32()?;
        if head & 0xff == EXCEPTION {
            return Err(reader.exception()?);
        }
        let (mut answer, mut given) = (Some(answer), None);
        reader.fields(|reader, id, kind| {
            match (id, kind, answer.take()) {
                (0, Kind::Struct, Some(answer)) => given = Some(answer(reader)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        given.ok_or_else(|| fault::protocol("an answer without a value".into()))
    }

    /// What the server's own Thrift says.
    fn exception(&mut self) -> Result<Error> {
        let mut message = String::new();
        self.fields(|reader, id, kind| {
            if (id, kind) != (1, Kind::Text) {
                return Ok(false);
            }
            message = reader.text()?;
            Ok(true)
        })?;
        Ok(Error::connection(format!("the server could not carry out a call: {message}")))
    }

    /// Reads a struct: `each` is asked for each field, and says whether it has read it.
    pub fn fields(
        &mut self,
        mut each: impl FnMut(&mut Self, i16, Kind) -> Result<bool>,
    ) -> Result<()> {
        loop {
            let kind = Kind::of(self.u8()?)?;
            if kind == Kind::Stop {
                return Ok(());
            }
            let id = self.i16()?;
            if !each(self, id, kind)? {
                self.skip(kind)?;
            }
        }
    }

    /// A struct's bytes, as they are.
    pub fn handle(&mut self) -> Result<Vec<u8>> {
        self.copied = Some(Vec::new());
        let skipped = self.skip(Kind::Struct);
        let copied = self.copied.take().unwrap_or_default();
        skipped.map(|()| copied)
    }

    /// A list: its elements' kind and how many they are.
    pub fn list(&mut self) -> Result<(Kind, usize)> {
        let kind = Kind::of(self.u8()?)?;
        Ok((kind, self.length()?))
    }

    /// A map: its keys' and values' kinds and how many they are.
    pub fn map(&mut self) -> Result<(Kind, Kind, usize)> {
        let (key, value) = (Kind::of(self.u8()?)?, Kind::of(self.u8()?)?);
        Ok((key, value, self.length()?))
    }

    /// Passes over a value.
    pub fn skip(&mut self, kind: Kind) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(fault::protocol("values are nested too deep".into()));
        }
        match kind {
            Kind::Stop => {}
            Kind::Bool | Kind::Byte => drop(self.take(1)?),
            Kind::I16 => drop(self.take(2)?),
            Kind::I32 => drop(self.take(4)?),
            Kind::I64 | Kind::Double => drop(self.take(8)?),
            Kind::Text => drop(self.bytes()?),
            Kind::Struct => self.fields(|_, _, _| Ok(false))?,
            Kind::List => {
                let (kind, length) = self.list()?;
                (0..length).try_for_each(|_| self.skip(kind))?;
            }
            Kind::Map => {
                let (key, value, length) = self.map()?;
                (0..length).try_for_each(|_| self.skip(key).and_then(|()| self.skip(value)))?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The next bytes.
    pub fn take(&mut self, length: usize) -> Result<&[u8]> {
        let bytes = self.wire.take(length)?;
        if let Some(copied) = &mut self.copied {
            copied.extend_from_slice(bytes);
        }
        Ok(bytes)
    }

    /// A text's bytes.
    pub fn bytes(&mut self) -> Result<&[u8]> {
        let length = self.length()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn length(&mut self) -> Result<usize> {
        match self.i32()? {
            length @ 0..=LENGTH_LIMIT => Ok(length as usize),
            length => Err(fault::protocol(format!("a length of {length}"))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}
