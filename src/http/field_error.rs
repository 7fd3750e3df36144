//! Why a request was not understood: which field, and what was expected there.

use std::borrow::Cow;
use std::fmt;

/// A field that is missing or malformed; its text is what the client reads beside the 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name as the contract has it.
    pub field: Cow<'static, str>,
    /// What would have been understood, such as `an integer from 1 to 1000`.
    pub expected: Cow<'static, str>,
    /// It was not there at all.
    pub is_missing: bool,
}

impl FieldError {
    /// A field that is there, but not as it should be.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: field.into(), expected: expected.into(), is_missing: false }
    }

    /// A field that must be there and is not.
    pub fn required(
        field: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: field.into(), expected: expected.into(), is_missing: true }
    }

    /// The same, for a field inside of `outer`: `worth` within `items[3]` is `items[3].worth`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field).into(), ..self }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_missing { " is missing" } else { "" };
        write!(f, "{}{verb}: expected {}", self.field, self.expected)
    }
}

impl std::error::Error for FieldError {}

#[cfg(test)]
mod tests {
    use super::FieldError;

    #[test]
    fn says_which_field_and_what_was_expected() {
        let error = FieldError::new("worth", "an integer from 1 to 9");
        assert_eq!(error.to_string(), "worth: expected an integer from 1 to 9");
        let error = FieldError::required("worth", "an integer from 1 to 9");
        assert_eq!(error.to_string(), "worth is missing: expected an integer from 1 to 9");
        let error = error.within("items[3]");
        assert_eq!(error.field, "items[3].worth");
    }
}
