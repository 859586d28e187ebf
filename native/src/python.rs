//! The module that Python imports.

use crate::columns::TextColumn;
use crate::keys::Keys;
use crate::scan::{scan, Limits, Scanned};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Views, data, validity (None where all rows have a value), and which are quoted.
type Column<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>, Bound<'py, PyBytes>);

/// Values, validity, and how many are valid.
type Times<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, usize);

/// The columns by field, `properties`, times, and the suspects as bits.
type Columns<'py> = (Vec<Option<Column<'py>>>, Option<Column<'py>>, Option<Times<'py>>, Bound<'py, PyBytes>);

const OFFSET: usize = 8;

/// Where the rows of an Arrow column (large binary) stand.
struct Rows<'a> {
    data: &'a [u8],
    offsets: &'a [u8],
    validity: Option<&'a [u8]>,
    first: usize,
}

impl<'a> Rows<'a> {
    fn offset(&self, row: usize) -> Option<usize> {
        let at = (self.first + row) * OFFSET;
        let number = i64::from_le_bytes(self.offsets.get(at..at + OFFSET)?.try_into().ok()?);
        usize::try_from(number).ok()
    }

    /// A row; None where it is null, or the buffers do not have it.
    fn row(&self, row: usize) -> Option<&'a [u8]> {
        let at = self.first + row;
        if self.validity.is_some_and(|bits| bits.get(at / 8).is_none_or(|byte| byte & (1 << (at % 8)) == 0)) {
            return None;
        }
        self.data.get(self.offset(row)?..self.offset(row + 1)?)
    }
}

/// Scan rows (the first, and how many); the buffers are those of an Arrow column of large binary.
#[pyfunction]
fn scan_rows<'py>(
    py: Python<'py>,
    buffers: (Option<Bound<'py, PyBytes>>, Bound<'py, PyBytes>, Bound<'py, PyBytes>),
    rows: (usize, usize),
    fields: Vec<String>,
    dropped: Vec<String>,
    roles: (Option<String>, Option<usize>),
    limits: (usize, usize),
) -> PyResult<Columns<'py>> {
    let (validity, offsets, data) = &buffers;
    let (first, height) = rows;
    let rows = Rows {
        data: data.as_bytes(),
        offsets: offsets.as_bytes(),
        validity: validity.as_ref().map(|bits| bits.as_bytes()),
        first,
    };
    if rows.offsets.len() / OFFSET < first + height {
        return Err(PyValueError::new_err("there are fewer rows than were announced"));
    }
    let keys = Keys::of(&fields, &dropped, roles.0.as_deref());
    let limits = Limits { row: limits.0, field: limits.1 };
    let found =
        py.detach(|| guarded(|| scan((0..height).map(|row| rows.row(row)), keys, fields.len(), roles.1, limits)));
    let found = found.map_err(PyRuntimeError::new_err)?;
    Ok(handed_over(py, &found, height))
}

/// What a function returns, or what it said when it panicked: a fault of ours is an exception, not the end.
fn guarded<T>(function: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(function)).map_err(|said| {
        let text = said.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| said.downcast_ref::<String>().cloned());
        format!("ecompulse_native failed: {}", text.unwrap_or_default())
    })
}

fn handed_over<'py>(py: Python<'py>, found: &Scanned, height: usize) -> Columns<'py> {
    let bytes = |data: &[u8]| PyBytes::new(py, data);
    let column = |text: &TextColumn| {
        (text.count > 0).then(|| {
            let validity = (text.count < height).then(|| bytes(&text.present.0));
            (bytes(&text.views), bytes(&text.data), validity, bytes(&text.quoted.0))
        })
    };
    let times = found.times.as_ref().map(|(_, times)| (bytes(&times.values), bytes(&times.present.0), times.count));
    (found.fields.iter().map(column).collect(), column(&found.properties), times, bytes(&found.suspects.0))
}

/// A panic on purpose, for the test that one becomes an exception.
#[pyfunction]
fn fail() -> PyResult<()> {
    guarded(|| panic!("on purpose")).map_err(PyRuntimeError::new_err)
}

#[pymodule]
fn ecompulse_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("INTERFACE", 1)?;
    module.add_function(wrap_pyfunction!(scan_rows, module)?)?;
    module.add_function(wrap_pyfunction!(fail, module)?)
}
