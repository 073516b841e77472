//! Reading a transcript: `conformance/protocol/README.md` says what its lines are.

use crate::expect::{Body, Expected, Fields, Meta};
use crate::process::{Exit, Transport};

/// One step; frames that are expected carry the lines they are from.
pub(crate) enum Step {
    Env(String, String),
    Transport(Transport),
    Send(Vec<u8>),
    Cut(usize),
    Open(String),
    Expect(Vec<Vec<(usize, Expected)>>),
    Eof,
    Exit(Exit),
}

/// The steps with their lines, or what is wrong with which.
pub(crate) fn parse(text: &str) -> Result<Vec<(usize, Step)>, String> {
    let mut steps: Vec<(usize, Step)> = Vec::new();
    for (line, text) in logical(text) {
        let step = step(line, &text).map_err(|wrong| format!("line {line}: {wrong}"))?;
        for step in step {
            add(&mut steps, line, step);
        }
    }
    match steps.last() {
        Some((_, Step::Exit(_))) => Ok(steps),
        _ => Err("the last line must say how the worker ends".to_owned()),
    }
}

/// Lines without comments, with those that go on joined.
fn logical(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let bare = without_comment(line).trim_end();
        if bare.trim().is_empty() {
            continue;
        }
        match lines.last_mut() {
            Some((_, last)) if bare.starts_with(' ') => last.push_str(bare),
            _ => lines.push((number, bare.to_owned())),
        }
    }
    lines
}

fn without_comment(line: &str) -> &str {
    if line.starts_with("env ") {
        return line;
    }
    let (mut quote, mut escaped) = (None, false);
    for (at, char) in line.char_indices() {
        match (quote, char) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == char => quote = None,
            (None, '"' | '\'') => quote = Some(char),
            (None, '#') => return &line[..at],
            _ => {}
        }
    }
    line
}

/// Writes that follow each other are one, and so are the lanes of what is expected.
fn add(steps: &mut Vec<(usize, Step)>, line: usize, step: Step) {
    match (steps.last_mut(), step) {
        (Some((_, Step::Send(bytes))), Step::Send(more)) => bytes.extend_from_slice(&more),
        (Some((_, Step::Expect(lanes))), Step::Expect(more)) => {
            lanes.resize_with(lanes.len().max(more.len()), Vec::new);
            lanes.iter_mut().zip(more).for_each(|(lane, more)| lane.extend(more));
        }
        (_, step) => steps.push((line, step)),
    }
}

fn step(line: usize, text: &str) -> Result<Vec<Step>, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    let single = match word {
        "env" => {
            let (name, value) = rest.split_once('=').ok_or("env NAME=value")?;
            Step::Env(name.to_owned(), value.to_owned())
        }
        "transport" => Step::Transport(match rest.split_once(' ') {
            None if rest == "path" => Transport::Path,
            Some(("fd", number)) => Transport::Descriptor(number.parse().map_err(|_| "no number")?),
            _ => return Err(format!("unknown transport {rest:?}")),
        }),
        "ready" => {
            let hello = r#"len 41 00 meta 0000000000000000 {"pid": $pid, "lang": $lang, "nonce": "a-nonce"}"#;
            let frames = [hello, "0c000000 42 00 0000 0000000000000000"];
            let frames = frames.into_iter().map(|frame| Ok((line, expected(frame)?)));
            Step::Expect(vec![frames.collect::<Result<_, String>>()?])
        }
        ">" => Step::Send(bytes(rest)?),
        "cut" => Step::Cut(rest.parse().map_err(|_| "no number")?),
        "open" => Step::Open(rest.to_owned()),
        "eof" => Step::Eof,
        "exit" => Step::Exit(match rest {
            "0" => Exit::Zero,
            "failure" => Exit::Failure,
            "any" => Exit::Any,
            _ => return Err(format!("unknown exit {rest:?}")),
        }),
        lane if lane.starts_with('<') => {
            let lane: usize = if lane == "<" { 1 } else { lane[1..].parse().map_err(|_| "no lane")? };
            let mut lanes = Vec::new();
            lanes.resize_with(lane, Vec::new);
            lanes[lane - 1].push((line, expected(rest)?));
            Step::Expect(lanes)
        }
        _ => return Err(format!("unknown line {word:?}")),
    };
    Ok(vec![single])
}

/// `len type flags meta_len id meta body`, where the first and the fourth may be left to the worker.
fn expected(text: &str) -> Result<Expected, String> {
    let Some(rest) = text.strip_prefix("len ") else {
        let bytes = bytes(text)?;
        let (header, body) = bytes.split_first_chunk::<16>().ok_or("less than a header")?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if len as usize != bytes.len() - 4 || header[6..8] != [0, 0] {
            return Err(format!("the length is {}, or there is meta", bytes.len() - 4));
        }
        return Ok(frame(header[4], header[5], &header[8..], Meta::Nothing, Body::Bytes(body.to_vec())));
    };
    let mut words = rest.split_whitespace();
    let mut next = || words.next().ok_or("a part is missing");
    let (kind, flags) = (bytes(next()?)?, bytes(next()?)?);
    let (word, id) = (next()?, bytes(next()?)?);
    if word != "meta" || id.len() != 8 {
        return Err("len is not followed by type, flags, meta, id".to_owned());
    }
    let open = rest.find('{').ok_or("no {…} where meta is to be")?;
    let (fields, body) = fields(&rest[open..])?;
    let body = match body.strip_prefix('=') {
        Some(json) => Body::Json(serde_json::from_str(json).map_err(|error| error.to_string())?),
        None => Body::Bytes(bytes(body)?),
    };
    Ok(frame(kind[0], flags[0], &id, Meta::Fields(fields), body))
}

fn frame(kind: u8, flags: u8, id: &[u8], meta: Meta, body: Body) -> Expected {
    let id = id.first_chunk().map(|id| u64::from_le_bytes(*id)).unwrap_or_default();
    Expected { kind, flags, id, meta, body }
}

/// `{"name": pattern, …}` and what comes after it.
fn fields(text: &str) -> Result<(Fields, &str), String> {
    let end = text.find('}').ok_or("no }")?;
    let mut found = Vec::new();
    let mut rest = text[1..end].trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once(':').ok_or("no colon in meta")?;
        let value = value.trim_start();
        // A comma within $why(…) or a text is none between fields.
        let long = match value.as_bytes() {
            [b'"', ..] => value[1..].find('"').map_or(value.len(), |end| end + 2),
            _ if value.starts_with("$why(") => value.find(')').map_or(value.len(), |end| end + 1),
            _ => value.find(',').unwrap_or(value.len()),
        };
        found.push((name.trim().trim_matches('"').to_owned(), value[..long].trim().to_owned()));
        rest = value[long..].trim_start_matches([',', ' ']);
    }
    Ok((found, text[end + 1..].trim()))
}

/// Hexadecimal, texts in either quotes, and repetitions.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut found: Vec<u8> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (mut token, after) = match first {
            '"' => escaped(&rest[1..])?,
            '\'' => {
                let (inner, after) = rest[1..].split_once('\'').ok_or("no end of the quote")?;
                (inner.as_bytes().to_vec(), after)
            }
            _ => {
                let end = rest.find([' ', '*']).unwrap_or(rest.len());
                (hexadecimal(&rest[..end])?, &rest[end..])
            }
        };
        rest = after;
        if let Some(times) = after.strip_prefix('*') {
            let end = times.find(' ').unwrap_or(times.len());
            token = token.repeat(times[..end].parse().map_err(|_| "no number after *")?);
            rest = &times[end..];
        }
        found.extend_from_slice(&token);
        rest = rest.trim_start();
    }
    Ok(found)
}

fn hexadecimal(word: &str) -> Result<Vec<u8>, String> {
    let pairs = word.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    pairs.collect::<Option<_>>().ok_or_else(|| format!("{word:?} is neither hexadecimal nor quoted"))
}

fn escaped(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut found = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((found, &text[at + 1..])),
            '\\' => match chars.next().map(|(_, char)| char) {
                Some('n') => found.push(b'\n'),
                Some('t') => found.push(b'\t'),
                Some('r') => found.push(b'\r'),
                Some('0') => found.push(0),
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).map(|(_, char)| char).collect();
                    found.extend(hexadecimal(&digits)?);
                }
                Some(char @ ('\\' | '"')) => found.push(char as u8),
                other => return Err(format!("unknown escape {other:?}")),
            },
            other => found.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("no end of the quote".to_owned())
}
