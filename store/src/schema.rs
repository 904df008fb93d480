//! Types of fields, from the mappings that are installed in Elasticsearch.
//!
//! Owns what the type of a field means here. Refuses to know names of fields. Invariant: a mapping with a type that is not
//! known here is an error, so that a new field cannot be stored wrongly without notice.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The types of all mapped fields. Other fields take the type of their JSON values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    fields: BTreeMap<String, FieldType>,
    /// The few fields of type [`FieldType::Date`].
    dates: Vec<String>,
}

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A text that is compared as a whole.
    Keyword,
    /// An address, kept as text.
    Ip,
    /// A whole number.
    Long,
    /// A time in milliseconds.
    Date,
    /// An object of `lat` and `lon`, kept as two numbers.
    GeoPoint,
}

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is not a component template with mappings.
    #[error("the mappings cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// A type without a meaning here.
    #[error("field {field}: type {found:?} is not supported")]
    Type {
        /// The field.
        field: String,
        /// Its type.
        found: String,
    },
}

#[derive(Deserialize)]
struct Component {
    template: Template,
}

#[derive(Deserialize)]
struct Template {
    mappings: Properties,
}

#[derive(Deserialize)]
struct Properties {
    properties: BTreeMap<String, Property>,
}

#[derive(Deserialize)]
struct Property {
    r#type: Option<String>,
    properties: Option<BTreeMap<String, Property>>,
}

impl Schema {
    /// Reads a component template (`{"template":{"mappings":{"properties":{…}}}}`).
    ///
    /// # Errors
    ///
    /// See [`SchemaError`].
    pub fn parse(component: &str) -> Result<Self, SchemaError> {
        let component: Component = serde_json::from_str(component)?;
        let mut schema = Self::default();
        schema.add("", component.template.mappings.properties)?;
        Ok(schema)
    }

    fn add(
        &mut self,
        prefix: &str,
        properties: BTreeMap<String, Property>,
    ) -> Result<(), SchemaError> {
        for (name, property) in properties {
            let field = format!("{prefix}{name}");
            match (property.properties, property.r#type.as_deref()) {
                (Some(inner), _) => self.add(&format!("{field}."), inner)?,
                (None, found) => {
                    let found = match found {
                        Some("keyword") => FieldType::Keyword,
                        Some("ip") => FieldType::Ip,
                        Some("long") => FieldType::Long,
                        Some("date") => FieldType::Date,
                        Some("geo_point") => FieldType::GeoPoint,
                        other => {
                            let found = other.unwrap_or("none").to_owned();
                            return Err(SchemaError::Type { field, found });
                        }
                    };
                    if found == FieldType::Date {
                        self.dates.push(field.clone());
                    }
                    self.fields.insert(field, found);
                }
            }
        }
        Ok(())
    }

    /// The type of a field; `None` for one that is not mapped.
    pub fn get(&self, field: &str) -> Option<FieldType> {
        self.fields.get(field).copied()
    }

    /// Whether a field holds times.
    pub(crate) fn is_date(&self, field: &str) -> bool {
        self.dates.iter().any(|date| date == field)
    }

    /// The mapped fields, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldType)> {
        self.fields.iter().map(|(name, kind)| (&**name, *kind))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_shipped_mappings_are_understood() {
        for component in [
            include_str!("../../mappings/elasticsearch/component-mappings.json"),
            include_str!("../../mappings/opensearch/component-mappings.json"),
        ] {
            let schema = Schema::parse(component).unwrap();
            assert_eq!(schema.get("@timestamp"), Some(FieldType::Date));
            assert_eq!(schema.get("source.ip"), Some(FieldType::Ip));
            assert_eq!(schema.get("http.route"), Some(FieldType::Keyword));
            assert_eq!(schema.get("event.duration"), Some(FieldType::Long));
            assert_eq!(schema.get("source.geo.location"), Some(FieldType::GeoPoint));
            assert_eq!(schema.get("source"), None);
        }
    }

    #[test]
    fn an_unknown_type_is_an_error_that_names_the_field() {
        let component = r#"{"template":{"mappings":{"properties":{"a":{"properties":{"b":{"type":"shape"}}}}}}}"#;
        let error = Schema::parse(component).unwrap_err().to_string();
        assert_eq!(error, "field a.b: type \"shape\" is not supported");
    }
}
