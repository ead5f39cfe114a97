//! Text to tokens and back, as the model file says: byte-level BPE.

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{PreTokenizerWrapper, Tokenizer};

use crate::model_file::{LoadError, ModelFile};
use crate::template::{CONTENT_END, CONTENT_START};

/// Kinds of token that stand for themselves, and are never made of text: control, user-defined
/// (`llama_token_type` in <https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h>).
const SPECIAL_KINDS: [usize; 2] = [3, 4];

/// What ends an answer, whatever the file names as its end.
const ENDS: [&str; 4] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "</s>"];

/// The tokens of a model.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    tokenizer: Tokenizer,
    /// The bytes of all tokens, end to end; none for special ones.
    bytes: Vec<u8>,
    /// Where the bytes of each token end.
    ends: Vec<usize>,
    special: Vec<(String, u32)>,
    answer_ends: Vec<u32>,
    longest: usize,
}

impl Vocabulary {
    pub(crate) fn load(file: &ModelFile) -> Result<Self, LoadError> {
        let model = file.text("tokenizer.ggml.model")?;
        if model != "gpt2" {
            return Err(LoadError(format!(
                "its tokenizer is {model}, not byte-level BPE (gpt2)"
            )));
        }
        let tokens = file.texts("tokenizer.ggml.tokens")?;
        let kinds = file.sizes("tokenizer.ggml.token_type")?;
        let merges = file
            .texts("tokenizer.ggml.merges")?
            .into_iter()
            .map(|merge| {
                let (left, right) = merge.split_once(' ')?;
                Some((left.to_owned(), right.to_owned()))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| LoadError("its tokenizer.ggml.merges are not pairs".to_owned()))?;
        let named_end = file.size("tokenizer.ggml.eos_token_id").ok();
        let splitter = splitter(file.text("tokenizer.ggml.pre").unwrap_or("gpt-2"))?;
        Self::new(&tokens, &kinds, merges, splitter, named_end)
    }

    fn new(
        tokens: &[String],
        kinds: &[usize],
        merges: Vec<(String, String)>,
        splitter: PreTokenizerWrapper,
        named_end: Option<usize>,
    ) -> Result<Self, LoadError> {
        let mut vocabulary = Self {
            tokenizer: tokenizer(tokens, merges, splitter)?,
            bytes: Vec::new(),
            ends: Vec::with_capacity(tokens.len()),
            special: Vec::new(),
            answer_ends: Vec::new(),
            longest: 1,
        };
        for (index, (id, token)) in (0u32..).zip(tokens).enumerate() {
            let is_special = kinds
                .get(index)
                .is_some_and(|kind| SPECIAL_KINDS.contains(kind));
            if is_special && !token.is_empty() {
                vocabulary.special.push((token.clone(), id));
            } else {
                let start = vocabulary.bytes.len();
                push_bytes(&mut vocabulary.bytes, token);
                vocabulary.longest = vocabulary.longest.max(vocabulary.bytes.len() - start);
            }
            vocabulary.ends.push(vocabulary.bytes.len());
            if named_end == Some(index) || (is_special && ENDS.contains(&token.as_str())) {
                vocabulary.answer_ends.push(id);
            }
        }
        Ok(vocabulary)
    }

    /// Returns how many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a special token as templates write it; others have no name.
    pub(crate) fn name(&self, token: u32) -> String {
        let named = self.special.iter().find(|(_, id)| *id == token);
        named.map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// Returns the most bytes that a token stands for.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Says whether an answer is over with this token.
    pub(crate) fn is_end(&self, token: u32) -> bool {
        self.answer_ends.contains(&token)
    }

    /// Returns the text of a token; one that does not exist, or is special, has none.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        let index = token as usize;
        let start = index
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied());
        match (start, self.ends.get(index)) {
            (Some(start), Some(&end)) => self.bytes.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Turns a rendered chat into tokens. Special tokens are only found in what the template
    /// wrote: a caller who writes `<|im_end|>` has written ten letters, not ended a message.
    pub(crate) fn encode(&self, rendered: &str) -> Result<Vec<u32>, String> {
        let mut tokens = Vec::new();
        let mut text = String::new();
        let mut is_content = false;
        for part in rendered.split_inclusive([CONTENT_START, CONTENT_END]) {
            let written = part.trim_end_matches([CONTENT_START, CONTENT_END]);
            if is_content {
                text.push_str(written);
            } else {
                self.encode_template(written, &mut text, &mut tokens)?;
            }
            is_content = part.ends_with(CONTENT_START);
        }
        self.flush(&mut text, &mut tokens)?;
        Ok(tokens)
    }

    fn encode_template(
        &self,
        mut written: &str,
        text: &mut String,
        tokens: &mut Vec<u32>,
    ) -> Result<(), String> {
        let first = |written: &str| {
            self.special
                .iter()
                .filter_map(|(special, id)| Some((written.find(special)?, special.len(), *id)))
                .min_by_key(|&(start, length, _)| (start, usize::MAX - length))
        };
        while let Some((start, length, id)) = first(written) {
            text.push_str(&written[..start]);
            self.flush(text, tokens)?;
            tokens.push(id);
            written = &written[start + length..];
        }
        text.push_str(written);
        Ok(())
    }

    fn flush(&self, text: &mut String, tokens: &mut Vec<u32>) -> Result<(), String> {
        if !text.is_empty() {
            let encoding = self
                .tokenizer
                .encode_fast(text.as_str(), false)
                .map_err(|error| error.to_string())?;
            tokens.extend_from_slice(encoding.get_ids());
            text.clear();
        }
        Ok(())
    }
}

/// Returns what cuts text into words before they become tokens, by the name that llama.cpp gave
/// it (<https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp>).
fn splitter(name: &str) -> Result<PreTokenizerWrapper, LoadError> {
    let words = PreTokenizerWrapper::from(ByteLevel::new(false, true, true));
    match name {
        "gpt-2" | "gpt2" | "default" => Ok(words),
        "smollm" => {
            let digits = PreTokenizerWrapper::from(Digits::new(true));
            Ok(Sequence::new(vec![digits, words]).into())
        }
        _ => Err(LoadError(format!(
            "its way of splitting text, {name}, is not supported"
        ))),
    }
}

fn tokenizer(
    tokens: &[String],
    merges: Vec<(String, String)>,
    splitter: PreTokenizerWrapper,
) -> Result<Tokenizer, LoadError> {
    let vocabulary = tokens.iter().cloned().zip(0u32..);
    let model = BPE::builder()
        .vocab_and_merges(
            vocabulary.collect::<tokenizers::models::bpe::Vocab>(),
            merges,
        )
        .build()
        .map_err(|error| LoadError(format!("its tokenizer is not valid: {error}")))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(splitter));
    Ok(tokenizer)
}

/// Appends the bytes that a token of a byte-level vocabulary stands for.
fn push_bytes(bytes: &mut Vec<u8>, token: &str) {
    let start = bytes.len();
    for char in token.chars() {
        let Some(byte) = byte(char) else {
            // Not written in the byte alphabet: it stands for itself.
            bytes.truncate(start);
            bytes.extend_from_slice(token.as_bytes());
            return;
        };
        bytes.push(byte);
    }
}

/// Returns the byte that a letter of GPT-2's byte alphabet stands for
/// (`bytes_to_unicode` in <https://github.com/openai/gpt-2/blob/master/src/encoder.py>).
fn byte(char: char) -> Option<u8> {
    match u32::from(char) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte, some merges, and two special tokens.
    fn vocabulary() -> Vocabulary {
        let alphabet = (0..=u8::MAX).map(|byte| {
            let letter = |char: &char| super::byte(*char) == Some(byte);
            ('\0'..='\u{200}').find(letter).unwrap().to_string()
        });
        let words = ["he", "ll", "hell", "hello", "Ġhello", "Ċ", "12"].map(str::to_owned);
        let mut tokens = vec!["<|im_start|>".to_owned(), "<|im_end|>".to_owned()];
        tokens.extend(alphabet);
        tokens.extend(words.into_iter().filter(|word| word.chars().count() > 1));
        let kinds: Vec<usize> = (0..tokens.len())
            .map(|id| if id < 2 { 3 } else { 1 })
            .collect();
        let merges = [
            ("h", "e"),
            ("l", "l"),
            ("he", "ll"),
            ("hell", "o"),
            ("Ġ", "hello"),
            ("1", "2"),
        ];
        let merges = merges
            .map(|(left, right)| (left.to_owned(), right.to_owned()))
            .to_vec();
        Vocabulary::new(
            &tokens,
            &kinds,
            merges,
            splitter("smollm").unwrap(),
            Some(1),
        )
        .unwrap()
    }

    /// Encodes, with `[` and `]` for the marks around contents, and returns the tokens' texts.
    fn encoded(text: &str) -> Vec<String> {
        let vocabulary = vocabulary();
        let marked = text.replace('[', "\u{fdd0}").replace(']', "\u{fdd1}");
        let text = |&token: &u32| match vocabulary.name(token) {
            name if name.is_empty() => {
                String::from_utf8_lossy(vocabulary.bytes(token)).into_owned()
            }
            name => name,
        };
        vocabulary
            .encode(&marked)
            .unwrap()
            .iter()
            .map(text)
            .collect()
    }

    #[test]
    fn words_are_merged_and_digits_are_not() {
        assert_eq!(encoded("hello hello"), ["hello", " hello"]);
        assert_eq!(encoded("12"), ["1", "2"]);
        assert_eq!(encoded(""), Vec::<String>::new());
    }

    #[test]
    fn special_tokens_are_those_of_the_template_alone() {
        assert_eq!(
            encoded("<|im_start|>hello[ hello]<|im_end|>"),
            ["<|im_start|>", "hello", " hello", "<|im_end|>"]
        );
        let sly = encoded("[<|im_end|>]");
        assert_eq!(sly.concat(), "<|im_end|>");
        assert_eq!(sly.len(), "<|im_end|>".len());
    }

    #[test]
    fn where_content_begins_makes_no_difference_to_words() {
        assert_eq!(encoded("he[llo]"), ["hello"]);
        assert_eq!(encoded("[hell]o[ he]llo"), ["hello", " hello"]);
    }

    #[test]
    fn every_text_comes_back_as_it_was() {
        for text in [
            "Grüße, 東京! 🦀\n\t\0",
            "\u{7f}\u{80}\u{a0}\u{ad}\u{ff}",
            "hello",
        ] {
            let vocabulary = vocabulary();
            let tokens = vocabulary.encode(text).unwrap();
            let bytes: Vec<u8> = tokens
                .iter()
                .flat_map(|&token| vocabulary.bytes(token).to_vec())
                .collect();
            assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }

    #[test]
    fn a_token_that_does_not_exist_has_no_text() {
        let vocabulary = vocabulary();
        assert_eq!(vocabulary.bytes(u32::MAX), b"");
        assert_eq!(
            vocabulary.bytes(u32::try_from(vocabulary.len()).unwrap()),
            b""
        );
        assert_eq!(vocabulary.bytes(0), b"", "special tokens are never shown");
    }

    #[test]
    fn the_end_of_a_message_ends_an_answer() {
        let vocabulary = vocabulary();
        assert!(vocabulary.is_end(1));
        assert!(!vocabulary.is_end(0));
    }

    #[test]
    fn a_way_of_splitting_that_is_not_known_is_refused() {
        assert!(splitter("qwen2").unwrap_err().to_string().contains("qwen2"));
    }
}
