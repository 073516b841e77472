//! Bodies that are lists: ids, and the items of a batch.

use super::malformed::Malformed;

/// Bytes before the request of a batch's item: its length and its task.
const ITEM_HEADER: usize = 12;

/// The ids in the body of a RECALL or RETURNED frame.
///
/// # Errors
/// [`Malformed::Ids`] where the length is no multiple of eight.
pub fn ids(body: &[u8]) -> Result<Ids<'_>, Malformed> {
    match body.as_chunks() {
        (ids, []) => Ok(Ids(ids.iter())),
        _ => Err(Malformed::Ids { len: body.len() }),
    }
}

/// Appends ids as [`ids`] reads them.
pub fn write_ids(out: &mut Vec<u8>, ids: impl IntoIterator<Item = u64>) {
    ids.into_iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
}

/// The items of a BATCH frame's body: the task and its request. All lengths are checked before the first is given, so that no item of a
/// batch runs where another is broken.
///
/// # Errors
/// [`Malformed::Batch`] where an item ends after the body does.
pub fn batch(body: &[u8]) -> Result<Batch<'_>, Malformed> {
    let mut rest = body;
    while !rest.is_empty() {
        let at = body.len() - rest.len();
        rest = split_item(rest).ok_or(Malformed::Batch { at })?.1;
    }
    Ok(Batch(body))
}

/// Appends one item as [`batch`] reads it. A request of 4 GiB and more is not for a frame: its length is cut to what fits four bytes, and
/// the frame is refused by [`Open::finish`](super::Open::finish) in any case.
pub fn write_batch_item(out: &mut Vec<u8>, id: u64, request: &[u8]) {
    let len = u32::try_from(request.len()).unwrap_or(u32::MAX);
    out.reserve(ITEM_HEADER + request.len());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(request);
}

/// The ids of a list, in their order. By [`ids`].
#[derive(Clone, Debug)]
pub struct Ids<'a>(std::slice::Iter<'a, [u8; 8]>);

impl Iterator for Ids<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0.next().map(|id| u64::from_le_bytes(*id))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Ids<'_> {}

/// The items of a batch, in their order. By [`batch`].
#[derive(Clone, Debug)]
pub struct Batch<'a>(&'a [u8]);

impl<'a> Iterator for Batch<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<(u64, &'a [u8])> {
        let (item, rest) = split_item(self.0)?;
        self.0 = rest;
        Some(item)
    }
}

type Item<'a> = (u64, &'a [u8]);

fn split_item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (id, rest) = rest.split_first_chunk::<8>()?;
    let (request, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    Some(((u64::from_le_bytes(*id), request), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_were_written() {
        let mut body = Vec::new();
        write_ids(&mut body, [1, u64::MAX, 0]);
        assert_eq!(ids(&body).unwrap().collect::<Vec<_>>(), [1, u64::MAX, 0]);
        assert_eq!(ids(b"").unwrap().len(), 0);
        assert_eq!(ids(&body[1..]).unwrap_err(), Malformed::Ids { len: 23 });
    }

    #[test]
    fn a_batch_is_read_as_it_was_written_or_not_at_all() {
        let mut body = Vec::new();
        write_batch_item(&mut body, 1, b"one");
        write_batch_item(&mut body, 2, b"");
        write_batch_item(&mut body, 3, b"three");
        let items: Vec<_> = batch(&body).unwrap().collect();
        assert_eq!(items, [(1, &b"one"[..]), (2, b""), (3, b"three")]);
        assert_eq!(batch(b"").unwrap().count(), 0);
        let ends = [15, 27];
        for cut in (1..body.len()).filter(|cut| !ends.contains(cut)) {
            let at = ends.into_iter().rfind(|&end| end < cut).unwrap_or(0);
            assert_eq!(batch(&body[..cut]).unwrap_err(), Malformed::Batch { at }, "{cut}");
        }
        assert!(batch(&[255; 12]).is_err());
    }
}
