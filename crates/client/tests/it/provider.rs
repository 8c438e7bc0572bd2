//! The provider behind OpenFeature's own SDK.

use crate::stub::{LIMIT, Stub};
use esclusa_client::{Client, Config, Provider, State};
use open_feature::provider::{FeatureProvider, ProviderStatus};
use open_feature::{
    EvaluationContext, EvaluationErrorCode, EvaluationReason, OpenFeature, StructValue, Value,
};
use serde_json::json;

#[tokio::test]
async fn the_sdk_reads_every_type() {
    let stub = Stub::start(&[
        ("on", json!(true)),
        ("text", json!("blue")),
        ("ten", json!(10)),
        ("half", json!(0.5)),
        ("object", json!({ "a": [1] })),
    ])
    .await;
    let client = Client::start(stub.config()).expect("it starts");
    let mut api = OpenFeature::singleton_mut().await;
    api.set_named_provider("every type", Provider::new(client))
        .await;
    api.set_evaluation_context(EvaluationContext::default().with_custom_field("region", "eu"))
        .await;
    let flags = api.create_named_client("every type");
    let ana = EvaluationContext::default()
        .with_targeting_key("ana")
        .with_custom_field("tenant", "acme");
    assert_eq!(flags.get_bool_value("on", Some(&ana), None).await, Ok(true));
    let text = flags.get_string_value("text", Some(&ana), None).await;
    assert_eq!(text.as_deref(), Ok("blue"));
    assert_eq!(flags.get_int_value("ten", Some(&ana), None).await, Ok(10));
    assert_eq!(
        flags.get_float_value("half", Some(&ana), None).await,
        Ok(0.5)
    );
    let object: StructValue = {
        let provider = Provider::new(Client::start(stub.config()).expect("it starts"));
        let resolved = provider.resolve_struct_value("object", &ana).await;
        resolved.expect("an object").value
    };
    assert_eq!(object.fields["a"], Value::Array(vec![Value::Int(1)]));

    let details = flags.get_bool_details("on", Some(&ana), None).await;
    let details = details.expect("a value");
    assert_eq!(details.reason, Some(EvaluationReason::Split));
    assert_eq!(details.variant.as_deref(), Some("v"));
    assert_eq!(stub.world().asked[0].1["region"], "eu");

    let wrong = flags.get_int_value("on", Some(&ana), None).await;
    assert_eq!(
        wrong.expect_err("no number").code,
        EvaluationErrorCode::TypeMismatch
    );
    let none = flags.get_bool_value("nope", Some(&ana), None).await;
    assert_eq!(
        none.expect_err("none").code,
        EvaluationErrorCode::FlagNotFound
    );
}

#[tokio::test]
async fn its_status_is_the_clients_state() {
    let dead = Config::new("http://127.0.0.1:1").expect("an address");
    let client = Client::start(dead).expect("it starts");
    let mut provider = Provider::new(client.clone());
    assert_eq!(provider.status(), ProviderStatus::NotReady);
    provider.initialize(&EvaluationContext::default()).await;
    assert_eq!(provider.status(), ProviderStatus::Error);

    let stub = Stub::start(&[("a", json!(true))]).await;
    let client = stub.client().await;
    let provider = Provider::new(client.clone());
    assert_eq!(provider.status(), ProviderStatus::Ready);
    let ana = EvaluationContext::default().with_targeting_key("ana");
    assert!(provider.resolve_bool_value("a", &ana).await.is_ok());
    stub.end();
    let mut states = client.states();
    let stale = states.wait_for(|state| matches!(state, State::Stale { .. }));
    assert!(
        tokio::time::timeout(LIMIT, stale)
            .await
            .expect("in time")
            .is_ok()
    );
    assert_eq!(provider.status(), ProviderStatus::STALE);
    let known = provider
        .resolve_bool_value("a", &ana)
        .await
        .expect("last known");
    assert_eq!(
        (known.value, known.reason),
        (true, Some(EvaluationReason::Cached))
    );
}
