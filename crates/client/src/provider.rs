//! The provider for OpenFeature's Rust SDK.

use crate::answer::{Failure, FlagError, FromFlag, Origin};
use crate::{Client, Context, State};
use async_trait::async_trait;
use open_feature::provider::{
    FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails,
};
use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationError, EvaluationErrorCode,
    EvaluationReason, EvaluationResult, FlagMetadata, FlagMetadataValue, StructValue, Value,
};
use serde_json::{Map, Value as Json};
use std::time::Duration;

/// Longest wait for the server at the start. The SDK answers nobody meanwhile.
const START: Duration = Duration::from_secs(2);

/// A [`Client`] behind OpenFeature's Rust SDK.
///
/// ```
/// use esclusa_client::{Client, Config, Provider};
/// use open_feature::{EvaluationContext, OpenFeature};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::start(Config::new("http://127.0.0.1:8016")?)?;
/// let mut api = OpenFeature::singleton_mut().await;
/// api.set_provider(Provider::new(client)).await;
/// let flags = api.create_client();
///
/// let context = EvaluationContext::default()
///     .with_targeting_key("ana@example.com")
///     .with_custom_field("tenant", "acme");
/// let asked = flags.get_bool_value("exec-reports", Some(&context), None).await;
/// // The SDK gives an error where nothing is known: the safe value stands here.
/// let on = asked.unwrap_or(false);
/// # assert!(!on);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Provider {
    client: Client,
    metadata: ProviderMetadata,
}

impl Provider {
    /// Answers with what the client knows.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            metadata: ProviderMetadata::new("esclusa"),
        }
    }

    async fn resolve<T: FromFlag>(
        &self,
        flag: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        let context = converted(context)?;
        let asked = self.client.evaluate(flag, &context).await;
        let (answer, origin) = asked.map_err(|failure| error(&failure))?;
        let value = answer.value.as_ref();
        let value = value.ok_or_else(|| error(&Failure::NoValue))?;
        let value = T::from_flag(value).ok_or_else(|| error(&Failure::Type))?;
        Ok(ResolutionDetails {
            value,
            variant: answer.variant,
            reason: Some(reason(&answer.reason, origin)),
            flag_metadata: Some(metadata(&answer.metadata)),
        })
    }
}

#[async_trait]
impl FeatureProvider for Provider {
    async fn initialize(&mut self, _context: &EvaluationContext) {
        self.client.ready(START).await;
    }

    fn status(&self) -> ProviderStatus {
        match self.client.state() {
            State::NotReady => ProviderStatus::NotReady,
            State::Ready => ProviderStatus::Ready,
            State::Stale { .. } => ProviderStatus::STALE,
            State::Error { .. } => ProviderStatus::Error,
        }
    }

    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    async fn resolve_bool_value(
        &self,
        flag: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        self.resolve(flag, context).await
    }

    async fn resolve_int_value(
        &self,
        flag: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        self.resolve(flag, context).await
    }

    async fn resolve_float_value(
        &self,
        flag: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        self.resolve(flag, context).await
    }

    async fn resolve_string_value(
        &self,
        flag: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        self.resolve(flag, context).await
    }

    async fn resolve_struct_value(
        &self,
        flag: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        self.resolve(flag, context).await
    }
}

impl FromFlag for StructValue {
    /// An object without `null` in it, which OpenFeature's values cannot say.
    fn from_flag(value: &Json) -> Option<Self> {
        match of_json(value)? {
            Value::Struct(fields) => Some(fields),
            _ => None,
        }
    }
}

fn of_json(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64()?),
        },
        Json::Array(list) => Value::Array(list.iter().map(of_json).collect::<Option<_>>()?),
        Json::Object(map) => {
            let field = |(name, value): (&String, &Json)| Some((name.clone(), of_json(value)?));
            let fields = map.iter().map(field).collect::<Option<_>>()?;
            Value::Struct(StructValue { fields })
        }
    })
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::String(text) => text.clone().into(),
        Value::Array(list) => list.iter().map(to_json).collect(),
        Value::Struct(value) => {
            let field = |(name, value): (&String, &Value)| (name.clone(), to_json(value));
            Json::Object(value.fields.iter().map(field).collect())
        }
    }
}

/// A value that cannot be sent is an error: without it, somebody else would be asked about.
fn converted(context: &EvaluationContext) -> EvaluationResult<Context> {
    let mut converted = Context::new();
    for (name, value) in &context.custom_fields {
        let json = match value {
            EvaluationContextFieldValue::Bool(value) => Some(Json::from(*value)),
            EvaluationContextFieldValue::Int(value) => Some(Json::from(*value)),
            EvaluationContextFieldValue::Float(value) => {
                value.is_finite().then(|| Json::from(*value))
            }
            EvaluationContextFieldValue::String(text) => Some(Json::from(text.clone())),
            EvaluationContextFieldValue::DateTime(at) => {
                let text = at.format(&time::format_description::well_known::Rfc3339);
                text.ok().map(Json::from)
            }
            EvaluationContextFieldValue::Struct(any) => {
                let value = any.downcast_ref::<StructValue>();
                let value = value.map(|value| to_json(&Value::Struct(value.clone())));
                value.or_else(|| any.downcast_ref::<Json>().cloned())
            }
        };
        let json = json.ok_or_else(|| EvaluationError {
            code: EvaluationErrorCode::InvalidContext,
            message: Some(format!("the field {name:?} cannot be sent")),
        })?;
        converted.set(name.clone(), json);
    }
    if let Some(key) = &context.targeting_key {
        converted.set("targetingKey", key.clone());
    }
    Ok(converted)
}

fn error(failure: &Failure) -> EvaluationError {
    let message = Some(failure.to_string());
    let code = match failure {
        Failure::Flag(FlagError::NotFound) => EvaluationErrorCode::FlagNotFound,
        Failure::Flag(FlagError::TargetingKeyMissing) => EvaluationErrorCode::TargetingKeyMissing,
        Failure::Flag(FlagError::InvalidContext(_)) => EvaluationErrorCode::InvalidContext,
        Failure::Type => EvaluationErrorCode::TypeMismatch,
        Failure::Garbage(_) => EvaluationErrorCode::ParseError,
        _ => EvaluationErrorCode::General("GENERAL".to_owned()),
    };
    EvaluationError { code, message }
}

/// A value that may be an old one says so.
fn reason(word: &str, origin: Origin) -> EvaluationReason {
    match (origin, word) {
        (Origin::Stale | Origin::Disk, _) => EvaluationReason::Cached,
        (_, "STATIC") => EvaluationReason::Static,
        (_, "DEFAULT") => EvaluationReason::Default,
        (_, "TARGETING_MATCH") => EvaluationReason::TargetingMatch,
        (_, "SPLIT") => EvaluationReason::Split,
        (_, "CACHED") => EvaluationReason::Cached,
        (_, "DISABLED") => EvaluationReason::Disabled,
        (_, "UNKNOWN") => EvaluationReason::Unknown,
        (_, "ERROR") => EvaluationReason::Error,
        (_, other) => EvaluationReason::Other(other.to_owned()),
    }
}

fn metadata(json: &Map<String, Json>) -> FlagMetadata {
    let mut metadata = FlagMetadata::default();
    for (name, value) in json {
        let value = match value {
            Json::Bool(value) => FlagMetadataValue::Bool(*value),
            Json::String(text) => FlagMetadataValue::String(text.clone()),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => FlagMetadataValue::Int(whole),
                (None, Some(decimal)) => FlagMetadataValue::Float(decimal),
                (None, None) => continue,
            },
            _ => continue,
        };
        metadata.add_value(name.clone(), value);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_context_is_sent_whole_or_not_at_all() {
        let at = time::OffsetDateTime::UNIX_EPOCH;
        let whole = EvaluationContext::default()
            .with_targeting_key("ana")
            .with_custom_field("age", 3)
            .with_custom_field("since", EvaluationContextFieldValue::DateTime(at))
            .with_custom_field(
                "more",
                EvaluationContextFieldValue::new_struct(json!({ "a": [1, "b"] })),
            );
        let expected = Context::of("ana")
            .with("age", 3)
            .with("since", "1970-01-01T00:00:00Z")
            .with("more", json!({ "a": [1, "b"] }));
        assert_eq!(converted(&whole), Ok(expected));
        let odd = EvaluationContextFieldValue::new_struct(7u8);
        for strange in [odd, EvaluationContextFieldValue::Float(f64::NAN)] {
            let context = EvaluationContext::default().with_custom_field("odd", strange);
            let refused = converted(&context).expect_err("refused");
            assert_eq!(refused.code, EvaluationErrorCode::InvalidContext);
        }
    }

    #[test]
    fn objects_come_as_they_are() {
        let json = json!({ "a": true, "b": [1, 1.5, "c"], "d": { "e": {} } });
        let value = StructValue::from_flag(&json).expect("an object");
        assert_eq!(to_json(&Value::Struct(value)), json);
        for json in [json!({ "a": null }), json!([1]), json!(1)] {
            assert_eq!(StructValue::from_flag(&json), None, "{json}");
        }
    }
}
