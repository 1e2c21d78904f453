//! The content of an answer, which is read in pieces: a file is never in memory as a whole.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};

use super::folder::Version;

/// What an answer has to send, and how much of it is left.
#[derive(Debug, Default)]
pub struct Content {
    pieces: VecDeque<Piece>,
    file: Option<Box<(File, Version)>>,
    left: u64,
}

#[derive(Debug)]
enum Piece {
    Bytes(io::Cursor<Vec<u8>>),
    /// So many bytes of the file from that place on.
    File {
        at: u64,
        len: u64,
    },
}

impl Content {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    pub(crate) fn of_file(file: File, version: Version) -> Self {
        Self {
            file: Some(Box::new((file, version))),
            ..Self::default()
        }
    }

    pub(crate) fn push_bytes(&mut self, bytes: Vec<u8>) {
        self.left += bytes.len() as u64;
        self.pieces.push_back(Piece::Bytes(io::Cursor::new(bytes)));
    }

    pub(crate) fn push_range(&mut self, at: u64, len: u64) {
        self.left += len;
        self.pieces.push_back(Piece::File { at, len });
    }

    /// How many bytes there are to be read.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.left
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    // ANCHOR: read
    /// Reads the next bytes; 0 if there are none left.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no longer what it was when the answer began: then the
    /// answer's end would belong to another version than its beginning, and must not be sent. As its
    /// length was announced, the client will see that something is missing.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(piece) = self.pieces.front_mut() {
            let read = match (piece, self.file.as_deref_mut()) {
                (Piece::Bytes(bytes), _) => bytes.read(buffer)?,
                (Piece::File { len: 0, .. }, _) | (Piece::File { .. }, None) => 0,
                (Piece::File { at, len }, Some((file, version))) => {
                    let most =
                        usize::try_from(*len).map_or(buffer.len(), |len| len.min(buffer.len()));
                    file.seek(SeekFrom::Start(*at))?;
                    let read = file.read(&mut buffer[..most])?;
                    if read == 0 && most > 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    (*at, *len) = (*at + read as u64, *len - read as u64);
                    if *len == 0 && !version.is_of(&file.metadata()?) {
                        return Err(io::Error::other("the file has changed while it was sent"));
                    }
                    read
                }
            };
            self.left -= read as u64;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.pieces.pop_front();
        }
        Ok(0)
    }
    // ANCHOR_END: read
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(content: &[u8]) -> (tempfile::NamedTempFile, Content) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let opened = File::open(file.path()).unwrap();
        let version = Version::of(&opened.metadata().unwrap());
        (file, Content::of_file(opened, version))
    }

    fn all(mut content: Content, at_once: usize) -> io::Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; at_once]);
        loop {
            let before = content.len();
            match content.read(&mut buffer)? {
                0 => {
                    assert!(content.is_empty());
                    return Ok(all);
                }
                read => all.extend_from_slice(&buffer[..read]),
            }
            assert!(content.len() < before);
        }
    }

    #[test]
    fn pieces_follow_each_other_however_they_are_read() {
        for at_once in 1..20 {
            let (_file, mut content) = file(b"0123456789");
            content.push_bytes(b"head ".to_vec());
            content.push_range(7, 3);
            content.push_bytes(Vec::new());
            content.push_range(0, 2);
            content.push_bytes(b" end".to_vec());
            assert_eq!(content.len(), 14);
            assert_eq!(all(content, at_once).unwrap(), b"head 78901 end");
        }
        assert_eq!(all(Content::none(), 1).unwrap(), b"");
    }

    #[test]
    fn a_file_that_gets_shorter_is_an_error_and_not_an_end() {
        let (file, mut content) = file(b"0123456789");
        content.push_range(0, 10);
        file.as_file().set_len(5).unwrap();
        let error = all(content, 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_end_of_one_version_is_not_sent_behind_the_beginning_of_another() {
        let (mut file, mut content) = file(b"0123456789");
        content.push_range(0, 10);
        let mut buffer = [0; 5];
        assert_eq!(content.read(&mut buffer).unwrap(), 5);
        file.write_all(b"more").unwrap();
        content.read(&mut buffer).unwrap_err();
    }
}
