//! The words of TPC-H's text, and the grammar of its sentences. A byte stands for each word.

use tpchgen::distribution::{Distribution, Distributions};

use crate::stream::Stream;

/// Each word's bytes are copied at once, whatever its length.
const WORD_BYTES: usize = 32;

/// All words, and the rules by which sentences are made of them.
pub(crate) struct Words {
    all: Vec<Word>,
    sentences: Choice<&'static str>,
    noun_phrases: Choice<&'static str>,
    verb_phrases: Choice<&'static str>,
    nouns: Choice<u8>,
    verbs: Choice<u8>,
    adjectives: Choice<u8>,
    adverbs: Choice<u8>,
    auxiliaries: Choice<u8>,
    prepositions: Choice<u8>,
    terminators: Choice<u8>,
    comma: u8,
}

/// A word with the space before it.
pub(crate) struct Word {
    pub(crate) bytes: [u8; WORD_BYTES],
    pub(crate) length: usize,
}

impl Word {
    fn new(text: &str) -> Self {
        let mut bytes = [0; WORD_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self { bytes, length: text.len() }
    }
}

/// Values to choose from, each as often as it weighs.
struct Choice<T>(Vec<T>);

impl<T: Copy> Choice<T> {
    fn new(distribution: &Distribution, mut value: impl FnMut(&'static str) -> T) -> Self {
        let mut values = Vec::new();
        for (index, text) in distribution.get_values().iter().enumerate() {
            values.resize(distribution.get_weight(index) as usize, value(text));
        }
        Self(values)
    }

    fn choose(&self, stream: &mut Stream) -> T {
        self.0[stream.below(self.0.len())]
    }
}

impl Words {
    /// The words of TPC-H.
    pub(crate) fn new(of: &Distributions) -> Self {
        let mut all = Vec::new();
        let mut word = |text: String| {
            all.push(Word::new(&text));
            (all.len() - 1) as u8
        };
        let mut spaced = |distribution| Choice::new(distribution, |text| word(format!(" {text}")));
        let (nouns, verbs) = (spaced(of.nouns()), spaced(of.verbs()));
        let (adjectives, adverbs) = (spaced(of.adjectives()), spaced(of.adverbs()));
        let auxiliaries = spaced(of.auxiliaries());
        let prepositions = Choice::new(of.prepositions(), |text| word(format!(" {text} the")));
        let terminators = Choice::new(of.terminators(), |text| word(text.to_owned()));
        let comma = word(",".to_owned());
        Self {
            sentences: Choice::new(of.grammar(), |text| text),
            noun_phrases: Choice::new(of.noun_phrase(), |text| text),
            verb_phrases: Choice::new(of.verb_phrase(), |text| text),
            nouns,
            verbs,
            adjectives,
            adverbs,
            auxiliaries,
            prepositions,
            terminators,
            comma,
            all,
        }
    }

    /// The word that a byte stands for.
    pub(crate) fn word(&self, code: u8) -> &Word {
        &self.all[usize::from(code)]
    }

    /// Adds a sentence.
    pub(crate) fn sentence(&self, stream: &mut Stream, into: &mut Vec<u8>) {
        for part in self.sentences.choose(stream).bytes() {
            match part {
                b'N' => self.noun_phrase(stream, into),
                b'V' => self.verb_phrase(stream, into),
                b'P' => {
                    into.push(self.prepositions.choose(stream));
                    self.noun_phrase(stream, into);
                }
                b'T' => into.push(self.terminators.choose(stream)),
                _ => {}
            }
        }
    }

    fn noun_phrase(&self, stream: &mut Stream, into: &mut Vec<u8>) {
        for part in self.noun_phrases.choose(stream).bytes() {
            into.push(match part {
                b'N' => self.nouns.choose(stream),
                b'J' => self.adjectives.choose(stream),
                b'D' => self.adverbs.choose(stream),
                b',' => self.comma,
                _ => continue,
            });
        }
    }

    fn verb_phrase(&self, stream: &mut Stream, into: &mut Vec<u8>) {
        for part in self.verb_phrases.choose(stream).bytes() {
            into.push(match part {
                b'V' => self.verbs.choose(stream),
                b'X' => self.auxiliaries.choose(stream),
                b'D' => self.adverbs.choose(stream),
                _ => continue,
            });
        }
    }
}
