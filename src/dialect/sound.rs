//! How long an upload of sound is, by what its container says.

use std::io::Cursor;
use std::panic::catch_unwind;

use lofty::config::ParseOptions;
use lofty::file::AudioFile;
use lofty::probe::Probe;

/// The length of a piece of sound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sound {
    /// Seconds, a part of one being one.
    pub seconds: u64,
    /// It follows from the samples; otherwise from a mean rate or the container's own word.
    pub exact: bool,
}

/// Reads the length of a file; `None` where its container is not known or says nothing.
pub fn length(file: &[u8]) -> Option<Sound> {
    wave(file).or_else(|| other(file))
}

/// RIFF WAVE: the length of the samples by their rate.
///
/// A header that was written before the length was known says 0 or too much; then the samples are what is there.
fn wave(file: &[u8]) -> Option<Sound> {
    let mut rest = file.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    let mut rate = None;
    loop {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let (length, body) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if name == b"data" {
            let (bytes_a_second, exact) = rate?;
            let held = if length == 0 { body.len() } else { length.min(body.len()) };
            return Some(Sound { seconds: (held as u64).div_ceil(bytes_a_second), exact });
        }
        if name == b"fmt " {
            let form = u16::from_le_bytes(*body.first_chunk()?);
            let bytes = u32::from_le_bytes(*body.get(8..)?.first_chunk()?);
            rate = Some((u64::from(bytes), PLAIN.contains(&form))).filter(|(bytes, _)| *bytes > 0);
        }
        // A chunk of an odd length is followed by one byte of padding.
        rest = body.get(length.checked_add(length % 2)?..)?;
    }
}

/// Every container that the library knows.
fn other(file: &[u8]) -> Option<Sound> {
    // A stranger's file must not end the call that carries it, whatever a parser makes of it.
    let length = catch_unwind(|| {
        let options = ParseOptions::new().read_tags(false).read_cover_art(false);
        let probe = Probe::new(Cursor::new(file)).options(options).guess_file_type().ok()?;
        Some(probe.read().ok()?.properties().duration())
    });
    let length = length.ok()??;
    let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
    (seconds > 0).then_some(Sound { seconds, exact: false })
}

/// PCM, floating point, and the extensible form of either: so many bytes are so many samples.
const PLAIN: [u16; 3] = [1, 3, 0xFFFE];

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A WAVE file of so many bytes of samples, at so many bytes a second.
    pub(crate) fn wave_file(bytes_a_second: u32, samples: usize, told: u32) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0\x01\0".to_vec();
        file.extend((bytes_a_second / 2).to_le_bytes());
        file.extend(bytes_a_second.to_le_bytes());
        file.extend([2, 0, 16, 0]);
        file.extend(b"data");
        file.extend(told.to_le_bytes());
        file.extend(vec![0; samples]);
        file
    }

    #[test]
    fn a_wave_file_is_as_long_as_its_samples() {
        for (samples, told, seconds) in [
            (32_000, 32_000, 1),
            (32_001, 32_001, 2),
            (320_000, 0, 10),
            (320_000, u32::MAX, 10),
            (320_000, 32_000, 1),
            (1, 1, 1),
            (0, 0, 0),
        ] {
            let file = wave_file(32_000, samples, told);
            assert_eq!(length(&file), Some(Sound { seconds, exact: true }), "{samples} {told}");
        }
        assert_eq!(wave(&wave_file(0, 9, 9)), None);
    }

    #[test]
    fn other_containers_are_read_by_the_library_and_never_called_exact() {
        // The header of a FLAC file: 16,000 samples a second, 136,000 samples.
        let mut flac = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0".to_vec();
        let rate: u64 = 16_000 << 44 | 15 << 36 | 136_000;
        flac.extend(rate.to_be_bytes());
        flac.extend([0; 16]);
        assert_eq!(length(&flac), Some(Sound { seconds: 9, exact: false }));
        assert_eq!(length(b"no sound at all"), None);
        assert_eq!(length(b""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            start in prop::sample::select(vec![&b"RIFF\0\0\0\0WAVE"[..], b"fLaC", b"OggS", b"ID3\x04", b"\xff\xfb\x90", b"\0\0\0\x18ftypM4A "]),
            rest in vec(any::<u8>(), 0..300),
        ) {
            let _ = length(&[start, &rest].concat());
        }
    }
}
