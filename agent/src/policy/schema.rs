//! The JSON Schema of a policy file, from the types that read it.

use serde_json::Value;

use super::syntax;

/// The schema, for editors and other tools.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(syntax::Policy).to_value();
    no_nulls(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), "banchi policy".into());
    }
    schema
}

/// An optional key is left out; `null` is never a value. `schemars` describes an [`Option`] as both.
pub(crate) fn no_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(no_nulls);
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".into(), one);
                }
            }
            let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
            choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
            if let [Value::Object(one)] = choices.as_slice() {
                let one = one.clone();
                object.remove("anyOf");
                for (key, value) in one {
                    object.entry(key).or_insert(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(no_nulls),
        _ => {}
    }
}
