//! Attributes of nodes, read and set by name.

use crate::proto::{AttributeProto, NodeProto, attribute_type};

impl NodeProto {
    /// The operator's name, without its domain.
    #[must_use]
    pub fn op(&self) -> &str {
        self.op_type.as_deref().unwrap_or_default()
    }

    /// Returns whether the operator is one of ONNX itself (domain empty, or `ai.onnx`).
    #[must_use]
    pub fn in_default_domain(&self) -> bool {
        matches!(self.domain.as_deref(), None | Some("" | "ai.onnx"))
    }

    /// The operator, if it is one of the default domain.
    #[must_use]
    pub fn onnx_op(&self) -> &str {
        if self.in_default_domain() { self.op() } else { "" }
    }

    /// `Conv`, or `com.microsoft::Gelu`.
    #[must_use]
    pub fn qualified_op(&self) -> String {
        match self.domain.as_deref() {
            Some(domain) if !self.in_default_domain() => format!("{domain}::{}", self.op()),
            _ => self.op().to_owned(),
        }
    }

    /// The name of this node in messages.
    #[must_use]
    pub fn label(&self) -> String {
        match (self.name.as_deref(), self.output.first()) {
            (Some(name), _) if !name.is_empty() => name.to_owned(),
            (_, Some(output)) => format!("{} of {output}", self.op()),
            _ => self.op().to_owned(),
        }
    }

    /// The attribute of this name, whatever its type.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|a| a.name.as_deref() == Some(name))
    }

    /// The integer attribute of this name; 0 where it has another type, as a decoder of protocol buffers reads it.
    #[must_use]
    pub fn attr_int(&self, name: &str) -> Option<i64> {
        self.attr(name).map(|a| a.i.unwrap_or(0))
    }

    /// The float attribute of this name; 0 where it has another type.
    #[must_use]
    pub fn attr_float(&self, name: &str) -> Option<f32> {
        self.attr(name).map(|a| a.f.unwrap_or(0.0))
    }

    /// The list of integers of this name; empty where it has another type.
    #[must_use]
    pub fn attr_ints(&self, name: &str) -> Option<&[i64]> {
        self.attr(name).map(|a| a.ints.as_slice())
    }

    /// The text attribute of this name, if it is UTF-8.
    #[must_use]
    pub fn attr_str(&self, name: &str) -> Option<&str> {
        self.attr(name).and_then(|a| std::str::from_utf8(a.s.as_deref()?).ok())
    }

    /// Removes the attribute of this name, and returns it.
    pub fn take_attr(&mut self, name: &str) -> Option<AttributeProto> {
        let at = self.attribute.iter().position(|a| a.name.as_deref() == Some(name))?;
        Some(self.attribute.remove(at))
    }

    /// Sets an integer attribute.
    pub fn set_int(&mut self, name: &str, value: i64) {
        self.take_attr(name);
        self.attribute.push(AttributeProto {
            name: Some(name.to_owned()),
            i: Some(value),
            r#type: Some(attribute_type::INT),
            ..AttributeProto::default()
        });
    }

    /// Sets a list of integers.
    pub fn set_ints(&mut self, name: &str, values: Vec<i64>) {
        self.take_attr(name);
        self.attribute.push(AttributeProto {
            name: Some(name.to_owned()),
            ints: values,
            r#type: Some(attribute_type::INTS),
            ..AttributeProto::default()
        });
    }

    /// Sets a float attribute.
    pub fn set_float(&mut self, name: &str, value: f32) {
        self.take_attr(name);
        self.attribute.push(AttributeProto {
            name: Some(name.to_owned()),
            f: Some(value),
            r#type: Some(attribute_type::FLOAT),
            ..AttributeProto::default()
        });
    }

    /// Input `index`, where it is present: ONNX writes an absent one as an empty name.
    #[must_use]
    pub fn arg(&self, index: usize) -> Option<&str> {
        self.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// First input and first output.
    #[must_use]
    pub fn edge(&self) -> Option<(String, String)> {
        Some((self.arg(0)?.to_owned(), self.output.first().filter(|y| !y.is_empty())?.clone()))
    }

    /// Has input `index`, which is there, be another value.
    pub fn set_input(&mut self, index: usize, value: String) {
        if let Some(input) = self.input.get_mut(index) {
            *input = value;
        }
    }

    /// A node of the default domain.
    #[must_use]
    pub fn new(op: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        Self {
            op_type: Some(op.to_owned()),
            name: Some(name.to_owned()),
            input: inputs.iter().map(|&s| s.to_owned()).collect(),
            output: outputs.iter().map(|&s| s.to_owned()).collect(),
            ..Self::default()
        }
    }
}
