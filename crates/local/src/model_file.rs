//! A GGUF file: what it says about the model, and its numbers.
//!
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};

use crate::matrix::Matrix;

/// Rows that are read at once, so that loading takes little more memory than the model.
const ROWS_AT_ONCE: usize = 1_024;

/// Why a file cannot be used: a part of a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LoadError(pub(crate) String);

impl From<candle_core::Error> for LoadError {
    fn from(error: candle_core::Error) -> Self {
        let text = error.to_string();
        Self(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// An open GGUF file.
#[derive(Debug)]
pub(crate) struct ModelFile {
    content: Content,
    reader: BufReader<File>,
    bytes: u64,
}

impl ModelFile {
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let unreadable = |error: io::Error| LoadError(error.to_string());
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let content = Content::read(&mut reader)?;
        Ok(Self {
            content,
            reader,
            bytes,
        })
    }

    /// Returns how large the file is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn value(&self, key: &str) -> Result<&Value, LoadError> {
        self.content
            .metadata
            .get(key)
            .ok_or_else(|| LoadError(format!("it has no {key}")))
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, LoadError> {
        match self.value(key)? {
            Value::String(text) => Ok(text),
            _ => Err(LoadError(format!("its {key} is not text"))),
        }
    }

    pub(crate) fn size(&self, key: &str) -> Result<usize, LoadError> {
        whole(self.value(key)?)
            .ok_or_else(|| LoadError(format!("its {key} is not a number of a sane size")))
    }

    pub(crate) fn real(&self, key: &str) -> Result<f32, LoadError> {
        match self.value(key)? {
            Value::F32(number) if number.is_finite() => Ok(*number),
            _ => Err(LoadError(format!("its {key} is not a number"))),
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, LoadError> {
        let Value::Array(values) = self.value(key)? else {
            return Err(LoadError(format!("its {key} is not a list")));
        };
        values
            .iter()
            .map(|value| match value {
                Value::String(text) => Ok(text.clone()),
                _ => Err(LoadError(format!("its {key} is not a list of texts"))),
            })
            .collect()
    }

    pub(crate) fn sizes(&self, key: &str) -> Result<Vec<usize>, LoadError> {
        let Value::Array(values) = self.value(key)? else {
            return Err(LoadError(format!("its {key} is not a list")));
        };
        values
            .iter()
            .map(|value| whole(value).ok_or_else(|| LoadError(format!("its {key} is not valid"))))
            .collect()
    }

    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Reads a list of `length` numbers.
    pub(crate) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        let info = self.tensor(name, &[length])?;
        let tensor = self.read(&info)?;
        Ok(tensor)
    }

    /// Reads a matrix, some rows at a time.
    pub(crate) fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Matrix, LoadError> {
        let whole = self.tensor(name, &[rows, columns])?;
        let dtype = whole.ggml_dtype;
        let mut matrix = Matrix::with_columns(columns)
            .ok_or_else(|| LoadError(format!("{columns} columns of {name} are not supported")))?;
        if !columns.is_multiple_of(dtype.block_size()) {
            return Err(LoadError(format!("{name} is not in whole blocks")));
        }
        let row_bytes = columns / dtype.block_size() * dtype.type_size();
        let mut next = 0;
        while next < rows {
            let count = ROWS_AT_ONCE.min(rows - next);
            let skipped = u64::try_from(next * row_bytes).unwrap_or(u64::MAX);
            let part = TensorInfo {
                ggml_dtype: dtype,
                shape: (count, columns).into(),
                offset: whole.offset.saturating_add(skipped),
            };
            matrix.push_rows(&self.read(&part)?);
            next += count;
        }
        Ok(matrix)
    }

    fn tensor(&self, name: &str, dims: &[usize]) -> Result<TensorInfo, LoadError> {
        let info = self
            .content
            .tensor_infos
            .get(name)
            .ok_or_else(|| LoadError(format!("it has no {name}")))?;
        if info.shape.dims() != dims {
            return Err(LoadError(format!(
                "{name} has the shape {:?} and not {dims:?}",
                info.shape.dims()
            )));
        }
        Ok(TensorInfo {
            ggml_dtype: info.ggml_dtype,
            shape: info.shape.clone(),
            offset: info.offset,
        })
    }

    fn read(&mut self, info: &TensorInfo) -> Result<Vec<f32>, LoadError> {
        let start = self.content.tensor_data_offset;
        let tensor = info.read(&mut self.reader, start, &Device::Cpu)?;
        Ok(tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }
}

fn whole(value: &Value) -> Option<usize> {
    match *value {
        Value::U8(number) => Some(number.into()),
        Value::U16(number) => Some(number.into()),
        Value::U32(number) => usize::try_from(number).ok(),
        Value::I32(number) => usize::try_from(number).ok(),
        Value::U64(number) => usize::try_from(number).ok(),
        _ => None,
    }
    .filter(|&number| number <= 1 << 30)
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;
    use candle_core::quantized::{GgmlDType, QTensor, gguf_file};

    use super::*;

    /// Writes a file with one matrix of 2 rows of 32, and opens it.
    fn file(dtype: GgmlDType) -> (tempfile::NamedTempFile, ModelFile) {
        let values: Vec<f32> = (0..64u8).map(f32::from).collect();
        let matrix = Tensor::from_vec(values, (2, 32), &Device::Cpu).unwrap();
        let matrix = QTensor::quantize(&matrix, dtype).unwrap();
        let metadata = [
            ("size", &Value::U32(7)),
            ("text", &Value::String("a".to_owned())),
            ("texts", &Value::Array(vec![Value::String("b".to_owned())])),
            ("negative", &Value::I32(-1)),
            ("huge", &Value::U64(u64::MAX)),
        ];
        let mut written = tempfile::NamedTempFile::new().unwrap();
        gguf_file::write(&mut written, &metadata, &[("matrix", &matrix)]).unwrap();
        let file = ModelFile::open(written.path()).unwrap();
        (written, file)
    }

    #[test]
    fn every_kind_of_weights_is_brought_to_one_form() {
        for dtype in [
            GgmlDType::F32,
            GgmlDType::F16,
            GgmlDType::Q4_1,
            GgmlDType::Q8_0,
        ] {
            let (_written, mut file) = file(dtype);
            let matrix = file.matrix("matrix", 2, 32).unwrap();
            let mut row = [0.0; 32];
            matrix.read_row(1, &mut row);
            for (value, expected) in row.iter().zip(32..64u8) {
                assert!(
                    (value - f32::from(expected)).abs() < 2.0,
                    "{dtype:?}: {value}"
                );
            }
        }
    }

    #[test]
    fn what_a_file_does_not_say_is_named() {
        let (_written, mut file) = file(GgmlDType::Q8_0);
        assert_eq!(
            (file.size("size").unwrap(), file.text("text").unwrap()),
            (7, "a")
        );
        assert_eq!(file.texts("texts").unwrap(), ["b"]);
        for (error, named) in [
            (file.size("nothing").unwrap_err(), "nothing"),
            (file.size("text").unwrap_err(), "text"),
            (file.size("negative").unwrap_err(), "negative"),
            (file.size("huge").unwrap_err(), "huge"),
            (file.real("size").unwrap_err(), "size"),
            (file.texts("text").unwrap_err(), "text"),
            (file.matrix("none", 2, 32).unwrap_err(), "none"),
            (
                file.matrix("matrix", 32, 2).unwrap_err(),
                "matrix has the shape [2, 32]",
            ),
        ] {
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn what_is_no_gguf_file_cannot_be_opened() {
        let written = tempfile::NamedTempFile::new().unwrap();
        for bytes in [
            &b""[..],
            b"GGUF",
            b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
            b"<html>",
        ] {
            std::fs::write(written.path(), bytes).unwrap();
            assert!(ModelFile::open(written.path()).is_err());
        }
        assert!(ModelFile::open(Path::new("no/such/file")).is_err());
    }
}
