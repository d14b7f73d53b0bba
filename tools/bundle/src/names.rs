//! A module without its functions' names, and the names beside it: the runtime has no use for them, and a cold start reads
//! them all. A trap's stack names functions by their number.

use std::fmt::Write;

const CUSTOM: u8 = 0;
const FUNCTIONS: u8 = 1;

/// The module without its `name` and `producers` sections, and a line "number name" for each function.
pub fn split(module: &[u8]) -> Option<(Vec<u8>, String)> {
    let (header, mut rest) = module.split_at_checked(8)?;
    if !header.starts_with(b"\0asm") {
        return None;
    }
    let mut kept = header.to_vec();
    let mut names = String::new();
    while !rest.is_empty() {
        let whole = rest;
        let id = byte(&mut rest)?;
        let body = sized(&mut rest)?;
        let section = &whole[..whole.len() - rest.len()];
        if id == CUSTOM {
            let mut content = body;
            match sized(&mut content)? {
                b"name" => names = functions(content)?,
                b"producers" => {}
                _ => kept.extend_from_slice(section),
            }
        } else {
            kept.extend_from_slice(section);
        }
    }
    Some((kept, names))
}

fn functions(mut content: &[u8]) -> Option<String> {
    let mut text = String::new();
    while !content.is_empty() {
        let id = byte(&mut content)?;
        let mut body = sized(&mut content)?;
        if id != FUNCTIONS {
            continue;
        }
        for _ in 0..number(&mut body)? {
            let function = number(&mut body)?;
            let name = String::from_utf8_lossy(sized(&mut body)?);
            writeln!(text, "{function} {name}").ok()?;
        }
    }
    Some(text)
}

fn byte(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

/// A number in LEB128, of 32 bits.
fn number(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let next = byte(bytes)?;
        value |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

/// Bytes that are preceded by their count.
fn sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = number(bytes)?;
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::{number, split};

    const HEADER: &[u8] = b"\0asm\x01\0\0\0";

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        [&[id, u8::try_from(body.len()).unwrap()], body].concat()
    }

    #[test]
    fn names_are_taken_out_and_all_else_stays() {
        let code = section(10, &[1, 2, 3]);
        let target_features = section(0, b"\x0ftarget_features\x01+");
        let names = section(0, b"\x04name\x00\x02\x01m\x01\x09\x02\x00\x01a\x80\x01\x02bc");
        let producers = section(0, b"\x09producers\x00");
        let module = [HEADER, &code, &names, &target_features, &producers].concat();
        let (rest, text) = split(&module).unwrap();
        assert_eq!(rest, [HEADER, &code, &target_features].concat());
        assert_eq!(text, "0 a\n128 bc\n");
    }

    #[test]
    fn a_module_without_names_stays_as_it_is() {
        let module = [HEADER, &section(10, &[1])].concat();
        assert_eq!(split(&module), Some((module.clone(), String::new())));
    }

    #[test]
    fn what_is_no_module_or_is_cut_short_is_refused() {
        assert_eq!(split(b"<html>"), None);
        assert_eq!(split(&[HEADER, &[10, 5, 1]].concat()), None);
        assert_eq!(number(&mut [0xff; 6].as_slice()), None);
    }
}
